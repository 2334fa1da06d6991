//! The name of a service: a package, a crate, a compose service and a consumer group at once.

use std::path::Path;

use crate::error::CliError;

/// Rust's keywords, crates that the service depends on or always has, services that its compose file has already, and words
/// that YAML takes for something else.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "kafka",
    "kafka-boot",
    "kafka-ui",
    "kafka_boot",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "no",
    "null",
    "off",
    "on",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yes",
    "yield",
];

/// A package's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// The last part of a path.
    pub(super) fn of(path: &Path) -> Result<Self, CliError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_plain = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-' | '_');
        let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
        if !starts_well || !name.chars().all(is_plain) || name.len() > 64 {
            return Err(CliError::failed(format!("`{name}` cannot be a service's name"))
                .with_help("use lower-case letters, digits, `-` and `_`, a letter first, at most 64, such as `order-service`"));
        }
        if TAKEN.contains(&name.as_str()) {
            return Err(CliError::failed(format!(
                "`{name}` cannot be a service's name: it means something else"
            ))
            .with_help(format!("add a word, such as `{name}-service`")));
        }
        Ok(Self(name))
    }

    pub(super) fn package(&self) -> &str {
        &self.0
    }

    /// As Rust code calls it.
    pub(super) fn crate_name(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_everything_that_is_called_by_it() {
        for name in ["shop", "order-service", "a1_b"] {
            assert_eq!(Name::of(Path::new(name)).expect(name).package(), name);
        }
        assert_eq!(Name::of(Path::new("../services/shop/")).expect("a folder").package(), "shop");
        for name in
            ["", "Shop", "1shop", "-x", "a b", "a.b", "..", "test", "serde", "kafka", "no", &"x".repeat(65)]
        {
            assert!(Name::of(Path::new(name)).is_err(), "{name}");
        }
    }
}
