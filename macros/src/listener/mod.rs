//! `#[kafka_listener]` and `#[dead_letter_listener]`.

mod check;
mod expand;
mod parse;
mod send_to;

use proc_macro2::TokenStream;
use quote::quote;

use crate::context::Context;

/// The function and its descriptor; on mistakes, the function untouched and every mistake as an error.
pub(crate) fn listener(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let context = Context::new();
    let listener = parse::Listener::parse(&context, attribute, item);
    expanded(context, listener.as_ref(), item)
}

pub(crate) use send_to::send_to;

/// The same for a listener of dead letters.
pub(crate) fn dead_letter_listener(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let context = Context::new();
    let listener = parse::Listener::parse_of_dead_letters(&context, attribute, item);
    expanded(context, listener.as_ref(), item)
}

fn expanded(context: Context, listener: Option<&parse::Listener>, item: &TokenStream) -> TokenStream {
    if let Some(listener) = listener {
        check::check(&context, listener);
    }
    match (context.finish(), listener) {
        (Ok(()), Some(listener)) => expand::expand(listener),
        (errors, _) => {
            let errors = errors.err();
            let item = send_to::without(item);
            quote!(#errors #item)
        }
    }
}

#[cfg(test)]
mod tests;
