//! What `#[kafka_boot::main]` calls.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::App;
use crate::app::running::Ended;
use crate::app::signals::Signals;
use crate::error::{HandlerError, StartError, StartErrorKind};

/// What the `main` function may return: the application, or `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from `#[kafka_boot::main]`",
    label = "must be `App` or `Result<App, E>` where `E` is any error"
)]
pub trait IntoApp {
    /// Converts the returned value.
    fn into_app(self) -> Result<App, HandlerError>;
}

impl IntoApp for App {
    fn into_app(self) -> Result<App, HandlerError> {
        Ok(self)
    }
}

impl<E: Into<HandlerError>> IntoApp for Result<App, E> {
    fn into_app(self) -> Result<App, HandlerError> {
        self.map_err(Into::into)
    }
}

/// Runs an application to its end: exit code 0 after a clean shutdown, 1 after a failure, 78 for a wrong
/// configuration.
#[doc(hidden)]
pub fn run_main<F, Fut>(make: F) -> ExitCode
where
    F: FnOnce(App) -> Fut,
    Fut: Future,
    Fut::Output: IntoApp,
{
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("kafka-boot").build() {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(
                    &StartError::new(StartErrorKind::Other, "the runtime did not start").with_source(error),
                );
                return ExitCode::FAILURE;
            }
        };
    let code = runtime.block_on(run(make));
    // What is left of user code after the shutdown's budget must not hold the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run<F, Fut>(make: F) -> u8
where
    F: FnOnce(App) -> Fut,
    Fut: Future,
    Fut::Output: IntoApp,
{
    let signals = Arc::new(Signals::listen());
    let mut app = match make(App::new()).await.into_app() {
        Ok(app) => app,
        Err(error) => {
            complain(&StartError::new(StartErrorKind::Other, format!("`main` failed: {}", error.chain())));
            return 1;
        }
    };
    app.signals = Some(signals);
    match app.start().await {
        Ok(running) => match running.run().await {
            Ended::Clean => 0,
            Ended::Failed(_) => 1,
        },
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

/// Tells on standard error why the application did not start: the log may not be there yet.
fn complain(error: &StartError) {
    let text = match error.kind() {
        // These come complete, with their excerpts.
        StartErrorKind::Configuration => error.to_string(),
        _ => format!("error: the application did not start\n  = {error}"),
    };
    // Nothing is left to try if standard error is closed.
    drop(writeln!(std::io::stderr(), "{}", text.trim_end()));
}
