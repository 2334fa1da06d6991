//! Which errors are tried again: by their types.

use std::error::Error;
use std::fmt;

use super::Fault;
use crate::config::model::ErrorProperties;

/// A type that an attribute names: `on(…)`, `not_on(…)`.
#[derive(Clone, Copy)]
pub struct ErrorType {
    /// The type as it was written.
    pub name: &'static str,
    /// Whether an error is of this type.
    pub is: fn(&(dyn Error + 'static)) -> bool,
}

impl ErrorType {
    /// A type by its name.
    pub const fn of<E: Error + 'static>(name: &'static str) -> Self {
        Self { name, is: |error| error.is::<E>() }
    }
}

impl fmt::Debug for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A type of errors, as it was named.
#[derive(Debug, Clone)]
enum Class {
    /// In the attribute: the error itself is asked, and its causes.
    Typed(ErrorType),
    /// In the configuration: the name of the type that the handler's error was made of, or the end of that.
    Named(String),
}

impl Class {
    fn of(name: &str, types: &[ErrorType]) -> Self {
        match types.iter().find(|known| known.name == name) {
            Some(known) => Self::Typed(*known),
            None => Self::Named(name.to_owned()),
        }
    }

    fn has(&self, fault: &Fault) -> bool {
        let Fault::Handler(error) = fault else { return false };
        match self {
            Self::Typed(known) => error.causes().any(known.is),
            Self::Named(name) => error
                .type_name()
                .strip_suffix(name.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with("::")),
        }
    }
}

/// Some types of errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes(Vec<Class>);

impl Classes {
    pub(super) fn new(names: &[String], types: &[ErrorType]) -> Self {
        Self(names.iter().map(|name| Class::of(name, types)).collect())
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.0.iter().any(|class| class.has(fault))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which errors another attempt may help.
#[derive(Debug, Clone, Default)]
pub(super) struct Retried {
    only: Classes,
    never: Classes,
}

impl Retried {
    pub(super) fn new(properties: &ErrorProperties, types: &[ErrorType]) -> Self {
        Self {
            only: Classes::new(&properties.retry_on, types),
            never: Classes::new(&properties.retry_not_on, types),
        }
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        (self.only.is_empty() || self.only.has(fault)) && !self.never.has(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ExtractError, HandlerError};
    use std::io;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    fn outer() -> Fault {
        Fault::Handler(Outer(io::ErrorKind::NotFound.into()).into())
    }

    fn retried(on: &[&str], not_on: &[&str]) -> Retried {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let properties = ErrorProperties {
            retry_on: names(on),
            retry_not_on: names(not_on),
            ..ErrorProperties::default()
        };
        Retried::new(&properties, &[ErrorType::of::<io::Error>("io::Error")])
    }

    #[test]
    fn a_type_of_the_attribute_is_found_among_the_causes() {
        assert!(retried(&["io::Error"], &[]).has(&outer()));
        assert!(!retried(&[], &["io::Error"]).has(&outer()));
        assert!(!retried(&["io::Error"], &[]).has(&Fault::Handler(HandlerError::msg("text"))));
    }

    #[test]
    fn a_type_of_the_configuration_is_known_by_whole_parts_of_its_name() {
        for (name, is_known) in [
            ("Outer", true),
            ("tests::Outer", true),
            ("uter", false),
            ("shop::Outer", false),
            ("panic", false),
        ] {
            assert_eq!(retried(&[name], &[]).has(&outer()), is_known, "{name}");
            assert_eq!(retried(&[], &[name]).has(&outer()), !is_known, "{name}");
        }
        let panic = Fault::Handler(HandlerError::from_panic(&"on purpose"));
        assert!(!retried(&[], &["panic"]).has(&panic));
    }

    #[test]
    fn what_cannot_be_read_is_of_no_type() {
        let fault = Fault::Extract(ExtractError::new("Key<u64>", "not a number"));
        assert!(!retried(&["ExtractError"], &[]).has(&fault));
    }
}
