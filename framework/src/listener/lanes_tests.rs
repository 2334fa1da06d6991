//! A lane with records made by hand: what it reports to the poll thread.

use metrics::{Counter, Histogram};

use super::super::settlements::{Reports, Settled};
use super::*;
use crate::config::TimeSpan;
use crate::config::model::{ErrorProperties, Exhausted, RetryBackoff};
use crate::record::Stored;

const SLOT: Slot = Slot(1);

fn shared(ack: AckMode, attempts: u32, then: Exhausted) -> Arc<LaneShared> {
    let backoff = RetryBackoff { initial: TimeSpan::default(), ..RetryBackoff::default() };
    let policy = ErrorPolicy::new(&ErrorProperties { attempts, backoff, then });
    let metrics = LaneMetrics {
        handled: Counter::noop(),
        failed: Counter::noop(),
        retried: Counter::noop(),
        skipped: Counter::noop(),
        seconds: Histogram::noop(),
    };
    Arc::new(LaneShared {
        listener: "test".to_owned(),
        settlements: Settlements::new(),
        policy,
        ordering: RecordOrder::Partition,
        ack,
        wait_for_commit: false,
        blocking: false,
        permits: Permits::new(1),
        threads: HandlerThreads::new(tokio::runtime::Handle::current(), "test".to_owned(), 1),
        retrying: AtomicUsize::new(0),
        metrics,
    })
}

/// Ten records, offsets 0 to 9, through a handler that fails for those in `failing`.
async fn run(shared: &Arc<LaneShared>, failing: &'static [i64]) -> Reports {
    let handler: Arc<dyn Handler> = record_handler(move |record| {
        let offset = record.offset();
        Ok(async move { if failing.contains(&offset) { Err(HandlerError::msg("poisoned")) } else { Ok(()) } })
    })
    .into();
    let records = (0..10).map(Stored::made_at).collect();
    let chunk = Chunk { topic: "t".into(), partition: 0, records, bytes: 0 };
    let (chunks, receiver) = mpsc::channel(1);
    chunks.send(Arc::new(chunk)).await.unwrap();
    drop(chunks);
    let control = Arc::new(LaneControl::default());
    Lane::new(Arc::clone(shared), control, SLOT, "t-0".to_owned(), receiver).run(handler).await;
    let mut reports = Reports::default();
    shared.settlements.take(&mut reports);
    reports
}

fn offsets(reports: &Reports) -> Vec<(i64, i64)> {
    reports.settled.iter().map(|Settled { first, last, .. }| (*first, *last)).collect()
}

#[tokio::test]
async fn a_polled_batch_is_reported_as_one_run() {
    let reports = run(&shared(AckMode::Batch, 1, Exhausted::Stop), &[]).await;
    assert_eq!(offsets(&reports), [(0, 9)]);
    assert_eq!(reports.ended.len(), 1);
    assert!(reports.ended[0].failure.is_none());
}

#[tokio::test]
async fn a_failing_record_stops_the_lane_behind_what_precedes_it() {
    let reports = run(&shared(AckMode::Batch, 2, Exhausted::Stop), &[4]).await;
    assert_eq!(offsets(&reports), [(0, 3)]);
    let failure = reports.ended[0].failure.as_ref().unwrap();
    assert_eq!((failure.offset, failure.attempts), (4, 2));
}

#[tokio::test]
async fn a_skipped_record_is_done_like_its_neighbours() {
    let reports = run(&shared(AckMode::Batch, 1, Exhausted::Skip), &[4]).await;
    assert_eq!(offsets(&reports), [(0, 9)]);
}

#[tokio::test]
async fn skipped_records_do_not_acknowledge_what_lies_between_them() {
    for ack in [AckMode::Manual, AckMode::ManualImmediate] {
        let reports = run(&shared(ack, 1, Exhausted::Skip), &[3, 7]).await;
        assert_eq!(offsets(&reports), [(3, 3), (7, 7)], "{ack:?}");
    }
}
