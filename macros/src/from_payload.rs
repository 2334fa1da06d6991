//! `#[derive(FromPayload)]`: an enum whose variant is chosen by a header, or by the topic.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, LitStr, Token, Type, Variant};

use crate::context::Context;
use crate::function::span_at;

const CHOOSE: &str = "say what chooses the variant: `#[payload(header = \"type\")]` or `#[payload(topic)]`";

/// What chooses the variant.
enum By {
    Header(LitStr),
    Topic,
}

impl Parse for By {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let by = input.call(Ident::parse_any_ident)?;
        if by == "topic" && input.is_empty() {
            return Ok(Self::Topic);
        }
        if by == "header" && input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            let name: LitStr = input.parse()?;
            if input.is_empty() && !name.value().is_empty() {
                return Ok(Self::Header(name));
            }
        }
        Err(syn::Error::new(by.span(), CHOOSE))
    }
}

/// Parses any identifier, keywords too.
trait AnyIdent {
    fn parse_any_ident(input: ParseStream<'_>) -> syn::Result<Ident>;
}

impl AnyIdent for Ident {
    fn parse_any_ident(input: ParseStream<'_>) -> syn::Result<Ident> {
        use syn::ext::IdentExt;
        input.call(Ident::parse_any)
    }
}

/// What a variant stands for.
enum Names {
    These(Vec<LitStr>),
    Other,
}

impl Parse for Names {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(Ident) {
            let word: Ident = input.parse()?;
            if word == "other" && input.is_empty() {
                return Ok(Self::Other);
            }
            let message = "a variant takes its names, as in `#[payload(\"order-created\")]`, or `other`";
            return Err(syn::Error::new(word.span(), message));
        }
        let names = Punctuated::<LitStr, Token![,]>::parse_terminated(input)?;
        Ok(Self::These(names.into_iter().collect()))
    }
}

/// The implementation; on mistakes one that always fails, so that the type's uses do not add errors of their own.
pub(crate) fn from_payload(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let context = Context::new();
    if !input.generics.params.is_empty() {
        context
            .error_on(&input.generics, "a payload whose variant is chosen cannot be generic; name its types");
    }
    let by = chosen_by(&context, &input);
    let Data::Enum(data) = &input.data else {
        context.error_on(
            &input.ident,
            "only an enum's variant is chosen by a header or a topic; implement `kafka_boot::FromPayload` for this type, or take it as `Json<T>`",
        );
        return context.finish().err().unwrap_or_default();
    };
    let arms = arms(&context, data.variants.iter());
    match (context.finish(), by) {
        (Ok(()), Some(by)) => implementation(&input.ident, &by, &arms),
        (errors, _) => {
            let errors = errors.err();
            let arms = Arms { named: Vec::new(), other: None, names: Vec::new() };
            let implementation =
                input.generics.params.is_empty().then(|| implementation(&input.ident, &By::Topic, &arms));
            quote!(#errors #implementation)
        }
    }
}

fn chosen_by(context: &Context, input: &DeriveInput) -> Option<By> {
    let Some(attribute) = only_attribute(context, &input.attrs) else {
        if !context.is_failed() {
            context.error_on(&input.ident, CHOOSE);
        }
        return None;
    };
    attribute.parse_args().map_err(|error| context.push(error)).ok()
}

/// The `#[payload(…)]`, if there is one.
fn only_attribute<'a>(context: &Context, attributes: &'a [Attribute]) -> Option<&'a Attribute> {
    let mut attributes = attributes.iter().filter(|attribute| attribute.path().is_ident("payload"));
    let first = attributes.next()?;
    if let Some(second) = attributes.next() {
        context.error_on(second, "`#[payload]` is given twice; keep one of them");
    }
    Some(first)
}

/// How each variant is made.
struct Arms {
    named: Vec<TokenStream>,
    other: Option<TokenStream>,
    names: Vec<String>,
}

