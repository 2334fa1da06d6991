//! `#[scheduled]`.

mod check;
pub(crate) mod cron;
mod expand;
mod parse;

use proc_macro2::TokenStream;
use quote::quote;

use crate::context::Context;

/// The function and its descriptor; on mistakes, the function untouched and every mistake as an error.
pub(crate) fn scheduled(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let context = Context::new();
    let job = parse::Job::parse(&context, attribute, item);
    if let Some(job) = &job {
        check::check(&context, job);
    }
    match (context.finish(), job) {
        (Ok(()), Some(job)) => expand::expand(&job),
        (errors, _) => {
            let errors = errors.err();
            quote!(#errors #item)
        }
    }
}
