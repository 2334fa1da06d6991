//! A lane with records made by hand: what it reports to the poll thread.

use super::super::handlers::{batch_handler, filtered_batch_handler, record_handler};
use super::super::settlements::{Reports, Settled};
use super::*;
use crate::config::TimeSpan;
use crate::config::model::{ErrorProperties, Exhausted, RetryBackoff};
use crate::error::ExtractError;
use crate::handler::{Ack, RecordInterceptor};
use crate::policy::Recover;
use crate::policy::fake::Sink;
use crate::record::{BatchView, RecordView, Stored};

const SLOT: Slot = Slot(1);

fn shared(ack: AckMode, attempts: u32, then: Exhausted) -> Arc<LaneShared> {
    shared_with(ack, attempts, then, None)
}

fn shared_with(
    ack: AckMode,
    attempts: u32,
    then: Exhausted,
    recover: Option<Arc<dyn Recover>>,
) -> Arc<LaneShared> {
    let backoff = RetryBackoff { initial: TimeSpan::default(), ..RetryBackoff::default() };
    let policy = ErrorPolicy::new(
        &ErrorProperties { attempts, backoff, then, ..ErrorProperties::default() },
        &[],
        None,
    );
    let metrics = LaneMetrics::of("test");
    Arc::new(LaneShared {
        listener: "test".to_owned(),
        settlements: Settlements::new(),
        policy,
        recovery: Recovery::new("test", recover),
        ordering: RecordOrder::Partition,
        ack,
        wait_for_commit: false,
        blocking: false,
        gate: Gate::open(),
        handler_timeout: None,
        permits: Permits::new(1),
        threads: HandlerThreads::new(tokio::runtime::Handle::current(), "test".to_owned(), 1),
        interception: Interception::none(),
        retrying: AtomicUsize::new(0),
        metrics,
        transactions: None,
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

/// The offsets of a delivery, the seconds that had gone by, and its `Ack`.
type Delivery = (Vec<i64>, u64, Ack);

/// A lane with manual acknowledgement at work, on batches of three records.
struct Manual {
    shared: Arc<LaneShared>,
    control: Arc<LaneControl>,
    chunks: mpsc::Sender<Arc<Chunk>>,
    task: tokio::task::JoinHandle<()>,
    began: tokio::time::Instant,
    delivered: mpsc::UnboundedReceiver<Delivery>,
}

impl Manual {
    fn start(handler: fn(mpsc::UnboundedSender<Delivery>) -> Box<dyn Handler>) -> Self {
        let shared = shared(AckMode::Manual, 2, Exhausted::Skip);
        let (sender, delivered) = mpsc::unbounded_channel();
        let (chunks, receiver) = mpsc::channel(8);
        let control = Arc::new(LaneControl::default());
        let lane = Lane::new(Arc::clone(&shared), Arc::clone(&control), SLOT, "t-0".to_owned(), receiver);
        let task = tokio::spawn(lane.run(handler(sender).into()));
        Self { shared, control, chunks, task, began: tokio::time::Instant::now(), delivered }
    }

    /// A handler of records that hands its `Ack` to the test.
    fn records() -> Self {
        Self::start(|sender| {
            let began = tokio::time::Instant::now();
            record_handler(move |view| {
                let (offset, ack) = (view.offset(), Ack::from_view(view)?);
                let seconds = began.elapsed().as_secs();
                sender.send((vec![offset], seconds, ack)).unwrap();
                Ok(async { Ok(()) })
            })
        })
    }

    /// The same, of batches.
    fn batches() -> Self {
        Self::start(|sender| {
            let began = tokio::time::Instant::now();
            batch_handler(move |view| {
                let offsets = view.records().map(|record| record.offset()).collect();
                sender.send((offsets, began.elapsed().as_secs(), Ack::from_batch(view)?)).unwrap();
                Ok(async { Ok(()) })
            })
        })
    }

    async fn give(&self, first: i64) {
        let records = (first..first + 3).map(Stored::made_at).collect();
        let chunk = Chunk { topic: "t".into(), partition: 0, records, bytes: 0 };
        self.chunks.send(Arc::new(chunk)).await.unwrap();
    }

    /// The next delivery: its offsets, its time and its `Ack`.
    async fn next(&mut self) -> Delivery {
        self.delivered.recv().await.unwrap()
    }

    /// The next `count` deliveries, all acknowledged: their first offsets and times.
    async fn acknowledge(&mut self, count: usize) -> Vec<(i64, u64)> {
        let mut seen = Vec::new();
        for _ in 0..count {
            let (offsets, seconds, ack) = self.next().await;
            ack.acknowledge();
            seen.push((offsets[0], seconds));
        }
        seen
    }

    fn settled(&self) -> Vec<(i64, i64)> {
        let mut reports = Reports::default();
        self.shared.settlements.take(&mut reports);
        offsets(&reports)
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_not_done_is_delivered_again_after_its_delay_with_what_follows() {
    let mut lane = Manual::records();
    lane.give(0).await;
    lane.give(3).await;
    assert_eq!(lane.acknowledge(1).await, [(0, 0)]);
    let (_, _, not_done) = lane.next().await;
    assert_eq!(
        lane.acknowledge(4).await,
        [(2, 0), (3, 0), (4, 0), (5, 0)],
        "the lane does not wait for an `Ack`"
    );
    not_done.nack(Duration::from_secs(7));
    assert_eq!(lane.acknowledge(5).await, [(1, 7), (2, 7), (3, 7), (4, 7), (5, 7)]);
    lane.give(6).await;
    assert_eq!(lane.acknowledge(3).await, [(6, 7), (7, 7), (8, 7)], "and then on");
}

#[tokio::test(start_paused = true)]
async fn two_records_not_done_each_wait_for_their_own_time() {
    let mut lane = Manual::records();
    lane.give(0).await;
    let (first, second, third) = (lane.next().await.2, lane.next().await.2, lane.next().await.2);
    third.nack(Duration::from_secs(20));
    first.nack(Duration::from_secs(5));
    second.acknowledge();
    assert_eq!(lane.acknowledge(3).await, [(0, 5), (1, 5), (2, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_ends_with_the_lane() {
    let mut lane = Manual::records();
    lane.give(0).await;
    lane.next().await.2.nack(Duration::MAX);
    while lane.shared.retrying.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
        while let Ok((_, _, ack)) = lane.delivered.try_recv() {
            ack.acknowledge();
        }
    }
    lane.control.stop();
    (&mut lane.task).await.unwrap();
    assert_eq!(lane.shared.retrying.load(Ordering::Relaxed), 0);
    assert!(lane.began.elapsed() < Duration::from_secs(1));
    assert!(!lane.settled().iter().any(|(first, _)| *first == 0));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_aborted_waits_for_no_attempt_any_more() {
    let mut lane = Manual::records();
    lane.give(0).await;
    lane.next().await.2.nack(Duration::MAX);
    while lane.shared.retrying.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
        while let Ok((_, _, ack)) = lane.delivered.try_recv() {
            ack.acknowledge();
        }
    }
    lane.task.abort();
    assert!((&mut lane.task).await.unwrap_err().is_cancelled());
    assert_eq!(lane.shared.retrying.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn handlers_that_never_wait_leave_other_tasks_their_turn() {
    let shared = shared(AckMode::Batch, 1, Exhausted::Stop);
    let handler: Arc<dyn Handler> = record_handler(|_| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(async { Ok(()) })
    })
    .into();
    let (chunks, receiver) = mpsc::channel(8);
    for number in 0..6 {
        let records = (number * 10..number * 10 + 10).map(Stored::made_at).collect();
        chunks.try_send(Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })).unwrap();
    }
    drop(chunks);
    let (turns, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counts.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let lane = Lane::new(shared, Arc::new(LaneControl::default()), SLOT, "t-0".to_owned(), receiver);
    let at_the_end = Arc::clone(&counted);
    tokio::spawn(async move {
        lane.run(handler).await;
        at_the_end.store(turns.load(Ordering::Relaxed), Ordering::Relaxed);
    })
    .await
    .unwrap();
    other.abort();
    let turns = counted.load(Ordering::Relaxed);
    assert!(turns >= 5, "{turns} turns in 60 ms of work");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_acknowledged_in_parts_and_its_rest_delivered_again() {
    let mut lane = Manual::batches();
    lane.give(0).await;
    let (offsets, _, ack) = lane.next().await;
    assert_eq!(offsets, [0, 1, 2]);
    let rest = ack.acknowledge_through(0).unwrap();
    assert_eq!(lane.settled(), [(0, 0)]);
    rest.nack(Duration::from_secs(3));
    let (offsets, seconds, ack) = lane.next().await;
    assert_eq!((offsets, seconds), (vec![1, 2], 3));
    ack.nack_from(1, Duration::from_secs(4)).unwrap();
    assert_eq!(lane.settled(), [(1, 1)]);
    let (offsets, seconds, ack) = lane.next().await;
    assert_eq!((offsets, seconds), (vec![2], 7));
    let error = ack.nack_from(1, Duration::ZERO).unwrap_err();
    assert_eq!(error.to_string(), "the `Ack` has 1 records left and none at index 1; indexes are from 0");
    assert!(lane.settled().is_empty(), "what is dropped is not done");
}

/// What a batch handler is given, attempt by attempt, when it fails as `fails` says; and what is settled.
async fn batches(
    attempts: u32,
    then: Exhausted,
    fails: fn(&[i64]) -> HandlerResult,
) -> (Vec<(Vec<i64>, u32)>, Reports) {
    batches_of(&shared(AckMode::Batch, attempts, then), fails).await
}

async fn batches_of(
    shared: &Arc<LaneShared>,
    fails: fn(&[i64]) -> HandlerResult,
) -> (Vec<(Vec<i64>, u32)>, Reports) {
    filtered_batches(shared, None, fails).await
}

async fn filtered_batches(
    shared: &Arc<LaneShared>,
    filter: Option<fn(&RecordView<'_>) -> bool>,
    fails: fn(&[i64]) -> HandlerResult,
) -> (Vec<(Vec<i64>, u32)>, Reports) {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let call = move |view: &BatchView<'_>| {
        let offsets: Vec<i64> = view.records().map(|record| record.offset()).collect();
        if let Some(index) = offsets.iter().position(|offset| *offset == 101) {
            return Err(ExtractError::new("Batch<String>", "not UTF-8").at_index(index));
        }
        let outcome = fails(&offsets);
        let attempt = view.records().next().map_or(0, |record| record.attempt());
        log.lock().unwrap().push((offsets, attempt));
        Ok(async { outcome })
    };
    let handler: Arc<dyn Handler> = match filter {
        Some(filter) => filtered_batch_handler(filter, call).into(),
        None => batch_handler(call).into(),
    };
    let (chunks, receiver) = mpsc::channel(1);
    let records = [0, 1, 2, 3, 100, 101, 102].map(Stored::made_at).into();
    chunks.send(Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })).await.unwrap();
    drop(chunks);
    let control = Arc::new(LaneControl::default());
    Lane::new(Arc::clone(shared), control, SLOT, "t-0".to_owned(), receiver).run(handler).await;
    let mut reports = Reports::default();
    shared.settlements.take(&mut reports);
    let seen = seen.lock().unwrap().clone();
    (seen, reports)
}

#[tokio::test]
async fn a_batch_goes_on_behind_the_record_that_failed() {
    // Offset 2 always fails; 101 cannot be read.
    let fails = |offsets: &[i64]| match offsets.iter().position(|offset| *offset == 2) {
        Some(index) => Err(crate::handler::BatchError::at(index, "no stock").into()),
        None => Ok(()),
    };
    let (seen, reports) = batches(3, Exhausted::Skip, fails).await;
    let expected = [
        (vec![0, 1, 2, 3, 100], 1),
        (vec![2, 3, 100], 2),
        (vec![2, 3, 100], 3),
        (vec![3, 100], 1),
        (vec![102], 1),
    ];
    assert_eq!(seen, expected, "what precedes it is handled once, the rest once more");
    assert_eq!(offsets(&reports).last().map(|(_, last)| *last), Some(102));
    assert!(reports.ended[0].failure.is_none());

    let (seen, reports) = batches(2, Exhausted::Stop, fails).await;
    assert_eq!(seen, [(vec![0, 1, 2, 3, 100], 1), (vec![2, 3, 100], 2)]);
    assert_eq!(offsets(&reports), [(0, 1)], "what precedes it is done");
    assert_eq!(reports.ended[0].failure.as_ref().unwrap().offset, 2);
}

#[tokio::test]
async fn a_failure_that_names_no_record_of_the_batch_is_that_of_the_whole() {
    let fails = |offsets: &[i64]| match offsets {
        [0, ..] => Err(crate::handler::BatchError::at(99, "no stock").into()),
        _ => Ok(()),
    };
    let (seen, reports) = batches(2, Exhausted::Stop, fails).await;
    assert_eq!(seen, [(vec![0, 1, 2, 3, 100], 1), (vec![0, 1, 2, 3, 100], 2)]);
    assert!(offsets(&reports).is_empty());
    assert_eq!(reports.ended[0].failure.as_ref().unwrap().offset, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_done_when_its_topic_has_it_and_what_follows_waits() {
    for ack in [AckMode::Batch, AckMode::Record] {
        let sink = Sink::refusing(2);
        let shared = shared_with(ack, 1, Exhausted::DeadLetter, Some(Arc::new(sink.clone())));
        let began = tokio::time::Instant::now();
        let reports = run(&shared, &[4, 7]).await;
        assert_eq!(sink.taken(), [4, 7]);
        assert_eq!(sink.attempts(), 6, "each was refused twice");
        assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
        let settled = offsets(&reports);
        assert_eq!((settled[0].0, settled[settled.len() - 1].1), (0, 9), "{ack:?}");
        assert!(reports.ended[0].failure.is_none());
        assert!(shared.recovery.waiting().is_empty());
    }
}

#[tokio::test]
async fn dead_letters_do_not_acknowledge_what_lies_between_them() {
    let sink = Sink::default();
    let shared = shared_with(AckMode::Manual, 1, Exhausted::DeadLetter, Some(Arc::new(sink.clone())));
    let reports = run(&shared, &[3, 7]).await;
    assert_eq!(offsets(&reports), [(3, 3), (7, 7)]);
    assert_eq!(sink.taken(), [3, 7]);
}

#[tokio::test]
async fn of_a_batch_the_named_record_is_a_dead_letter_or_else_all_of_it() {
    let sink = Sink::default();
    let shared = shared_with(AckMode::Batch, 1, Exhausted::DeadLetter, Some(Arc::new(sink.clone())));
    let named = |offsets: &[i64]| match offsets.iter().position(|offset| *offset == 2) {
        Some(index) => Err(crate::handler::BatchError::at(index, "no stock").into()),
        None => Ok(()),
    };
    let (seen, reports) = batches_of(&shared, named).await;
    assert_eq!(seen, [(vec![0, 1, 2, 3, 100], 1), (vec![3, 100], 1), (vec![102], 1)]);
    assert_eq!(sink.taken(), [2, 101], "what cannot be read, too");
    assert_eq!(offsets(&reports).last().map(|(_, last)| *last), Some(102));

    let sink = Sink::default();
    let shared = shared_with(AckMode::Batch, 2, Exhausted::DeadLetter, Some(Arc::new(sink.clone())));
    let whole =
        |offsets: &[i64]| if offsets[0] == 0 { Err(HandlerError::msg("no database")) } else { Ok(()) };
    let (seen, _) = batches_of(&shared, whole).await;
    assert_eq!(seen, [(vec![0, 1, 2, 3, 100], 1), (vec![0, 1, 2, 3, 100], 2), (vec![102], 1)]);
    assert_eq!(sink.taken(), [0, 1, 2, 3, 100, 101]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_told_to_stop_leaves_a_record_undone_that_no_topic_takes() {
    for sink in [Sink::refusing(u32::MAX), Sink::taking(Duration::from_hours(1))] {
        let shared = shared_with(AckMode::Batch, 1, Exhausted::DeadLetter, Some(Arc::new(sink.clone())));
        let handler: Arc<dyn Handler> =
            record_handler(|_| Ok(async { Err(HandlerError::msg("poisoned")) })).into();
        let records = vec![Stored::made_at(0), Stored::made_at(1)];
        let (chunks, receiver) = mpsc::channel(1);
        chunks.send(Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })).await.unwrap();
        let control = Arc::new(LaneControl::default());
        let lane = Lane::new(Arc::clone(&shared), Arc::clone(&control), SLOT, "t-0".to_owned(), receiver);
        let task = tokio::spawn(lane.run(handler));
        tokio::time::sleep(Duration::from_mins(2)).await;
        let waiting = shared.recovery.waiting();
        assert_eq!((waiting.len(), waiting[0].offset, waiting[0].target.as_str()), (1, 0, "t-dlt"));
        let shown = waiting[0].to_string();
        assert!(shown.starts_with("record t-0@0 waits for `t-dlt` for "), "{shown}");
        control.stop();
        let began = tokio::time::Instant::now();
        task.await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
        let mut reports = Reports::default();
        shared.settlements.take(&mut reports);
        assert!(reports.settled.is_empty());
        assert!(reports.ended[0].failure.is_none());
        assert!(shared.recovery.waiting().is_empty(), "nobody waits any more");
    }
}

#[tokio::test]
async fn a_batch_is_made_of_the_records_that_its_filter_lets_through() {
    let no_stock = |offsets: &[i64]| match offsets.iter().position(|offset| *offset == 100) {
        Some(index) => Err(crate::handler::BatchError::at(index, "no stock").into()),
        None => Ok(()),
    };
    let is_even = |record: &RecordView<'_>| record.offset() % 2 == 0;
    let policy = shared(AckMode::Batch, 2, Exhausted::Skip);
    let (seen, reports) = filtered_batches(&policy, Some(is_even), no_stock).await;
    let expected = [(vec![0, 2, 100, 102], 1), (vec![100, 102], 2), (vec![102], 1)];
    assert_eq!(seen, expected, "the failed one is named by its place among those that were given");
    assert_eq!(settled(&reports), [0, 1, 2, 3, 100, 101, 102], "what is left out is done as well");

    let is_odd_or_small = |record: &RecordView<'_>| record.offset() % 2 == 1 || record.offset() < 2;
    let (seen, reports) = filtered_batches(&policy, Some(is_odd_or_small), |_| Ok(())).await;
    assert_eq!(
        seen,
        [(vec![0, 1, 3], 1)],
        "101 cannot be read: what precedes it is handled, then the policy decides"
    );
    assert_eq!(settled(&reports), [0, 1, 2, 3, 100, 101, 102]);

    let (seen, reports) = filtered_batches(&policy, Some(|_| false), |_| Ok(())).await;
    assert!(seen.is_empty(), "a batch of nothing is not handled");
    assert_eq!(settled(&reports), [0, 1, 2, 3, 100, 101, 102]);
}

#[tokio::test]
async fn records_of_a_batch_that_are_left_out_need_no_ack() {
    let policy = shared(AckMode::Manual, 2, Exhausted::Skip);
    let is_even = |record: &RecordView<'_>| record.offset() % 2 == 0;
    let (seen, reports) = filtered_batches(&policy, Some(is_even), |_| Ok(())).await;
    assert_eq!(seen, [(vec![0, 2, 100, 102], 1)]);
    assert_eq!(settled(&reports), [1, 3, 101], "the others are up to the handler");
}

/// Each of the offsets 0 to 3 and 100 to 102 that is settled.
fn settled(reports: &Reports) -> Vec<i64> {
    let runs = offsets(reports);
    let is_settled = |offset: &i64| runs.iter().any(|(first, last)| (*first..=*last).contains(offset));
    [0, 1, 2, 3, 100, 101, 102].into_iter().filter(is_settled).collect()
}

/// What an interceptor was told, in order.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<String>>);

struct Teller(Arc<Told>);

impl RecordInterceptor for Teller {
    fn intercept(&self, listener: &str, record: &RecordView<'_>) -> bool {
        self.tell(format!("{listener} {}", record.offset()));
        record.offset() != 3
    }

    fn success(&self, _: &str, record: &RecordView<'_>) {
        self.tell(format!("{} done", record.offset()));
        assert!(record.offset() != 0, "a panic here changes nothing");
    }

    fn failure(&self, _: &str, record: &RecordView<'_>, error: &dyn std::fmt::Display) {
        self.tell(format!("{} failed: {error}", record.offset()));
    }
}

impl Teller {
    fn tell(&self, text: String) {
        self.0.0.lock().unwrap().push(text);
    }
}

#[tokio::test]
async fn an_interceptor_sees_each_attempt_and_may_leave_a_record_out() {
    for is_batch in [false, true] {
        let told = Arc::new(Told::default());
        let mut shared = shared(AckMode::Batch, 2, Exhausted::Skip);
        let interception = Interception::with(Box::new(Teller(Arc::clone(&told))));
        Arc::get_mut(&mut shared).unwrap().interception = interception;
        let (chunks, receiver) = mpsc::channel(1);
        let records = (0..5).map(Stored::made_at).collect();
        chunks.send(Arc::new(Chunk { topic: "t".into(), partition: 0, records, bytes: 0 })).await.unwrap();
        drop(chunks);
        let handler: Arc<dyn Handler> = if is_batch {
            batch_handler(|view| {
                let place = view.records().position(|record| record.offset() == 2);
                let failed = place.map(|place| crate::handler::BatchError::at(place, "no stock"));
                Ok(async { failed.map_or(Ok(()), |error| Err(error.into())) })
            })
        } else {
            record_handler(|view| {
                let outcome = (view.offset() != 2).then_some(()).ok_or_else(|| HandlerError::msg("no stock"));
                Ok(async { outcome })
            })
        }
        .into();
        let control = Arc::new(LaneControl::default());
        Lane::new(Arc::clone(&shared), control, SLOT, "t-0".to_owned(), receiver).run(handler).await;
        let told = told.0.lock().unwrap().clone();
        let expected: &[&str] = if is_batch {
            &[
                "test 0",
                "test 1",
                "test 2",
                "test 3",
                "test 4",
                "0 done",
                "1 done",
                "2 failed: the record at index 2 of the batch failed: no stock",
                "test 2",
                "test 3",
                "test 4",
                "2 failed: the record at index 0 of the batch failed: no stock",
                "test 3",
                "test 4",
                "4 done",
            ]
        } else {
            &[
                "test 0",
                "0 done",
                "test 1",
                "1 done",
                "test 2",
                "2 failed: no stock",
                "test 2",
                "2 failed: no stock",
                "test 3",
                "test 4",
                "4 done",
            ]
        };
        assert_eq!(told, expected);
    }
}
