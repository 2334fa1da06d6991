//! Why a command failed, in words and as an exit code.

use std::fmt;

use kafka_boot::config::{ConfigErrors, EXIT_CODE};
use kafka_boot_client::{ClientError, ErrorCode, ErrorKind};
use serde_json::{Value, json};

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
    /// The result could not be written.
    Output(std::io::Error),
    /// The input could not be read.
    Input(std::io::Error),
    /// Several things failed, each for itself.
    Several(Vec<CliError>),
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
            Self::Several(errors) => {
                let first = errors.first().map_or(FAILED, Self::exit_code);
                if errors.iter().all(|error| error.exit_code() == first) { first } else { FAILED }
            }
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

impl CliError {
    /// What is wrong, and what helps.
    fn parts(&self) -> (String, Option<&str>) {
        match self {
            Self::Failed { message, help } => (message.clone(), help.as_deref()),
            Self::Client(error) => (error.to_string(), remedy(error)),
            Self::Output(error) => (format!("cannot write the result: {error}"), None),
            Self::Input(error) => (format!("cannot read the input: {error}"), None),
            Self::Interrupted => ("interrupted".to_owned(), None),
            Self::Config(_) | Self::Several(_) => {
                (self.to_string().trim().trim_start_matches("error: ").to_owned(), None)
            }
        }
    }

    /// For programs: an object a line.
    pub(crate) fn to_json_lines(&self) -> String {
        if let Self::Several(errors) = self {
            return errors.iter().map(Self::to_json_lines).collect();
        }
        let (error, help) = self.parts();
        format!("{}\n", json!({ "error": error, "help": help, "code": self.exit_code() }))
    }
}

/// The object for arguments that make no sense; the text is what people would be told.
pub(crate) fn usage(told: &str) -> Value {
    let told = told.trim().trim_start_matches("error: ");
    let (error, help) =
        told.split_once("\n\n").map_or((told, None), |(error, help)| (error, Some(help.trim())));
    json!({ "error": error, "help": help, "code": USAGE })
}

/// What became of several things, each of which may have failed for itself.
#[derive(Default)]
pub(crate) struct Failures(Vec<CliError>);

impl Failures {
    pub(crate) fn add(&mut self, error: impl Into<CliError>) {
        self.0.push(error.into());
    }

    /// All that failed, or else what is left to say.
    pub(crate) fn or(mut self, rest: Result<(), CliError>) -> Result<(), CliError> {
        match self.0.len() {
            0 => rest,
            1 => Err(self.0.remove(0)),
            _ => Err(CliError::Several(self.0)),
        }
    }
}

impl<E: Into<CliError>> FromIterator<E> for Failures {
    fn from_iter<I: IntoIterator<Item = E>>(errors: I) -> Self {
        Self(errors.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => return write!(f, "{errors}"),
            Self::Several(errors) => return errors.iter().try_for_each(|error| write!(f, "{error}")),
            Self::Interrupted => return writeln!(f, "interrupted"),
            _ => {}
        }
        let (error, help) = self.parts();
        writeln!(f, "error: {error}")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_are_told_each_with_the_code_they_share() {
        let mut failures = Failures::default();
        failures.add(CliError::failed("one").with_help("do"));
        failures.add(CliError::failed("two"));
        let both = failures.or(Ok(())).expect_err("they failed");
        assert_eq!(both.to_string(), "error: one\n  help: do\nerror: two\n");
        assert_eq!(
            both.to_json_lines(),
            "{\"code\":1,\"error\":\"one\",\"help\":\"do\"}\n{\"code\":1,\"error\":\"two\",\"help\":null}\n"
        );
        assert_eq!(both.exit_code(), FAILED);
        assert_eq!(CliError::Several(vec![CliError::Interrupted, both]).exit_code(), FAILED);
        assert!(Failures::default().or(Ok(())).is_ok());
        assert!(matches!(Failures::default().or(Err(CliError::Interrupted)), Err(CliError::Interrupted)));
    }
}
