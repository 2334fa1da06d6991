use kafka_boot::prelude::*;

#[kafka_boot::test]
#[test]
async fn orders(app: TestApp) {
    drop(app);
}

fn main() {}
