//! Functions that a `macro_rules!` macro writes.
#![deny(warnings)]

use kafka_boot::prelude::*;

macro_rules! listener {
    ($name:ident, $topic:literal, $argument:ty, $output:ty) => {
        #[kafka_listener(topic = $topic)]
        async fn $name(value: $argument) -> $output {
            drop(value);
            Ok(())
        }
    };
}
listener!(one, "one", Payload<String>, Result<()>);
listener!(two, "two", Batch<String>, std::result::Result<(), std::fmt::Error>);

macro_rules! whole {
    ($($item:item)*) => { $($item)* };
}
whole! {
    #[scheduled(fixed_delay = 5)]
    async fn job(repo: Bean<String>) { drop(repo); }

    #[bean(name = "x")]
    async fn named(repo: Bean<String>) -> Result<u32> { Ok(u32::try_from(repo.len())?) }
}

macro_rules! fixed {
    () => {
        #[kafka_listener(topic = "fixed")]
        async fn fixed(value: Payload<String>) { drop(value); }
    };
}
fixed!();

fn main() {
    assert_eq!(kafka_boot::listeners![one, two, fixed].len(), 3);
    assert_eq!(kafka_boot::jobs![job].len(), 1);
    assert_eq!(kafka_boot::bean_functions![named][0].name, "x");
}
