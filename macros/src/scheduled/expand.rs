//! The descriptor of a job, and the glue that resolves its arguments once and clones them for every run.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

use crate::emit::{self, Role};
use crate::function::span_at;
use crate::scheduled::parse::Job;

const ROLE: Role = Role { constant: "JOB", descriptor: "JobDescriptor", registered: "RegisteredJob" };

pub(crate) fn expand(job: &Job) -> TokenStream {
    let span = span_at(job.function.item.sig.ident.span());
    let attributes = emit::attributes(&job.entries, span);
    let (id, blocking) = (job.id(), !job.function.is_async());
    let build = build(job, span);
    let fields = quote_spanned! {span=>
        id: #id,
        attributes: #attributes,
        blocking: #blocking,
        build: #build,
    };
    emit::with_descriptor(&job.function, &ROLE, &fields)
}

fn build(job: &Job, span: Span) -> TokenStream {
    let private = emit::private(span);
    let function = &job.function;
    let (shared, arguments) = (emit::locals(function, "x"), emit::locals(function, "a"));
    let context = match arguments.as_slice() {
        [] => quote!(_),
        _ => Ident::new("context", Span::mixed_site()).into_token_stream(),
    };
    let plans = function.arguments.iter().zip(&shared).map(|(argument, shared)| {
        let (ty, at) = (&argument.ty, emit::type_span(&argument.ty));
        let private = emit::private(at);
        quote_spanned!(at=> let #shared = #private::job_argument::<#ty>(#context)?;)
    });
    let outcome = emit::job_result(function, &emit::call(function, &arguments));
    quote_spanned! {span=>
        |#context| {
            #(#plans)*
            ::core::result::Result::Ok(#private::job_handler(move || {
                #(let #arguments = #shared();)*
                async move { #outcome }
            }))
        }
    }
}
