use kafka_boot::prelude::*;

#[kafka_boot::test]
async fn orders(app: TestApp, kafka: Bean<KafkaTemplate>) {
    drop((app, kafka));
}

fn main() {}
