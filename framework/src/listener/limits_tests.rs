//! Time limits, rate limits and circuit breakers, in every kind of lane.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use tokio::runtime::Handle;
use tokio::time::Instant as Time;

use super::*;
use crate::config::TimeSpan;
use crate::config::model::{
    CircuitBreakerProperties, ConsumerProperties, ErrorProperties, Exhausted, RetryBackoff,
};
use crate::handler::OnFailure;
use crate::listener::events::EventBus;
use crate::listener::handlers::{batch_handler, record_handler};
use crate::listener::key_lane::KeyLane;
use crate::listener::settlements::Reports;
use crate::record::Stored;

const SLOT: Slot = Slot(1);
const RECORDS: i64 = 6;

/// A kind of lane.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kind {
    ordering: RecordOrder,
    is_batch: bool,
    is_plain: bool,
}

const fn kind(ordering: RecordOrder, is_batch: bool, is_plain: bool) -> Kind {
    Kind { ordering, is_batch, is_plain }
}

const ASYNC: [Kind; 4] = [
    kind(RecordOrder::Partition, false, false),
    kind(RecordOrder::Partition, true, false),
    kind(RecordOrder::Key, false, false),
    kind(RecordOrder::None, false, false),
];
const PLAIN: [Kind; 3] = [
    kind(RecordOrder::Partition, false, true),
    kind(RecordOrder::Partition, true, true),
    kind(RecordOrder::None, false, true),
];

/// A lane at work on one chunk.
struct Bench {
    shared: Arc<LaneShared>,
    control: Arc<LaneControl>,
    task: tokio::task::JoinHandle<()>,
    /// Kept, so that the lane does not end by itself.
    _chunks: mpsc::Sender<Arc<Chunk>>,
}

fn shared(kind: Kind, consumer: &ConsumerProperties, attempts: u32, then: Exhausted) -> Arc<LaneShared> {
    let backoff = RetryBackoff { initial: TimeSpan::default(), ..RetryBackoff::default() };
    let gate = Gate::new("test", consumer, EventBus::default().of("test"));
    let limit = consumer.handler_timeout.get();
    Arc::new(LaneShared {
        listener: "test".to_owned(),
        settlements: Settlements::new(),
        policy: ErrorPolicy::new(
            &ErrorProperties { attempts, backoff, then, ..ErrorProperties::default() },
            &[],
            None,
        ),
        recovery: Recovery::new("test", None),
        ordering: kind.ordering,
        ack: AckMode::Batch,
        wait_for_commit: false,
        blocking: kind.is_plain,
        gate,
        handler_timeout: Some(limit).filter(|limit| !limit.is_zero()),
        permits: Permits::new(4),
        threads: HandlerThreads::new(Handle::current(), "test".to_owned(), 4),
        interception: Interception::none(),
        retrying: AtomicUsize::new(0),
        metrics: LaneMetrics::of("test"),
        transactions: None,
    })
}

impl Bench {
    /// `call` is given the first offset of a call and the number of its attempt.
    fn start<Fut>(
        kind: Kind,
        shared: &Arc<LaneShared>,
        call: impl Fn(i64, u32) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let handler: Arc<dyn Handler> = if kind.is_batch {
            batch_handler(move |batch| {
                let first = batch.records().next().expect("a batch is never empty");
                Ok(call(first.offset(), first.attempt()))
            })
        } else {
            record_handler(move |record| Ok(call(record.offset(), record.attempt())))
        }
        .into();
        let (chunks, receiver) = mpsc::channel(1);
        let records = (0..RECORDS).map(Stored::made_at).collect();
        chunks.try_send(Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })).unwrap();
        let control = Arc::new(LaneControl::default());
        let (shared, to_lane) = (Arc::clone(shared), Arc::clone(&control));
        let task = if kind.ordering == RecordOrder::Partition {
            let lane = Lane::new(Arc::clone(&shared), to_lane, SLOT, "t-0".to_owned(), receiver);
            tokio::spawn(lane.run(handler))
        } else {
            let lane = KeyLane::new(Arc::clone(&shared), to_lane, SLOT, "t-0".to_owned(), receiver);
            tokio::spawn(lane.run(handler))
        };
        Self { shared, control, task, _chunks: chunks }
    }

    /// Waits until all records are settled, and returns what failed for good, which is nothing.
    async fn until_all_settled(&self) {
        let mut left: std::collections::BTreeSet<i64> = (0..RECORDS).collect();
        while !left.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut reports = Reports::default();
            self.shared.settlements.take(&mut reports);
            for run in reports.settled {
                left.retain(|offset| !(run.first..=run.last).contains(offset));
            }
            assert!(
                reports.failed.is_empty() && reports.ended.is_empty(),
                "{:?} {:?}",
                reports.failed,
                reports.ended
            );
        }
    }

    async fn stop(self) -> Reports {
        self.control.stop();
        self.task.await.unwrap();
        let mut reports = Reports::default();
        self.shared.settlements.take(&mut reports);
        reports
    }
}

