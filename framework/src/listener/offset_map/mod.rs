//! Which records beyond the committed offset are done: what is kept as text beside it, in the commit's metadata.
//!
//! Sans-IO. The text is `kbm1.` and, in URL-safe base64 without padding: a byte for the form, the committed offset as a
//! varint, the form's body, and a CRC-32C of all that in four bytes. There are two forms, and the shorter one is
//! written: a bit for each offset behind the committed one, or the lengths of the runs that are open and done in turn.
//!
//! # Invariants
//! 1. What is decoded is exactly what was encoded: a text that was changed, cut short or moved to another offset is
//!    refused, because a record wrongly taken for done is a record lost.
//! 2. A map whose records lie within [`worst_case_bytes`] of a limit fits it, whatever the pattern of its records.
//! 3. Where a map does not fit, the records furthest ahead are left out: they are handled again, never lost.

mod codec;

use std::fmt;

use codec::{CHECKSUM_BYTES, base64_length, read_varint, varint_length, write_varint};

/// How every text begins; the number is that of the format.
const PREFIX: &str = "kbm1.";
/// How the texts of any version begin.
const FAMILY: &str = "kbm";
const BITS: u8 = b'b';
const RUNS: u8 = b'r';
/// No map spans more offsets than this: what a damaged text claims must not cost memory.
const SPAN_MAX: u64 = 1 << 32;

/// The records of one partition that are done although records before them are not.
///
/// A listener with `ordering: key` or `none` finishes records out of order. Kafka's commit is one offset, so the
/// framework writes what is done beyond it into the commit's metadata, and reads it back when it takes the partition
/// over. This type reads such a text for everybody else, a command line tool for instance.
///
/// ```
/// use kafka_boot::OffsetMap;
///
/// let map = OffsetMap::from_done(100, [101..103, 107..108]);
/// let text = map.encode(4096).0;
/// let read = OffsetMap::decode(100, &text)?.expect("the text is a map");
/// assert_eq!(read.done().collect::<Vec<_>>(), [101..103, 107..108]);
/// assert_eq!(read.len(), 3);
/// assert!(read.contains(107) && !read.contains(103));
/// assert!(OffsetMap::decode(100, "what another program keeps here").is_err());
/// assert_eq!(OffsetMap::decode(100, "")?, None);
/// # Ok::<(), kafka_boot::OffsetMapError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetMap {
    /// The committed offset: the next one to read for whoever knows of no map.
    base: i64,
    /// Runs of done offsets, `start..end`, in order, apart from one another, all beyond `base`.
    done: Vec<(i64, i64)>,
}

/// Why a text is no map of the offset it was found at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetMapError {
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Foreign,
    Version,
    Damaged,
    OtherOffset { committed: i64, written_for: i64 },
}

impl fmt::Display for OffsetMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Foreign => f.write_str("the metadata is not an offset map; another program wrote it"),
            Reason::Version => write!(
                f,
                "the offset map is of another version, expected one that begins with `{PREFIX}`; a newer \
                 program wrote it"
            ),
            Reason::Damaged => f.write_str("the offset map is damaged: its checksum does not match"),
            Reason::OtherOffset { committed, written_for } => write!(
                f,
                "the offset map belongs to offset {written_for} and was found at {committed}: somebody copied it"
            ),
        }
    }
}

impl std::error::Error for OffsetMapError {}

impl From<Reason> for OffsetMapError {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

impl OffsetMap {
    /// Makes the map of a committed offset from runs of done offsets in increasing order. What is not beyond `base`
    /// is left out, and runs that touch become one.
    pub fn from_done(base: i64, runs: impl IntoIterator<Item = std::ops::Range<i64>>) -> Self {
        let mut done: Vec<(i64, i64)> = Vec::new();
        for run in runs {
            let start = run.start.max(base.saturating_add(1));
            match done.last_mut() {
                _ if start >= run.end => {}
                Some((_, end)) if start <= *end => *end = run.end.max(*end),
                _ => done.push((start, run.end)),
            }
        }
        Self { base, done }
    }

