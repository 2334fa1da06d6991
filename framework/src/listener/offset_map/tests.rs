//! Roundtrips, sizes and damage.

use std::collections::BTreeSet;
use std::iter;

use super::*;
use proptest::prelude::*;

/// The broker's default limit.
const LIMIT: usize = 4096;

fn of(base: i64, offsets: &BTreeSet<i64>) -> OffsetMap {
    OffsetMap::from_done(base, offsets.iter().map(|offset| *offset..offset + 1))
}

fn read(base: i64, text: &str) -> OffsetMap {
    OffsetMap::decode(base, text).unwrap().unwrap()
}

/// Offsets behind a base: dense, sparse, or in long runs.
fn pattern() -> impl Strategy<Value = (i64, BTreeSet<i64>)> {
    let base = prop_oneof![0i64..5, 0i64..i64::from(u32::MAX), Just(i64::MAX - (1 << 20))];
    let runs = prop_oneof![
        prop::collection::vec((1i64..4, 1i64..4), 1..150),
        prop::collection::vec((1i64..2, 1i64..2), 1..600),
        prop::collection::vec((1i64..300, 1i64..300), 1..12),
    ];
    (base, runs).prop_map(|(base, runs)| {
        let mut position = base;
        let mut offsets = BTreeSet::new();
        for (open, done) in runs {
            position += open;
            offsets.extend(position..position + done);
            position += done;
        }
        (base, offsets)
    })
}

#[test]
fn the_shorter_form_is_written() {
    let one_open_record = OffsetMap::from_done(1_000, iter::once(1_001..100_000));
    assert!(one_open_record.encode(LIMIT).0.len() < 24, "{}", one_open_record.encode(LIMIT).0);
    let every_other = of(1_000, &(1_001..5_000).step_by(2).collect());
    let (text, whole) = every_other.encode(LIMIT);
    assert!(whole && text.len() < 4_000 / 8 * 4 / 3 + 32, "{}", text.len());
}

#[test]
fn an_empty_map_is_no_text() {
    assert_eq!(OffsetMap::from_done(7, []).encode(LIMIT), (String::new(), true));
    assert_eq!(OffsetMap::decode(7, ""), Ok(None));
    assert_eq!(OffsetMap::from_done(7, iter::once(3..8)), OffsetMap::from_done(7, []));
}

#[test]
fn what_is_not_ours_is_named() {
    let table = [
        ("", ""),
        ("spring", "another program"),
        ("kbm", "another program"),
        ("kbmx.AAAA", "another program"),
        ("kbm2.AAAA", "another version"),
        ("kbm1.", "damaged"),
        ("kbm1.A", "damaged"),
        ("kbm1.AA==", "damaged"),
        ("kbm1.ä", "damaged"),
    ];
    for (text, expected) in table {
        let found = OffsetMap::decode(5, text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(found.contains(expected), "{text}: {found}");
    }
    let text = OffsetMap::from_done(5, iter::once(7..9)).encode(LIMIT).0;
    let moved = OffsetMap::decode(6, &text).unwrap_err();
    assert!(moved.to_string().contains("belongs to offset 5"), "{moved}");
}

/// A text that some version wrote is read by all later ones.
#[test]
fn the_format_stays() {
    let runs = OffsetMap::from_done(1_000, [1_001..1_500, 1_600..1_601]);
    assert_eq!(runs.encode(LIMIT).0, "kbm1.cugHAfMDZAG857ZH");
    let bits = of(3, &(4..40).step_by(2).collect());
    assert_eq!(bits.encode(LIMIT).0, "kbm1.YgNVVVVVBbi5whU");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_encoded_is_decoded((base, offsets) in pattern()) {
        let map = of(base, &offsets);
        let (text, whole) = map.encode(usize::MAX / 8);
        prop_assert!(whole);
        prop_assert_eq!(&read(base, &text), &map);
        prop_assert_eq!(map.len(), offsets.len() as u64);
        for offset in base - 2..base + 200 {
            prop_assert_eq!(map.contains(offset), offsets.contains(&offset));
        }
    }

    #[test]
    fn a_text_is_never_longer_than_allowed_and_claims_nothing_that_is_not_done(
        (base, offsets) in pattern(), limit in 0usize..600,
    ) {
        let map = of(base, &offsets);
        let (text, whole) = map.encode(limit);
        prop_assert!(text.len() <= limit, "{} > {limit}", text.len());
        let kept = OffsetMap::decode(base, &text).unwrap().unwrap_or_else(|| OffsetMap::from_done(base, []));
        prop_assert_eq!(whole, kept == map);
        for run in kept.done() {
            prop_assert!(run.clone().all(|offset| offsets.contains(&offset)), "{run:?}");
        }
    }

    #[test]
    fn what_admission_allows_always_fits((base, offsets) in pattern()) {
        let last = *offsets.last().unwrap();
        let span = last.abs_diff(base);
        let open = span - offsets.len() as u64 + 1;
        let limit = usize::try_from(worst_case_bytes(base, span, open)).unwrap();
        let (text, whole) = of(base, &offsets).encode(limit);
        prop_assert!(whole, "{} bytes are too few for {open} of {span} open", limit);
        prop_assert!(text.len() <= limit);
    }

    #[test]
    fn damage_is_noticed((base, offsets) in pattern(), at in any::<prop::sample::Index>(), to in 0u8..128) {
        let text = of(base, &offsets).encode(LIMIT).0;
        let mut damaged = text.clone().into_bytes();
        let at = at.index(damaged.len());
        damaged[at] = to;
        let damaged = String::from_utf8(damaged).unwrap();
        prop_assert_eq!(OffsetMap::decode(base, &damaged).is_err(), damaged != text);
    }

    #[test]
    fn a_cut_is_noticed((base, offsets) in pattern(), at in any::<prop::sample::Index>()) {
        let text = of(base, &offsets).encode(LIMIT).0;
        let at = at.index(text.len());
        prop_assert!(at == 0 || OffsetMap::decode(base, &text[..at]).is_err());
    }

    #[test]
    fn any_text_is_read_without_a_panic(base in any::<i64>(), text in ".{0,80}", body in "[A-Za-z0-9_-]{0,80}") {
        let _ = OffsetMap::decode(base, &text);
        let _ = OffsetMap::decode(base, &format!("kbm1.{body}"));
    }

    /// A right checksum over any content, as a bug or malice would write it.
    #[test]
    fn any_sealed_content_is_read_without_a_panic(base in 0i64..1_000, body in prop::collection::vec(any::<u8>(), 0..64), form in 0u8..4) {
        let mut content = vec![[BITS, RUNS, b'x', 0][usize::from(form)]];
        write_varint(&mut content, base.unsigned_abs());
        content.extend(body);
        if let Ok(Some(map)) = OffsetMap::decode(base, &codec::sealed(PREFIX, content)) {
            let all: Vec<_> = map.done().collect();
            prop_assert!(all.iter().all(|run| run.start > base && run.start < run.end));
            prop_assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
