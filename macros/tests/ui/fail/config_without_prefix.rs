use kafka_boot::prelude::*;

#[derive(serde::Deserialize, ConfigProperties)]
struct Repo {
    _url: String,
}

fn main() {}
