#[kafka_boot::test]
async fn orders() {}

fn main() {}
