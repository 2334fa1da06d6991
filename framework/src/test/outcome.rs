//! What `#[kafka_boot::test]` calls, and what a test may return.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::error::HandlerError;
use crate::test::{TestApp, TestAppBuilder};

/// What a test may return: nothing, or `Result<(), E>` with any error, which fails the test.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a `#[kafka_boot::test]`",
    label = "must be `()` or `Result<(), E>` where `E` is any error"
)]
pub trait TestOutcome {
    /// The error that fails the test, with its causes.
    fn into_failure(self) -> Option<String>;
}

impl TestOutcome for () {
    fn into_failure(self) -> Option<String> {
        None
    }
}

impl<E: Into<HandlerError>> TestOutcome for Result<(), E> {
    fn into_failure(self) -> Option<String> {
        self.err().map(|error| error.into().chain())
    }
}

/// Why a test failed.
enum Failure {
    Panic(Box<dyn Any + Send>),
    Message(String),
}

/// Runs one test to its end, whatever that is.
///
/// # Panics
/// If the test fails.
#[doc(hidden)]
pub fn run_test<F, Fut>(builder: TestAppBuilder, test: F)
where
    F: FnOnce(TestApp) -> Fut,
    Fut: Future,
    Fut::Output: TestOutcome,
{
    let limit = builder.limit;
    let prepared = builder.prepare();
    let session = match prepared {
        Ok(session) => session,
        Err(error) => panic!("the application under test did not start\n{error}"),
    };
    if let Err(error) = session.block_on(session.take_turn()) {
        panic!("the application under test did not start\n{error}");
    }
    let app = TestApp::managed(Arc::clone(&session));
    let body = async {
        let app = app.started().await.map_err(|error| {
            Failure::Message(format!("the application under test did not start\n{error}"))
        })?;
        match test(app).await.into_failure() {
            Some(message) => Err(Failure::Message(format!("the test returned an error: {message}"))),
            None => Ok(()),
        }
    };
    let limited = session.limited(limit, body);
    let outcome = catch_unwind(AssertUnwindSafe(|| session.block_on(limited)));
    let failure = match outcome {
        Ok(Some(Ok(()))) => None,
        Ok(Some(Err(failure))) => Some(failure),
        Ok(None) => {
            let help = "raise it with `#[kafka_boot::test(limit = \"5m\")]`";
            Some(Failure::Message(format!("the test did not end within {limit:?}; {help}")))
        }
        Err(payload) => Some(Failure::Panic(payload)),
    };
    let unclean = session.finish(failure.is_some());
    match (failure, unclean) {
        (Some(Failure::Panic(payload)), _) => resume_unwind(payload),
        (Some(Failure::Message(message)), _) | (None, Some(message)) => panic!("{message}"),
        (None, None) => {}
    }
}
