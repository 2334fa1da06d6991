//! Two listeners of one name in different modules, private types, and every visibility.
#![deny(warnings)]

use kafka_boot::prelude::*;

mod orders {
    use kafka_boot::prelude::*;

    struct Private;

    #[kafka_listener(topic = "orders", id = "orders")]
    pub(crate) async fn consume(order: Payload<String>) {
        drop(order);
    }

    #[kafka_listener(topic = "orders", id = "private")]
    async fn consume_private(order: Payload<String>, repo: Bean<Private>) {
        drop((order, repo));
    }

    #[bean]
    fn private() -> Private {
        Private
    }

    pub mod deep {
        use kafka_boot::prelude::*;

        #[kafka_listener(topic = "orders", id = "deep")]
        pub(in crate::orders) async fn consume(order: Payload<String>) {
            drop(order);
        }

        #[kafka_listener(topic = "orders", id = "super")]
        pub(super) async fn consume_too(order: Payload<String>) {
            drop(order);
        }
    }

    pub(crate) fn list() -> usize {
        kafka_boot::listeners![deep::consume, deep::consume_too].len()
    }
}

#[kafka_listener(topic = "refunds")]
async fn consume(order: Payload<String>) {
    drop(order);
}

fn main() {
    #[kafka_listener(topic = "inner")]
    async fn inside_a_function() {}

    let listeners = kafka_boot::listeners![consume, orders::consume, inside_a_function];
    assert!(listeners[0].function.ends_with("::consume"));
    assert!(listeners[1].function.ends_with("::orders::consume"));
    assert_eq!(listeners[2].id, "inside_a_function");
    assert_eq!(orders::list(), 2);
}
