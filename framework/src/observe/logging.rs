//! The log: levels and format from the configuration, and one line an event whatever the event holds.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::model::{AnsiMode, LogFormat, LogLevel, LoggingProperties};

/// The target under which librdkafka's own log lines appear.
const CLIENT_TARGET: &str = "kafka_boot::client";

/// Starts logging to standard output as configured. A subscriber that the user installed before stays.
pub(crate) fn init(properties: &LoggingProperties) {
    let ansi = match properties.ansi {
        AnsiMode::Always => true,
        AnsiMode::Never => false,
        AnsiMode::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match properties.format {
        LogFormat::Plain => Box::new(fmt::layer().with_ansi(ansi).with_writer(OneLine(Form::Text))),
        LogFormat::Json => Box::new(fmt::layer().json().flatten_event(true).with_writer(OneLine(Form::Json))),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets(properties)));
    if subscriber.try_init().is_err() {
        tracing::debug!("a subscriber is installed already; `logging` in the configuration has no effect");
    }
}

/// A log of its own for whatever runs under the dispatcher: the configured levels, one line an event.
pub(crate) fn capturing<W>(properties: &LoggingProperties, out: W) -> Dispatch
where
    W: Write + Clone + Send + Sync + 'static,
{
    let layer = fmt::layer().with_ansi(false).with_writer(OneLineOf(out));
    Dispatch::new(tracing_subscriber::registry().with(layer.with_filter(targets(properties))))
}

fn targets(properties: &LoggingProperties) -> Targets {
    let root = filter(properties.root_level());
    let named = properties.level.iter().filter(|(target, _)| *target != "root");
    // tokio-cron-scheduler tells of its own bookkeeping at `info` and `error`; it is of no use to a service's log.
    let quiet = Targets::new().with_default(root).with_target("tokio_cron_scheduler", LevelFilter::OFF);
    let quiet = quiet.with_target(CLIENT_TARGET, root);
    named.fold(quiet, |targets, (target, level)| targets.with_target(target, filter(*level)))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Standard output, where an event stays on one line: tracing-subscriber escapes terminal controls, but neither line
/// breaks nor characters that reorder a line.
struct OneLine(Form);

/// Any writer, where an event stays on one line.
struct OneLineOf<W>(W);

impl<'a, W: Write + Clone + 'a> MakeWriter<'a> for OneLineOf<W> {
    type Writer = OneLineWriter<W>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter { out: self.0.clone(), form: Form::Text }
    }
}

/// What an escape has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// Inside a string of a JSON object, where every character that needs an escape stands.
    Json,
}

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = OneLineWriter<io::Stdout>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter { out: io::stdout(), form: self.0 }
    }
}

/// Writes each buffer, which is one event, as one line.
struct OneLineWriter<W> {
    out: W,
    form: Form,
}

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.out.write_all(&one_line(event, self.form))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn one_line(event: &[u8], form: Form) -> std::borrow::Cow<'_, [u8]> {
    let (body, end) = match event.split_last() {
        Some((b'\n', body)) => (body, &b"\n"[..]),
        _ => (event, &b""[..]),
    };
    let is_clean = !body.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0xe2));
    if is_clean {
        return event.into();
    }
    let text = String::from_utf8_lossy(body);
    let mut line = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                match form {
                    Form::Text => line.extend(character.escape_default()),
                    // Writing to a string does not fail.
                    Form::Json => drop(write!(line, "\\u{:04x}", u32::from(character))),
                }
            }
            _ => line.push(character),
        }
    }
    let mut bytes = line.into_bytes();
    bytes.extend_from_slice(end);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_breaks_inside_an_event_are_escaped_and_the_end_is_kept() {
        assert_eq!(one_line(b"a\nb\r\n", Form::Text).as_ref(), b"a\\nb\\r\n");
        assert_eq!(
            one_line("a\u{2028}b\u{202e}c – ok\n".as_bytes(), Form::Text).as_ref(),
            "a\\u{2028}b\\u{202e}c – ok\n".as_bytes()
        );
    }

    #[test]
    fn an_escaped_event_is_still_json_of_the_same_text() {
        let event = "{\"value\":\"a\u{2028}b\u{202e}c – ok\"}\n";
        let line = one_line(event.as_bytes(), Form::Json).into_owned();
        assert!(!String::from_utf8_lossy(&line).contains(['\u{2028}', '\u{202e}']));
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["value"], "a\u{2028}b\u{202e}c – ok");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn one_event_is_one_line_whatever_it_holds(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut event = body;
            event.push(b'\n');
            let line = one_line(&event, Form::Text).into_owned();
            prop_assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
            prop_assert!(!line.contains(&b'\r'));
        }
    }
}
