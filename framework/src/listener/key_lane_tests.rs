//! Lanes without order, with records made by hand: what runs when, and what is reported.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Handle;

use super::super::gate::Gate;
use super::super::handler_threads::HandlerThreads;
use super::super::handlers::record_handler;
use super::super::lanes::LaneMetrics;
use super::super::permits::Permits;
use super::super::recovery::Recovery;
use super::super::settlements::{Reports, Settlements};
use super::*;
use crate::config::TimeSpan;
use crate::config::model::{ErrorProperties, Exhausted, RetryBackoff};
use crate::handler::{Ack, Interception};
use crate::policy::fake::Sink;
use crate::policy::{ErrorPolicy, Recover};
use crate::record::{Made, Stored};

const SLOT: Slot = Slot(1);

/// How a lane of a test is set up.
#[derive(Clone)]
struct Setup {
    ordering: RecordOrder,
    ack: AckMode,
    wait_for_commit: bool,
    blocking: bool,
    attempts: u32,
    backoff: Duration,
    then: Exhausted,
    at_work_max: usize,
    recover: Option<Arc<dyn Recover>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            ordering: RecordOrder::Key,
            ack: AckMode::Batch,
            wait_for_commit: false,
            blocking: false,
            attempts: 1,
            backoff: Duration::ZERO,
            then: Exhausted::Stop,
            at_work_max: 100,
            recover: None,
        }
    }
}

impl Setup {
    fn shared(&self) -> Arc<LaneShared> {
        let span = |span: Duration| TimeSpan::from_millis(u64::try_from(span.as_millis()).unwrap());
        let backoff = RetryBackoff {
            initial: span(self.backoff),
            max: span(self.backoff),
            jitter: 0.0,
            ..RetryBackoff::default()
        };
        let policy = ErrorPolicy::new(
            &ErrorProperties {
                attempts: self.attempts,
                backoff,
                then: self.then,
                ..ErrorProperties::default()
            },
            &[],
            None,
        );
        Arc::new(LaneShared {
            listener: "test".to_owned(),
            settlements: Settlements::new(),
            policy,
            recovery: Recovery::new("test", self.recover.clone()),
            ordering: self.ordering,
            ack: self.ack,
            wait_for_commit: self.wait_for_commit,
            blocking: self.blocking,
            gate: Gate::open(),
            handler_timeout: None,
            permits: Permits::new(self.at_work_max),
            threads: HandlerThreads::new(Handle::current(), "test".to_owned(), self.at_work_max),
            interception: Interception::none(),
            retrying: AtomicUsize::new(0),
            metrics: LaneMetrics::of("test"),
            transactions: None,
        })
    }
}

/// What handlers did, in order.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<(i64, Event)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Begun,
    Ended,
}

impl Log {
    fn add(&self, offset: i64, event: Event) {
        self.events.lock().unwrap().push((offset, event));
    }

    fn all(&self) -> Vec<(i64, Event)> {
        self.events.lock().unwrap().clone()
    }

    fn begun(&self) -> Vec<i64> {
        self.all().into_iter().filter(|(_, event)| *event == Event::Begun).map(|(offset, _)| offset).collect()
    }
}

/// A lane at work, and what it told so far.
struct Bench {
    shared: Arc<LaneShared>,
    control: Arc<LaneControl>,
    chunks: mpsc::Sender<Arc<Chunk>>,
    task: tokio::task::JoinHandle<()>,
    settled: BTreeSet<i64>,
    failed: Vec<(i64, u32)>,
    boundaries: u32,
    ends: usize,
}

impl Bench {
    fn start<Fut>(shared: &Arc<LaneShared>, handler: impl Fn(i64, u32) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let handler: Arc<dyn Handler> =
            record_handler(move |record| Ok(handler(record.offset(), record.attempt()))).into();
        let (chunks, receiver) = mpsc::channel(64);
        let control = Arc::new(LaneControl::default());
        let lane = KeyLane::new(Arc::clone(shared), Arc::clone(&control), SLOT, "t-0".to_owned(), receiver);
        let task = tokio::spawn(lane.run(handler));
        Self {
            shared: Arc::clone(shared),
            control,
            chunks,
            task,
            settled: BTreeSet::new(),
            failed: Vec::new(),
            boundaries: 0,
            ends: 0,
        }
    }

