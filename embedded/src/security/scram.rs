//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither sends it.
//!
//! The server's side without any input or output: two messages in, two out.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{Denied, Users};

/// The hash that a mechanism is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, message),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, message),
        }
    }

    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut salted = vec![0; 32];
                pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
                salted
            }
            Self::Sha512 => {
                let mut salted = vec![0; 64];
                pbkdf2_hmac::<Sha512>(password.as_bytes(), salt, iterations, &mut salted);
                salted
            }
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// What a server keeps of a password.
#[derive(Clone)]
pub(super) struct Credential {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Credential {
    pub(super) fn new(hash: Hash, password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let salted = hash.salted(password, &salt, iterations);
        let client_key = hash.hmac(&salted, b"Client Key");
        let server_key = hash.hmac(&salted, b"Server Key");
        Self { salt, iterations, stored_key: hash.digest(&client_key), server_key }
    }
}

/// What has been said so far.
pub(super) struct Challenged {
    hash: Hash,
    name: String,
    credential: Credential,
    nonce: String,
    /// What the client has to repeat as its channel binding.
    header: String,
    /// The client's first message without its header, and the server's first.
    said: String,
}

/// Answers the client's first message, `n,[a=…],n=<name>,r=<nonce>`, with a challenge.
pub(super) fn challenge(
    users: &Users,
    hash: Hash,
    message: &[u8],
    server_nonce: &str,
) -> Result<(Challenged, String), Denied> {
    let message = std::str::from_utf8(message).map_err(|_| Denied::Credentials)?;
    // There is no TLS here that a channel could be bound to.
    let rest = message.strip_prefix("n,").ok_or(Denied::Credentials)?;
    let (acts_for, bare) = rest.split_once(',').ok_or(Denied::Credentials)?;
    let mut fields = bare.split(',');
    // An extension that has to be understood would stand before the name, and there is none that is.
    let name = attribute(fields.next(), "n=").and_then(unescaped)?;
    let client_nonce = attribute(fields.next(), "r=")?;
    if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Denied::Credentials);
    }
    let credential = users.credential(&name, hash).ok_or(Denied::Credentials)?.clone();
    if !acts_for.is_empty() && attribute(Some(acts_for), "a=").and_then(unescaped)? != name {
        return Err(Denied::Mistake(
            "Authentication failed: Client requested an authorization id that is different from username",
        ));
    }
    let nonce = format!("{client_nonce}{server_nonce}");
    let answer = format!("r={nonce},s={},i={}", BASE64.encode(&credential.salt), credential.iterations);
    let challenged = Challenged {
        hash,
        name: name.into_owned(),
        credential,
        nonce,
        header: BASE64.encode(format!("n,{acts_for},")),
        said: format!("{bare},{answer}"),
    };
    Ok((challenged, answer))
}

impl Challenged {
    /// Checks the client's proof, `c=<binding>,r=<nonce>[,…],p=<proof>`: its name, and the proof of the server.
    pub(super) fn verify(self, message: &[u8]) -> Result<(String, String), Denied> {
        let message = std::str::from_utf8(message).map_err(|_| Denied::Credentials)?;
        let (said_last, proof) = message.rsplit_once(",p=").ok_or(Denied::Credentials)?;
        let mut fields = said_last.split(',');
        let binding = attribute(fields.next(), "c=")?;
        let nonce = attribute(fields.next(), "r=")?;
        if binding != self.header || nonce != self.nonce {
            return Err(Denied::Credentials);
        }
        let proof = BASE64.decode(proof).map_err(|_| Denied::Credentials)?;
        let Credential { stored_key, server_key, .. } = &self.credential;
        let said = format!("{},{said_last}", self.said);
        let signature = self.hash.hmac(stored_key, said.as_bytes());
        if proof.len() != signature.len() {
            return Err(Denied::Credentials);
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, mask)| proof ^ mask).collect();
        if !bool::from(self.hash.digest(&client_key).ct_eq(stored_key)) {
            return Err(Denied::Credentials);
        }
        let server_signature = self.hash.hmac(server_key, said.as_bytes());
        Ok((self.name, format!("v={}", BASE64.encode(server_signature))))
    }
}

fn attribute<'a>(field: Option<&'a str>, prefix: &str) -> Result<&'a str, Denied> {
    field.and_then(|field| field.strip_prefix(prefix)).ok_or(Denied::Credentials)
}

/// A name, in which a comma is written `=2C` and an equals sign `=3D`.
fn unescaped(name: &str) -> Result<Cow<'_, str>, Denied> {
    if name.is_empty() {
        return Err(Denied::Credentials);
    }
    if !name.contains('=') {
        return Ok(Cow::Borrowed(name));
    }
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Denied::Credentials),
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
