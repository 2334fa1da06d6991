use kafka_boot::prelude::*;

#[bean]
fn repo(url: String) -> Vec<String> {
    vec![url]
}

fn main() {}
