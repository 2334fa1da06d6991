use kafka_boot::prelude::*;

#[kafka_boot::main]
async fn main(app: App) {
    drop(app);
}
