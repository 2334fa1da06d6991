//! [`ConfigErrors`]: everything that is wrong with a configuration, at once, with the place of each fault.

use std::fmt::{self, Display};

use super::secret::{MASK, is_secret_name};
use super::tree::{Node, Origin, Place, Provenance, Span};

/// The exit code of a program whose configuration is wrong: `EX_CONFIG` of `sysexits.h`.
pub const EXIT_CODE: u8 = 78;

/// The widest stretch of a source line that an excerpt shows, in characters.
const EXCERPT_WIDTH: usize = 120;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A file or folder cannot be read.
    Unreadable,
    /// A file is not the YAML that is accepted.
    Syntax,
    /// There is no such key.
    UnknownKey,
    /// A value is not of its key's type, or out of its bounds.
    InvalidValue,
    /// A value is needed and not given.
    MissingValue,
    /// A `${…}` cannot be replaced.
    Placeholder,
    /// Two values cannot both hold.
    Conflict,
    /// A profile has no file, or a name that cannot be one.
    Profile,
    /// An argument of the command line cannot be read.
    Argument,
    /// A setting that this program, or librdkafka, does not have.
    Unsupported,
}

/// Which part of an entry a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Focus {
    Key,
    Value,
}

/// One fault: where, which key, what was expected, and the remedy.
///
/// Its `Display` is the block that a start shows. No secret is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigError(Box<Fault>);

