//! The descriptor of a listener, and the glue that plans and extracts its arguments.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::emit::{self, Role};
use crate::function::span_at;
use crate::listener::parse::Listener;

const ROLE: Role =
    Role { constant: "LISTENER", descriptor: "ListenerDescriptor", registered: "RegisteredListener" };

/// The names of the framework's functions for one record a call, or for many.
struct Glue {
    kind: &'static str,
    extractor: &'static str,
    handler: &'static str,
}

pub(crate) fn expand(listener: &Listener) -> TokenStream {
    let span = span_at(listener.function.item.sig.ident.span());
    let private = emit::private(span);
    let glue = if listener.is_batch() {
        Glue { kind: "Batch", extractor: "batch_extractor", handler: "batch_handler" }
    } else {
        Glue { kind: "Record", extractor: "extractor", handler: "record_handler" }
    };
    let kind = Ident::new(glue.kind, span);
    let attributes = emit::attributes(&listener.entries, span);
    let dead_letters_of = listener.entries.known_text("for").map_or_else(
        || quote_spanned!(span=> ::core::option::Option::None),
        |id| quote_spanned!(span=> ::core::option::Option::Some(#id)),
    );
    let error_types = emit::error_types(&listener.entries, span);
    let (id, blocking, takes_ack) = (listener.id(), !listener.function.is_async(), listener.takes_ack());
    let replies = listener.is_replying;
    let build = build(listener, &glue, span);
    let fields = quote_spanned! {span=>
        id: #id,
        attributes: #attributes,
        kind: #private::HandlerKind::#kind,
        blocking: #blocking,
        takes_ack: #takes_ack,
        dead_letters_of: #dead_letters_of,
        replies: #replies,
        error_types: #error_types,
        build: #build,
    };
    emit::with_descriptor(&listener.function, &ROLE, &fields)
}

/// Plans every argument once, then extracts all of them for each call.
fn build(listener: &Listener, glue: &Glue, span: Span) -> TokenStream {
    let private = emit::private(span);
    let function = &listener.function;
    let (extractors, arguments) = (emit::locals(function, "x"), emit::locals(function, "a"));
    let filter = listener.entries.path("filter");
    let parameter = |name, is_used: bool| {
        if is_used { Ident::new(name, Span::mixed_site()).into_token_stream() } else { quote!(_) }
    };
    let has_arguments = !arguments.is_empty() || listener.is_replying;
    let (context, view) = (
        parameter("context", has_arguments),
        parameter("view", has_arguments || (filter.is_some() && !listener.is_batch())),
    );
    // Before anything is decoded. A batch is made of the records that are left.
    let (filter, of_batch) = match filter.map(|path| (path, span_at(path.span()))) {
        Some((path, at)) if listener.is_batch() => (None, Some(quote_spanned!(at=> #path,))),
        Some((path, at)) => {
            let private = emit::private(at);
            (Some(quote_spanned!(at=> #private::pass(#path, #view)?;)), None)
        }
        None => (None, None),
    };
    let plans = function.arguments.iter().zip(&extractors).map(|(argument, extractor)| {
        let (ty, at) = (&argument.ty, emit::type_span(&argument.ty));
        let private = emit::private(at);
        let plan = Ident::new(glue.extractor, at);
        quote_spanned!(at=> let #extractor = #private::#plan::<#ty>(#context)?;)
    });
    let call = emit::call(function, &arguments);
    let (reply, to, outcome) = if listener.is_replying {
        let outcome = emit::replies(function, &call);
        (
            Some(quote_spanned!(span=> let replies = #private::replies(#context)?;)),
            Some(quote_spanned!(span=> let to = replies.to(#view);)),
            quote_spanned!(span=> #private::answer(to, async move { #outcome }).await),
        )
    } else {
        (None, None, emit::outcome(function, &call))
    };
    let handler = if of_batch.is_some() { "filtered_batch_handler" } else { glue.handler };
    let handler = Ident::new(handler, span);
    quote_spanned! {span=>
        |#context| {
            #(#plans)*
            #reply
            ::core::result::Result::Ok(#private::#handler(#of_batch move |#view| {
                #filter
                #(let #arguments = #extractors(#view)?;)*
                #to
                ::core::result::Result::Ok(async move { #outcome })
            }))
        }
    }
}
