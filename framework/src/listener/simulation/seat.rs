//! A seat: one of the application's processes, in which one consumer after the other works.

use std::sync::Arc;
use std::time::Duration;

use kafka_boot_client::TopicPartition;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Making;
use super::cluster::{Cluster, partition_name};
use super::consumer::SimulatedConsumer;
use super::history::Note;
use crate::listener::consumer_state::{ConsumerShared, Control, Phase};
use crate::listener::control::SeekTo;
use crate::listener::poller::{PollExit, Polled, Poller, Turn};
use crate::listener::requests::Request;
use crate::listener::settlements::LaneFailure;

/// How many turns a poll thread may take at one moment before it counts as spinning.
const TURNS_AT_ONCE_MAX: u32 = 5_000;
/// How often other tasks run before a consumer is closed: aborted lanes need one turn to be gone.
const YIELDS_BEFORE_CLOSE: u32 = 8;

pub(super) struct Seat {
    making: Arc<Making>,
    consumer: Option<Working>,
    /// When the next one starts.
    starts_at: Option<Instant>,
    /// Nobody is to start by himself.
    is_stopped: bool,
}

/// A consumer at work.
struct Working {
    id: u32,
    shared: Arc<ConsumerShared>,
    task: JoinHandle<PollExit>,
}

impl Seat {
    pub(super) fn new(making: Arc<Making>) -> Self {
        let delay = making.cluster.world().dice.millis(0, 2000);
        Self { making, consumer: None, starts_at: Some(Instant::now() + delay), is_stopped: false }
    }

    pub(super) fn is_up(&self) -> bool {
        self.consumer.is_some()
    }

    pub(super) fn consumer(&self) -> Option<u32> {
        self.consumer.as_ref().map(|consumer| consumer.id)
    }

    /// Starts who is to start, and notices who has ended.
    pub(super) async fn look(&mut self) {
        if self.consumer.as_ref().is_some_and(|consumer| consumer.task.is_finished())
            && let Some(consumer) = self.consumer.take()
        {
            let exit = consumer.task.await;
            self.ended(consumer.id, &exit);
        }
        if self.consumer.is_none() && self.starts_at.is_some_and(|at| at <= Instant::now()) {
            self.starts_at = None;
            self.start();
        }
    }

    fn start(&mut self) {
        let making = &self.making;
        let shared = Arc::new(making.spec.consumer_shared(0, making.common()));
        let (id, notify) = {
            let mut world = making.cluster.world();
            let id = world.subscribe();
            (id, Arc::clone(&world.member(id).notify))
        };
        shared.settlements.set_waker(move || notify.notify_one());
        let task = tokio::spawn(work(making.cluster.clone(), Arc::clone(&shared), id));
        self.consumer = Some(Working { id, shared, task });
    }

    fn ended(&mut self, id: u32, exit: &Result<PollExit, tokio::task::JoinError>) {
        let mut world = self.making.cluster.world();
        let text = match exit {
            Ok(exit) => exit.to_string(),
            Err(error) => error.to_string(),
        };
        world.note(Note::Ended { consumer: id, exit: text.clone() });
        let is_broken = match exit {
            Ok(PollExit::Stopped | PollExit::Client(_)) => false,
            // No record has a negative offset: that is a lane that broke.
            Ok(PollExit::Record { failure: LaneFailure { offset, .. }, .. }) => *offset < 0,
            Ok(PollExit::Broken(_)) | Err(_) => true,
        };
        if is_broken {
            world.ledger.fail(|| format!("I9: consumer {id} broke: {text}"));
        }
        if !matches!(exit, Ok(PollExit::Stopped)) && !self.is_stopped {
            let delay = world.dice.millis(100, 2000);
            drop(world);
            self.wants_to_run_after(delay);
        }
    }

    /// Starts a consumer if none is there.
    pub(super) fn wants_to_run(&mut self) {
        self.wants_to_run_after(Duration::ZERO);
    }

    pub(super) fn wants_to_run_after(&mut self, delay: Duration) {
        self.is_stopped = false;
        if self.starts_at.is_none() {
            self.starts_at = Some(Instant::now() + delay);
        }
    }

