use kafka_boot::prelude::*;

#[kafka_boot::test(timout = "5s", listner(consume))]
async fn orders(app: TestApp) {
    drop(app);
}

fn main() {}
