//! Text of unknown origin, made safe for one line of a log.
//!
//! A record's key, header or topic may hold any bytes. Written raw they could forge a log line, move a terminal's
//! cursor or reverse the reading direction. Here every such character becomes its escape.

use std::fmt::{self, Write};

/// The longest text that is shown whole, in bytes; more is cut and counted.
const SHOWN_BYTES_MAX: usize = 1024;

/// Shows bytes as one line of text: invalid UTF-8, control characters, line separators and direction overrides are
/// escaped, and what is longer than 1 KiB is cut with a note of how much is left out.
///
/// ```
/// use kafka_boot::escaped;
///
/// assert_eq!(escaped(b"paid\nERROR forged").to_string(), r"paid\nERROR forged");
/// assert_eq!(escaped(b"\xff\x1b[2J").to_string(), r"\xff\u{1b}[2J");
/// ```
pub fn escaped(bytes: &[u8]) -> impl fmt::Display + '_ {
    Escaped(bytes)
}

struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape_into(f, self.0)
    }
}

/// Writes `bytes` escaped into any formatter.
fn escape_into(out: &mut dyn Write, bytes: &[u8]) -> fmt::Result {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    for chunk in shown.utf8_chunks() {
        write_text(out, chunk.valid())?;
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    match bytes.len() - shown.len() {
        0 => Ok(()),
        rest => write!(out, "… (+{rest} bytes)"),
    }
}

fn write_text(out: &mut dyn Write, text: &str) -> fmt::Result {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        if !needs_escape(character) {
            continue;
        }
        out.write_str(&text[plain_from..at])?;
        write!(out, "{}", character.escape_default())?;
        plain_from = at + character.len_utf8();
    }
    out.write_str(&text[plain_from..])
}

/// Control characters (C0, DEL, C1), the Unicode line separators, and everything that reorders text on a screen.
fn needs_escape(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_sequence_breaks_a_line_or_reaches_the_terminal_raw() {
        let table: [(&[u8], &str); 7] = [
            (b"plain \xc3\xa9", "plain é"),
            (b"a\r\nb", r"a\r\nb"),
            (b"\x00\x07\x7f", r"\u{0}\u{7}\u{7f}"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            ("\u{202e}txt".as_bytes(), r"\u{202e}txt"),
            ("\u{2028}".as_bytes(), r"\u{2028}"),
            (b"\xf0\x9f", r"\xf0\x9f"),
        ];
        for (bytes, shown) in table {
            assert_eq!(escaped(bytes).to_string(), shown);
        }
    }

    #[test]
    fn long_text_is_cut_and_the_rest_is_counted() {
        let shown = escaped(&[b'a'; 2000]).to_string();
        assert!(shown.ends_with("a… (+976 bytes)"), "{shown}");
    }
}
