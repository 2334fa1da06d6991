//! Why a broker does not start.

use std::{fmt, io};

/// Why [`EmbeddedBroker`](crate::EmbeddedBroker) could not be started.
#[derive(Debug)]
pub struct StartError {
    kind: StartErrorKind,
    message: String,
    source: Option<io::Error>,
}

/// What kind of failure a [`StartError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The address or port cannot be listened on: taken, privileged, or not of this machine.
    Listen,
    /// A setting of the builder has no meaning.
    Setting,
    /// The data directory cannot be read or written, is damaged, or was written by another version.
    Storage,
    /// Another broker runs on the data directory.
    InUse,
}

impl StartError {
    pub(crate) fn listen(address: std::net::SocketAddr, source: io::Error) -> Self {
        let message =
            format!("cannot listen on `{address}`; choose another port, or `0` for any that is free");
        Self { kind: StartErrorKind::Listen, message, source: Some(source) }
    }

    pub(crate) fn setting(message: String) -> Self {
        Self { kind: StartErrorKind::Setting, message, source: None }
    }

    pub(crate) fn storage(message: String, source: Option<io::Error>) -> Self {
        Self { kind: StartErrorKind::Storage, message, source }
    }

    pub(crate) fn in_use(message: String) -> Self {
        Self { kind: StartErrorKind::InUse, message, source: None }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> StartErrorKind {
        self.kind
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
