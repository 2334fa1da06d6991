//! The annotated function: what is wrong with it whatever the attribute, and what expansion needs to know of it.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, Item, ItemFn, PatType, ReturnType, Safety, Signature, TraitItemFn, Type, TypePath,
};

use crate::context::Context;

/// The attributes that take a whole function for themselves.
const ROLES: [&str; 4] = ["kafka_listener", "dead_letter_listener", "scheduled", "bean"];

/// The arguments that only a listener has.
const OF_A_RECORD: [&str; 10] =
    ["Record", "Payload", "Json", "Batch", "Key", "Header", "Headers", "RecordMeta", "Ack", "Attempt"];

/// A free function whose every type is known.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) arguments: Vec<Argument>,
}

/// One argument of a [`Function`].
pub(crate) struct Argument {
    pub(crate) ty: Type,
}

impl Function {
    /// Parses the item under `attribute`; on a mistake, says so and returns `None`.
    pub(crate) fn parse(context: &Context, attribute: &str, item: &TokenStream) -> Option<Self> {
        let errors_before = context.count();
        let item: ItemFn = match syn::parse2(item.clone()) {
            Ok(function) => function,
            Err(error) => {
                explain_item(context, attribute, item, error);
                return None;
            }
        };
        check_roles(context, attribute, &item.attrs);
        check_signature(context, attribute, &item.sig);
        // A declared lifetime is one mistake, which is already reported.
        let is_generic = !item.sig.generics.params.is_empty();
        let mut arguments = Vec::new();
        for input in &item.sig.inputs {
            if let FnArg::Typed(input) = input {
                check_argument(context, attribute, input, is_generic);
                arguments.push(Argument { ty: (*input.ty).clone() });
            }
        }
        (context.count() == errors_before).then_some(Self { item, arguments })
    }

    /// Says `message` on every argument that would need a record, where there is none.
    pub(crate) fn reject_records(&self, context: &Context, message: &str) {
        for argument in self.arguments.iter().filter(|argument| argument.is_any(&OF_A_RECORD)) {
            context.error_on(&argument.ty, message);
        }
    }

    /// The function's name without `r#`.
    pub(crate) fn name(&self) -> String {
        self.item.sig.ident.unraw().to_string()
    }

    /// Whether it is an `async fn`.
    pub(crate) fn is_async(&self) -> bool {
        self.item.sig.asyncness.is_some()
    }

    /// The `#[cfg]`s that whatever stands beside the function needs too.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Attribute> {
        self.item.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }

    /// The return type, unless it is `()`.
    pub(crate) fn output(&self) -> Option<&Type> {
        match &self.item.sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(ty),
        }
    }
}

impl Argument {
    /// The last segment of the type's path: `Record` of `kafka_boot::Record<String>`.
    pub(crate) fn type_name(&self) -> Option<String> {
        last_segment(&self.ty).map(|segment| segment.ident.to_string())
    }

    /// Whether the type's last segment is one of these.
    pub(crate) fn is_any(&self, names: &[&str]) -> bool {
        self.type_name().is_some_and(|name| names.contains(&name.as_str()))
    }
}

/// The last segment of a type that is a path; invisible groups, which macros leave behind, are looked through.
pub(crate) fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(TypePath { path, .. }) => path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// Says what stands where a function should.
fn explain_item(context: &Context, attribute: &str, item: &TokenStream, error: syn::Error) {
    if let Ok(method) = syn::parse2::<TraitItemFn>(item.clone()) {
        let message =
            format!("`#[{attribute}]` takes a function with a body; a trait's method cannot be registered");
        context.error_on(method.sig, message);
        return;
    }
    let Ok(item) = syn::parse2::<Item>(item.clone()) else {
        context.push(error);
        return;
    };
    let (kind, span) = match &item {
        Item::Struct(item) => ("a struct", item.ident.span()),
        Item::Enum(item) => ("an enum", item.ident.span()),
        Item::Impl(item) => ("an `impl` block", item.impl_token.span()),
        Item::Trait(item) => ("a trait", item.ident.span()),
        Item::Mod(item) => ("a module", item.ident.span()),
        Item::Const(item) => ("a constant", item.ident.span()),
        Item::Static(item) => ("a static", item.ident.span()),
        Item::Type(item) => ("a type alias", item.ident.span()),
        other => ("something else", other.span()),
    };
    context.error_at(span, format!("`#[{attribute}]` goes on a function; this is {kind}"));
}

