//! `#[derive(ConfigProperties)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};
use syn::{Attribute, Data, DeriveInput, Meta};

use crate::context::Context;
use crate::entries::{Entries, Key};
use crate::function::span_at;
use crate::values::Kind;

const KEYS: &[Key] =
    &[Key { name: "prefix", yaml: "prefix", kind: Kind::Prefix, example: "prefix = \"shop.repo\"" }];

/// The implementation; on mistakes also, with an empty prefix, so that the type's uses do not add errors of their own.
pub(crate) fn config_properties(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let context = Context::new();
    if !matches!(input.data, Data::Struct(_)) {
        context.error_on(
            &input.ident,
            "a section of the configuration is a struct; derive `ConfigProperties` on one",
        );
    }
    if !input.generics.params.is_empty() {
        context.error_on(&input.generics, "a section of the configuration cannot be generic; name its types");
    }
    let prefix = prefix(&context, &input);
    let is_generic = !input.generics.params.is_empty();
    let errors = context.finish().err();
    if is_generic {
        return errors.unwrap_or_default();
    }
    let name = &input.ident;
    let span = span_at(name.span());
    quote_spanned! {span=>
        #errors

        #[automatically_derived]
        impl ::kafka_boot::ConfigProperties for #name {
            const PREFIX: &'static str = #prefix;
        }

        ::kafka_boot::__private::inventory::submit! {
            ::kafka_boot::__private::RegisteredSection(#prefix)
        }
    }
}

/// The prefix of the only `#[config(prefix = "…")]`; empty after a mistake.
fn prefix(context: &Context, input: &DeriveInput) -> String {
    let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident("config"));
    let Some(attribute) = attributes.next() else {
        context.error_on(&input.ident, "the section is missing; add `#[config(prefix = \"shop.repo\")]`");
        return String::new();
    };
    if let Some(second) = attributes.next() {
        context.error_on(second, "`#[config]` is given twice; keep one of them");
        return String::new();
    }
    let Some(tokens) = arguments(attribute) else {
        context
            .error_on(attribute, "`#[config]` takes the section, as in `#[config(prefix = \"shop.repo\")]`");
        return String::new();
    };
    let entries = Entries::parse(context, "config", KEYS, tokens);
    if !entries.has("prefix") && !context.is_failed() {
        context
            .error_on(attribute, "`#[config]` takes the section, as in `#[config(prefix = \"shop.repo\")]`");
    }
    entries.known_text("prefix").unwrap_or_default().to_owned()
}

fn arguments(attribute: &Attribute) -> Option<TokenStream> {
    match &attribute.meta {
        Meta::List(list) => Some(list.tokens.to_token_stream()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn the_prefix_becomes_the_constant() {
        let expanded = config_properties(quote! {
            #[config(prefix = "shop.repo")]
            struct Repo { url: String }
        });
        let expanded = expanded.to_string();
        assert!(expanded.contains("impl :: kafka_boot :: ConfigProperties for Repo"), "{expanded}");
        assert!(expanded.contains("PREFIX : & 'static str = \"shop.repo\""), "{expanded}");
    }
}