    /// The committed offset that the map belongs to.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// The runs of done offsets, in order.
    pub fn done(&self) -> impl Iterator<Item = std::ops::Range<i64>> + '_ {
        self.done.iter().map(|(start, end)| *start..*end)
    }

    /// How many offsets count as done; some of them may never have held a record.
    pub fn len(&self) -> u64 {
        self.done.iter().map(|(start, end)| end.abs_diff(*start)).sum()
    }

    /// Whether nothing beyond the committed offset is done.
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Whether the record at `offset` is done.
    pub fn contains(&self, offset: i64) -> bool {
        let next = self.done.partition_point(|(_, end)| *end <= offset);
        self.done.get(next).is_some_and(|(start, _)| *start <= offset)
    }

    /// The text for the commit's metadata, of at most `max_bytes`; empty if nothing is done beyond the offset. Whether
    /// all of the map is in it comes second: what had to be left out is what lies furthest ahead.
    pub fn encode(&self, max_bytes: usize) -> (String, bool) {
        let body_max = body_room(self.base, max_bytes);
        if self.is_empty() {
            return (String::new(), true);
        }
        let bits_length = usize::try_from(self.span().div_ceil(8)).unwrap_or(usize::MAX);
        let (runs, runs_end) = self.write_runs(body_max.min(bits_length));
        if runs_end == self.done.len() && runs.len() <= bits_length {
            return (self.seal(RUNS, &runs), true);
        }
        if bits_length <= body_max {
            return (self.seal(BITS, &self.write_bits(bits_length)), true);
        }
        let (runs, runs_end) = self.write_runs(body_max);
        if runs_end == self.done.len() {
            return (self.seal(RUNS, &runs), true);
        }
        let bits_end = self.done.partition_point(|(_, end)| bits_of(self.base, *end) <= body_max as u64 * 8);
        let part = Self { base: self.base, done: self.done[..runs_end.max(bits_end)].to_vec() };
        if part.is_empty() {
            return (String::new(), false);
        }
        (part.encode(max_bytes).0, false)
    }

    /// Reads the metadata of a committed offset. `None` is an empty text: nothing is done beyond the offset.
    ///
    /// # Errors
    /// If the text was written by another program, by a newer version of this one, for another offset, or is damaged.
    pub fn decode(committed_offset: i64, metadata: &str) -> Result<Option<Self>, OffsetMapError> {
        if metadata.is_empty() {
            return Ok(None);
        }
        let Some(text) = metadata.strip_prefix(PREFIX) else {
            let version = metadata.strip_prefix(FAMILY).and_then(|rest| rest.split_once('.'));
            let is_ours = version.is_some_and(|(number, _)| number.parse::<u32>().is_ok());
            return Err(if is_ours { Reason::Version } else { Reason::Foreign }.into());
        };
        let sealed = codec::from_base64(text).ok_or(Reason::Damaged)?;
        let content = codec::checked(&sealed).ok_or(Reason::Damaged)?;
        let (form, mut rest) = content.split_first().ok_or(Reason::Damaged)?;
        let base = read_varint(&mut rest).and_then(|base| i64::try_from(base).ok()).ok_or(Reason::Damaged)?;
        if base != committed_offset {
            return Err(Reason::OtherOffset { committed: committed_offset, written_for: base }.into());
        }
        let done = match *form {
            BITS => read_bits(base, rest),
            RUNS => read_runs(base, rest),
            _ => return Err(Reason::Version.into()),
        };
        Ok(Some(Self { base, done: done.ok_or(Reason::Damaged)? }))
    }

    /// How many offsets lie behind the committed one, up to the last that is done.
    fn span(&self) -> u64 {
        self.done.last().map_or(0, |(_, end)| bits_of(self.base, *end))
    }

