//! Rules about `kafka.consumer` and the same keys of a listener.

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{
    AckMode, AssignmentStrategy, CommitMode, ConsumerProperties, GroupProtocol, IsolationLevel,
};

/// Checks a consumer's values. `effective` is the section they come from; `own` is the part of it that was
/// said at the same level: a key that has no effect is a mistake there, while one that is merely inherited is
/// not.
pub(crate) fn consumer(
    effective: &Section<'_>,
    own: &Section<'_>,
    properties: &ConsumerProperties,
    errors: &mut ConfigErrors,
) {
    commit_and_ack(effective, properties, errors);
    transactions(effective, properties, errors);
    without_effect(own, properties, errors);
    timeouts(effective, properties, errors);
    group_protocol(effective, own, properties, errors);
    circuit_breaker(effective, properties, errors);
}

fn circuit_breaker(section: &Section<'_>, properties: &ConsumerProperties, errors: &mut ConfigErrors) {
    let breaker = &properties.circuit_breaker;
    if breaker.minimum_number_of_calls > breaker.sliding_window_size {
        let message = format!(
            "`minimum-number-of-calls` ({}) is more than `sliding-window-size` ({}): so many calls are never counted",
            breaker.minimum_number_of_calls, breaker.sliding_window_size
        );
        let help = "lower `minimum-number-of-calls`, or raise `sliding-window-size`";
        let keys = ["minimum-number-of-calls", "sliding-window-size"];
        errors.push(section.child("circuit-breaker").conflict(&keys, message, help));
    }
}

/// What goes with transactions, beside the ack mode.
fn transactions(section: &Section<'_>, properties: &ConsumerProperties, errors: &mut ConfigErrors) {
    let reads_all = properties.isolation_level == IsolationLevel::ReadUncommitted;
    if properties.commit == CommitMode::Transaction && reads_all {
        let message = "`commit: transaction` needs `isolation-level: read-committed`: records of transactions that are \
                       aborted would be consumed, and the group's offsets read before it is decided what they are";
        let help = "remove `isolation-level`, or set `commit: sync`";
        errors.push(section.conflict(&["isolation-level", "commit"], message, help));
    }
}

fn commit_and_ack(section: &Section<'_>, properties: &ConsumerProperties, errors: &mut ConfigErrors) {
    let ack_mode = properties.ack_mode;
    let keys = ["ack-mode", "commit"];
    if !section.is_set("ack-mode") {
        return;
    }
    match properties.commit {
        CommitMode::Auto if ack_mode.is_manual() => {
            let message = "`commit: auto` commits by a timer, whatever the handler acknowledges";
            errors.push(section.conflict(&keys, message, "set `commit: sync` to acknowledge in the handler"));
        }
        CommitMode::Auto if ack_mode != AckMode::Batch => {
            let message = "`commit: auto` commits by a timer and has no `ack-mode`";
            errors.push(section.conflict(&keys, message, "remove `ack-mode`, or set `commit: sync`"));
        }
        CommitMode::Manual if !ack_mode.is_manual() => {
            let message = "`commit: manual` goes with `ack-mode: manual` or `ack-mode: manual-immediate`";
            errors.push(section.conflict(&keys, message, "remove `ack-mode`, or set `commit: sync`"));
        }
        CommitMode::Transaction if !matches!(ack_mode, AckMode::Record | AckMode::Batch) => {
            let message = "`commit: transaction` commits with each transaction: after the records of a poll, `ack-mode: batch`, or \
                           after each record, `ack-mode: record`";
            errors.push(section.conflict(&keys, message, "set one of these modes, or `commit: sync`"));
        }
        CommitMode::Auto
        | CommitMode::Sync
        | CommitMode::Async
        | CommitMode::Manual
        | CommitMode::Transaction => {}
    }
}

/// What is given at this level and has no effect, unless it only repeats the default.
fn without_effect(own: &Section<'_>, properties: &ConsumerProperties, errors: &mut ConfigErrors) {
    use AckMode::{Count, CountTime, Time};
    let (ack_mode, default) = (properties.ack_mode, ConsumerProperties::default());
    let given = |key: &str, differs: bool| own.is_set(key) && differs;
    if given("ack-count", properties.ack_count != default.ack_count) && !matches!(ack_mode, Count | CountTime)
    {
        let message = "only `ack-mode: count` and `ack-mode: count-time` count records";
        let help = "set one of these modes, or move `ack-count` to the listener that has one";
        errors.push(own.conflict(&["ack-count"], message, help));
    }
    if given("ack-time", properties.ack_time != default.ack_time) && !matches!(ack_mode, Time | CountTime) {
        let message = "only `ack-mode: time` and `ack-mode: count-time` have a time";
        let help = "set one of these modes, or move `ack-time` to the listener that has one";
        errors.push(own.conflict(&["ack-time"], message, help));
    }
    let interval_differs = properties.auto_commit_interval != default.auto_commit_interval;
    if given("auto-commit-interval", interval_differs) && properties.commit != CommitMode::Auto {
        let message = "only `commit: auto` commits at an interval";
        let help = "use `ack-mode: time`, or move it to the listener that has `commit: auto`";
        errors.push(own.conflict(&["auto-commit-interval"], message, help));
    }
}

fn timeouts(section: &Section<'_>, properties: &ConsumerProperties, errors: &mut ConfigErrors) {
    let session = properties.session_timeout;
    if properties.group_protocol == GroupProtocol::Classic && properties.heartbeat_interval >= session {
        let message = format!(
            "`heartbeat-interval` ({}) must be shorter than `session-timeout` ({session})",
            properties.heartbeat_interval
        );
        let help = "a third of the session timeout is usual";
        errors.push(section.conflict(&["heartbeat-interval", "session-timeout"], message, help));
    }
    if session > properties.max_poll_interval {
        let message = format!(
            "`session-timeout` ({session}) must not be longer than `max-poll-interval` ({})",
            properties.max_poll_interval
        );
        let help = "raise `max-poll-interval`, or lower `session-timeout`";
        errors.push(section.conflict(&["session-timeout", "max-poll-interval"], message, help));
    }
    if properties.drain_timeout >= session {
        let message = format!(
            "`drain-timeout` ({}) must be shorter than `session-timeout` ({session})",
            properties.drain_timeout
        );
        let help = "otherwise the group takes the partitions away while their records are still handled";
        errors.push(section.conflict(&["drain-timeout", "session-timeout"], message, help));
    }
}

fn group_protocol(
    effective: &Section<'_>,
    own: &Section<'_>,
    properties: &ConsumerProperties,
    errors: &mut ConfigErrors,
) {
    if properties.group_protocol == GroupProtocol::Consumer {
        // A listener that changes the protocol cannot help what it inherits; what it says itself must fit.
        let said = if own.is_set("group-protocol") { own } else { effective };
        for key in ["session-timeout", "heartbeat-interval", "partition-assignment-strategy"] {
            if said.is_set(key) {
                let message = format!("with `group-protocol: consumer` the broker decides about `{key}`");
                errors.push(said.conflict(&[key], message, "remove it, or set `group-protocol: classic`"));
            }
        }
    }
    let cooperative = |strategy: &&AssignmentStrategy| **strategy == AssignmentStrategy::CooperativeSticky;
    let strategies = &properties.partition_assignment_strategy;
    let count = strategies.iter().filter(cooperative).count();
    if count > 0 && count < strategies.len() {
        let message = "`cooperative-sticky` cannot stand beside `range` or `roundrobin`";
        errors.push(effective.conflict(&["partition-assignment-strategy"], message, "keep one kind"));
    }
}
