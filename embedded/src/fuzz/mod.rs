//! Fuzzes the broker: requests of every API and version, mutated, over connections without sockets.
//!
//! An input is what one connection sends. It goes the way of every connection, from the frame decoder to the answers, on
//! a clock that runs as fast as it is waited for. What is looked for: panics, inputs that take too long, and inputs that
//! have more allocated than [`allowance`] says. The same seed gives the same inputs,
//! but for the ids of topics, which are those of the broker.

mod dice;
mod input;
mod records;

use kafka_protocol::messages::BrokerId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::api::Caller;
use crate::cluster::Cluster;
use crate::group::settings::GroupSettings;
use crate::security::Users;
use crate::server;
use crate::state::{State, StateSettings};
use crate::wire::frame::{FrameBudget, FrameLimits};
pub(crate) use dice::Dice;

/// An input that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Inputs that a broker gets before a new one takes its place, so that a failure needs no long story.
const INPUTS_OF_A_ROUND: u64 = 256;

/// How long a request may wait for something, on the clock of the broker.
const WAITS: Duration = Duration::from_millis(200);

/// What an input of so many bytes may have allocated in all, in bytes.
///
/// A few bytes may stand for an element of 100 000 at most, and for an answer about everything there is.
pub const fn allowance(input_bytes: usize) -> usize {
    24 * 1024 * 1024 + 1_024 * input_bytes
}

/// How long, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long to go on.
    pub duration: Duration,
    /// The seed of the first round; each round has the next.
    pub seed: u64,
}

/// What was done without a failure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Brokers that were used up.
    pub rounds: u64,
    /// What connections have sent.
    pub inputs: u64,
    /// Bytes of all inputs.
    pub input_bytes: u64,
    /// Requests that were answered.
    pub answers: u64,
    /// The most that one input has had allocated, in bytes.
    pub most_allocated: usize,
}

/// An input that the broker does not bear.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed whose first round has the failure again.
    pub seed: u64,
    /// Which of the round's inputs it was.
    pub number: u64,
    /// What happened.
    pub what: String,
    /// What the connection sent.
    pub input: Vec<u8>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, number, what, input } = self;
        write!(formatter, "{what}; repeat with `--seed {seed}`; input {number} of that round, in hex: ")?;
        input.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::error::Error for Failure {}

/// What is under way, for whoever watches that it ends.
struct UnderWay {
    since: Instant,
    seed: u64,
    number: u64,
    input: Vec<u8>,
}

type Watched = Arc<Mutex<Option<UnderWay>>>;

