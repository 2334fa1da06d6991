//! Collects every error of one expansion, so that a user sees all of them at once.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::Error;

/// The errors found so far. It panics when it is dropped without [`Context::finish`], so that none is lost.
pub(crate) struct Context {
    /// `None` once finished.
    errors: RefCell<Option<Vec<Error>>>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self { errors: RefCell::new(Some(Vec::new())) }
    }

    /// Adds an error under all of `tokens`.
    pub(crate) fn error_on(&self, tokens: impl ToTokens, message: impl Display) {
        self.push(Error::new_spanned(tokens, message));
    }

    /// Adds an error at one place.
    pub(crate) fn error_at(&self, span: Span, message: impl Display) {
        self.push(Error::new(span, message));
    }

    /// Adds an error of the parser.
    pub(crate) fn push(&self, error: Error) {
        if let Some(errors) = self.errors.borrow_mut().as_mut() {
            errors.push(error);
        }
    }

    /// How many errors were added.
    pub(crate) fn count(&self) -> usize {
        self.errors.borrow().as_ref().map_or(0, Vec::len)
    }

    /// Whether an error was added.
    pub(crate) fn is_failed(&self) -> bool {
        self.count() > 0
    }

    /// `Err` with every error as `compile_error!`, if there is any.
    pub(crate) fn finish(self) -> Result<(), TokenStream> {
        let mut errors = self.errors.borrow_mut().take().unwrap_or_default().into_iter();
        let Some(mut all) = errors.next() else { return Ok(()) };
        for error in errors {
            all.combine(error);
        }
        Err(all.into_compile_error())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A second panic while one unwinds would abort the compiler.
        let is_checked = self.errors.borrow().is_none();
        assert!(
            is_checked || std::thread::panicking(),
            "the errors of a macro expansion were dropped unchecked"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_reported() {
        let context = Context::new();
        context.error_at(Span::call_site(), "one");
        context.error_at(Span::call_site(), "two");
        let errors = context.finish().expect_err("two errors").to_string();
        assert!(errors.contains("\"one\"") && errors.contains("\"two\""), "{errors}");
    }

    #[test]
    #[should_panic(expected = "dropped unchecked")]
    fn dropping_the_context_unchecked_panics() {
        drop(Context::new());
    }
}
