//! What is wrong with a bean function's arguments and with what it returns.

use syn::Type;

use crate::bean::parse::{Bean, Output};
use crate::context::Context;

pub(crate) fn check(context: &Context, bean: &Bean) {
    let message = "a bean is made before any record is read; its function takes `Bean<T>` and `Config<T>`";
    bean.function.reject_records(context, message);
    match bean.output() {
        Output::Nothing => {
            let message = "a `#[bean]` function returns the bean, as in `-> Repo` or `-> Result<Repo>`";
            match bean.function.output() {
                Some(output) => context.error_on(output, message),
                None => context.error_on(&bean.function.item.sig.ident, message),
            }
        }
        Output::Plain(Type::ImplTrait(ty)) | Output::Fallible(Type::ImplTrait(ty)) => {
            context.error_on(ty, "a bean is found by its type, which `impl Trait` hides; name the type");
        }
        Output::Plain(_) | Output::Fallible(_) => {}
    }
}
