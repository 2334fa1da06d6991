//! Why a command failed, in words and as an exit code.

use std::fmt;

use kafka_boot::config::{ConfigErrors, EXIT_CODE};
use kafka_boot_client::{ClientError, ErrorCode, ErrorKind};

use crate::interrupt::INTERRUPTED;

/// Arguments that make no sense.
pub(crate) const USAGE: u8 = 2;
const FAILED: u8 = 1;
/// No broker answers: `EX_UNAVAILABLE`.
const UNAVAILABLE: u8 = 69;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The tool says so itself.
    Failed { message: String, help: Option<String> },
    /// The configuration is at fault.
    Config(ConfigErrors),
    /// The cluster refused, or there is none.
    Client(ClientError),
    /// The result could not be written, or the input not be read.
    Output(std::io::Error),
    /// It was told to end before it was done.
    Interrupted,
}

impl CliError {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), help: None }
    }

    /// Adds the remedy.
    pub(crate) fn with_help(self, remedy: impl Into<String>) -> Self {
        match self {
            Self::Failed { message, .. } => Self::Failed { message, help: Some(remedy.into()) },
            other => other,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CODE,
            Self::Client(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Configuration { .. } | ErrorKind::FeatureMissing { .. }
                ) =>
            {
                EXIT_CODE
            }
            Self::Client(error) if is_unreachable(error) => UNAVAILABLE,
            Self::Interrupted => INTERRUPTED,
            _ => FAILED,
        }
    }
}

/// Whether no broker answers.
pub(crate) fn is_unreachable(error: &ClientError) -> bool {
    matches!(error.kind(), ErrorKind::AllBrokersDown | ErrorKind::Transport | ErrorKind::Timeout)
}

/// What helps against an error of the cluster.
fn remedy(error: &ClientError) -> Option<&'static str> {
    if is_unreachable(error) {
        return Some(
            "is the broker up, and does `--bootstrap-servers` (or the service's `application.yml`) name it?",
        );
    }
    match error.kind() {
        ErrorKind::UnknownTopic => Some("`kafka-boot topics list` shows those that are there"),
        ErrorKind::Authentication => Some("check the credentials in `--command-config` or `kafka.security`"),
        ErrorKind::Authorization => Some("ask who administers the cluster for the right to do this"),
        _ if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
            Some("`kafka-boot groups list` shows those that are there")
        }
        _ if error.code() == Some(ErrorCode::NON_EMPTY_GROUP) => Some("stop the group's members first"),
        _ if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
            Some("`--if-not-exists` leaves it as it is; `topics partitions` and `topics alter` change it")
        }
        _ => None,
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self {
            Self::Config(errors) => return write!(f, "{errors}"),
            Self::Failed { message, help } => {
                writeln!(f, "error: {message}")?;
                help.as_deref()
            }
            Self::Client(error) => {
                writeln!(f, "error: {error}")?;
                remedy(error)
            }
            Self::Output(error) => {
                writeln!(f, "error: cannot read or write: {error}")?;
                None
            }
            Self::Interrupted => {
                writeln!(f, "interrupted")?;
                None
            }
        };
        help.map_or(Ok(()), |help| writeln!(f, "  help: {help}"))
    }
}

impl From<ConfigErrors> for CliError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}
