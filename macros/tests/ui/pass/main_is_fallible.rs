//! `main` may fail, and may take the application as `mut`.
#![deny(warnings)]

mod program {
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

    pub(super) const MAIN: fn() -> std::process::ExitCode = main;
}

fn main() {
    // It would run for ever, or fail for want of handlers: that it compiles is what is asked here.
    let _main = program::MAIN;
}
