//! The engine against a simulated cluster: tracker, rebalance machine, lanes, committer and poll loop as they are, with a
//! made-up group and log in the place of librdkafka, on one thread and with a clock that jumps. One number decides
//! everything, so the same number gives the same history.
//!
//! - `plan` throws settings and faults, `cluster`, `group` and `member` are Kafka, `consumer` is what the poll
//!   thread holds of it, `handlers` are the user's code, `faults` is everybody's bad luck.
//! - `incident` narrows a plan down to one situation.
//! - `ledger` checks each step; `history` is for those who judge the whole.
//!
//! What is not simulated: handlers on threads of their own (`fn` rather than `async fn`), and librdkafka itself.
//!
//! # Phases
//! 1. Records come, and faults happen.
//! 2. Calm: whoever is down is started. Everything has to be settled and committed within a time.
//! 3. Everybody stops in order. Everything settled has to be committed.

mod cluster;
mod consumer;
mod dice;
mod faults;
mod group;
mod handlers;
mod history;
mod incident;
mod ledger;
mod letters;
mod member;
mod plan;
mod seat;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use self::cluster::{Cluster, Event};
use self::dice::Dice;
use self::faults::Misfortune;
pub use self::history::{AttemptOutcome, Note, Simulated, SimulatedOrder};
pub use self::incident::Incident;
use self::letters::Letters;
use self::plan::Plan;
use self::seat::Seat;
use super::events::EventBus;
use super::gate::Gate;
use super::paused::PausedPartitions;
use super::spec::{Common, ListenerSpec};
use super::tuning::Tuning;
use crate::config::model::{Exhausted, Ordering};
use crate::handler::{Interception, Location};
use crate::policy::{ErrorPolicy, fixed_jitter};

/// How long everything may take once no faults happen. The longest of a simulation's waits are below ten seconds, and
/// a member that was killed is missed after six.
const CALM_MAX: Duration = Duration::from_secs(90);
/// How often the simulation looks at itself.
const LOOK_INTERVAL_MS: (u64, u64) = (20, 150);

/// What consumers are made of.
struct Making {
    cluster: Cluster,
    spec: ListenerSpec,
    changed: Arc<Notify>,
    paused: Arc<PausedPartitions>,
}

impl Making {
    /// What a consumer has from its listener, which is the only one of its process.
    fn common(&self) -> Common {
        let settings = &self.spec.settings;
        Common {
            changed: Arc::clone(&self.changed),
            paused: Arc::clone(&self.paused),
            gate: Gate::new(&settings.id, &settings.consumer, self.spec.events.clone()),
            tuning: Tuning::of(&settings.consumer),
            positions: Arc::default(),
        }
    }
}

/// Simulates what a number decides. With `is_verbose`, everything that happens is printed.
///
/// # Panics
/// When there is not enough memory for a runtime.
pub fn simulate(seed: u64, is_verbose: bool) -> Simulated {
    simulate_plan(&Plan::new(seed), is_verbose)
}

/// Simulates what a number decides, within what an incident is about.
///
/// # Panics
/// As [`simulate`].
pub fn simulate_incident(seed: u64, incident: Incident, is_verbose: bool) -> Simulated {
    let mut plan = Plan::new(seed);
    incident.narrow(&mut plan);
    simulate_plan(&plan, is_verbose)
}

fn simulate_plan(plan: &Plan, is_verbose: bool) -> Simulated {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // Without the drivers for input and output nothing can be missing.
    let runtime = runtime.expect("a runtime needs nothing but memory");
    fixed_jitter::set(Some(0.5));
    let cluster = runtime.block_on(async {
        let cluster = Cluster::new(plan.clone(), is_verbose);
        run(&cluster).await;
        cluster
    });
    drop(runtime);
    fixed_jitter::set(None);
    let mut world = cluster.world();
    Simulated {
        seed: plan.seed,
        plan: format!("{plan:?}"),
        failure: world.ledger.failure.take(),
        notes: std::mem::take(&mut world.ledger.notes),
        order: match plan.settings.ordering {
            Ordering::Partition => SimulatedOrder::Partition,
            Ordering::Key => SimulatedOrder::Key,
            Ordering::None => SimulatedOrder::None,
        },
        is_manual: plan.is_manual(),
        has_letters_of_batches: plan.is_batch && plan.settings.error.then == Exhausted::DeadLetter,
    }
}

