//! A record as text of the user's own.

use std::io::Write;

use kafka_boot_client::RawRecord;

use super::format::{text, time};

/// Text with places for what a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Time,
    Timestamp,
    Key,
    Value,
    KeySize,
    ValueSize,
    Headers,
    Header(String),
}

const NAMES: [(&str, Piece); 10] = [
    ("topic", Piece::Topic),
    ("partition", Piece::Partition),
    ("offset", Piece::Offset),
    ("time", Piece::Time),
    ("timestamp", Piece::Timestamp),
    ("key", Piece::Key),
    ("value", Piece::Value),
    ("key-size", Piece::KeySize),
    ("value-size", Piece::ValueSize),
    ("headers", Piece::Headers),
];

/// A template, as an argument.
pub(super) fn parse(text: &str) -> Result<Template, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '\\']) {
        plain.push_str(&rest[..at]);
        let (special, behind) = rest[at..].split_at(1);
        rest = behind;
        if special == "\\" {
            let Some(character) = rest.chars().next() else { return Err("a `\\` ends it".to_owned()) };
            rest = &rest[character.len_utf8()..];
            plain.push(match character {
                'n' => '\n',
                't' => '\t',
                '0' => '\0',
                other => other,
            });
            continue;
        }
        if let Some(behind) = rest.strip_prefix(special) {
            plain.push_str(special);
            rest = behind;
            continue;
        }
        let (name, behind) = match rest.split_once('}') {
            Some(found) if special == "{" => found,
            _ => {
                return Err(format!(
                    "a `{special}` stands alone; write `{special}{special}` for a plain one"
                ));
            }
        };
        rest = behind;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece(name)?);
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Template(pieces))
}

fn piece(name: &str) -> Result<Piece, String> {
    if let Some(header) = name.strip_prefix("header.").filter(|header| !header.is_empty()) {
        return Ok(Piece::Header(header.to_owned()));
    }
    let found = NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, piece)| piece);
    found.ok_or_else(|| {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        format!("there is no {{{name}}}: expected one of {}, {{header.NAME}}", names.join(", "))
    })
}

impl Template {
    /// Appends the record. Writing into memory cannot fail.
    pub(super) fn write(&self, record: &RawRecord, is_shown: bool, into: &mut Vec<u8>) {
        let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        for piece in &self.0 {
            let _ = match piece {
                Piece::Text(plain) => into.write_all(plain.as_bytes()),
                Piece::Topic => into.write_all(record.topic().as_bytes()),
                Piece::Partition => write!(into, "{}", record.partition()),
                Piece::Offset => write!(into, "{}", record.offset()),
                Piece::Time => {
                    time(record.timestamp(), into);
                    Ok(())
                }
                Piece::Timestamp => match record.timestamp().millis() {
                    Some(millis) => write!(into, "{millis}"),
                    None => write!(into, "-"),
                },
                Piece::Key => {
                    text(record.key(), is_shown, into);
                    Ok(())
                }
                Piece::Value => {
                    text(record.payload(), is_shown, into);
                    Ok(())
                }
                Piece::KeySize => write!(into, "{}", size(record.key())),
                Piece::ValueSize => write!(into, "{}", size(record.payload())),
                Piece::Headers => {
                    headers(record, is_shown, into);
                    Ok(())
                }
                Piece::Header(name) => {
                    text(record.header(name).flatten(), is_shown, into);
                    Ok(())
                }
            };
        }
    }
}

fn headers(record: &RawRecord, is_shown: bool, into: &mut Vec<u8>) {
    for (index, (name, value)) in record.headers().enumerate() {
        if index > 0 {
            into.push(b',');
        }
        text(Some(name.as_bytes()), is_shown, into);
        into.push(b'=');
        text(value, is_shown, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_with_places() {
        let template = parse("{key}\\t{{x}} {header.a.b}{value}!").expect("it is one");
        let expected = [
            Piece::Key,
            Piece::Text("\t{x} ".to_owned()),
            Piece::Header("a.b".to_owned()),
            Piece::Value,
            Piece::Text("!".to_owned()),
        ];
        assert_eq!(template, Template(expected.into()));
    }

    #[test]
    fn what_is_no_template_is_told() {
        for wrong in ["{", "}", "{key", "key}", "{kay}", "{}", "{header.}", "\\"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
