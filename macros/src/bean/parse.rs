//! The keys of `#[bean]`, and the function under it.

use proc_macro2::TokenStream;
use syn::{GenericArgument, PathArguments, Type};

use crate::context::Context;
use crate::entries::{Entries, Key};
use crate::function::{Function, last_segment};
use crate::values::Kind;

const ATTRIBUTE: &str = "bean";

/// Every key.
const KEYS: &[Key] = &[Key { name: "name", yaml: "name", kind: Kind::Name, example: "name = \"east\"" }];

/// A bean function as written.
pub(crate) struct Bean {
    pub(crate) entries: Entries,
    pub(crate) function: Function,
}

/// What a bean function returns.
pub(crate) enum Output<'a> {
    /// Nothing that could be a bean.
    Nothing,
    /// The bean itself.
    Plain(&'a Type),
    /// `Result<bean, …>`.
    Fallible(&'a Type),
}

impl Bean {
    /// Parses both halves, so that mistakes in either are reported together.
    pub(crate) fn parse(context: &Context, attribute: TokenStream, item: &TokenStream) -> Option<Self> {
        let entries = Entries::parse(context, ATTRIBUTE, KEYS, attribute);
        let function = Function::parse(context, ATTRIBUTE, item);
        Some(Self { entries, function: function? })
    }

    /// The bean's name; empty for the primary one of its type.
    pub(crate) fn name(&self) -> &str {
        self.entries.known_text("name").unwrap_or_default()
    }

    /// The return type, by the name it is written with.
    pub(crate) fn output(&self) -> Output<'_> {
        let Some(ty) = self.function.output() else { return Output::Nothing };
        match last_segment(ty) {
            Some(segment) if segment.ident == "Result" => match &segment.arguments {
                PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                    Some(GenericArgument::Type(bean)) => of_type(bean, Output::Fallible),
                    _ => Output::Nothing,
                },
                _ => Output::Nothing,
            },
            _ => of_type(ty, Output::Plain),
        }
    }
}

fn of_type<'a>(ty: &'a Type, output: fn(&'a Type) -> Output<'a>) -> Output<'a> {
    match ty {
        Type::Tuple(tuple) if tuple.elems.is_empty() => Output::Nothing,
        Type::Never(_) => Output::Nothing,
        _ => output(ty),
    }
}
