use kafka_boot::prelude::*;

#[kafka_boot::test]
fn orders(app: TestApp) {
    drop(app);
}

fn main() {}
