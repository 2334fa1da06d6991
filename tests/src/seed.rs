//! Reproducible randomness: one seed a process, printed, taken from `KAFKA_BOOT_SEED` or the clock.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this process: `KAFKA_BOOT_SEED` if it is set to a number, else the time. Printed at its first use.
///
/// # Panics
///
/// When `KAFKA_BOOT_SEED` is set but is not an unsigned 64-bit decimal number.
///
/// ```
/// assert_eq!(kafka_boot_tests::seed::seed(), kafka_boot_tests::seed::seed());
/// ```
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = match std::env::var("KAFKA_BOOT_SEED") {
            Ok(text) => match text.trim().parse() {
                Ok(seed) => seed,
                Err(error) => panic!("`KAFKA_BOOT_SEED` must be an unsigned number, not `{text}`: {error}"),
            },
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        notice(&format!("seed: KAFKA_BOOT_SEED={seed}"));
        seed
    })
}

/// A name no other run uses: `t-<test>-<random>`, for topics and groups. Not derived from the seed, because a
/// repeated run must not meet the topics of the one before it.
///
/// ```
/// use kafka_boot_tests::seed::unique_name;
///
/// let name = unique_name("orders keep order");
/// assert!(name.starts_with("t-orders-keep-order-"));
/// assert_ne!(name, unique_name("orders keep order"));
/// ```
pub fn unique_name(test: &str) -> String {
    let legal: String = test
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' })
        .take(80)
        .collect();
    format!("t-{legal}-{:08x}", entropy() >> 32)
}

/// A small generator (`SplitMix64`), enough for choosing keys and fault times, never for secrets.
///
/// ```
/// use kafka_boot_tests::seed::Random;
///
/// let (mut one, mut two) = (Random::new(7), Random::new(7));
/// assert_eq!(one.next_u64(), two.next_u64());
/// assert!(one.below(10) < 10);
/// ```
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers depend on nothing but `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of this process's [`seed`], different for each `stream`.
    pub fn from_process_seed(stream: u64) -> Self {
        Self::new(seed() ^ stream.wrapping_mul(0xD605_0D4B_37C7_B2B9))
    }

    /// The next number, uniform over all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 when `bound` is 0. The bias is below 2⁻³² for bounds that fit 32 bits.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

/// Unpredictable bits from the standard library's hasher keys, for names and ports.
pub(crate) fn entropy() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Writes a line to standard error past the capture of the test runner, so that it shows for passing tests too.
pub fn notice(line: &str) {
    // A closed standard error must not fail a test.
    let _ = writeln!(std::io::stderr().lock(), "[harness] {line}");
}
