use kafka_boot::prelude::*;

#[derive(serde::Deserialize, ConfigProperties)]
#[config(prefix = "shop")]
enum Repo {
    Memory,
}

fn main() {}
