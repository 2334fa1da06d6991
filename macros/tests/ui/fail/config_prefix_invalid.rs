use kafka_boot::prelude::*;

#[derive(serde::Deserialize, ConfigProperties)]
#[config(prefix = "shop.orderRepo")]
struct Repo {
    _url: String,
}

fn main() {}
