//! The grammar that all attributes share: `key = literal`, `key = ["a", "b"]`, `key("a", "b")`, `key("a" = "b")`,
//! `key(Type, Type)`, and `group(key = literal, …)`.
//!
//! Which keys exist, and what each takes, is a table of [`Key`]s; a mistake in one entry does not hide the next.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Ident, Lit, LitStr, Path, Token, Type, bracketed, parenthesized, token};

use crate::context::Context;
use crate::util::{did_you_mean, quoted_list};
use crate::values::{self, Kind, Setting};

/// A key that an attribute knows.
pub(crate) struct Key {
    /// The name in the attribute.
    pub(crate) name: &'static str,
    /// The name in the YAML file.
    pub(crate) yaml: &'static str,
    /// What the key takes.
    pub(crate) kind: Kind,
    /// A correct entry, for messages.
    pub(crate) example: &'static str,
}

/// What stands right of a key.
pub(crate) enum Value {
    /// A literal; a number may carry a minus sign.
    Literal { negative: Option<Token![-]>, literal: Lit },
    /// A list of strings.
    List(Vec<LitStr>),
    /// A table of strings.
    Map(Vec<(LitStr, LitStr)>),
    /// The path of an item.
    Path(Path),
    /// Types.
    Types(Vec<Type>),
}

/// An entry whose key is known and whose value is what the key takes.
pub(crate) struct Entry {
    pub(crate) key: &'static Key,
    /// The group that it stands in.
    group: Option<&'static str>,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// The value as written, for carets.
    pub(crate) value: Value,
    pub(crate) setting: Setting,
}

/// The entries of one attribute, at most one a key.
pub(crate) struct Entries {
    entries: Vec<Entry>,
    /// Keys in no group whose value was wrong: present, so that their absence is not reported as well.
    invalid: Vec<&'static str>,
}

impl Entries {
    /// Parses `tokens` against the keys that `attribute` knows.
    pub(crate) fn parse(
        context: &Context,
        attribute: &str,
        keys: impl IntoIterator<Item = &'static Key>,
        tokens: TokenStream,
    ) -> Self {
        let mut entries = Self { entries: Vec::new(), invalid: Vec::new() };
        let keys = keys.into_iter().collect();
        let table = Table { owner: format!("`#[{attribute}]`"), group: None, keys };
        let parser = |input: ParseStream<'_>| entries.parse_all(context, &table, input);
        if let Err(error) = Parser::parse2(parser, tokens) {
            context.push(error);
        }
        entries
    }

    fn parse_all(&mut self, context: &Context, table: &Table, input: ParseStream<'_>) -> syn::Result<()> {
        while !input.is_empty() {
            if let Err(error) = self.parse_one(context, table, input) {
                context.push(error);
                // The next entry is judged on its own.
                rest_of_entry(input);
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    /// The entry of a key that stands in no group.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.group.is_none() && entry.key.name == name)
    }

    /// Whether the key was written, correctly or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.invalid.contains(&name)
    }

    /// The path of a key that takes one.
    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        match &self.get(name)?.value {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    /// The types that keys name.
    pub(crate) fn types(&self) -> impl Iterator<Item = &Type> {
        self.entries.iter().flat_map(|entry| match &entry.value {
            Value::Types(types) => types.as_slice(),
            _ => &[],
        })
    }

    /// The text of a key that has one; `None` also for a placeholder, about which nothing is known yet.
    pub(crate) fn known_text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.setting {
            Setting::Str(text) if !text.contains("${") => Some(text),
            _ => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn parse_one(&mut self, context: &Context, table: &Table, input: ParseStream<'_>) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            let example = table.keys.first().map_or("key = \"value\"", |key| key.example);
            return Err(input.error(format!("expected `key = value`, as in `{example}`")));
        }
        let name = input.call(Ident::parse_any)?;
        let Some(key) = table.keys.iter().copied().find(|key| name == key.name) else {
            return Err(unknown(table, &name));
        };
        if let Kind::Group(keys) = key.kind {
            if !input.peek(token::Paren) {
                let message = format!("`{name}` is a group of keys, as in `{}`", key.example);
                return Err(syn::Error::new(name.span(), message));
            }
            let inside;
            parenthesized!(inside in input);
            let group =
                Table { owner: format!("`{name}(…)`"), group: Some(key.name), keys: keys.iter().collect() };
            return self.parse_all(context, &group, &inside);
        }
        let value = parse_value(key, &name, input)?;
        if let Some(earlier) = self.entries.iter().find(|entry| entry.is_given_by(key, table.group)) {
            let message = match (earlier.group, table.group) {
                (one, other) if one == other => format!("`{name}` is given twice; keep one of them"),
                (Some(group), _) | (None, Some(group)) => {
                    format!("`{}` and `{group}({} = …)` say the same; keep one of them", key.name, key.name)
                }
                (None, None) => unreachable!("both are in no group"),
            };
            context.error_at(name.span(), message);
            return Ok(());
        }
        if table.group.is_none() && self.invalid.contains(&key.name) {
            context.error_at(name.span(), format!("`{name}` is given twice; keep one of them"));
            return Ok(());
        }
        match values::check(context, key, &name, &value) {
            Some(setting) => {
                let (key_span, group) = (name.span(), table.group);
                self.entries.push(Entry { key, group, key_span, value, setting });
            }
            None if table.group.is_none() => self.invalid.push(key.name),
            None => {}
        }
        Ok(())
    }
}

impl Entry {
    /// Whether this entry says what `key` of a group says.
    fn is_given_by(&self, key: &Key, group: Option<&str>) -> bool {
        let is_same = self.key.name == key.name && self.group == group;
        is_same || self.group != group && self.key.yaml == key.yaml
    }
}

/// The keys that may stand in one place.
struct Table {
    /// Whose they are, for messages.
    owner: String,
    group: Option<&'static str>,
    keys: Vec<&'static Key>,
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal { negative, literal } => {
                negative.to_tokens(tokens);
                literal.to_tokens(tokens);
            }
            Self::List(items) => items.iter().for_each(|item| item.to_tokens(tokens)),
            Self::Path(path) => path.to_tokens(tokens),
            Self::Types(types) => types.iter().for_each(|ty| ty.to_tokens(tokens)),
            Self::Map(entries) => {
                for (key, value) in entries {
                    key.to_tokens(tokens);
                    value.to_tokens(tokens);
                }
            }
        }
    }
}

