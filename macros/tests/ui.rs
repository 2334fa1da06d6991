//! What a user sees: programs that must compile, and mistakes with the exact words and carets of their errors.
//!
//! After a change of wording, `TRYBUILD=overwrite cargo test -p kafka-boot-macros --test ui` writes the new `.stderr`
//! files; read each difference before it is committed.

#[test]
fn programs_compile_and_mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
