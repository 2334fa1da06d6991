//! The descriptor of a bean function.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};

use crate::bean::parse::{Bean, Output};
use crate::emit::{self, Role};
use crate::function::span_at;

const ROLE: Role = Role { constant: "BEAN", descriptor: "BeanDescriptor", registered: "RegisteredBean" };

pub(crate) fn expand(bean: &Bean) -> TokenStream {
    let function = &bean.function;
    let span = span_at(function.item.sig.ident.span());
    let private = emit::private(span);
    let arguments = emit::locals(function, "a");
    let value = emit::call(function, &arguments);
    let (ty, value) = match bean.output() {
        Output::Plain(ty) => (ty, value),
        Output::Fallible(ty) => {
            let at = emit::type_span(ty);
            let private = emit::private(at);
            (ty, quote_spanned!(at=> #private::IntoBean::<#ty>::into_bean(#value)?))
        }
        // Refused by the check.
        Output::Nothing => return function.item.to_token_stream(),
    };
    let dependencies = dependencies(bean, span);
    let beans = match arguments.as_slice() {
        [] => quote!(_),
        _ => Ident::new("beans", Span::mixed_site()).into_token_stream(),
    };
    let resolutions = function.arguments.iter().zip(&arguments).map(|(argument, local)| {
        let (ty, at) = (&argument.ty, emit::type_span(&argument.ty));
        let private = emit::private(at);
        quote_spanned!(at=> let #local = #private::bean_argument::<#ty>(#beans)?;)
    });
    let name = bean.name();
    let fields = quote_spanned! {span=>
        name: #name,
        key: || #private::BeanKey::of::<#ty>(#name),
        dependencies: #dependencies,
        build: |#beans| {
            #(#resolutions)*
            ::core::result::Result::Ok(::std::boxed::Box::pin(async move {
                ::core::result::Result::Ok(#private::AnyBean::new::<#ty>(#value))
            }))
        },
    };
    emit::with_descriptor(function, &ROLE, &fields)
}

/// The function that lists the beans which the arguments ask for.
fn dependencies(bean: &Bean, span: Span) -> TokenStream {
    let keys = bean.function.arguments.iter().map(|argument| {
        let (ty, at) = (&argument.ty, emit::type_span(&argument.ty));
        let private = emit::private(at);
        quote_spanned!(at=> #private::dependency::<#ty>())
    });
    if keys.len() == 0 {
        return quote_spanned!(span=> ::std::vec::Vec::new);
    }
    quote_spanned! {span=>
        || ::std::vec::Vec::from_iter(
            ::core::iter::Iterator::flatten(::core::iter::IntoIterator::into_iter([#(#keys),*])),
        )
    }
}
