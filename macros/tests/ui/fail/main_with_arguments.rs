use kafka_boot::prelude::*;

#[kafka_boot::main(flavor = "current_thread")]
async fn main(app: App) -> App {
    app
}
