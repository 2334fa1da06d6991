use kafka_boot::prelude::*;

#[scheduled(fixed_rate = "1s")]
async fn sweep() -> String {
    String::new()
}

fn main() {}