async fn run(cluster: &Cluster) {
    let plan = cluster.world().plan.clone();
    let spec = ListenerSpec {
        settings: plan.settings.clone(),
        at: Location { file: file!(), line: line!() },
        blocking: false,
        handler: handlers::handler(cluster),
        policy: ErrorPolicy::new(&plan.settings.error, &[], None),
        recover: Some(Arc::new(Letters::new(cluster.clone()))),
        client: kafka_boot_client::ClientConfig::default(),
        runtime: tokio::runtime::Handle::current(),
        log: None,
        events: EventBus::default().of("simulated"),
        interception: Interception::none(),
        transactions: None,
    };
    let making = Arc::new(Making {
        cluster: cluster.clone(),
        spec,
        changed: Arc::new(Notify::new()),
        paused: Arc::new(PausedPartitions::default()),
    });
    let world = tokio::spawn(cluster.clone().turn());
    let mut seats: Vec<Seat> = (0..plan.seats).map(|_| Seat::new(Arc::clone(&making))).collect();
    write_records(cluster, &plan);
    suffer(cluster, &plan, &mut seats).await;
    if !has_failed(cluster) {
        calm_down(cluster, &plan, &mut seats).await;
    }
    world.abort();
}

fn write_records(cluster: &Cluster, plan: &Plan) {
    let mut world = cluster.world();
    for _ in 0..plan.records_before {
        world.produce_somewhere();
    }
    let millis = u64::try_from(plan.duration.as_millis()).unwrap_or_default();
    for _ in 0..plan.records_meanwhile {
        let at = world.dice.millis(0, millis);
        world.after(at, Event::Produce);
    }
}

async fn suffer(cluster: &Cluster, plan: &Plan, seats: &mut [Seat]) {
    let mut misfortune = Misfortune::new(Dice::new(plan.seed ^ 0xfa17), plan);
    while cluster.world().now() < plan.duration && !has_failed(cluster) {
        misfortune.strike(cluster, seats);
        look(cluster, seats).await;
    }
}

/// Lets a moment pass, and starts again who failed.
async fn look(cluster: &Cluster, seats: &mut [Seat]) {
    let moment = cluster.world().dice.millis(LOOK_INTERVAL_MS.0, LOOK_INTERVAL_MS.1);
    tokio::time::sleep(moment).await;
    for seat in seats {
        seat.look().await;
    }
}

async fn calm_down(cluster: &Cluster, plan: &Plan, seats: &mut [Seat]) {
    begin_calm(cluster, plan, seats);
    let deadline = cluster.world().now() + CALM_MAX;
    loop {
        look(cluster, seats).await;
        let mut world = cluster.world();
        let owed = world.ledger.first_owed();
        if world.ledger.failure.is_some() {
            return;
        }
        if owed.is_none() && (!plan.commits_all() || world.is_committed()) {
            break;
        }
        if world.now() >= deadline {
            let committed = format!("{:?}", world.group.committed);
            let group = world.group.to_string();
            world.ledger.fail(|| {
                format!("I6: {CALM_MAX:?} after the last fault, {owed:?} is owed, and committed is {committed}; {group}")
            });
            return;
        }
    }
    for seat in seats.iter_mut() {
        seat.stop();
    }
    let deadline = cluster.world().now() + CALM_MAX;
    while seats.iter().any(Seat::is_up) && !has_failed(cluster) {
        look(cluster, seats).await;
        if cluster.world().now() >= deadline {
            cluster.world().ledger.fail(|| "I7: a consumer that was told to stop did not".to_owned());
        }
    }
}

/// Lets no more faults happen, but for those that still last, and starts everybody.
fn begin_calm(cluster: &Cluster, plan: &Plan, seats: &mut [Seat]) {
    {
        let mut world = cluster.world();
        world.is_calm = true;
        world.note(Note::Calm);
        if !plan.commits_all() {
            // What would have been committed with the next record needs one.
            for partition in 0..plan.partitions {
                world.produce(partition);
            }
        }
    }
    seat::resume_all(seats);
    for seat in seats.iter_mut() {
        if plan.faults.dropped_ack && plan.is_manual() {
            // Nothing but a new assignment delivers a record again whose `Ack` was dropped.
            seat.stop();
        }
        seat.wants_to_run();
    }
}

fn has_failed(cluster: &Cluster) -> bool {
    cluster.world().ledger.failure.is_some()
}
