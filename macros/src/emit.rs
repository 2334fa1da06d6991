//! What all three function attributes emit: the function as written, its proxy type, and the registration.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, format_ident, quote, quote_spanned};
use syn::Visibility;
use syn::spanned::Spanned;

use crate::entries::Entries;
use crate::function::{Function, spaceless, span_at};

/// The names that tell the attributes apart.
pub(crate) struct Role {
    /// The proxy's constant.
    pub(crate) constant: &'static str,
    /// The descriptor's type.
    pub(crate) descriptor: &'static str,
    /// The wrapper that `inventory` collects.
    pub(crate) registered: &'static str,
}

/// Where generated code finds the framework.
pub(crate) fn private(span: Span) -> TokenStream {
    quote_spanned!(span=> ::kafka_boot::__private)
}

/// The function as written, and beside it a type of the same name that carries its descriptor.
///
/// The type has braces, so it lives in the type namespace only and the function stays callable.
pub(crate) fn with_descriptor(function: &Function, role: &Role, fields: &TokenStream) -> TokenStream {
    let span = span_at(function.item.sig.ident.span());
    let private = private(span);
    let item = &function.item;
    let conditions: Vec<_> = function.conditions().collect();
    let visibility = respanned(&item.vis, span);
    let mut proxy = item.sig.ident.clone();
    proxy.set_span(span);
    let path = path(function, span);
    let constant = Ident::new(role.constant, span);
    let descriptor = Ident::new(role.descriptor, span);
    let registered = Ident::new(role.registered, span);
    quote_spanned! {span=>
        // The framework dictates the signature: it passes the arguments, by value; a handler may always succeed; `async`
        // chooses where it runs.
        #[allow(
            clippy::needless_pass_by_value,
            clippy::too_many_arguments,
            clippy::unnecessary_wraps,
            clippy::unused_async
        )]
        #item

        #(#conditions)*
        #[doc(hidden)]
        #visibility struct #proxy {}

        #(#conditions)*
        #[doc(hidden)]
        impl #proxy {
            #visibility const #constant: &'static #private::#descriptor = &#private::#descriptor {
                function: #path,
                at: #private::Location { file: ::core::file!(), line: ::core::line!() },
                #fields
            };
        }

        #(#conditions)*
        #private::inventory::submit! {
            #private::#registered(#proxy::#constant)
        }
    }
}

/// The descriptor's `attributes`: what was written, under the names of the YAML file. The id, and whose dead letters are read, have their own fields.
pub(crate) fn attributes(entries: &Entries, span: Span) -> TokenStream {
    let private = private(span);
    let settings = entries.iter().filter(|entry| !["id", "for"].contains(&entry.key.name));
    let settings = settings.flat_map(|entry| entry.setting.expand(entry.key.yaml, &private));
    let attributes =
        settings.map(|(key, value)| quote_spanned!(span=> #private::Attribute { key: #key, value: #value }));
    quote_spanned!(span=> &[#(#attributes),*])
}

/// The descriptor's `error_types`: the types that keys name, so that errors can be asked whether they are of one.
pub(crate) fn error_types(entries: &Entries, span: Span) -> TokenStream {
    let types = entries.types().map(|ty| {
        let (name, at) = (spaceless(ty), type_span(ty));
        let private = private(at);
        quote_spanned!(at=> #private::ErrorType::of::<#ty>(#name))
    });
    quote_spanned!(span=> &[#(#types),*])
}

/// The call of the function. Its first token points at the start of the return type and its last at the end, so that an
/// error about the returned value has its caret under the type.
pub(crate) fn call(function: &Function, arguments: &[Ident]) -> TokenStream {
    let name = &function.item.sig.ident;
    let (start, end) = function.output().map_or((name.span(), name.span()), ends);
    // The name is looked up where the user wrote it, so a local variable of the expansion cannot shadow it.
    let (start, end) = (name.span().located_at(start), name.span().located_at(end));
    let mut callee = name.clone();
    callee.set_span(start);
    let mut parentheses = Group::new(Delimiter::Parenthesis, quote!(#(#arguments),*));
    parentheses.set_span(end);
    let mut tokens = TokenStream::new();
    tokens.append(callee);
    tokens.append(parentheses);
    if function.is_async() {
        tokens.extend(quote_spanned!(end=> .await));
    }
    tokens
}

/// A listener's returned value as its result, with what its error says is to follow. The conversion points at the return
/// type, too.
pub(crate) fn outcome(function: &Function, call: &TokenStream) -> TokenStream {
    let span = output_span(function);
    let private = private(span);
    directed(function, &quote_spanned!(span=> #private::IntoOutcome::into_outcome(#call)))
}

/// The same where what it returns is sent.
pub(crate) fn replies(function: &Function, call: &TokenStream) -> TokenStream {
    let span = output_span(function);
    let private = private(span);
    directed(function, &quote_spanned!(span=> #private::IntoReplies::into_replies(#call)))
}

fn directed(function: &Function, outcome: &TokenStream) -> TokenStream {
    let span = output_span(function);
    let private = private(span);
    let Some(output) = function.output() else { return outcome.clone() };
    quote_spanned! {span=> {
        #[allow(unused_imports)]
        use #private::{AnyReturned as _, AskedError as _};
        #[allow(clippy::needless_borrow)]
        #private::directed(#outcome, (&#private::Returned(::core::marker::PhantomData::<#output>)).ask())
    }}
}

/// A job's returned value as its result; the conversion points at the return type, too.
pub(crate) fn job_result(function: &Function, call: &TokenStream) -> TokenStream {
    let span = output_span(function);
    let private = private(span);
    quote_spanned!(span=> #private::IntoJobResult::into_job_result(#call))
}

fn output_span(function: &Function) -> Span {
    let name = &function.item.sig.ident;
    span_at(function.output().map_or_else(|| name.span(), Spanned::span))
}

/// `prefix0`, `prefix1`, … : one local variable for each argument.
pub(crate) fn locals(function: &Function, prefix: &str) -> Vec<Ident> {
    (0..function.arguments.len())
        .map(|index| format_ident!("{prefix}{index}", span = Span::mixed_site()))
        .collect()
}

/// `concat!(module_path!(), "::name")`.
fn path(function: &Function, span: Span) -> TokenStream {
    let suffix = format!("::{}", function.name());
    quote_spanned!(span=> ::core::concat!(::core::module_path!(), #suffix))
}

/// The spans of the first and of the last token.
fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut tokens = tokens.to_token_stream().into_iter();
    let start = tokens.next().map_or_else(Span::call_site, |token| token.span());
    let end = tokens.last().map_or(start, |token| match token {
        TokenTree::Group(group) => group.span_close(),
        other => other.span(),
    });
    (start, end)
}

/// The visibility as part of the expansion, so that lints about it are reported once, on the function.
fn respanned(visibility: &Visibility, span: Span) -> TokenStream {
    let respan = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    match visibility {
        Visibility::Restricted(restricted) => {
            // The path keeps its spans: `crate` and `super` are resolved by them.
            restricted.to_token_stream()
        }
        other => other.to_token_stream().into_iter().map(respan).collect(),
    }
}

/// The span of a type, for the code that names its bound.
pub(crate) fn type_span(ty: &syn::Type) -> Span {
    span_at(ty.span())
}