#[derive(Clone, PartialEq, Eq)]
struct Fault {
    kind: ConfigErrorKind,
    place: Place,
    focus: Focus,
    key: Option<String>,
    message: String,
    help: Option<String>,
    /// What was given, where the place has no line to show; `None` also for a secret.
    given: Option<String>,
    hide_value: bool,
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, place: Place, message: impl Into<String>) -> Self {
        Self(Box::new(Fault {
            kind,
            place,
            focus: Focus::Value,
            key: None,
            message: message.into(),
            help: None,
            given: None,
            hide_value: false,
        }))
    }

    /// A fault of a node's value.
    pub(crate) fn at(kind: ConfigErrorKind, node: &Node, key: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(kind, node.place.clone(), message).key(key);
        if must_hide(node, key) {
            return error.hide_value();
        }
        error.0.given = node.as_scalar().map(str::to_owned);
        if node.provenance == Provenance::Expanded
            && let Some(given) = &error.0.given
        {
            error.0.message = format!("stands for `{}`: {}", printable(given), error.0.message);
        }
        error
    }

    pub(crate) fn key(mut self, key: &str) -> Self {
        self.0.key = Some(key.to_owned());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        self.help(help)
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.0.help = help;
        self
    }

    /// Points at the key rather than at its value, which is not shown: nobody knows what it is.
    pub(crate) fn on_key(mut self) -> Self {
        self.0.focus = Focus::Key;
        self.hide_value()
    }

    pub(crate) fn hide_value(mut self) -> Self {
        self.0.given = None;
        self.0.hide_value = true;
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> ConfigErrorKind {
        self.0.kind
    }

    /// The dotted key the fault is about, if it is about one.
    pub fn config_key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// What was expected, in a fragment without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The remedy, if one is known.
    pub fn remedy(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Where the fault is.
    pub fn origin(&self) -> Origin {
        Origin(self.0.place.clone())
    }

    fn span(&self) -> Option<Span> {
        match &self.0.place {
            Place::File { key: Some(key), .. } if self.0.focus == Focus::Key => Some(*key),
            Place::File { value, .. } => Some(*value),
            _ => None,
        }
    }

    /// By file and line; what has no line comes first.
    fn sort_key(&self) -> (String, Option<Span>) {
        let name = match &self.0.place {
            Place::File { source, .. } => source.name.clone(),
            other => other.to_string(),
        };
        (name, self.span())
    }
}

/// Whether no message may repeat a node's value: its key or its source is that of a secret, or it is an
/// address with a password in it.
pub(crate) fn must_hide(node: &Node, key: &str) -> bool {
    let has_password = node.as_scalar().is_some_and(|text| text.contains("://") && text.contains('@'));
    node.provenance == Provenance::Sensitive || is_secret_name(key) || has_password
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error: invalid configuration\n")?;
        let margin = if let (Place::File { source, .. }, Some(span)) = (&self.0.place, self.span()) {
            let margin = span.line.to_string().len();
            writeln!(f, "{:margin$}--> {}:{}:{}", "", source.name, span.line, span.column)?;
            let line = source.text.lines().nth(span.line - 1).unwrap_or_default();
            let excerpt = Excerpt::of(line, span, self.0.hide_value, self.0.focus);
            writeln!(f, "{:margin$} |", "")?;
            writeln!(f, "{} | {}", span.line, excerpt.text)?;
            let carets = "^".repeat(excerpt.length);
            writeln!(
                f,
                "{:margin$} | {:indent$}{carets} {}",
                "",
                "",
                self.0.message,
                indent = excerpt.indent
            )?;
            margin
        } else {
            writeln!(f, "  --> {}", self.0.place)?;
            writeln!(f, "   |")?;
            match &self.0.given {
                Some(given) if !given.is_empty() => {
                    let given = printable(&given.chars().take(EXCERPT_WIDTH).collect::<String>());
                    writeln!(f, "   | {given}")?;
                    writeln!(f, "   | {} {}", "^".repeat(given.chars().count()), self.0.message)?;
                }
                _ => writeln!(f, "   = {}", self.0.message)?,
            }
            2
        };
        if let Some(key) = &self.0.key {
            writeln!(f, "{:margin$} = key: {}", "", printable(key))?;
        }
        if let Some(help) = &self.0.help {
            writeln!(f, "{:margin$} = help: {help}", "")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

/// The part of a source line that an error shows.
struct Excerpt {
    text: String,
    indent: usize,
    length: usize,
}

impl Excerpt {
    fn of(line: &str, span: Span, hide_value: bool, focus: Focus) -> Self {
        let characters: Vec<char> = line.chars().collect();
        let column = (span.column - 1).min(characters.len());
        let rest = characters.len() - column;
        let length = span.length.clamp(1, rest.max(1));
        // The mask is as long as what it hides, so the columns hold.
        let masked: Vec<char> = mask_secrets(line).chars().collect();
        let shown: String = match (hide_value, focus) {
            (false, _) => masked.iter().collect(),
            (true, Focus::Key) => {
                // A key is no secret, even one that the mask took for a value.
                let key = &characters[column..column + length.min(rest)];
                masked[..column].iter().chain(key).collect::<String>() + ": …"
            }
            (true, Focus::Value) => masked[..column].iter().collect::<String>() + MASK,
        };
        let length = if hide_value && focus == Focus::Value { MASK.len() } else { length };

        // A window around the fault, for a line that would fill the screen.
        let start = if column + length > EXCERPT_WIDTH { column.saturating_sub(20) } else { 0 };
        let window: String = shown.chars().skip(start).take(EXCERPT_WIDTH).collect();
        Self {
            text: printable(&window).trim_end().to_owned(),
            indent: column - start,
            length: length.min(EXCERPT_WIDTH.saturating_sub(column - start)).max(1),
        }
    }
}

/// Replaces the values behind keys that sound like secrets, for lines whose structure is not known.
///
/// The mask is as long as what it hides, so that carets beside it keep their place. The name in a placeholder
/// is shown, its default is not.
fn mask_secrets(line: &str) -> String {
    let characters: Vec<char> = line.chars().collect();
    let mut shown = characters.clone();
    let mut word = String::new();
    let mut in_flow = false;
    let mut index = 0;
    while index < characters.len() {
        let character = characters[index];
        let ends_key = match character {
            ':' => characters.get(index + 1).is_none_or(|next| next.is_whitespace()),
            character => character == '=',
        };
        index += 1;
        if ends_key && is_secret_name(&word) {
            let end = secret_end(&characters, index, in_flow);
            for hidden in hidden_positions(&characters, index, end) {
                shown[hidden] = '*';
            }
            index = end;
            word.clear();
            continue;
        }
        match character {
            '{' | '[' | ',' | '}' | ']' | ':' => {
                in_flow |= matches!(character, '{' | '[');
                word.clear();
            }
            _ => word.push(character),
        }
    }
    shown.into_iter().collect()
}

/// Where a value that begins after a key ends: at its closing quote, at the `,` or `}` of its collection, or
/// with the line.
fn secret_end(characters: &[char], start: usize, in_flow: bool) -> usize {
    let Some(first) = (start..characters.len()).find(|index| !characters[*index].is_whitespace()) else {
        return characters.len();
    };
    let opening = characters[first];
    let is_end = |index: &usize| match opening {
        '"' | '\'' => characters[*index] == opening && characters[index - 1] != '\\',
        // A collection or a placeholder under such a key is hidden with all that follows it on the line.
        '{' | '[' | '$' => false,
        _ => in_flow && matches!(characters[*index], ',' | '}' | ']'),
    };
    (first + 1..characters.len()).find(is_end).unwrap_or(characters.len())
}

/// What is masked of a value: all but blanks and, in a placeholder, all behind the name.
fn hidden_positions(characters: &[char], start: usize, end: usize) -> Vec<usize> {
    let value: String = characters[start..end].iter().collect();
    let trimmed = value.trim_start().trim_start_matches(['"', '\'']);
    let skipped = value.chars().count() - trimmed.chars().count();
    // A path or the name of a variable is no secret; a default may be one.
    let stop = if trimmed.starts_with("${file:") { &['}'][..] } else { &['}', ':'][..] };
    let name = if trimmed.starts_with("${") {
        trimmed.find(stop).map_or(0, |end| trimmed[..=end].chars().count())
    } else {
        0
    };
    let from = if name > 0 { start + skipped + name } else { start };
    (from..end).filter(|index| !characters[*index].is_whitespace()).collect()
}

/// Text that cannot steer the terminal: every control character becomes a space or a `�`.
fn printable(text: &str) -> String {
    let is_directive =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() || is_directive(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Everything that is wrong with a configuration.
///
/// ```
/// use kafka_boot::config::{LoadOptions, Settings};
///
/// let options = LoadOptions { arguments: vec!["--kafka.producer.acks=most".into()], ..LoadOptions::default() };
/// let errors = Settings::load(options).unwrap_err();
/// assert_eq!(errors.exit_code(), 78);
/// assert!(errors.to_string().contains("expected one of `all`, `1`, `0`"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(crate) fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    /// The result of a check: the value if nothing was found wrong.
    pub(crate) fn into_result<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_cached_key(ConfigError::sort_key);
        self.0.dedup();
        Err(self)
    }

    /// The faults, by file and line.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// How many faults there are, never 0 in what a function of this module returned.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The exit code of a program that could not start because of them: 78.
    pub fn exit_code(&self) -> u8 {
        EXIT_CODE
    }
}

impl FromIterator<ConfigError> for ConfigErrors {
    /// Gathers faults, for example those of several listeners, in the order in which they are shown.
    fn from_iter<I: IntoIterator<Item = ConfigError>>(errors: I) -> Self {
        match Self(errors.into_iter().collect()).into_result(()) {
            Ok(()) => Self::default(),
            Err(sorted) => sorted,
        }
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            Display::fmt(error, f)?;
        }
        if self.0.len() > 1 {
            writeln!(f, "\nerror: {} faults in the configuration", self.0.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigErrors {}

/// The candidate that the given text is most likely a slip of, if one is near.
pub(crate) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let squeezed = squeeze(given);
    let allowed = (squeezed.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&squeezed, &squeeze(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help of a near miss.
pub(crate) fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// A name without case and separators, so that `groupId`, `GROUP_ID` and `group-id` are one.
pub(crate) fn squeeze(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).flat_map(char::to_lowercase).take(64).collect()
}

/// The number of characters to insert, drop, replace or swap with their neighbour that makes one text the
/// other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, l) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, r) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(l != r);
            let mut best = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *l == right[column - 1] && left[row - 1] == *r {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        let keys = ["group-id", "auto-offset-reset", "concurrency"];
        for (given, expected) in [
            ("groupId", Some("group-id")),
            ("gruop-id", Some("group-id")),
            ("auto-ofset-reset", Some("auto-offset-reset")),
            ("concurency", Some("concurrency")),
            ("topic", None),
            ("x", None),
        ] {
            assert_eq!(nearest(given, keys), expected, "{given}");
        }
    }

    #[test]
    fn values_behind_telling_keys_are_masked_in_place() {
        for (line, shown) in [
            ("password: hunter2", "password: *******"),
            ("password: a, b} c", "password: ** ** *"),
            (
                "sasl: { username: me, password: hunter2, x: y }",
                "sasl: { username: me, password: *******, x: y }",
            ),
            ("sasl: { password: \"a, b\", x: y }", "sasl: { password: *** *\", x: y }"),
            ("  token: \"a b\"", "  token: ** *\""),
            ("password: [a, b], c", "password: *** *** *"),
            ("password: ${PASSWORD:hunter2}", "password: ${PASSWORD:********"),
            ("password: ${PASSWORD}hunter2", "password: ${PASSWORD}*******"),
            ("password: ${file:/run/secret}", "password: ${file:/run/secret}"),
            ("password: '${file:/run/secret}'", "password: '${file:/run/secret}'"),
            ("group-id: password", "group-id: password"),
        ] {
            assert_eq!(mask_secrets(line), shown);
            assert_eq!(shown.chars().count(), line.chars().count(), "{line}");
        }
    }

    #[test]
    fn nothing_in_an_excerpt_can_steer_the_terminal() {
        assert_eq!(printable("a\tb\u{1b}[31m\u{202e}c"), "a b\u{fffd}[31m\u{fffd}c");
    }
}
