//! Who may connect: SASL with PLAIN and SCRAM, as Kafka has it.
//!
//! 1. A connection to a broker with users does nothing before it is authenticated, except asking what is supported.
//! 2. What is secret is compared in constant time, and is never shown, logged or sent.

mod plain;
mod scram;
mod session;
mod users;

pub(crate) use session::{Reply, Session};
pub(crate) use users::{SCRAM_ITERATIONS, Users};

use scram::Hash;

/// A way of proving that one knows the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    Scram(Hash),
}

impl Mechanism {
    /// All there are, in the order in which clients are told.
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Scram(Hash::Sha256), Self::Scram(Hash::Sha512)];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(Hash::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Hash::Sha512) => "SCRAM-SHA-512",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Denied {
    /// What is sent to everybody, so that nobody learns which users there are.
    Credentials,
    /// A mistake of the client that gives nothing away.
    Mistake(&'static str),
}
