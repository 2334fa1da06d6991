//! SASL/PLAIN (RFC 4616): the name and the password, as they are.

use super::{Denied, Users};

/// The name of the user who says `[authorization id] NUL name NUL password`.
pub(super) fn authenticate(users: &Users, message: &[u8]) -> Result<String, Denied> {
    let message = std::str::from_utf8(message).map_err(|_| Denied::Credentials)?;
    let parts: Vec<&str> = message.splitn(4, '\0').collect();
    let [acts_for, name, password] = parts[..] else {
        return Err(Denied::Mistake(
            "Invalid SASL/PLAIN response: expected an authorization id, a user name and a password",
        ));
    };
    if name.is_empty() {
        return Err(Denied::Mistake("Authentication failed: username not specified"));
    }
    if password.is_empty() {
        return Err(Denied::Mistake("Authentication failed: password not specified"));
    }
    if !users.has_password(name, password) {
        return Err(Denied::Mistake("Authentication failed: Invalid username or password"));
    }
    if !acts_for.is_empty() && acts_for != name {
        return Err(Denied::Mistake(
            "Authentication failed: Client requested an authorization id that is different from username",
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_the_password_is_let_in_and_everybody_else_is_told_what_is_wrong() {
        let mut users = Users::default();
        users.add("alice".to_owned(), "secret".to_owned());
        let cases: [(&[u8], Result<&str, &str>); 9] = [
            (b"\0alice\0secret", Ok("alice")),
            (b"alice\0alice\0secret", Ok("alice")),
            (b"bob\0alice\0secret", Err("different from username")),
            (b"\0alice\0wrong", Err("Invalid username or password")),
            (b"\0bob\0secret", Err("Invalid username or password")),
            (b"\0\0secret", Err("username not specified")),
            (b"\0alice\0", Err("password not specified")),
            (b"alice\0secret", Err("expected an authorization id")),
            (b"\0alice\0secret\0more", Err("expected an authorization id")),
        ];
        for (message, expected) in cases {
            match (authenticate(&users, message), expected) {
                (Ok(name), Ok(expected)) => assert_eq!(name, expected),
                (Err(Denied::Mistake(why)), Err(expected)) => assert!(why.contains(expected), "{why}"),
                other => panic!("{message:?}: {other:?}"),
            }
        }
        assert_eq!(authenticate(&users, b"\0alice\0\xff"), Err(Denied::Credentials));
    }
}
