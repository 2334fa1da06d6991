use kafka_boot::prelude::*;

#[scheduled]
async fn sweep() {}

fn main() {}
