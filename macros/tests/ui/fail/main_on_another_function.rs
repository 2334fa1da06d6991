use kafka_boot::prelude::*;

#[kafka_boot::main]
async fn start(app: App) -> App {
    app
}

fn main() {}
