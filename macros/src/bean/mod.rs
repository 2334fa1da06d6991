//! `#[bean]`.

mod check;
mod expand;
mod parse;

use proc_macro2::TokenStream;
use quote::quote;

use crate::context::Context;

/// The function and its descriptor; on mistakes, the function untouched and every mistake as an error.
pub(crate) fn bean(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let context = Context::new();
    let bean = parse::Bean::parse(&context, attribute, item);
    if let Some(bean) = &bean {
        check::check(&context, bean);
    }
    match (context.finish(), bean) {
        (Ok(()), Some(bean)) => expand::expand(&bean),
        (errors, _) => {
            let errors = errors.err();
            quote!(#errors #item)
        }
    }
}
