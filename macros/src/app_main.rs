//! `#[kafka_boot::main]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{FnArg, ItemFn, ReturnType};

use crate::context::Context;
use crate::function::{last_segment, span_at};

/// The shape, for messages.
const SHAPE: &str = "`async fn main(app: App) -> App`";

/// A `main` without arguments around the function as written.
pub(crate) fn app_main(attribute: &TokenStream, item: &TokenStream) -> TokenStream {
    let context = Context::new();
    if !attribute.is_empty() {
        context.error_on(
            attribute,
            "`#[kafka_boot::main]` takes no arguments; settings belong to the configuration",
        );
    }
    let function = syn::parse2::<ItemFn>(item.clone()).ok();
    match &function {
        Some(function) => check(&context, function),
        None => context.error_on(item, format!("`#[kafka_boot::main]` goes on a function, as in {SHAPE}")),
    }
    match (context.finish(), function) {
        (Ok(()), Some(function)) => expand(&function),
        (errors, function) => {
            let errors = errors.err();
            // A `main` with an argument would be a second error of the compiler's own.
            let item = function.map_or_else(TokenStream::new, |function| inside_a_main(&function));
            quote!(#errors #item)
        }
    }
}

fn check(context: &Context, function: &ItemFn) {
    let signature = &function.sig;
    if signature.ident != "main" {
        context.error_on(&signature.ident, format!("`#[kafka_boot::main]` goes on `main`, as in {SHAPE}"));
    }
    if !signature.generics.params.is_empty() {
        context.error_on(&signature.generics, format!("`main` cannot be generic; write {SHAPE}"));
    }
    let is_app = |argument: &FnArg| match argument {
        FnArg::Typed(argument) => last_segment(&argument.ty).is_some_and(|segment| segment.ident == "App"),
        FnArg::Receiver(_) => false,
    };
    let mut arguments = signature.inputs.iter();
    match (arguments.next(), arguments.next()) {
        (Some(first), None) if is_app(first) => {}
        (None, _) => {
            context.error_on(&signature.ident, format!("`main` takes the application; write {SHAPE}"));
        }
        (Some(first), None) => {
            context.error_on(first, format!("`main` takes only the application; write {SHAPE}"));
        }
        (Some(_), Some(second)) => {
            context.error_on(second, format!("`main` takes only the application; write {SHAPE}"));
        }
    }
    if matches!(signature.output, ReturnType::Default) {
        context.error_on(&signature.ident, format!("`main` returns the application to run; write {SHAPE}"));
    }
}

fn expand(function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    let span = span_at(name.span());
    let at_output = match &function.sig.output {
        ReturnType::Default => span,
        ReturnType::Type(_, ty) => span_at(ty.span()),
    };
    let mut callee = name.clone();
    callee.set_span(at_output);
    let main = if function.sig.asyncness.is_some() {
        quote!(#callee)
    } else {
        let app = Ident::new("app", Span::mixed_site());
        quote_spanned!(at_output=> |#app| async move { #callee(#app) })
    };
    let run = quote_spanned!(at_output=> ::kafka_boot::__private::run_main(#main));
    let conditions = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    quote_spanned! {span=>
        #(#conditions)*
        fn #name() -> ::std::process::ExitCode {
            // It chooses what runs; that it need not wait for anything is fine.
            #[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps, clippy::unused_async)]
            #function

            #run
        }
    }
}

fn inside_a_main(function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    if name != "main" {
        return quote!(#function);
    }
    quote! {
        fn #name() {
            #[allow(dead_code)]
            #function
        }
    }
}
