//! [`Secret`]: a value that cannot be printed by accident.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// What stands in the place of every secret that would otherwise be shown.
pub const MASK: &str = "******";

/// A password, a private key, a token: readable through [`expose`](Secret::expose) and in no other way.
///
/// It has no `Display`, no `Serialize`, and a `Debug` that shows a mask. Its memory is wiped when it is
/// dropped.
///
/// ```
/// use kafka_boot::config::Secret;
///
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password:?}"), "Secret(******)");
/// assert_eq!(password.expose(), "hunter2");
/// ```
/// ```compile_fail
/// # use kafka_boot::config::Secret;
/// println!("{}", Secret::new("hunter2")); // a secret cannot be displayed
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value over.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself. Each call is a place to review: whatever receives the text must not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK})")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "writeOnly": true })
    }
}

/// Whether a setting of this name, in any spelling, is likely to hold a secret.
///
/// Only places that know no better ask: what is typed as a [`Secret`] is one under any name.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const MARKS: [&str; 12] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "jaas",
        "pem",
        "credential",
        "private",
        "apikey",
        "oauthbearer.config",
        "authorization",
    ];
    let name = name.to_ascii_lowercase();
    let squeezed = name.replace(['-', '_'], "");
    MARKS.iter().any(|mark| name.contains(mark) || squeezed.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_secrets_are_recognised_in_any_spelling() {
        for name in [
            "password",
            "KAFKA_SECURITY_SASL_PASSWORD",
            "ssl.key.pem",
            "api-key",
            "sasl.jaas.config",
            "Token",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["group-id", "username", "ssl.key.location", "linger.ms", "key"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
