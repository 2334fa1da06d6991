//! Bugs on purpose, to prove that the tests find them. Compiled in only with the feature `seeded-bugs`, and off unless
//! `KAFKA_BOOT_SEEDED_BUG` names one. The names are those of the reliability goals' mutation table.

use std::sync::OnceLock;

/// One bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// M1: commits the highest delivered offset rather than what is settled.
    CommitsDelivered,
    /// M2: lets what is said of an assignment that is over count for the one that follows it.
    AppliesStaleResults,
    /// M3: keeps the permits of handlers that were at work when their partition went.
    KeepsPermitsOnRevoke,
    /// M4: waits for a commit inside a rebalance, where its answer cannot arrive.
    CommitsInsideRebalance,
    /// M5: counts a handler's error as done.
    ErrorIsDone,
    /// M6: counts a record as done before its dead-letter topic has it.
    LetterIsNotAwaited,
    /// M7: commits what is still queued when it shuts down.
    CommitsQueuedAtShutdown,
    /// M8: drops what is kept for partitions that stay when others are assigned.
    DropsBufferedOnAssign,
    /// M9: lets the next record of a key go before one that is tried again.
    RetryGoesBehind,
    /// M10: a handler's panic takes its permit with it.
    PanicTakesPermit,
    /// M11: commits the offset of the last settled record rather than the next one.
    CommitsOneTooLow,
    /// M11, the other way: commits one too many.
    CommitsOneTooHigh,
    /// M12: a job that has panicked is not kept from running beside itself any more.
    JobOverlapsAfterPanic,
    /// M13: forgets what the offset map says.
    MapIsLost,
    /// M13, the other way: the offset map claims that records are done that are not.
    MapClaimsTooMuch,
}

/// Whether this bug is switched on.
pub(crate) fn is(bug: Bug) -> bool {
    static ACTIVE: OnceLock<Option<Bug>> = OnceLock::new();
    let active = ACTIVE.get_or_init(|| match std::env::var("KAFKA_BOOT_SEEDED_BUG").as_deref() {
        Ok("M1") => Some(Bug::CommitsDelivered),
        Ok("M2") => Some(Bug::AppliesStaleResults),
        Ok("M3") => Some(Bug::KeepsPermitsOnRevoke),
        Ok("M4") => Some(Bug::CommitsInsideRebalance),
        Ok("M8") => Some(Bug::DropsBufferedOnAssign),
        Ok("M10") => Some(Bug::PanicTakesPermit),
        Ok("M12") => Some(Bug::JobOverlapsAfterPanic),
        Ok("M5") => Some(Bug::ErrorIsDone),
        Ok("M6") => Some(Bug::LetterIsNotAwaited),
        Ok("M7") => Some(Bug::CommitsQueuedAtShutdown),
        Ok("M9") => Some(Bug::RetryGoesBehind),
        Ok("M13-lost") => Some(Bug::MapIsLost),
        Ok("M13-extra") => Some(Bug::MapClaimsTooMuch),
        Ok("M11-low") => Some(Bug::CommitsOneTooLow),
        Ok("M11-high") => Some(Bug::CommitsOneTooHigh),
        _ => None,
    });
    *active == Some(bug)
}
