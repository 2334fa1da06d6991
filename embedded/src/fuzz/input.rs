//! What a connection sends: some requests, and what is wrong with them.

use bytes::BufMut;

use super::{Dice, records};
use crate::api::SUPPORTED;
use crate::wire::generate::{self, Source};

/// Inputs that are kept to take parts from.
const KEPT: usize = 64;

/// Values at which lengths and counts turn into something else.
const EDGES: [i32; 10] = [-1, -2, 0, 1, 127, 128, 100_000, 100_001, i32::MAX, i32::MIN];

/// Names that mean something to the broker, or look as if they did.
const NAMES: &[&str] = &[
    "orders",
    "name",
    "orders",
    "name",
    "new",
    "billing",
    "teller",
    "",
    "consumer",
    "range",
    "member",
    "static",
    "PLAIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "cleanup.policy",
    "compact",
    "delete",
    "retention.ms",
    "1",
    "-1",
    "max.message.bytes",
    "message.timestamp.type",
    "LogAppendTime",
    "zstd",
    "Ongoing",
    "Empty",
    "Stable",
    "fuzz",
    "__consumer_offsets",
    "a/b",
    "..",
    "\u{e9}\u{20ac}\u{1f600}",
    "\0",
];

/// A handshake for PLAIN, and the right password.
const LOG_IN: &[u8] = b"\0\0\0\x11\0\x11\0\x01\0\0\0\x07\xff\xff\0\x05PLAIN\
    \0\0\0\x1b\0\x24\0\x01\0\0\0\x07\xff\xff\0\0\0\x0d\0alice\0secret";

/// What a client says to authenticate.
const TOKENS: &[&str] = &[
    "\0alice\0secret",
    "\0alice\0wrong",
    "\0\0",
    "n,,n=alice,r=abcdefgh",
    "n,a=alice,n=alice,r=abc",
    "n,,n=,r=",
    "c=biws,r=abcdefgh,p=AAAA",
    "y,,n=alice,r=abc",
    "c=biws,r=,p=",
    "n,,n=a=2Cb,r=x",
];

pub(super) struct Inputs {
    /// Whether the broker wants to know who asks.
    guarded: bool,
    topic_ids: Vec<[u8; 16]>,
    kept: Vec<Vec<u8>>,
}

impl Inputs {
    pub(super) fn new(topic_ids: Vec<[u8; 16]>, guarded: bool) -> Self {
        Self { guarded, topic_ids, kept: Vec::new() }
    }

    pub(super) fn keep(&mut self, input: Vec<u8>) {
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push(input);
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> Vec<u8> {
        if dice.one_in(50) {
            let length = dice.below(200);
            return dice.bytes(length);
        }
        let mut input = Vec::new();
        if self.guarded && !dice.one_in(4) {
            input.extend(LOG_IN);
        }
        for _ in 0..=dice.below(4) {
            let mut request = self.request(dice);
            if dice.one_in(2) {
                for _ in 0..=dice.below(4) {
                    self.mutate(&mut request, dice);
                }
            }
            let length = i32::try_from(request.len()).unwrap_or(i32::MAX);
            let told = if dice.one_in(20) { *dice.pick(&EDGES) } else { length };
            input.put_i32(told);
            input.extend(request);
        }
        input
    }

    /// A request as a client might send it.
    fn request(&self, dice: &mut Dice) -> Vec<u8> {
        let (key, oldest, newest) = *dice.pick(SUPPORTED);
        let version = oldest
            + i16::try_from(dice.below(usize::from((newest - oldest + 1).unsigned_abs()))).unwrap_or(0);
        let mut request = Vec::new();
        request.put_i16(key as i16);
        request.put_i16(version);
        request.put_i32(7);
        request.put_i16(4);
        request.put_slice(b"fuzz");
        if key.request_header_version(version) >= 2 {
            request.put_u8(0);
        }
        // Most nulls are where none may be, so most requests do without.
        let nulls = dice.one_in(4);
        let mut source = Values { dice, nulls, topic_ids: &self.topic_ids };
        generate::body(key, version, &mut source, &mut request);
        request
    }

    fn mutate(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        if bytes.is_empty() {
            bytes.push(dice.byte());
            return;
        }
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = *dice.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            2 => bytes.truncate(at),
            3 => {
                let edge = dice.pick(&EDGES).to_be_bytes();
                let count = edge.len().min(bytes.len() - at);
                bytes[at..at + count].copy_from_slice(&edge[..count]);
            }
            4 => {
                let length = dice.below(20);
                let more = dice.bytes(length);
                bytes.splice(at..at, more);
            }
            5 => {
                let until = at + dice.below((bytes.len() - at).min(64) + 1);
                let part = bytes[at..until].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                let until = at + dice.below((bytes.len() - at).min(16) + 1);
                bytes.drain(at..until);
            }
            _ => {
                if let Some(other) = (!self.kept.is_empty()).then(|| dice.pick(&self.kept)) {
                    let from = dice.below(other.len() + 1);
                    let length = dice.below((other.len() - from).min(256) + 1);
                    bytes.splice(at..at, other[from..from + length].iter().copied());
                }
            }
        }
    }
}

/// Where the values of fields come from.
struct Values<'a> {
    dice: &'a mut Dice,
    nulls: bool,
    topic_ids: &'a [[u8; 16]],
}

impl Source for Values<'_> {
    fn count(&mut self) -> usize {
        match self.dice.below(40) {
            0 => 200,
            1..8 => 0,
            8..30 => 1,
            _ => 2,
        }
    }

    fn is_null(&mut self) -> bool {
        self.nulls && self.dice.one_in(8)
    }

    fn fixed(&mut self, size: usize) -> Vec<u8> {
        if size == 16 {
            return match self.dice.below(8) {
                0 => vec![0; 16],
                1 => self.dice.bytes(16),
                _ => self.dice.pick(self.topic_ids).to_vec(),
            };
        }
        let number = *self.dice.pick(&[
            0_i64,
            0,
            0,
            1,
            1,
            2,
            3,
            5,
            -1,
            -1,
            -2,
            100,
            1_000,
            60_000,
            i64::MAX,
            i64::MIN,
        ]);
        let bytes = match number {
            // The greatest and the least of that size.
            i64::MAX => [vec![0x7f], vec![0xff; 7]].concat(),
            i64::MIN => [vec![0x80], vec![0; 7]].concat(),
            number => number.to_be_bytes()[8 - size.min(8)..].to_vec(),
        };
        bytes[..size.min(8)].to_vec()
    }

    fn text(&mut self) -> Vec<u8> {
        if self.dice.one_in(60) {
            let length = self.dice.below(400);
            return vec![b'x'; length];
        }
        self.dice.pick(NAMES).as_bytes().to_vec()
    }

    fn blob(&mut self) -> Vec<u8> {
        match self.dice.below(8) {
            0 => Vec::new(),
            1 => {
                let length = self.dice.below(100);
                self.dice.bytes(length)
            }
            2 => self.dice.pick(TOKENS).as_bytes().to_vec(),
            // The subscription of a consumer to `orders`.
            3 => [&[0, 1, 0, 0, 0, 1, 0, 6][..], b"orders", &[0xff; 4], &[0; 4]].concat(),
            _ => records::batch(self.dice),
        }
    }
}
