use kafka_boot::prelude::*;

#[bean]
async fn repo() {}

fn main() {}
