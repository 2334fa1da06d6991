//! What the expansion says, on token streams; how the compiler shows it is pinned by the UI tests.

use proc_macro2::TokenStream;
use quote::quote;

use super::app_test;

fn plain() -> TokenStream {
    quote!(
        async fn t(app: TestApp) {}
    )
}

#[test]
fn every_key_becomes_a_call_of_the_builder() {
    let attribute = quote! {
        listeners(consume, shop::on_order), jobs(produce), bean_functions(repo), beans(Fake::new(1), "east" = 2),
        properties("a.b" = 2, "c" = "d", "e" = true), config = "kafka: {}", topics("x"), profile = "it",
        directory = "../..", timeout = "1m 30s", limit = 5000, without_discovery, scheduling = true, show_log
    };
    let expanded = app_test(attribute, &plain()).to_string();
    for part in [
        ". listeners (:: kafka_boot :: listeners ! [consume , shop :: on_order])",
        ". jobs (:: kafka_boot :: jobs ! [produce])",
        ". bean (Fake :: new (1)) . named_bean (\"east\" , 2)",
        ". property (\"a.b\" , 2) . property (\"c\" , \"d\") . property (\"e\" , true)",
        ". timeout (:: core :: time :: Duration :: from_millis (90000u64))",
        ". limit (:: core :: time :: Duration :: from_millis (5000u64))",
        ". without_discovery ()",
        ". scheduling (true)",
        ". show_log (true)",
        ":: core :: prelude :: v1 :: test",
    ] {
        assert!(expanded.contains(part), "{part} is not in {expanded}");
    }
}

#[test]
fn attributes_of_the_function_stay_on_the_test() {
    let item = quote! {
        #[ignore]
        #[should_panic(expected = "x")]
        async fn t(mut app: TestApp) -> Result<()> { Ok(()) }
    };
    let expanded = app_test(TokenStream::new(), &item).to_string();
    assert!(
        expanded.starts_with("# [:: core :: prelude :: v1 :: test] # [ignore] # [should_panic"),
        "{expanded}"
    );
}

#[test]
fn every_mistake_is_told() {
    for (attribute, item, part) in [
        (quote!(timout = "5s"), plain(), "did you mean `timeout`?"),
        (quote!(timeout = "5 s"), plain(), "whole numbers with units"),
        (quote!(timeout = 0), plain(), "more than zero"),
        (quote!(listeners = "consume"), plain(), "takes functions in parentheses"),
        (quote!(properties(a = 1)), plain(), "a property's key is a string"),
        (quote!(config = 5), plain(), "takes a string"),
        (quote!(show_log, show_log), plain(), "given twice"),
        (
            quote!(),
            quote!(
                async fn t() {}
            ),
            "takes no application",
        ),
        (
            quote!(),
            quote!(
                fn t(app: TestApp) {}
            ),
            "a test waits",
        ),
        (
            quote!(),
            quote!(
                async fn t(app: TestApp, n: u8) {}
            ),
            "only the application",
        ),
        (
            quote!(),
            quote!(
                #[test]
                async fn t(app: TestApp) {}
            ),
            "a test already",
        ),
        (
            quote!(),
            quote!(
                async fn t<T>(app: TestApp) {}
            ),
            "cannot be generic",
        ),
        (
            quote!(),
            quote!(
                struct T;
            ),
            "goes on a function",
        ),
    ] {
        let expanded = app_test(attribute.clone(), &item).to_string();
        assert!(expanded.contains(part), "{attribute}: {part} is not in {expanded}");
        assert_eq!(expanded.matches("compile_error").count(), 1, "{attribute}: {expanded}");
    }
}