/// Fuzzes until the time is over or something fails. `allocated` says how many bytes the process has allocated so far.
///
/// # Errors
/// The first input that fails. If it hangs, its thread is left behind.
pub fn run(options: Options, allocated: fn() -> usize) -> Result<Report, Failure> {
    let watched = Watched::default();
    let watching = Arc::clone(&watched);
    let (done, ended) = sync_channel(1);
    let worker = thread::spawn(move || {
        // The other end is gone only when it has given this thread up.
        let _ = done.send(run_rounds(options, allocated, &watched));
    });
    loop {
        match ended.recv_timeout(Duration::from_millis(100)) {
            Ok(result) => {
                // It has sent all it had to say.
                let _ = worker.join();
                return result;
            }
            Err(RecvTimeoutError::Timeout) => {
                let under_way = watching.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(slow) = under_way.as_ref().filter(|slow| slow.since.elapsed() > PATIENCE) {
                    let what = format!("an input has taken more than {PATIENCE:?}");
                    return Err(Failure {
                        seed: slow.seed,
                        number: slow.number,
                        what,
                        input: slow.input.clone(),
                    });
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let what = "the fuzzer itself has failed".to_owned();
                return Err(Failure { seed: options.seed, number: 0, what, input: Vec::new() });
            }
        }
    }
}

fn run_rounds(options: Options, allocated: fn() -> usize, watched: &Watched) -> Result<Report, Failure> {
    let started = Instant::now();
    let mut report = Report::default();
    while started.elapsed() < options.duration {
        let seed = options.seed.wrapping_add(report.rounds);
        run_round(seed, &mut report, allocated, watched)?;
        report.rounds += 1;
    }
    Ok(report)
}

fn run_round(
    seed: u64,
    report: &mut Report,
    allocated: fn() -> usize,
    watched: &Watched,
) -> Result<(), Failure> {
    let mut dice = Dice::new(seed);
    let guarded = dice.one_in(4);
    let target = Target::new(guarded);
    let mut inputs = input::Inputs::new(target.topic_ids(), guarded);
    for number in 0..INPUTS_OF_A_ROUND {
        let input = inputs.next(&mut dice);
        let failure = |what| Failure { seed, number, what, input: input.clone() };
        let under_way = UnderWay { since: Instant::now(), seed, number, input: input.clone() };
        *watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(under_way);
        let before = allocated();
        let fed = catch_unwind(AssertUnwindSafe(|| target.feed(&input)));
        let cost = allocated() - before;
        *watched.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let answered = fed.map_err(|panic| failure(format!("a panic: {}", message(panic.as_ref()))))?;
        if cost > allowance(input.len()) {
            let what = format!(
                "{cost} bytes were allocated for an input of {}, and {} are allowed",
                input.len(),
                allowance(input.len())
            );
            return Err(failure(what));
        }
        report.inputs += 1;
        report.input_bytes += input.len() as u64;
        report.answers += answered;
        report.most_allocated = report.most_allocated.max(cost);
        inputs.keep(input);
        if dice.one_in(32) {
            target.state.tidy_up();
        }
    }
    Ok(())
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// A broker without sockets.
struct Target {
    state: Arc<State>,
    runtime: Runtime,
    limits: FrameLimits,
    budget: FrameBudget,
}

impl Target {
    fn new(guarded: bool) -> Self {
        let mut users = Users::default();
        if guarded {
            users.add("alice".to_owned(), "secret".to_owned());
        }
        let settings = StateSettings {
            cluster: Cluster::of(1),
            default_partitions: 1,
            creates_topics: true,
            memory_limit_bytes: 4 * 1024 * 1024,
            offsets_limit_bytes: 1024 * 1024,
            recorded_requests: 100,
            groups: GroupSettings::default(),
            users,
            session_lifetime: None,
        };
        let state = State::open(settings, None).expect("nothing is read");
        for (name, partitions) in [("orders", 3), ("name", 2)] {
            state
                .create_topic(name, partitions, crate::log::settings::Settings::default())
                .expect("a new topic");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output");
        let limits = FrameLimits {
            max_bytes: 1024 * 1024,
            idle: Duration::from_secs(1),
            arrival: Duration::from_secs(1),
        };
        let budget = FrameBudget::new(4 * limits.max_bytes);
        Self { state: Arc::new(state), runtime, limits, budget }
    }

    fn topic_ids(&self) -> Vec<[u8; 16]> {
        self.state.topics.all().iter().map(|topic| topic.id.into_bytes()).collect()
    }

    /// Sends the bytes over one connection, and reads until it ends or waits for too long. How many answers came
    /// back.
    fn feed(&self, input: &[u8]) -> u64 {
        let (mut client, mut server) = tokio::io::duplex(64 * 1024);
        let (state, limits, budget) = (Arc::clone(&self.state), self.limits.clone(), self.budget.clone());
        let input = input.to_vec();
        self.runtime.block_on(async move {
            let serving = tokio::spawn(async move {
                let caller = Caller { host: "/127.0.0.1".to_owned(), node: BrokerId(1) };
                let line = state.controls.connections.open(caller.node);
                // However it ends, the connection is closed, and the client sees that.
                let _ = server::answer_requests(&mut server, &caller, &state, &line, &limits, &budget).await;
            });
            let (mut reading, mut writing) = tokio::io::split(&mut client);
            let write = async {
                // A connection that was closed takes no more.
                let _ = writing.write_all(&input).await;
                let _ = writing.shutdown().await;
            };
            let mut answered = 0;
            let read = async {
                while let Ok(length) = reading.read_u32().await {
                    let mut answer = (&mut reading).take(u64::from(length));
                    let Ok(read) = tokio::io::copy(&mut answer, &mut tokio::io::sink()).await else { break };
                    answered += u64::from(read == u64::from(length));
                }
            };
            // Requests that wait for others are given up, as by a client that goes away.
            let _ = timeout(WAITS, async { tokio::join!(write, read) }).await;
            serving.abort();
            if let Err(error) = serving.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
            answered
        })
    }
}
