use kafka_boot::prelude::*;

#[bean]
fn repo() -> std::cell::Cell<u8> {
    std::cell::Cell::new(0)
}

fn main() {}
