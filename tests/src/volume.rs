//! How much a test does: enough for a change, or as much as a release is judged by.

/// Set to anything, every test that knows a release volume runs at that.
pub const RELEASE_VARIABLE: &str = "KAFKA_BOOT_RELEASE_VOLUME";

/// Of two volumes, the one that is asked for: `KAFKA_BOOT_RELEASE_VOLUME=1` asks for that of a release.
///
/// ```
/// use kafka_boot_tests::volume::volume;
///
/// let records = volume(20_000, 200_000);
/// assert!(records == 20_000 || records == 200_000);
/// ```
pub fn volume<T>(change: T, release: T) -> T {
    if std::env::var_os(RELEASE_VARIABLE).is_some() { release } else { change }
}
