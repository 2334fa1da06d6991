use kafka_boot::prelude::*;

#[kafka_boot::main]
async fn main(app: App) -> Result<u8> {
    drop(app);
    Ok(5)
}
