//! I9: no silent death.

use super::Violation;

/// How long health may go on saying UP: 2 s.
const NOTICED_WITHIN_NS: u64 = 2_000_000_000;

/// The end of a part of a service that was meant to go on: a poller, a worker, a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// What died.
    pub what: String,
    /// When, in nanoseconds of [`crate::ledger::now_ns`].
    pub at_ns: u64,
    /// When health first said something else than UP, or stopped answering.
    pub health_not_up_ns: Option<u64>,
    /// When it was started again, if it was.
    pub restarted_ns: Option<u64>,
    /// The exit code of the process, if it has ended by itself.
    pub exit_code: Option<i32>,
}

/// How many tasks and threads a service started, and how many ends its owners have waited for, after its exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskCount {
    /// Started.
    pub spawned: u64,
    /// Joined.
    pub joined: u64,
}

/// I9: after each death, health stops saying UP within 2 s, and the part is restarted or the process ends with a
/// failure; and every task's end was waited for.
pub fn no_silent_death(deaths: &[Death], tasks: TaskCount) -> Vec<Violation> {
    let mut violations = Vec::new();
    for death in deaths {
        let what = || death.what.clone();
        let for_ns = death.health_not_up_ns.map(|not_up_ns| not_up_ns.saturating_sub(death.at_ns));
        // A restart within the time in which nobody would have noticed needs no bad health.
        let restarted_at_once =
            death.restarted_ns.is_some_and(|at_ns| at_ns.saturating_sub(death.at_ns) <= NOTICED_WITHIN_NS);
        if !restarted_at_once && for_ns.is_none_or(|for_ns| for_ns > NOTICED_WITHIN_NS) {
            violations.push(Violation::HealthyThoughDead { what: what(), for_ns });
        }
        let exited_with_failure = death.exit_code.is_some_and(|code| code != 0);
        if death.restarted_ns.is_none() && !exited_with_failure {
            violations
                .push(Violation::NeitherRestartedNorExited { what: what(), exit_code: death.exit_code });
        }
    }
    if tasks.joined != tasks.spawned {
        violations.push(Violation::TasksNotJoined { spawned: tasks.spawned, joined: tasks.joined });
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const JOINED: TaskCount = TaskCount { spawned: 3, joined: 3 };

    fn death(not_up: Option<u64>, restarted: Option<u64>, exit_code: Option<i32>) -> Death {
        let after = |seconds: u64| (10 + seconds) * SECOND;
        Death {
            what: "poller".to_owned(),
            at_ns: 10 * SECOND,
            health_not_up_ns: not_up.map(after),
            restarted_ns: restarted.map(after),
            exit_code,
        }
    }

    #[test]
    fn deaths_that_are_noticed_and_answered_hold() {
        for (name, death) in [
            ("down, then restarted", death(Some(1), Some(30), None)),
            ("down, then exit with a failure", death(Some(2), None, Some(70))),
            ("restarted at once", death(None, Some(1), None)),
        ] {
            assert_eq!(no_silent_death(&[death], JOINED), [], "{name}");
        }
    }

    #[test]
    fn each_silence_is_found() {
        for (expected, death) in [
            ("health said UP to the end", death(None, Some(30), None)),
            ("health said UP for 5.000 s", death(Some(5), Some(30), None)),
            ("was not restarted, and the process's exit code is None", death(Some(1), None, None)),
            ("was not restarted, and the process's exit code is Some(0)", death(Some(1), None, Some(0))),
        ] {
            let found = no_silent_death(&[death], JOINED);
            assert_eq!(found.len(), 1, "{expected}: {found:?}");
            assert!(found[0].to_string().contains(expected), "{expected}: {}", found[0]);
        }
        let found = no_silent_death(&[], TaskCount { spawned: 3, joined: 2 });
        assert_eq!(found[0].to_string(), "I9 no silent death: 3 tasks were started and 2 were joined");
    }
}
