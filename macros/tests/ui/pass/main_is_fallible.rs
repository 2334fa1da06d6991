//! `main` may fail, and may take the application as `mut`.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[kafka_boot::main]
async fn main(mut app: App) -> Result<App> {
    let text = std::env::var("KAFKA_BOOT_UI_TEST_NUMBER").unwrap_or_default();
    let number: u32 = text.parse()?;
    if number == 0 {
        return Err("zero".into());
    }
    app = std::convert::identity(app);
    Ok(app)
}
