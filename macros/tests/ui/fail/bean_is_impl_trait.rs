use kafka_boot::prelude::*;

#[bean]
fn repo() -> impl Iterator<Item = u8> {
    std::iter::empty()
}

fn main() {}