    /// Tells the consumer to stop in order; none starts by itself.
    pub(super) fn stop(&mut self) {
        (self.starts_at, self.is_stopped) = (None, true);
        if let Some(consumer) = &self.consumer {
            consumer.shared.control(Control::Stop);
        }
    }

    /// Ends the process.
    pub(super) fn crash(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.making.cluster.world().crash(consumer.id);
            consumer.task.abort();
        }
    }

    pub(super) fn pause(&self) {
        self.control(Control::Pause);
    }

    /// Ends its pause, and those of partitions that nobody is to pause any more.
    pub(super) fn resume(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let partition = partition.clone();
            self.ask(move |reply| Request::ResumePartition { partition, reply });
        }
        self.control(Control::Resume);
    }

    fn control(&self, control: Control) {
        if let Some(consumer) = &self.consumer {
            consumer.shared.control(control);
        }
    }

    pub(super) fn pause_partition(&self, partition: i32) {
        self.ask(move |reply| Request::PausePartition { partition: partition_name(partition), reply });
    }

    pub(super) fn seek(&self, partition: i32, to: SeekTo) {
        self.ask(move |reply| Request::Seek { partition: partition_name(partition), to, reply });
    }

    /// Asks something of the poll thread, whatever it answers.
    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(crate::listener::requests::Reply<T>) -> Request + Send + 'static,
    ) {
        if let Some(consumer) = &self.consumer {
            let shared = Arc::clone(&consumer.shared);
            tokio::spawn(async move { drop(shared.ask(request).await) });
        }
    }
}

/// Ends every pause.
pub(super) fn resume_all(seats: &[Seat]) {
    let Some(making) = seats.first().map(|seat| &seat.making) else { return };
    let partitions = making.cluster.world().plan.partitions;
    // Also those whose pause is still on its way.
    let all: Vec<_> = (0..partitions).map(partition_name).collect();
    for partition in &all {
        making.paused.remove(partition);
    }
    for seat in seats {
        seat.resume(&all);
    }
}

/// The poll thread's whole life.
async fn work(cluster: Cluster, shared: Arc<ConsumerShared>, id: u32) -> PollExit {
    let notify = Arc::clone(&cluster.world().member(id).notify);
    let mut poller = Poller::new(Arc::clone(&shared), SimulatedConsumer::new(cluster.clone(), id));
    let mut brought = Polled::new();
    let (mut turns, mut at) = (0, Instant::now());
    let mut is_draining = false;
    loop {
        let turn = poller.turn();
        if !is_draining && shared.view().phase == Phase::Draining {
            is_draining = true;
            cluster.world().begins_to_drain(id);
        }
        match turn {
            Turn::Close => break,
            Turn::Wait(timeout) => {
                let timeout = cluster.world().dice.millis(0, 4).min(timeout);
                tokio::time::sleep(timeout).await;
            }
            Turn::Poll(timeout) => {
                shared.settlements.set_poll_waits(poller.waits());
                if !shared.has_news() && !cluster.world().has_something_for(id) {
                    // However it ends, the poll takes what is there.
                    drop(tokio::time::timeout(timeout, notify.notified()).await);
                }
                hesitate(&cluster, id).await;
                poller.poll(Duration::ZERO, &mut brought);
            }
        }
        if at == Instant::now() {
            turns += 1;
        } else {
            (turns, at) = (0, Instant::now());
        }
        if turns > TURNS_AT_ONCE_MAX {
            cluster.world().ledger.fail(|| format!("the poll thread of consumer {id} spins"));
            return PollExit::Stopped;
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..YIELDS_BEFORE_CLOSE {
        tokio::task::yield_now().await;
    }
    poller.close()
}

/// A thread is not always at once where it is wanted, and now and then not for long.
async fn hesitate(cluster: &Cluster, id: u32) {
    let pause = {
        let mut world = cluster.world();
        let now = world.now();
        let stalled = world.member(id).stalled_until.saturating_sub(now);
        let moment = if world.dice.chance(25) { world.dice.millis(0, 5) } else { Duration::ZERO };
        stalled.max(moment)
    };
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}
