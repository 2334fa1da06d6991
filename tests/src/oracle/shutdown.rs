//! I7: clean exit.

use std::collections::HashSet;
use std::time::Duration;

use super::{Place, Violation};
use crate::ledger::Entry;
use crate::observer::Sample;

/// A stop that was asked for politely, with `SIGTERM`.
#[derive(Debug, Clone)]
pub struct CleanExit {
    /// The instance that was stopped, as in the ledger.
    pub instance: String,
    /// When the signal was sent, in nanoseconds of [`crate::ledger::now_ns`].
    pub signalled_ns: u64,
    /// When the process had ended.
    pub exited_ns: u64,
    /// Its exit code; `None` if a signal ended it.
    pub exit_code: Option<i32>,
    /// The configured shutdown timeout.
    pub limit: Duration,
    /// Whether the group no longer had this member right after the exit.
    pub left_group: bool,
}

/// I7: the process exits with 0 within its timeout, leaves its group, has committed all that it settled, by offset or by map, and nothing it
/// has done is done again afterwards.
///
/// `committed_after` is one look at the group after the exit, before anyone else makes progress. Entries after the exit
/// are those of the instances that went on.
pub fn clean_exit(exit: &CleanExit, entries: &[Entry], committed_after: &[Sample]) -> Vec<Violation> {
    let instance = &exit.instance;
    let mut violations = Vec::new();
    if exit.exit_code != Some(0) {
        violations.push(Violation::WrongExitCode { instance: instance.clone(), code: exit.exit_code });
    }
    let took_ns = exit.exited_ns.saturating_sub(exit.signalled_ns);
    let limit_ns = u64::try_from(exit.limit.as_nanos()).unwrap_or(u64::MAX);
    if took_ns > limit_ns {
        violations.push(Violation::SlowExit { instance: instance.clone(), took_ns, limit_ns });
    }
    if !exit.left_group {
        violations.push(Violation::StillInGroup { instance: instance.clone() });
    }

    let own = |entry: &&Entry| {
        entry.instance == *instance && entry.outcome.settles() && entry.end_ns <= exit.exited_ns
    };
    for sample in committed_after {
        let of_sample = |entry: &&Entry| entry.topic == sample.topic && entry.partition == sample.partition;
        let left = entries.iter().filter(own).filter(of_sample).filter(|entry| !sample.covers(entry.offset));
        if let Some(last) = left.max_by_key(|entry| entry.offset) {
            violations.push(Violation::NotCommittedAtExit {
                instance: instance.clone(),
                settled: Place::from(last),
                committed: sample.committed,
            });
        }
    }

    let done: HashSet<u64> = entries.iter().filter(own).map(|entry| entry.uid).collect();
    let repeats = entries.iter().filter(|entry| {
        entry.start_ns > exit.exited_ns && entry.outcome.settles() && done.contains(&entry.uid)
    });
    violations.extend(
        repeats.map(|entry| Violation::RepeatedAfterCleanExit { uid: entry.uid, place: Place::from(entry) }),
    );
    violations
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{done, sample};
    use super::*;

    fn exit() -> CleanExit {
        CleanExit {
            instance: "a".to_owned(),
            signalled_ns: 100,
            exited_ns: 200,
            exit_code: Some(0),
            limit: Duration::from_nanos(500),
            left_group: true,
        }
    }

    #[test]
    fn a_stop_that_finishes_and_commits_holds() {
        let entries = [done(0, 1..2), done(1, 90..150), done(2, 300..301).by("b", 2)];
        assert_eq!(clean_exit(&exit(), &entries, &[sample(210, Some(2), 3)]), []);
        assert_eq!(
            clean_exit(&exit(), &[], &[sample(210, None, 3)]),
            [],
            "nothing was done, so nothing is committed"
        );
    }

    #[test]
    fn each_way_to_stop_badly_is_found() {
        let entries = [done(0, 1..2), done(1, 90..150)];
        let repeated = [done(0, 1..2), done(1, 90..150), done(1, 300..301).by("b", 2)];
        let good = sample(210, Some(2), 3);
        let cases: Vec<(&str, CleanExit, &[Entry], Sample)> = vec![
            (
                "exited with Some(1) instead of 0",
                CleanExit { exit_code: Some(1), ..exit() },
                &entries,
                good.clone(),
            ),
            (
                "exited with None instead of 0",
                CleanExit { exit_code: None, ..exit() },
                &entries,
                good.clone(),
            ),
            ("more than", CleanExit { exited_ns: 700, ..exit() }, &entries, good.clone()),
            ("without leaving its group", CleanExit { left_group: false, ..exit() }, &entries, good.clone()),
            ("settled t[0]@1 but left 1 committed", exit(), &entries, sample(210, Some(1), 3)),
            ("settled t[0]@1 but left 0 committed", exit(), &entries, sample(210, None, 3)),
            ("record 1 at t[0]@1 was done by a cleanly stopped", exit(), &repeated, good),
        ];
        for (expected, exit, entries, after) in cases {
            let found = clean_exit(&exit, entries, &[after]);
            assert_eq!(found.len(), 1, "{expected}: {found:?}");
            assert!(found[0].to_string().contains(expected), "{expected}: {}", found[0]);
        }
    }
}
