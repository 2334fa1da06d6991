use kafka_boot::prelude::*;

#[kafka_boot::test(listeners = "consume", timeout = "5 s", properties(concurrency = 2), show_log, show_log)]
async fn orders(app: TestApp) {
    drop(app);
}

fn main() {}