    /// The run lengths, as many as fit, and how many runs that are.
    fn write_runs(&self, max: usize) -> (Vec<u8>, usize) {
        let mut body = Vec::new();
        let mut position = self.base;
        for (index, (start, end)) in self.done.iter().enumerate() {
            let fitting = body.len();
            write_varint(&mut body, start.abs_diff(position));
            write_varint(&mut body, end.abs_diff(*start));
            if body.len() > max {
                body.truncate(fitting);
                return (body, index);
            }
            position = *end;
        }
        (body, self.done.len())
    }

    fn write_bits(&self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        for offset in self.done().flatten() {
            let bit = usize::try_from(bits_of(self.base, offset)).unwrap_or(usize::MAX);
            if let Some(byte) = body.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
        body
    }

    fn seal(&self, form: u8, body: &[u8]) -> String {
        let mut content = Vec::with_capacity(body.len() + 1 + 10 + CHECKSUM_BYTES);
        content.push(form);
        write_varint(&mut content, self.base.unsigned_abs());
        content.extend_from_slice(body);
        codec::sealed(PREFIX, content)
    }
}

/// The number of the bit for `offset`; also how many bits there are before it. The first is for `base + 1`.
fn bits_of(base: i64, offset: i64) -> u64 {
    offset.abs_diff(base).saturating_sub(1)
}

/// How many bytes are left for the body within a text of `max_bytes`.
fn body_room(base: i64, max_bytes: usize) -> usize {
    let characters = max_bytes.saturating_sub(PREFIX.len());
    let content = characters / 4 * 3 + [0, 0, 1, 2][characters % 4];
    content.saturating_sub(1 + varint_length(base.unsigned_abs()) + CHECKSUM_BYTES)
}

/// How long the text of a map can become at most, if it reaches `span` offsets beyond the committed one and `open` of
/// the records there are not done (or were not, when it was asked). In bytes.
pub(crate) fn worst_case_bytes(base: i64, span: u64, open: u64) -> u64 {
    let bits = span.div_ceil(8);
    // Between two open records there is at most one run that is done. Long runs take more bytes, and are few.
    let runs = 2 * (open + 1);
    let longer = |limit: u64| runs.min(span / limit);
    let lengths = runs + longer(1 << 7) + longer(1 << 14) + longer(1 << 21) + longer(1 << 28);
    let body = usize::try_from(bits.min(lengths)).unwrap_or(usize::MAX / 2);
    let content = 1 + varint_length(base.unsigned_abs()) + body + CHECKSUM_BYTES;
    (PREFIX.len() + base64_length(content)) as u64
}

fn read_bits(base: i64, body: &[u8]) -> Option<Vec<(i64, i64)>> {
    // A byte of zeros at the end is never written, nor are more offsets than there can be.
    if body.last().is_none_or(|last| *last == 0)
        || base.checked_add_unsigned(body.len() as u64 * 8 + 2).is_none()
    {
        return None;
    }
    let mut done: Vec<(i64, i64)> = Vec::new();
    let mut offset = base;
    for byte in body {
        for bit in 0..8 {
            offset += 1;
            if byte & (1 << bit) == 0 {
                continue;
            }
            match done.last_mut() {
                Some((_, end)) if *end == offset => *end += 1,
                _ => done.push((offset, offset + 1)),
            }
        }
    }
    Some(done)
}

fn read_runs(base: i64, mut body: &[u8]) -> Option<Vec<(i64, i64)>> {
    let mut done = Vec::new();
    let mut position = base;
    while !body.is_empty() {
        let (open, finished) = (read_varint(&mut body)?, read_varint(&mut body)?);
        if open == 0 || finished == 0 || open > SPAN_MAX || finished > SPAN_MAX {
            return None;
        }
        let start = position.checked_add_unsigned(open)?;
        position = start.checked_add_unsigned(finished)?;
        done.push((start, position));
    }
    (!done.is_empty()).then_some(done)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
