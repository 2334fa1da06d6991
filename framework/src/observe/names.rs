//! The names of all metrics and labels, for dashboards and alerts. They reach whatever recorder of the `metrics`
//! facade the application installs.
//!
//! Labels come from the configuration only (listener, topic, partition, job), so their number is bounded.

/// Records polled from librdkafka. Counter; label `listener`.
pub const LISTENER_RECORDS_RECEIVED: &str = "kafka_boot_listener_records_received_total";
/// Records whose handler was called to a good end, batch by batch. Counter; label `listener`.
pub const LISTENER_RECORDS_HANDLED: &str = "kafka_boot_listener_records_handled_total";
/// Records counted as done although every attempt failed, because the error policy says `skip`. Counter; label `listener`.
pub const LISTENER_RECORDS_SKIPPED: &str = "kafka_boot_listener_records_skipped_total";
/// Records that the listener's filter left out: done without their handler being called. Counter; label `listener`.
pub const LISTENER_RECORDS_FILTERED: &str = "kafka_boot_listener_records_filtered_total";
/// Records written to a retry topic, to be delivered again. Counter; label `listener`.
pub const LISTENER_RETRY_TOPICS: &str = "kafka_boot_listener_retry_topic_records_total";
/// Records written to their dead letters because nobody could handle them. Counter; label `listener`.
pub const LISTENER_DEAD_LETTERS: &str = "kafka_boot_listener_dead_letters_total";
/// Records, or batches, to be delivered again because their `Ack` said so. Counter; label `listener`.
pub const LISTENER_NACKS: &str = "kafka_boot_listener_nacks_total";
/// Records polled of partitions that were being given up; their next owner reads them. Counter; label `listener`.
pub const LISTENER_RECORDS_UNASSIGNED: &str = "kafka_boot_listener_records_unassigned_total";
/// Results that came after their assignment was over, and were dropped. Counter; label `listener`.
pub const LISTENER_RESULTS_STALE: &str = "kafka_boot_listener_results_stale_total";
/// Attempts that ended in an error or a panic. Counter; label `listener`.
pub const LISTENER_ATTEMPTS_FAILED: &str = "kafka_boot_listener_attempts_failed_total";
/// Attempts that follow a failed one. Counter; label `listener`.
pub const LISTENER_ATTEMPTS_RETRIED: &str = "kafka_boot_listener_attempts_retried_total";
/// The time that a record, or a batch, spends in its handler, in seconds. Histogram; label `listener`.
pub const LISTENER_SECONDS: &str = "kafka_boot_listener_seconds";
/// Offset commits sent. Counter; label `listener`.
pub const LISTENER_COMMITS: &str = "kafka_boot_listener_commits_total";
/// Offset commits refused or unanswered. Counter; label `listener`.
pub const LISTENER_COMMIT_FAILURES: &str = "kafka_boot_listener_commit_failures_total";
/// How often the membership was lost with its partitions. Counter; label `listener`.
pub const LISTENER_PARTITIONS_LOST: &str = "kafka_boot_listener_partitions_lost_total";
/// Records between the committed offset and the end of the log. Gauge; labels `listener`, `topic`, `partition`.
pub const LISTENER_LAG: &str = "kafka_boot_listener_lag_records";
/// Records fetched and not yet polled. Gauge; labels `listener`, `topic`, `partition`.
pub const LISTENER_PREFETCHED: &str = "kafka_boot_listener_prefetched_records";
/// Records polled and not yet behind the offset to commit. Gauge; labels `listener`, `consumer`.
pub const LISTENER_IN_FLIGHT: &str = "kafka_boot_listener_in_flight_records";
/// Bytes of keys and payloads given to lanes and not settled. Gauge; labels `listener`, `consumer`.
pub const LISTENER_IN_FLIGHT_BYTES: &str = "kafka_boot_listener_in_flight_bytes";
/// For how long the first open record of a partition has been the first, in seconds; 0 if none is open. Gauge; labels
/// `listener`, `topic`, `partition`.
pub const LISTENER_IN_FLIGHT_AGE: &str = "kafka_boot_listener_in_flight_age_seconds";
/// Records not handled because the offset map of the last owner says that they are done. Counter; label `listener`.
pub const LISTENER_RECORDS_FINISHED_BEFORE: &str = "kafka_boot_listener_records_finished_before_total";
/// The length of the offset map in the last commit's metadata. Gauge; labels `listener`, `topic`, `partition`.
pub const LISTENER_OFFSET_MAP_BYTES: &str = "kafka_boot_listener_offset_map_bytes";
/// 1 while the listener's circuit is open or half-open, else 0. Gauge; label `listener`.
pub const LISTENER_CIRCUIT_OPEN: &str = "kafka_boot_listener_circuit_open";
/// Attempts that `handler-timeout` ended. Counter; label `listener`.
pub const LISTENER_ATTEMPTS_TIMED_OUT: &str = "kafka_boot_listener_attempts_timed_out_total";
/// Records given to a template. Counter; label `cluster`.
pub const TEMPLATE_RECORDS_SENT: &str = "kafka_boot_template_records_sent_total";
/// Records that the broker did not take. Counter; label `cluster`.
pub const TEMPLATE_RECORDS_FAILED: &str = "kafka_boot_template_records_failed_total";
/// Records sent and not yet confirmed. Gauge; label `cluster`.
pub const TEMPLATE_IN_FLIGHT: &str = "kafka_boot_template_in_flight_records";
/// Runs of a job that came to an end. Counter; label `job`.
pub const JOB_RUNS: &str = "kafka_boot_job_runs_total";
/// Runs of a job that failed or panicked. Counter; label `job`.
pub const JOB_FAILURES: &str = "kafka_boot_job_failures_total";
/// The time that a run of a job takes, in seconds. Histogram; label `job`.
pub const JOB_SECONDS: &str = "kafka_boot_job_seconds";

/// The listener's id.
pub const LABEL_LISTENER: &str = "listener";
/// The number of a listener's consumer, from 0.
pub const LABEL_CONSUMER: &str = "consumer";
/// The topic.
pub const LABEL_TOPIC: &str = "topic";
/// The partition.
pub const LABEL_PARTITION: &str = "partition";
/// The cluster's name; `default` for the primary one.
pub const LABEL_CLUSTER: &str = "cluster";
/// The job's id.
pub const LABEL_JOB: &str = "job";

#[cfg(test)]
mod tests {
    #[test]
    fn the_guide_has_every_metric() {
        const GUIDE: &str = include_str!("../../../docs/operations.md");
        let names = include_str!("names.rs").split('"').filter(|text| text.starts_with("kafka_boot_"));
        for name in names.filter(|name| *name != "kafka_boot_") {
            assert!(GUIDE.contains(&format!("| `{name}` |")), "docs/operations.md lacks `{name}`");
        }
    }
}
