use kafka_boot::prelude::*;

#[bean]
async fn repo(_key: Key<String>) -> Vec<String> {
    Vec::new()
}

fn main() {}
