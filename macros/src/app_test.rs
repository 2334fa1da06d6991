//! `#[kafka_boot::test]`.

mod parse;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, ItemFn, ReturnType};

use crate::context::Context;
use crate::function::{last_segment, span_at};
use parse::Keys;

/// The shape, for messages.
const SHAPE: &str = "`async fn name(app: TestApp)`";

/// A test around the function as written; on mistakes, the function untouched and every mistake as an error.
pub(crate) fn app_test(attribute: TokenStream, item: &TokenStream) -> TokenStream {
    let context = Context::new();
    let keys = Keys::parse(&context, attribute);
    let function = syn::parse2::<ItemFn>(item.clone()).ok();
    match &function {
        Some(function) => check(&context, function),
        None => context.error_on(item, format!("`#[kafka_boot::test]` goes on a function, as in {SHAPE}")),
    }
    match (context.finish(), function) {
        (Ok(()), Some(function)) => expand(&keys, &function),
        (errors, _) => {
            let errors = errors.err();
            quote!(#errors #[allow(dead_code)] #item)
        }
    }
}

fn check(context: &Context, function: &ItemFn) {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        context.error_on(signature.fn_token, format!("a test waits for its application; write {SHAPE}"));
    }
    if !signature.generics.params.is_empty() {
        context.error_on(&signature.generics, format!("a test cannot be generic; write {SHAPE}"));
    }
    let is_app = |argument: &FnArg| match argument {
        FnArg::Typed(argument) => {
            last_segment(&argument.ty).is_some_and(|segment| segment.ident == "TestApp")
        }
        FnArg::Receiver(_) => false,
    };
    let mut arguments = signature.inputs.iter();
    match (arguments.next(), arguments.next()) {
        (Some(first), None) if is_app(first) => {}
        (None, _) => {
            let help = "a test without an application is a plain `#[test]`";
            context
                .error_on(&signature.ident, format!("the test takes no application; write {SHAPE} ({help})"));
        }
        (Some(first), None) => {
            let help = "beans come from it, as in `app.bean::<T>()`";
            context.error_on(first, format!("a test takes only the application; write {SHAPE} ({help})"));
        }
        (Some(_), Some(second)) => {
            let help = "beans come from it, as in `app.bean::<T>()`";
            context.error_on(second, format!("a test takes only the application; write {SHAPE} ({help})"));
        }
    }
    let is_test = |attribute: &&syn::Attribute| {
        attribute.path().segments.last().is_some_and(|segment| segment.ident == "test")
    };
    for attribute in function.attrs.iter().filter(is_test) {
        context.error_on(attribute, "`#[kafka_boot::test]` makes it a test already; drop this attribute");
    }
}

fn expand(keys: &Keys, function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    let span = span_at(name.span());
    let at_output = match &function.sig.output {
        ReturnType::Default => span,
        ReturnType::Type(_, ty) => span_at(ty.span()),
    };
    let mut callee = name.clone();
    callee.set_span(at_output);
    let attributes = &function.attrs;
    let mut body = function.clone();
    body.attrs.clear();
    body.vis = syn::Visibility::Inherited;
    let label = name.to_string();
    let builder = Ident::new("builder", Span::mixed_site());
    let steps = keys.steps(&builder);
    let run = quote_spanned!(at_output=> ::kafka_boot::__private::run_test(#builder, #callee));
    quote_spanned! {span=>
        #[::core::prelude::v1::test]
        #(#attributes)*
        fn #name() {
            // The attribute dictates the signature: the test gets its application, which it need not use or wait for.
            #[allow(clippy::needless_pass_by_value, clippy::unused_async)]
            #body

            let #builder = ::kafka_boot::TestApp::builder()
                .name(::core::concat!(::core::module_path!(), "::", #label))
                .directory(::core::env!("CARGO_MANIFEST_DIR"));
            #steps
            #run
        }
    }
}

#[cfg(test)]
mod tests;