fn arms<'a>(context: &Context, variants: impl Iterator<Item = &'a Variant>) -> Arms {
    let mut all = Arms { named: Vec::new(), other: None, names: Vec::new() };
    let mut known = HashSet::new();
    for variant in variants {
        let names = match only_attribute(context, &variant.attrs).map(Attribute::parse_args::<Names>) {
            Some(Ok(names)) => names,
            Some(Err(error)) => {
                context.push(error);
                continue;
            }
            None => Names::These(vec![LitStr::new(&variant.ident.to_string(), variant.ident.span())]),
        };
        let Some(make) = make(context, variant) else { continue };
        match names {
            Names::Other if all.other.is_some() => {
                context
                    .error_on(variant, "two variants stand for all other values; keep one of them `other`");
            }
            Names::Other => all.other = Some(make),
            Names::These(names) if names.is_empty() => {
                context.error_on(
                    variant,
                    "the variant has no name; write it as in `#[payload(\"order-created\")]`",
                );
            }
            Names::These(names) => {
                for name in &names {
                    if !known.insert(name.value()) {
                        context.error_on(name, format!("`{}` stands for two variants", name.value()));
                    }
                    all.names.push(name.value());
                }
                all.named.push(quote!(#(#names)|* => #make,));
            }
        }
    }
    all
}

/// Makes a variant from the record.
fn make(context: &Context, variant: &Variant) -> Option<TokenStream> {
    let name = &variant.ident;
    match &variant.fields {
        Fields::Unit => Some(quote!(::core::result::Result::Ok(Self::#name))),
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            let ty: &Type = &fields.unnamed.first()?.ty;
            let span = span_at(syn::spanned::Spanned::span(ty));
            let record = record();
            let decoded = quote_spanned!(span=> <#ty as ::kafka_boot::FromPayload>::from_record(#record));
            Some(quote!(#decoded.map(Self::#name)))
        }
        _ => {
            context.error_on(
                variant,
                "a variant holds one payload, as in `Created(Json<OrderCreated>)`, or nothing",
            );
            None
        }
    }
}

/// The record, under a name that no user's code can mean.
fn record() -> Ident {
    Ident::new("record", Span::mixed_site())
}

fn implementation(name: &Ident, by: &By, arms: &Arms) -> TokenStream {
    let span = Span::mixed_site();
    let Arms { named, other, names } = arms;
    let (record, value) = (record(), Ident::new("value", span));
    let (what, chooser) = match by {
        By::Header(header) => (
            format!("header `{}`", header.value()),
            quote!(#record.header(#header).and_then(|value| ::core::str::from_utf8(value).ok())),
        ),
        By::Topic => ("the topic".to_owned(), quote!(::core::option::Option::Some(#record.topic()))),
    };
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let fallback = other.clone().unwrap_or_else(|| {
        quote!(::core::result::Result::Err(::kafka_boot::__private::unknown_variant(#what, #value, #listed)))
    });
    let alone = format!("`{name}` is chosen by {what}: it is read from a record, not from bytes alone");
    quote_spanned! {span=>
        #[automatically_derived]
        impl ::kafka_boot::FromPayload for #name {
            fn from_payload(
                _: ::core::option::Option<&[u8]>,
            ) -> ::core::result::Result<Self, ::kafka_boot::PayloadError> {
                ::core::result::Result::Err(::kafka_boot::PayloadError::new(#alone))
            }

            fn from_record(
                #record: &::kafka_boot::RecordView<'_>,
            ) -> ::core::result::Result<Self, ::kafka_boot::PayloadError> {
                let #value = #chooser;
                match #value.unwrap_or_default() {
                    #(#named)*
                    _ => #fallback,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(input: TokenStream) -> String {
        from_payload(input).to_string()
    }

    #[test]
    fn each_name_becomes_an_arm_and_a_variant_without_one_has_its_own() {
        let expanded = expand(quote! {
            #[payload(header = "type")]
            enum Event {
                #[payload("order-created", "com.acme.OrderCreated")]
                Created(Json<Created>),
                Cancelled,
                #[payload(other)]
                Other(Option<Vec<u8>>),
            }
        });
        for part in [
            r#""order-created" | "com.acme.OrderCreated" => "#,
            r#""Cancelled" => :: core :: result :: Result :: Ok (Self :: Cancelled)"#,
            r#"record . header ("type")"#,
            "_ => < Option < Vec < u8 > > as :: kafka_boot :: FromPayload > :: from_record (record)",
        ] {
            assert!(expanded.contains(part), "{part} is not in {expanded}");
        }
        assert!(!expanded.contains("unknown_variant"), "{expanded}");
    }

    #[test]
    fn mistakes_are_told_at_once() {
        for (input, parts) in [
            (
                quote!(
                    enum Event {
                        A,
                    }
                ),
                &["say what chooses the variant"][..],
            ),
            (
                quote!(
                    #[payload(key)]
                    enum Event {
                        A,
                    }
                ),
                &["say what chooses the variant"],
            ),
            (
                quote!(
                    #[payload(header = "")]
                    enum Event {
                        A,
                    }
                ),
                &["say what chooses the variant"],
            ),
            (
                quote!(
                    #[payload(topic)]
                    struct Event {
                        a: u8,
                    }
                ),
                &["only an enum"],
            ),
            (
                quote! {
                    #[payload(topic)]
                    enum Event {
                        A { a: u8 },
                        #[payload("x")] B(u8),
                        #[payload("x")] C(u8),
                        #[payload()] D,
                        #[payload(others)] E,
                        #[payload(other)] F,
                        #[payload(other)] G,
                    }
                },
                &[
                    "a variant holds one payload",
                    "`x` stands for two variants",
                    "the variant has no name",
                    "a variant takes its names",
                    "two variants stand for all other values",
                ],
            ),
        ] {
            let expanded = expand(input.clone());
            for part in parts {
                assert!(expanded.contains(part), "{input}: {part} is not in {expanded}");
            }
            assert_eq!(expanded.matches("compile_error").count(), parts.len(), "{expanded}");
        }
    }
}