    async fn give(&self, keys: &[Option<&str>], first_offset: i64) {
        self.chunks.send(chunk(keys, first_offset)).await.unwrap();
    }

    /// Takes what the lane reported.
    fn look(&mut self) {
        let mut reports = Reports::default();
        self.shared.settlements.take(&mut reports);
        for run in reports.settled {
            for offset in run.first..=run.last {
                assert!(self.settled.insert(offset), "{offset} is settled twice");
            }
        }
        self.failed.extend(reports.failed.iter().map(|(_, failure)| (failure.offset, failure.attempts)));
        self.boundaries += reports.boundaries.iter().map(|(_, count)| count).sum::<u32>();
        self.ends += reports.ended.len();
    }

    /// Waits until so many records are settled.
    async fn until_settled(&mut self, count: usize) {
        while self.settled.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.look();
        }
    }

    /// Lets the lane finish all that it was given.
    async fn finish(mut self) -> Self {
        let (nobody, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.chunks, nobody));
        (&mut self.task).await.unwrap();
        self.look();
        assert_eq!(self.ends, 1, "the end is reported once");
        self
    }
}

fn chunk(keys: &[Option<&str>], first_offset: i64) -> Arc<Chunk> {
    let made = |(offset, key): (i64, Option<&str>)| {
        let key = key.map(|key| key.as_bytes().to_vec());
        Stored::Made(Box::new(Made { key, offset, ..Made::default() }))
    };
    let records = (first_offset..).zip(keys.iter().copied()).map(made).collect();
    Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })
}

fn every(range: std::ops::Range<i64>) -> BTreeSet<i64> {
    range.collect()
}

#[tokio::test(start_paused = true)]
async fn keys_run_at_once_and_each_in_its_order() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let bench = Bench::start(&Setup::default().shared(), move |offset, _| {
        let log = Arc::clone(&seen);
        async move {
            log.add(offset, Event::Begun);
            tokio::time::sleep(Duration::from_millis(10)).await;
            log.add(offset, Event::Ended);
            Ok(())
        }
    });
    bench.give(&[Some("a"), Some("b"), Some("a"), None, None, Some("c")], 0).await;
    let bench = bench.finish().await;
    assert_eq!(
        log.begun(),
        [0, 1, 3, 5, 2, 4],
        "first one of each key, then the next; no key is a key of its own"
    );
    assert_eq!(bench.settled, every(0..6));
    assert_eq!(bench.boundaries, 1);
}

