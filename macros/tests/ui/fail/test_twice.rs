#[kafka_boot::test]
#[test]
async fn orders(app: kafka_boot::TestApp) {
    drop(app);
}

fn main() {}
