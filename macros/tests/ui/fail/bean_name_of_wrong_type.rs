use kafka_boot::prelude::*;

#[bean(name = 5)]
fn repo() -> Vec<String> {
    Vec::new()
}

fn main() {}