/// Counts how often it is dropped, and panics then.
struct CountsItsEnd(Arc<AtomicU32>);

impl Drop for CountsItsEnd {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("also when it panics");
    }
}

fn limited(limit: Duration) -> ConsumerProperties {
    let handler_timeout = TimeSpan::from_millis(u64::try_from(limit.as_millis()).unwrap());
    ConsumerProperties { handler_timeout, ..ConsumerProperties::default() }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_has_failed_and_its_future_is_dropped() {
    for kind in ASYNC {
        let dropped = Arc::new(AtomicU32::new(0));
        let shared = shared(kind, &limited(Duration::from_secs(5)), 3, Exhausted::Stop);
        let ended = Arc::clone(&dropped);
        let began = Time::now();
        let bench = Bench::start(kind, &shared, move |_, attempt| {
            let ended = Arc::clone(&ended);
            async move {
                if attempt < 3 {
                    let _counts = CountsItsEnd(ended);
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok(())
            }
        });
        bench.until_all_settled().await;
        let calls: u32 = if kind.is_batch { 1 } else { 6 };
        assert_eq!(dropped.load(Ordering::SeqCst), calls * 2, "{kind:?}");
        assert!(began.elapsed() >= Duration::from_secs(14), "{kind:?}: two limits and the work");
        assert!(bench.stop().await.failed.is_empty(), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_attempts_all_take_too_long_goes_through_the_error_policy() {
    for kind in ASYNC {
        let shared = shared(kind, &limited(Duration::from_secs(5)), 2, Exhausted::Stop);
        let bench = Bench::start(kind, &shared, |offset, _| async move {
            if offset == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        });
        (bench.task).await.unwrap();
        let mut reports = Reports::default();
        bench.shared.settlements.take(&mut reports);
        let failure = reports
            .failed
            .pop()
            .map(|(_, failure)| failure)
            .or_else(|| reports.ended.pop().unwrap().failure)
            .unwrap();
        assert_eq!((failure.offset, failure.attempts), (0, 2), "{kind:?}");
        let message = failure.error.to_string();
        assert_eq!(message, "the handler did not return within 5s, its `handler-timeout`", "{kind:?}");
    }
}

#[tokio::test]
async fn a_plain_function_that_does_not_return_is_left_behind_and_the_others_go_on() {
    for kind in PLAIN {
        let shared = shared(kind, &limited(Duration::from_millis(200)), 20, Exhausted::Stop);
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(Some(released)));
        let bench = Bench::start(kind, &shared, move |_, _| {
            // Only the first call hangs.
            let hangs = released.lock().unwrap().take();
            async move {
                if let Some(released) = hangs {
                    let _ = released.recv();
                }
                Ok(())
            }
        });
        bench.until_all_settled().await;
        drop(release);
        assert!(bench.stop().await.failed.is_empty(), "{kind:?}");
        assert_eq!(shared.threads.close(Instant::now() + Duration::from_mins(1)), 0, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_go_at_the_rate_that_is_allowed() {
    for kind in ASYNC {
        let consumer = ConsumerProperties { rate_limit: Some(2.0), ..ConsumerProperties::default() };
        let shared = shared(kind, &consumer, 1, Exhausted::Stop);
        let began = Time::now();
        let went: Arc<Mutex<BTreeMap<i64, u128>>> = Arc::default();
        let seen = Arc::clone(&went);
        let bench = Bench::start(kind, &shared, move |offset, _| {
            let seen = Arc::clone(&seen);
            async move {
                seen.lock().unwrap().insert(offset, began.elapsed().as_millis() / 100);
                Ok(())
            }
        });
        bench.until_all_settled().await;
        let went: Vec<u128> = went.lock().unwrap().values().copied().collect();
        let expected: &[u128] = if kind.is_batch { &[0] } else { &[0, 5, 10, 15, 20, 25] };
        assert_eq!(went, expected, "{kind:?}");
        bench.stop().await;
    }
}

/// On threads of their own, in the time of the world: a call must not be made before it is permitted.
#[tokio::test]
async fn plain_functions_go_at_the_rate_that_is_allowed_also_with_a_time_limit() {
    for kind in PLAIN {
        let consumer = ConsumerProperties { rate_limit: Some(10.0), ..limited(Duration::from_mins(1)) };
        let shared = shared(kind, &consumer, 1, Exhausted::Stop);
        let began = Instant::now();
        let last: Arc<Mutex<Duration>> = Arc::default();
        let seen = Arc::clone(&last);
        let bench = Bench::start(kind, &shared, move |_, _| {
            let seen = Arc::clone(&seen);
            async move {
                *seen.lock().unwrap() = began.elapsed();
                Ok(())
            }
        });
        bench.until_all_settled().await;
        let last = *last.lock().unwrap();
        let earliest = Duration::from_millis(if kind.is_batch { 0 } else { 490 });
        assert!(last >= earliest, "{kind:?}: the last one began after {last:?}");
        bench.stop().await;
    }
}

fn with_breaker() -> ConsumerProperties {
    let circuit_breaker = CircuitBreakerProperties {
        enabled: true,
        minimum_number_of_calls: 1,
        wait_duration_in_open_state: TimeSpan::from_secs(10),
        ..CircuitBreakerProperties::default()
    };
    ConsumerProperties { circuit_breaker, ..ConsumerProperties::default() }
}

#[tokio::test(start_paused = true)]
async fn an_outage_uses_up_nobodys_attempts_and_everything_is_done_when_it_is_over() {
    for kind in ASYNC {
        let shared = shared(kind, &with_breaker(), 1, Exhausted::Stop);
        let (began, calls) = (Time::now(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&calls);
        let bench = Bench::start(kind, &shared, move |_, attempt| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!(attempt, 1, "no attempt during the outage counts");
                tokio::time::sleep(Duration::from_millis(10)).await;
                if began.elapsed() < Duration::from_secs(35) {
                    Err(HandlerError::msg("down"))
                } else {
                    Ok(())
                }
            }
        });
        bench.until_all_settled().await;
        let seconds = began.elapsed().as_secs();
        assert!((40..45).contains(&seconds), "{kind:?}: {seconds} s");
        // What was at work when the circuit opened, the probes of three periods that failed, and then all of them.
        let made = calls.load(Ordering::SeqCst);
        assert!(made <= 4 + 3 * 3 + 6, "{kind:?}: {made} calls");
        // A batch is one call, which is one of the probes.
        assert_eq!(shared.gate.open_circuit().is_some(), kind.is_batch, "{kind:?}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_blames_its_record_opens_no_circuit() {
    for kind in ASYNC {
        let shared = shared(kind, &with_breaker(), 3, Exhausted::Stop);
        let bench = Bench::start(kind, &shared, |_, _| async {
            Err(HandlerError::msg("no such account").with(OnFailure::Skip))
        });
        bench.until_all_settled().await;
        assert_eq!(shared.gate.open_circuit(), None, "{kind:?}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_at_the_gate_ends_at_once_when_it_is_told_to() {
    for kind in ASYNC {
        let shared = shared(kind, &with_breaker(), 1, Exhausted::Stop);
        let bench = Bench::start(kind, &shared, |_, _| async { Err(HandlerError::msg("down")) });
        while shared.gate.open_circuit().is_none() {
            tokio::task::yield_now().await;
        }
        let began = Time::now();
        let reports = bench.stop().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{kind:?}");
        assert!(reports.settled.is_empty() && reports.failed.is_empty(), "{kind:?}: {reports:?}");
        assert!(reports.ended.iter().all(|end| end.failure.is_none()), "{kind:?}: {reports:?}");
    }
}
