//! What the expansion says, on token streams; how the compiler shows it is pinned by the UI tests.

use proc_macro2::TokenStream;
use quote::quote;

use super::{dead_letter_listener, listener};

fn expand(attribute: TokenStream, item: &TokenStream) -> String {
    listener(attribute, item).to_string()
}

#[test]
fn the_descriptor_holds_the_keys_under_their_yaml_names() {
    let expanded = expand(
        quote! {
            topics("a", "${b}"), group = "billing", ack_mode = "count-time", ack_count = 10, ack_time = "5s",
            concurrency = "${n}", auto_startup = false, drain_timeout = 2000, properties("fetch.min.bytes" = "1")
        },
        &quote!(
            async fn on_order() {}
        ),
    );
    for part in [
        r#"id : "on_order""#,
        r#"key : "topics" , value : :: kafka_boot :: __private :: AttributeValue :: List (& ["a" , "${b}"])"#,
        r#"key : "group-id" , value : :: kafka_boot :: __private :: AttributeValue :: Str ("billing")"#,
        r#"key : "ack-count" , value : :: kafka_boot :: __private :: AttributeValue :: Int (10i64)"#,
        r#"key : "concurrency" , value : :: kafka_boot :: __private :: AttributeValue :: Str ("${n}")"#,
        r#"key : "auto-startup" , value : :: kafka_boot :: __private :: AttributeValue :: Bool (false)"#,
        r#"key : "drain-timeout" , value : :: kafka_boot :: __private :: AttributeValue :: Int (2000i64)"#,
        r#"AttributeValue :: Map (& [("fetch.min.bytes" , "1")])"#,
        "blocking : false",
        "takes_ack : false",
    ] {
        assert!(expanded.contains(part), "{part} is not in {expanded}");
    }
    assert!(!expanded.contains(r#"key : "id""#), "{expanded}");
}

#[test]
fn a_batch_argument_makes_a_batch_listener() {
    let expanded = expand(
        quote!(pattern = "orders-.*"),
        &quote!(
            fn load(batch: kafka_boot::Batch<String>, ack: Ack) {}
        ),
    );
    for part in [
        "batch_extractor",
        "batch_handler",
        "HandlerKind :: Batch",
        "blocking : true",
        "takes_ack : true",
        "topic-pattern",
    ] {
        assert!(expanded.contains(part), "{part} is not in {expanded}");
    }
}

#[test]
fn every_mistake_is_reported_at_once_and_the_function_stays() {
    let expanded = expand(
        quote!(topik = "orders", group = 5, commit = "sometimes", concurrency = 0),
        &quote!(
            async fn on_order(&self) {}
        ),
    );
    for part in [
        "did you mean `topic`?",
        "`group` takes a string",
        "found `sometimes`",
        "from 1 to 1024",
        "without `self`",
    ] {
        assert!(expanded.contains(part), "{part} is not in {expanded}");
    }
    assert!(!expanded.contains("the topic is missing"), "{expanded}");
    assert!(expanded.ends_with("async fn on_order (& self) { }"), "{expanded}");
}

#[test]
fn contradictions_between_keys_and_arguments_are_refused() {
    let plain = quote!(
        async fn f(record: Record<String>) {}
    );
    let with_ack = quote!(
        async fn f(record: Record<String>, ack: Ack) {}
    );
    let batch = quote!(
        async fn f(batch: Batch<String>) {}
    );
    for (attribute, item, part) in [
        (quote!(topic = "a", topics("b")), &plain, "`topic` and `topics` exclude each other"),
        (quote!(topic = "a", commit = "auto", ack_mode = "record"), &plain, "cannot be `record`"),
        (quote!(topic = "a", commit = "manual", ack_mode = "batch"), &with_ack, "cannot be `batch`"),
        (quote!(topic = "a", ack_mode = "manual"), &plain, "takes no `Ack`"),
        (quote!(topic = "a", commit = "manual"), &plain, "takes no `Ack`"),
        (quote!(topic = "a", ack_mode = "time"), &with_ack, "`Ack` has no use"),
        (quote!(topic = "a", commit = "auto"), &with_ack, "`Ack` has no use"),
        (quote!(topic = "a", ack_mode = "record"), &batch, "cannot be `record`"),
        (quote!(topic = "a", ordering = "key"), &batch, "cannot be `key`"),
        (quote!(topic = "a", ordering = "none"), &batch, "cannot be `none`"),
        (quote!(topic = "a", ordering = "topic"), &plain, "found `topic`"),
        (quote!(topic = "a", ack_count = 5), &plain, "`ack_count` has no effect"),
        (quote!(topic = "a", ack_mode = "count", ack_time = 5), &plain, "`ack_time` has no effect"),
    ] {
        let expanded = expand(attribute.clone(), item);
        assert!(expanded.contains(part), "{attribute}: {expanded}");
        assert_eq!(expanded.matches("compile_error").count(), 1, "{attribute}: {expanded}");
    }
}

#[test]
fn what_only_start_can_know_is_left_to_start() {
    let with_ack = quote!(
        async fn f(record: Record<String>, ack: Ack) {}
    );
    let plain = quote!(
        async fn f(record: Record<String>) {}
    );
    for (attribute, item) in [
        (quote!(topic = "a"), &with_ack),
        (quote!(topic = "a", commit = "sync"), &with_ack),
        (quote!(topic = "a", ack_mode = "${mode}"), &with_ack),
        (
            quote!(topic = "a", ordering = "${ordering}"),
            &quote!(
                async fn f(batch: Batch<String>) {}
            ),
        ),
        (quote!(topic = "a", ordering = "key", max_in_flight = 256), &plain),
        (quote!(topic = "a", ack_mode = "${mode}", ack_count = 5), &plain),
        (quote!(topic = "a", commit = "async", ack_mode = "manual-immediate"), &with_ack),
        (quote!(topic = "a", commit = "auto", ack_mode = "batch"), &plain),
    ] {
        let expanded = expand(attribute.clone(), item);
        assert!(!expanded.contains("compile_error"), "{attribute}: {expanded}");
    }
}

#[test]
fn a_listener_of_dead_letters_names_whose_and_no_topic() {
    let item = quote!(
        async fn f(record: Record<String>) {}
    );
    let expanded = dead_letter_listener(quote!(for = "orders", attempts = 1), &item).to_string();
    assert!(
        expanded.contains(r#"dead_letters_of : :: core :: option :: Option :: Some ("orders")"#),
        "{expanded}"
    );
    assert!(!expanded.contains(r#"key : "for""#), "{expanded}");
    for (attribute, part) in [
        (quote!(attempts = 1), "whose dead letters it reads is missing"),
        (quote!(for = "orders", topic = "a"), "`#[dead_letter_listener]` has no key `topic`"),
        (quote!(for = "${x}"), "no placeholder"),
    ] {
        let expanded = dead_letter_listener(attribute.clone(), &item).to_string();
        assert!(expanded.contains(part), "{attribute}: {expanded}");
        assert_eq!(expanded.matches("compile_error").count(), 1, "{attribute}: {expanded}");
    }
}

#[test]
fn groups_of_keys_become_the_keys_of_the_configuration() {
    let expanded = expand(
        quote!(
            topic = "a",
            retry(attempts = 5, backoff = "100ms..10s", not_on(io::Error)),
            dead_letter(topic = "d")
        ),
        &quote!(
            async fn f() {}
        ),
    );
    for part in [
        r#"key : "error.attempts" , value : :: kafka_boot :: __private :: AttributeValue :: Int (5i64)"#,
        r#"key : "error.backoff.initial" , value : :: kafka_boot :: __private :: AttributeValue :: Str ("100ms")"#,
        r#"key : "error.backoff.multiplier" , value : :: kafka_boot :: __private :: AttributeValue :: Str ("2")"#,
        r#"key : "error.retry-not-on" , value : :: kafka_boot :: __private :: AttributeValue :: List (& ["io::Error"])"#,
        r#"key : "error.dead-letter.topic" , value : :: kafka_boot :: __private :: AttributeValue :: Str ("d")"#,
        r#"ErrorType :: of :: < io :: Error > ("io::Error")"#,
    ] {
        assert!(expanded.contains(part), "{part} is not in {expanded}");
    }
}