fn check_roles(context: &Context, attribute: &str, attributes: &[Attribute]) {
    for other in attributes {
        let Some(role) = other.path().segments.last().map(|segment| segment.ident.to_string()) else {
            continue;
        };
        if role == attribute {
            context.error_on(other, format!("`#[{role}]` is given twice; keep one of them"));
        } else if ROLES.contains(&role.as_str()) {
            context.error_on(
                other,
                format!(
                    "a function is either a `#[{attribute}]` or a `#[{role}]`; write a function for each"
                ),
            );
        }
    }
}

fn check_signature(context: &Context, attribute: &str, signature: &Signature) {
    if let Some(receiver) = signature.receiver() {
        context.error_on(
            receiver,
            format!("a `#[{attribute}]` is a free function, without `self`; take what it needs as `Bean<T>`"),
        );
    }
    if !signature.generics.params.is_empty() {
        context.error_on(
            &signature.generics,
            format!("a `#[{attribute}]` function cannot be generic: the framework calls it, so every type must be known"),
        );
    }
    let plain = |what: &str| {
        format!(
            "a `#[{attribute}]` function cannot be `{what}`; the framework calls it as plain `fn` or `async fn`"
        )
    };
    if let Some(constness) = &signature.constness {
        context.error_on(constness, plain("const"));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        context.error_on(token, plain("unsafe"));
    }
    if let Some(abi) = &signature.abi {
        context.error_on(abi, plain("extern"));
    }
    if let Some(variadic) = &signature.variadic {
        context.error_on(variadic, plain("variadic"));
    }
}

fn check_argument(context: &Context, attribute: &str, argument: &PatType, is_generic: bool) {
    if let Some(condition) = argument.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")) {
        context.error_on(condition, "an argument cannot be conditional; put the `#[cfg]` on the function");
    }
    let ty = &argument.ty;
    if let Type::Reference(reference) = &**ty {
        let owned = spaceless(&reference.elem);
        context.error_on(
            reference,
            format!("a `#[{attribute}]` function owns its arguments; take `{owned}` rather than a reference"),
        );
    } else if contains(
        ty.to_token_stream(),
        |window| matches!(window, [TokenTree::Ident(word), ..] if word == "impl"),
    ) {
        context.error_on(ty, format!("a `#[{attribute}]` argument cannot be `impl Trait`; name the type"));
    } else if !is_generic && contains(ty.to_token_stream(), is_borrow) {
        context.error_on(
            ty,
            format!("a `#[{attribute}]` argument cannot borrow; only owned types live as long as the call"),
        );
    }
}

/// Whether a lifetime other than `'static` stands here.
fn is_borrow(window: &[TokenTree]) -> bool {
    match window {
        [TokenTree::Punct(quote), TokenTree::Ident(name), ..] => quote.as_char() == '\'' && name != "static",
        _ => false,
    }
}

/// Whether `test` holds for the tokens from some place on, at any depth.
fn contains(tokens: TokenStream, test: fn(&[TokenTree]) -> bool) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    (0..tokens.len()).any(|at| {
        let inside = match &tokens[at] {
            TokenTree::Group(group) => contains(group.stream(), test),
            _ => false,
        };
        inside || test(&tokens[at..])
    })
}

/// A type as a person writes it.
pub(crate) fn spaceless(ty: &Type) -> String {
    quote!(#ty)
        .to_string()
        .replace(" < ", "<")
        .replace(" >", ">")
        .replace("< ", "<")
        .replace(" :: ", "::")
        .replace(" ,", ",")
}

/// A span that points at `place`, while names in it resolve like those of a macro and clash with nothing.
pub(crate) fn span_at(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}