#[tokio::test(start_paused = true)]
async fn without_an_ordering_nothing_waits() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let setup = Setup { ordering: RecordOrder::None, at_work_max: 4, ..Setup::default() };
    let bench = Bench::start(&setup.shared(), move |offset, _| {
        let log = Arc::clone(&seen);
        async move {
            log.add(offset, Event::Begun);
            tokio::time::sleep(Duration::from_millis(10)).await;
            log.add(offset, Event::Ended);
            Ok(())
        }
    });
    bench.give(&[Some("a"); 6], 0).await;
    let bench = bench.finish().await;
    let first: Vec<_> = log.all().into_iter().take(5).collect();
    let begun = |offset| (offset, Event::Begun);
    assert_eq!(first[..4], [begun(0), begun(1), begun(2), begun(3)]);
    assert_eq!(first[4].1, Event::Ended, "no more than four at once");
    assert_eq!(bench.settled, every(0..6));
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_key_holds_no_other_and_no_permit() {
    let setup = Setup {
        attempts: 5,
        backoff: Duration::from_mins(1),
        at_work_max: 1,
        then: Exhausted::Skip,
        ..Setup::default()
    };
    let shared = setup.shared();
    let mut bench = Bench::start(&shared, |offset, _| async move {
        if offset == 0 { Err(HandlerError::msg("poisoned")) } else { Ok(()) }
    });
    let began = tokio::time::Instant::now();
    bench.give(&[Some("bad"), Some("bad"), Some("a"), Some("b"), Some("a")], 0).await;
    bench.until_settled(3).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(bench.settled, every(2..5));
    assert_eq!(shared.retrying.load(Ordering::Relaxed), 1);
    let bench = bench.finish().await;
    assert_eq!(bench.settled, every(0..5));
    assert!(began.elapsed() >= Duration::from_mins(4), "four waits of a minute");
    assert_eq!(shared.retrying.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_tried_again_before_the_next_one_of_its_key() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let setup = Setup { attempts: 3, backoff: Duration::from_millis(5), ..Setup::default() };
    let bench = Bench::start(&setup.shared(), move |offset, attempt| {
        let log = Arc::clone(&seen);
        async move {
            log.add(offset, Event::Begun);
            assert!(offset != 1 || attempt > 2, "panics twice");
            Ok(())
        }
    });
    bench.give(&[Some("a"); 3], 0).await;
    let bench = bench.finish().await;
    assert_eq!(log.begun(), [0, 1, 1, 1, 2]);
    assert_eq!(bench.settled, every(0..3));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_given_up_stops_the_lane_and_leaves_its_key_as_it_is() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let bench = Bench::start(&Setup { attempts: 2, ..Setup::default() }.shared(), move |offset, _| {
        let log = Arc::clone(&seen);
        async move {
            log.add(offset, Event::Begun);
            if offset == 1 {
                return Err(HandlerError::msg("poisoned"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(())
        }
    });
    bench.give(&[Some("a"), Some("bad"), Some("bad"), Some("a")], 0).await;
    let bench = bench.finish().await;
    assert_eq!(bench.failed, [(1, 2)]);
    assert_eq!(bench.settled, every(0..1), "what was at work is finished, and nothing else begun");
    assert_eq!(log.begun(), [0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_told_to_stop_finishes_what_is_at_work() {
    let mut bench = Bench::start(&Setup { at_work_max: 2, ..Setup::default() }.shared(), |_, _| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    });
    bench.give(&[Some("a"), Some("b"), Some("c"), Some("a")], 0).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.control.stop();
    (&mut bench.task).await.unwrap();
    bench.look();
    assert_eq!(bench.settled, every(0..2));
    assert!(bench.failed.is_empty());
    assert_eq!(bench.shared.permits.left(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_lane_gives_its_permits_back() {
    let shared = Setup { at_work_max: 2, ..Setup::default() }.shared();
    let mut hung = Bench::start(&shared, |_, _| std::future::pending::<HandlerResult>());
    hung.give(&[Some("a"), Some("b"), Some("c")], 0).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(shared.permits.left(), 0);
    let waiting = Bench::start(&shared, |_, _| async { Ok(()) });
    waiting.give(&[Some("a"), Some("b")], 0).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    hung.task.abort();
    assert!((&mut hung.task).await.is_err());
    // Both report to the same box.
    hung.until_settled(2).await;
    assert_eq!((hung.settled, hung.ends), (every(0..2), 1));
    waiting.finish().await;
    assert_eq!(shared.permits.left(), 2);
}

/// The clock stands still while a permit goes round: the test would never end.
#[tokio::test(start_paused = true)]
async fn lanes_that_share_one_permit_take_turns() {
    let shared = Setup { at_work_max: 1, ..Setup::default() }.shared();
    let lanes: Vec<Bench> = (0..4)
        .map(|_| {
            Bench::start(&shared, |_, _| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(())
            })
        })
        .collect();
    let began = tokio::time::Instant::now();
    for lane in &lanes {
        lane.give(&[Some("a"), Some("b"), Some("c")], 0).await;
    }
    for lane in lanes {
        drop(lane.chunks);
        lane.task.await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(60), "one at a time");
    assert_eq!(shared.permits.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_waits_for_the_commit_of_the_one_before_it_in_its_key() {
    let setup = Setup { ack: AckMode::Record, wait_for_commit: true, ..Setup::default() };
    let mut bench = Bench::start(&setup.shared(), |_, _| async { Ok(()) });
    bench.give(&[Some("a"), Some("a"), Some("b"), Some("b")], 0).await;
    bench.until_settled(2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.look();
    assert_eq!(bench.settled, BTreeSet::from([0, 2]));
    bench.control.committed(1);
    bench.until_settled(3).await;
    assert_eq!(bench.settled, every(0..3));
    bench.control.committed(3);
    bench.until_settled(4).await;
}

#[tokio::test(start_paused = true)]
async fn what_user_code_has_to_acknowledge_is_not_settled_by_the_lane() {
    let setup = Setup { ack: AckMode::Manual, then: Exhausted::Skip, ..Setup::default() };
    let bench = Bench::start(&setup.shared(), |offset, _| async move {
        if offset == 2 { Err(HandlerError::msg("poisoned")) } else { Ok(()) }
    });
    bench.give(&[Some("a"); 4], 0).await;
    let bench = bench.finish().await;
    assert_eq!(bench.settled, every(2..3), "only the one that was skipped");
    assert_eq!(bench.boundaries, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_functions_run_on_threads_of_their_own() {
    let setup = Setup { blocking: true, at_work_max: 3, ..Setup::default() };
    let barrier = Arc::new(std::sync::Barrier::new(3));
    let bench = Bench::start(&setup.shared(), move |_, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait();
            Ok(())
        }
    });
    bench.give(&[Some("a"), Some("b"), Some("c"), Some("a"), Some("b"), Some("c")], 0).await;
    let bench = bench.finish().await;
    assert_eq!(bench.settled, every(0..6));
    assert_eq!(bench.boundaries, 1);
}

/// How a handler of the random test behaves for a record: how long it takes, and how many attempts fail.
#[derive(Debug, Clone)]
struct Planned {
    key: Option<u8>,
    millis: u64,
    failures: u32,
}

fn planned() -> impl Strategy<Value = Planned> {
    let millis = prop_oneof![2 => Just(0u64), 1 => 1u64..20];
    let failures = prop_oneof![6 => Just(0u32), 1 => 1u32..3, 1 => Just(99u32)];
    (prop::option::weighted(0.9, 0u8..6), millis, failures).prop_map(|(key, millis, failures)| Planned {
        key,
        millis,
        failures,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any mixture of keys, slowness, failures and a stop in the middle: order within a key, no more at work than
    /// allowed, nothing settled that did not end well, nothing lost that did.
    #[test]
    fn any_mixture_keeps_the_order_of_each_key(
        plan in prop::collection::vec(planned(), 1..120),
        at_work_max in 1usize..8,
        stop_after in prop::option::of(0u64..60),
        skips in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let log = Arc::new(Log::default());
            let then = if skips { Exhausted::Skip } else { Exhausted::Stop };
            let setup = Setup { attempts: 3, backoff: Duration::from_millis(3), then, at_work_max, ..Setup::default() };
            let (seen, plan) = (Arc::clone(&log), Arc::new(plan));
            let of_handler = Arc::clone(&plan);
            let bench = Bench::start(&setup.shared(), move |offset, attempt| {
                let (log, plan) = (Arc::clone(&seen), Arc::clone(&of_handler));
                async move {
                    log.add(offset, Event::Begun);
                    let Planned { millis, failures, .. } = plan[usize::try_from(offset).unwrap()];
                    if millis > 0 {
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                    }
                    log.add(offset, Event::Ended);
                    if attempt <= failures { Err(HandlerError::msg("planned")) } else { Ok(()) }
                }
            });
            let names: Vec<Option<String>> = plan.iter().map(|one| one.key.map(|key| key.to_string())).collect();
            for (index, part) in names.chunks(16).enumerate() {
                let keys: Vec<Option<&str>> = part.iter().map(Option::as_deref).collect();
                bench.give(&keys, i64::try_from(index * 16).unwrap()).await;
            }
            if let Some(millis) = stop_after {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                bench.control.stop();
            }
            let bench = bench.finish().await;
            judge(&plan, &log.all(), &bench, at_work_max, skips, stop_after.is_some());
        });
    }
}

/// Checks what a lane did against what was planned.
fn judge(
    plan: &[Planned],
    events: &[(i64, Event)],
    bench: &Bench,
    at_work_max: usize,
    skips: bool,
    stopped: bool,
) {
    let key_of = |offset: i64| plan[usize::try_from(offset).unwrap()].key;
    let mut at_work: HashMap<Option<u8>, i64> = HashMap::new();
    let mut furthest: HashMap<Option<u8>, i64> = HashMap::new();
    let mut ends: BTreeMap<i64, u32> = BTreeMap::new();
    for (offset, event) in events {
        let key = key_of(*offset);
        match event {
            Event::Begun => {
                assert_eq!(at_work.insert(key, *offset), None, "{offset} begins while its key is at work");
                let before = furthest.insert(key, *offset);
                assert!(before.is_none_or(|before| before <= *offset), "{offset} begins after {before:?}");
                assert!(at_work.len() <= at_work_max);
            }
            Event::Ended => {
                assert_eq!(at_work.remove(&key), Some(*offset));
                *ends.entry(*offset).or_default() += 1;
            }
        }
    }
    assert!(at_work.is_empty(), "what was begun is ended");
    let ended_well = |offset: i64| {
        let Planned { failures, .. } = plan[usize::try_from(offset).unwrap()];
        let attempts = ends.get(&offset).copied().unwrap_or_default();
        attempts > failures || skips && attempts == 3
    };
    let expected: BTreeSet<i64> =
        (0..i64::try_from(plan.len()).unwrap()).filter(|offset| ended_well(*offset)).collect();
    assert_eq!(bench.settled, expected, "settled is what ended well");
    if bench.failed.is_empty() && !stopped {
        assert_eq!(expected.len(), plan.len(), "all is done");
    }
    if skips {
        assert!(bench.failed.is_empty());
    }
    assert_eq!(bench.shared.permits.left(), at_work_max);
    assert_eq!(bench.shared.retrying.load(Ordering::Relaxed), 0);
}

/// What a handler was given: the offset, the seconds gone by, and the `Ack`.
type Delivered = mpsc::UnboundedReceiver<(i64, u64, Ack)>;

/// A lane with manual acknowledgement, whose handler hands each `Ack` to the test, with its offset and the seconds gone by.
fn by_hand(
    ordering: RecordOrder,
) -> (Arc<LaneControl>, mpsc::Sender<Arc<Chunk>>, Delivered, Arc<LaneShared>) {
    let shared = Setup { ack: AckMode::Manual, ordering, ..Setup::default() }.shared();
    let (sender, delivered) = mpsc::unbounded_channel();
    let began = Instant::now();
    let handler: Arc<dyn Handler> = record_handler(move |view| {
        sender.send((view.offset(), began.elapsed().as_secs(), Ack::from_view(view)?)).unwrap();
        Ok(async { Ok(()) })
    })
    .into();
    let (chunks, receiver) = mpsc::channel(64);
    let control = Arc::new(LaneControl::default());
    let lane = KeyLane::new(Arc::clone(&shared), Arc::clone(&control), SLOT, "t-0".to_owned(), receiver);
    tokio::spawn(lane.run(handler));
    (control, chunks, delivered, shared)
}

async fn acknowledged(delivered: &mut Delivered, count: usize) -> Vec<(i64, u64)> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let (offset, seconds, ack) = delivered.recv().await.unwrap();
        ack.acknowledge();
        seen.push((offset, seconds));
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_record_not_done_holds_its_key_and_no_other() {
    let (_control, chunks, mut delivered, shared) = by_hand(RecordOrder::Key);
    chunks.send(chunk(&[Some("a"), Some("b")], 0)).await.unwrap();
    let (offset, _, not_done) = delivered.recv().await.unwrap();
    assert_eq!(offset, 0);
    assert_eq!(acknowledged(&mut delivered, 1).await, [(1, 0)]);
    // The handler has returned long ago.
    not_done.nack(Duration::from_secs(5));
    while shared.retrying.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    chunks.send(chunk(&[Some("a"), Some("b"), Some("a")], 2)).await.unwrap();
    assert_eq!(acknowledged(&mut delivered, 4).await, [(3, 0), (0, 5), (2, 5), (4, 5)]);
    let mut reports = Reports::default();
    shared.settlements.take(&mut reports);
    assert_eq!(reports.boundaries.iter().map(|(_, count)| count).sum::<u32>(), 2, "each batch counts once");
}

#[tokio::test(start_paused = true)]
async fn without_an_ordering_a_record_not_done_holds_nothing() {
    let (control, chunks, mut delivered, shared) = by_hand(RecordOrder::None);
    chunks.send(chunk(&[Some("a"); 3], 0)).await.unwrap();
    let (_, _, not_done) = delivered.recv().await.unwrap();
    not_done.nack(Duration::from_secs(5));
    assert_eq!(acknowledged(&mut delivered, 3).await, [(1, 0), (2, 0), (0, 5)]);
    // An `Ack` of what is settled says nothing.
    control.settled_to(3);
    chunks.send(chunk(&[Some("a")], 3)).await.unwrap();
    delivered.recv().await.unwrap().2.nack(Duration::from_hours(1));
    while shared.retrying.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    control.stop();
    drop(chunks);
    assert!(delivered.recv().await.is_none(), "a shutdown does not wait for it");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_after_its_ack_is_not_given_to_the_error_policy() {
    let shared = Setup { ack: AckMode::Manual, attempts: 1, ..Setup::default() }.shared();
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let handler: Arc<dyn Handler> = record_handler(move |view| {
        let (ack, tries) = (Ack::from_view(view)?, count.fetch_add(1, Ordering::Relaxed));
        Ok(async move {
            if tries == 0 {
                ack.nack(Duration::from_secs(1));
                return Err(HandlerError::msg("later"));
            }
            drop(ack);
            Err(HandlerError::msg("never"))
        })
    })
    .into();
    let (chunks, receiver) = mpsc::channel(1);
    chunks.send(chunk(&[Some("a")], 0)).await.unwrap();
    let control = Arc::new(LaneControl::default());
    KeyLane::new(Arc::clone(&shared), control, SLOT, "t-0".to_owned(), receiver).run(handler).await;
    let mut reports = Reports::default();
    shared.settlements.take(&mut reports);
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    assert_eq!(reports.failed.iter().map(|(_, failure)| failure.offset).collect::<Vec<_>>(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_dead_letter_is_not_taken_waits_alone() {
    for (ack, wait_for_commit) in [(AckMode::Batch, false), (AckMode::Manual, false)] {
        let sink = Sink::refusing(3);
        let setup = Setup {
            ack,
            wait_for_commit,
            then: Exhausted::DeadLetter,
            at_work_max: 1,
            recover: Some(Arc::new(sink.clone())),
            ..Setup::default()
        };
        let shared = setup.shared();
        let log = Arc::new(Log::default());
        let seen = Arc::clone(&log);
        let bench = Bench::start(&shared, move |offset, _| {
            seen.add(offset, Event::Begun);
            async move { if offset == 0 { Err(HandlerError::msg("poisoned")) } else { Ok(()) } }
        });
        bench.give(&[Some("a"), Some("b"), Some("a"), Some("c")], 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(log.begun(), [0, 1, 3], "the only permit is free, and the key of the dead letter is not");
        assert_eq!(shared.recovery.waiting().len(), 1);
        let bench = bench.finish().await;
        assert_eq!((log.begun(), sink.taken(), sink.attempts()), (vec![0, 1, 3, 2], vec![0], 4));
        assert!(bench.settled.contains(&0), "{:?}", bench.settled);
        assert!(bench.failed.is_empty() && shared.recovery.waiting().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_stops_waits_for_an_answer_and_not_for_a_topic_that_takes_nothing() {
    for (sink, is_settled) in
        [(Sink::refusing(u32::MAX), false), (Sink::taking(Duration::from_secs(3)), true)]
    {
        let recover: Option<Arc<dyn Recover>> = Some(Arc::new(sink.clone()));
        let setup = Setup { then: Exhausted::DeadLetter, recover, ..Setup::default() };
        let bench = Bench::start(&setup.shared(), |_, _| async { Err(HandlerError::msg("poisoned")) });
        bench.give(&[Some("a"), Some("a")], 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.control.stop();
        let bench = bench.finish().await;
        assert_eq!(bench.settled.contains(&0), is_settled);
        assert!(!bench.settled.contains(&1));
    }
}
