//! The keys of `#[kafka_boot::test]`. Unlike those of handlers they hold paths and expressions, for a test is code.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, Lit, LitBool, LitInt, LitStr, Path, Token, token};

use crate::context::Context;
use crate::text;
use crate::util::{did_you_mean, quoted_list};

/// Every key with a correct entry, for messages.
const KEYS: [(&str, &str); 14] = [
    ("listeners", "listeners(consume)"),
    ("jobs", "jobs(produce)"),
    ("bean_functions", "bean_functions(repo)"),
    ("beans", "beans(Mutex::new(0), \"east\" = FakeRepo::default())"),
    ("properties", "properties(\"kafka.listeners.consume.concurrency\" = 2)"),
    ("config", "config = \"kafka: { consumer: { group-id: orders } }\""),
    ("topics", "topics(\"orders-eu\", \"orders-us\")"),
    ("profile", "profile = \"test\""),
    ("directory", "directory = \"../..\""),
    ("timeout", "timeout = \"30s\""),
    ("limit", "limit = \"5m\""),
    ("without_discovery", "without_discovery"),
    ("scheduling", "scheduling"),
    ("show_log", "show_log"),
];

/// A key with what it is given.
enum Value {
    Paths(Vec<Path>),
    Beans(Vec<BeanValue>),
    Properties(Vec<(LitStr, Lit)>),
    Texts(Vec<LitStr>),
    Text(LitStr),
    Milliseconds(u64, Span),
    Switch(bool),
}

/// A bean that the test brings: the primary one of its type, or one with a name.
struct BeanValue {
    name: Option<LitStr>,
    value: Expr,
}

/// The attribute's entries, at most one a key.
pub(super) struct Keys {
    entries: Vec<(Ident, Value)>,
}

impl Keys {
    /// Parses every entry; a mistake in one does not hide the next.
    pub(super) fn parse(context: &Context, tokens: TokenStream) -> Self {
        let mut keys = Self { entries: Vec::new() };
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = keys.parse_one(context, input) {
                    context.push(error);
                    rest_of_entry(input);
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = Parser::parse2(parser, tokens) {
            context.push(error);
        }
        keys
    }

    fn parse_one(&mut self, context: &Context, input: ParseStream<'_>) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error("expected a key, as in `listeners(consume)` or `timeout = \"30s\"`"));
        }
        let name = input.call(Ident::parse_any)?;
        let Some((key, example)) = KEYS.iter().find(|(key, _)| name == key) else {
            return Err(unknown(&name));
        };
        let value = parse_value(key, &name, example, input)?;
        if self.entries.iter().any(|(known, _)| *known == name) {
            context.error_at(name.span(), format!("`{name}` is given twice; keep one of them"));
            return Ok(());
        }
        self.entries.push((name, value));
        Ok(())
    }

