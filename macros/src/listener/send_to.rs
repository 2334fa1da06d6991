//! `#[send_to]`, which stands beside `#[kafka_listener]` and is its key `send_to`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Attribute, ItemFn, Meta};

use crate::context::Context;

const NAME: &str = "send_to";
const LISTENERS: [&str; 2] = ["kafka_listener", "dead_letter_listener"];

/// `#[send_to]` as the compiler meets it: above the listener's attribute, below which it moves, or with none.
pub(crate) fn send_to(attribute: &TokenStream, item: &TokenStream) -> TokenStream {
    let misplaced = |span: Span| {
        let message = "`#[send_to]` goes on a `#[kafka_listener]` function, below that attribute";
        let error = syn::Error::new(span, message).to_compile_error();
        quote!(#error #item)
    };
    let Ok(mut function) = syn::parse2::<ItemFn>(item.clone()) else { return misplaced(Span::call_site()) };
    if !function.attrs.iter().any(|attribute| is_any(attribute, &LISTENERS)) {
        return misplaced(Span::call_site());
    }
    let own: Attribute = if attribute.is_empty() {
        syn::parse_quote!(#[send_to])
    } else {
        syn::parse_quote!(#[send_to(#attribute)])
    };
    function.attrs.push(own);
    function.into_token_stream()
}

/// Takes `#[send_to]` off the function and adds it to the listener's attribute; tells whether it was there.
pub(super) fn taken(
    context: &Context,
    attribute: TokenStream,
    item: &TokenStream,
) -> (TokenStream, TokenStream, bool) {
    let Ok(mut function) = syn::parse2::<ItemFn>(item.clone()) else {
        return (attribute, item.clone(), false);
    };
    let (own, others): (Vec<_>, Vec<_>) =
        function.attrs.into_iter().partition(|attribute| is_any(attribute, &[NAME]));
    function.attrs = others;
    if let Some(second) = own.get(1) {
        context.error_on(second, "`#[send_to]` is given twice; keep one of them");
    }
    let Some(own) = own.into_iter().next() else { return (attribute, item.clone(), false) };
    let attribute = match &own.meta {
        Meta::List(list) => {
            let (topic, span) = (&list.tokens, own.span());
            let key = proc_macro2::Ident::new(NAME, span);
            let comma = needs_comma(&attribute).then(|| quote!(,));
            quote!(#attribute #comma #key = #topic)
        }
        Meta::Path(_) => attribute,
        Meta::NameValue(pair) => {
            context.error_on(
                pair,
                "`#[send_to]` takes its topic in parentheses, as in `#[send_to(\"invoices\")]`",
            );
            attribute
        }
    };
    (attribute, function.into_token_stream(), true)
}

/// The function without `#[send_to]`, which has no meaning of its own.
pub(super) fn without(item: &TokenStream) -> TokenStream {
    let Ok(mut function) = syn::parse2::<ItemFn>(item.clone()) else { return item.clone() };
    let count = function.attrs.len();
    function.attrs.retain(|attribute| !is_any(attribute, &[NAME]));
    if function.attrs.len() == count { item.clone() } else { function.into_token_stream() }
}

fn needs_comma(tokens: &TokenStream) -> bool {
    let last = tokens.clone().into_iter().last();
    last.is_some_and(|token| !matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','))
}

fn is_any(attribute: &Attribute, names: &[&str]) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| names.iter().any(|name| segment.ident == name))
}
