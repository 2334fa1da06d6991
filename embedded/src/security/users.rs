//! The users of a broker, and what is known of their passwords.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::scram::{Credential, Hash};

/// Kafka's least, and the default of its tools.
pub(crate) const SCRAM_ITERATIONS: u32 = 4_096;

/// Users by name.
#[derive(Clone, Default)]
pub(crate) struct Users(BTreeMap<String, User>);

#[derive(Clone)]
struct User {
    password: String,
    /// Made when somebody first asks, since thousands of rounds would hold up the start of the broker.
    sha256: OnceLock<Credential>,
    sha512: OnceLock<Credential>,
}

impl Users {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds a user. `false` if there is one of that name.
    pub(crate) fn add(&mut self, name: String, password: String) -> bool {
        let user = User { password, sha256: OnceLock::new(), sha512: OnceLock::new() };
        self.0.insert(name, user).is_none()
    }

    pub(super) fn has_password(&self, name: &str, password: &str) -> bool {
        // Somebody unknown costs the same comparison, which fails whatever it says.
        let known = self.0.get(name);
        let expected = known.map_or("", |user| user.password.as_str());
        let same: bool = expected.as_bytes().ct_eq(password.as_bytes()).into();
        same && known.is_some()
    }

    #[cfg(test)]
    pub(super) fn set_credential(&mut self, name: &str, hash: Hash, credential: Credential) {
        let user = self.0.get_mut(name).expect("the user is there");
        match hash {
            Hash::Sha256 => user.sha256 = credential.into(),
            Hash::Sha512 => user.sha512 = credential.into(),
        }
    }

    pub(super) fn credential(&self, name: &str, hash: Hash) -> Option<&Credential> {
        let user = self.0.get(name)?;
        let made = match hash {
            Hash::Sha256 => &user.sha256,
            Hash::Sha512 => &user.sha512,
        };
        Some(made.get_or_init(|| {
            let salt = Uuid::new_v4().into_bytes();
            Credential::new(hash, &user.password, salt.to_vec(), SCRAM_ITERATIONS)
        }))
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let mut users = Users::default();
        assert!(users.add("alice".to_owned(), "secret".to_owned()));
        users
    }

    #[test]
    fn only_the_right_password_of_a_known_user_is_right() {
        let users = users();
        let cases = [
            ("alice", "secret", true),
            ("alice", "Secret", false),
            ("alice", "", false),
            ("alice", "secret ", false),
            ("bob", "secret", false),
            ("bob", "", false),
            ("", "", false),
        ];
        for (name, password, expected) in cases {
            assert_eq!(users.has_password(name, password), expected, "{name} {password}");
        }
    }

    #[test]
    fn a_name_is_given_once_and_no_password_is_shown() {
        let mut users = users();
        assert!(!users.add("alice".to_owned(), "other".to_owned()));
        assert_eq!(format!("{users:?}"), r#"{"alice"}"#);
    }
}
