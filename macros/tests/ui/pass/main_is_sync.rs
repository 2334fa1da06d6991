//! `main` may be a plain function.
#![deny(warnings)]

mod program {
    /// The program.
    #[kafka_boot::main]
    fn main(app: kafka_boot::App) -> kafka_boot::App {
        app
    }

    pub(super) const MAIN: fn() -> std::process::ExitCode = main;
}

fn main() {
    // It would run for ever, or fail for want of handlers: that it compiles is what is asked here.
    let _main = program::MAIN;
}
