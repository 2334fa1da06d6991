#[kafka_boot::test]
struct Orders;

fn main() {}
