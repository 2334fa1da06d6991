//! A module of tests beside the handlers, with the names of the standard prelude taken.

#![deny(warnings)]

#[allow(dead_code)]
struct Result;
#[allow(dead_code)]
struct Option;

mod tests {
    #[kafka_boot::test(topics("orders"), limit = 5000)]
    pub(crate) async fn orders(r#app: kafka_boot::TestApp) {
        app.settled().await;
    }
}

fn main() {}
