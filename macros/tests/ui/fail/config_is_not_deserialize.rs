#[derive(kafka_boot::ConfigProperties)]
#[config(prefix = "shop")]
struct Repo {
    _url: String,
}

fn main() {}