/// The error of a key that is not known, with the near miss, which may be the key's name in the YAML file.
fn unknown(table: &Table, name: &Ident) -> syn::Error {
    let (keys, owner) = (&table.keys, &table.owner);
    let known = || keys.iter().map(|key| key.name);
    let found = name.to_string();
    let by_name = did_you_mean(&found, known());
    let by_yaml = || {
        let near = did_you_mean(&found, keys.iter().map(|key| key.yaml))?;
        keys.iter().find(|key| key.yaml == near).map(|key| key.name)
    };
    let hint = by_name.or_else(by_yaml).map_or_else(
        || format!("the keys are {}", quoted_list(known())),
        |near| format!("did you mean `{near}`?"),
    );
    syn::Error::new(name.span(), format!("{owner} has no key `{name}`; {hint}"))
}

fn parse_value(key: &Key, name: &Ident, input: ParseStream<'_>) -> syn::Result<Value> {
    if input.peek(token::Paren) {
        let content;
        parenthesized!(content in input);
        if matches!(key.kind, Kind::Types) {
            let types = Punctuated::<Type, Token![,]>::parse_terminated(&content)?;
            return Ok(Value::Types(types.into_iter().collect()));
        }
        return parse_table(&content);
    }
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(name.span(), format!("`{name}` needs a value, as in `{}`", key.example)));
    }
    input.parse::<Token![=]>()?;
    if input.peek(token::Bracket) {
        let content;
        bracketed!(content in input);
        let items = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
        return Ok(Value::List(items.into_iter().collect()));
    }
    let negative: Option<Token![-]> = input.parse()?;
    let ahead = input.fork();
    if ahead.parse::<Lit>().is_ok() && (ahead.is_empty() || ahead.peek(Token![,])) {
        return Ok(Value::Literal { negative, literal: input.parse()? });
    }
    let ahead = input.fork();
    if matches!(key.kind, Kind::Function)
        && ahead.parse::<Path>().is_ok()
        && (ahead.is_empty() || ahead.peek(Token![,]))
    {
        return Ok(Value::Path(input.parse()?));
    }
    let expression = rest_of_entry(input);
    if expression.is_empty() {
        return Err(syn::Error::new(name.span(), format!("`{name}` needs a value, as in `{}`", key.example)));
    }
    if matches!(key.kind, Kind::Function) {
        let message = format!("`{name}` takes the path of a function, as in `{}`", key.example);
        return Err(syn::Error::new_spanned(expression, message));
    }
    Err(syn::Error::new_spanned(
        expression,
        format!(
            "`{name}` takes a literal, as in `{}`; for a value that is known only at start, write a placeholder, as in \
             `{name} = \"${{some.key}}\"`",
            key.example
        ),
    ))
}

/// The inside of `key(…)`: a list of strings, or a table of them.
fn parse_table(content: ParseStream<'_>) -> syn::Result<Value> {
    if !content.peek2(Token![=]) {
        let items = Punctuated::<LitStr, Token![,]>::parse_terminated(content)?;
        return Ok(Value::List(items.into_iter().collect()));
    }
    let pairs = Punctuated::<Pair, Token![,]>::parse_terminated(content)?;
    Ok(Value::Map(pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()))
}

struct Pair {
    key: LitStr,
    value: LitStr,
}

impl Parse for Pair {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { key, value: input.parse()? })
    }
}

/// The tokens up to the next comma, which are consumed.
fn rest_of_entry(input: ParseStream<'_>) -> TokenStream {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.parse::<TokenTree>() {
            Ok(token) => tokens.extend([token]),
            Err(_) => break,
        }
    }
    tokens
}