    /// The builder's methods that the entries stand for.
    pub(super) fn steps(&self, builder: &Ident) -> TokenStream {
        let steps = self.entries.iter().map(|(name, value)| step(builder, name, value));
        quote!(#(#steps)*)
    }
}

fn step(builder: &Ident, name: &Ident, value: &Value) -> TokenStream {
    let span = name.span().resolved_at(Span::mixed_site());
    let method = Ident::new(&name.to_string(), span);
    let call = match value {
        Value::Paths(paths) => {
            let list = Ident::new(&name.to_string(), span);
            quote_spanned!(span=> .#method(::kafka_boot::#list![#(#paths),*]))
        }
        Value::Beans(beans) => {
            let beans = beans.iter().map(|BeanValue { name, value }| {
                let method = Ident::new(if name.is_some() { "named_bean" } else { "bean" }, span);
                let name = name.iter();
                quote_spanned!(value.span()=> .#method(#(#name,)* #value))
            });
            quote!(#(#beans)*)
        }
        Value::Properties(properties) => {
            let properties =
                properties.iter().map(|(key, value)| quote_spanned!(key.span()=> .property(#key, #value)));
            quote!(#(#properties)*)
        }
        Value::Texts(texts) => quote_spanned!(span=> .#method([#(#texts),*])),
        Value::Text(text) => quote_spanned!(span=> .#method(#text)),
        Value::Milliseconds(milliseconds, at) => {
            quote_spanned!(*at=> .#method(::core::time::Duration::from_millis(#milliseconds)))
        }
        Value::Switch(switch) if name == "without_discovery" => {
            if *switch {
                quote_spanned!(span=> .#method())
            } else {
                TokenStream::new()
            }
        }
        Value::Switch(switch) => quote_spanned!(span=> .#method(#switch)),
    };
    quote_spanned!(span=> let #builder = #builder #call;)
}

fn parse_value(key: &str, name: &Ident, example: &str, input: ParseStream<'_>) -> syn::Result<Value> {
    let needs =
        |what: &str| syn::Error::new(name.span(), format!("`{name}` takes {what}, as in `{example}`"));
    match key {
        "listeners" | "jobs" | "bean_functions" => {
            Ok(Value::Paths(items(input).ok_or_else(|| needs("functions in parentheses"))??))
        }
        "beans" => Ok(Value::Beans(items(input).ok_or_else(|| needs("values in parentheses"))??)),
        "properties" => {
            let pairs: Vec<Property> = items(input).ok_or_else(|| needs("a table in parentheses"))??;
            Ok(Value::Properties(pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()))
        }
        "topics" => {
            let topics: Vec<LitStr> = items(input).ok_or_else(|| needs("names in parentheses"))??;
            for topic in &topics {
                text::topic(&topic.value()).map_err(|message| syn::Error::new(topic.span(), message))?;
            }
            Ok(Value::Texts(topics))
        }
        "timeout" | "limit" => {
            parse_equals(input).ok_or_else(|| needs("a span of time"))??;
            parse_duration(key, input)
        }
        "without_discovery" | "scheduling" | "show_log" => match parse_equals(input) {
            Some(equals) => {
                equals?;
                Ok(Value::Switch(input.parse::<LitBool>()?.value))
            }
            None => Ok(Value::Switch(true)),
        },
        _ => {
            parse_equals(input).ok_or_else(|| needs("a string"))??;
            let text: LitStr = input.parse().map_err(|error| {
                syn::Error::new(error.span(), format!("`{name}` takes a string, as in `{example}`"))
            })?;
            if text.value().trim().is_empty() {
                return Err(syn::Error::new(
                    text.span(),
                    format!("`{name}` is empty; write it as in `{example}`"),
                ));
            }
            Ok(Value::Text(text))
        }
    }
}

/// The items of `key(…)`, if that is what follows.
fn items<T: Parse>(input: ParseStream<'_>) -> Option<syn::Result<Vec<T>>> {
    if !input.peek(token::Paren) {
        return None;
    }
    let parse = || {
        let group: Group = input.parse()?;
        // Apart from the rest, so that a mistake in it is one error.
        let items = Punctuated::<T, Token![,]>::parse_terminated.parse2(group.stream())?;
        Ok(items.into_iter().collect())
    };
    Some(parse())
}

fn parse_equals(input: ParseStream<'_>) -> Option<syn::Result<Token![=]>> {
    input.peek(Token![=]).then(|| input.parse())
}

fn parse_duration(key: &str, input: ParseStream<'_>) -> syn::Result<Value> {
    let literal: Lit = input.parse()?;
    let span = literal.span();
    let milliseconds = match &literal {
        Lit::Int(number) => whole(number)?,
        Lit::Str(written) => {
            let written = written.value();
            text::duration(key, false, &written).map_err(|message| syn::Error::new(span, message))?;
            text::milliseconds(&written)
        }
        _ => {
            let message =
                format!("`{key}` takes milliseconds as an integer, or a string with a unit, as in `\"30s\"`");
            return Err(syn::Error::new(span, message));
        }
    };
    if milliseconds == 0 {
        return Err(syn::Error::new(span, format!("`{key}` must be more than zero, as in `\"30s\"`")));
    }
    Ok(Value::Milliseconds(milliseconds, span))
}

fn whole(number: &LitInt) -> syn::Result<u64> {
    number.base10_parse()
}

fn unknown(name: &Ident) -> syn::Error {
    let known = || KEYS.iter().map(|(key, _)| *key);
    let hint = did_you_mean(&name.to_string(), known()).map_or_else(
        || format!("the keys are {}", quoted_list(known())),
        |near| format!("did you mean `{near}`?"),
    );
    syn::Error::new(name.span(), format!("`#[kafka_boot::test]` has no key `{name}`; {hint}"))
}

impl Parse for BeanValue {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let is_named = input.peek(LitStr) && input.peek2(Token![=]) && !input.peek2(Token![==]);
        if !is_named {
            return Ok(Self { name: None, value: input.parse()? });
        }
        let name = Some(input.parse()?);
        input.parse::<Token![=]>()?;
        Ok(Self { name, value: input.parse()? })
    }
}

struct Property {
    key: LitStr,
    value: Lit,
}

impl Parse for Property {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key: LitStr = input.parse().map_err(|error| {
            let message = "a property's key is a string, as in `\"kafka.listeners.consume.concurrency\" = 2`";
            syn::Error::new(error.span(), message)
        })?;
        input.parse::<Token![=]>()?;
        Ok(Self { key, value: input.parse()? })
    }
}

/// Consumes the tokens up to the next comma.
fn rest_of_entry(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) && input.parse::<TokenTree>().is_ok() {}
}
