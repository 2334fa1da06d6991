//! A scenario: one topic, one group, the service under test in one or several processes, and what is done to them.
//!
//! 1. Every process has an instance name of its own, so that the ledger tells them apart.
//! 2. What is done to a process is noted when it is done: a kill excuses repeats, a polite stop excuses nothing.
//! 3. The verdict looks at all of it at once: [`History::judge`].

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::consume::read_topic;
use crate::kafka::Kafka;
use crate::ledger::{Entry, Produced, ProducerLedger, load, now_ns};
use crate::observer::{Observer, Sample, look, members};
use crate::oracle::{
    CleanExit, Disruptions, Lane, Settlement, Violation, bounded_duplicates, clean_exit,
    commits_behind_frontier, commits_never_go_back, no_loss, ordered,
};
use crate::process::{Process, Program, Signal};
use crate::produce::{Seeding, Stamp};
use crate::proxy::Proxy;
use crate::seed::unique_name;
use crate::{Error, ErrorKind, Result};

/// How many keys the records have.
const KEYS: u64 = 1_000;

/// How long a process may take to be ready, or to end, on a machine that has better things to do.
const PROCESS_DEADLINE: Duration = Duration::from_mins(1);

/// The budget of a polite stop: `lifecycle.shutdown-timeout` of the service.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);

/// How long the coordinator may take to notice that a member has left.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);

/// One topic, one group, and the service under test.
///
/// ```no_run
/// use kafka_boot_tests::kafka::Kafka;
/// use kafka_boot_tests::oracle::assert_holds;
/// use kafka_boot_tests::scenario::Scenario;
/// use std::time::Duration;
///
/// let Some(kafka) = Kafka::shared() else { return };
/// let mut scenario = Scenario::new(kafka, "target/debug/ledger-service", "crash", 12).unwrap().short_session();
/// scenario.seed(10_000).unwrap();
/// let instance = scenario.start().unwrap();
/// scenario.work_on(1_000).unwrap();
/// scenario.kill(instance).unwrap();
/// let instance = scenario.start().unwrap();
/// scenario.drain(Duration::from_mins(1)).unwrap();
/// scenario.stop(instance).unwrap();
/// assert_holds(&scenario.finish().unwrap().judge(12 * 256));
/// ```
#[derive(Debug)]
pub struct Scenario<'k> {
    kafka: &'k Kafka,
    service: PathBuf,
    directory: TempDir,
    topic: String,
    group: String,
    partitions: i32,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    started: usize,
    observer: Observer,
    acked: Vec<Produced>,
    disrupted_ns: Vec<u64>,
    exits: Vec<(CleanExit, Vec<Sample>)>,
    progress: Progress,
    lane: Lane,
    /// Where processes connect to.
    servers: String,
    /// Whether members keep their places when they stop.
    is_static: bool,
}

/// One process of the service.
#[derive(Debug)]
pub struct Instance {
    /// Its name in the ledger.
    pub name: String,
    /// The process.
    pub process: Process,
}

/// What a scenario left behind.
#[derive(Debug)]
pub struct History {
    /// The records the broker acknowledged.
    pub acked: Vec<Produced>,
    /// The attempts in the ledger.
    pub entries: Vec<Entry>,
    /// What the group had committed, over time.
    pub samples: Vec<Sample>,
    /// When processes were killed or otherwise disrupted, in nanoseconds of [`crate::ledger::now_ns`].
    pub disrupted_ns: Vec<u64>,
    /// The polite stops, each with a look at the group right after it.
    pub exits: Vec<(CleanExit, Vec<Sample>)>,
    /// What is handled one record after the other.
    pub lane: Lane,
    /// The topic that the records are in.
    pub topic: String,
    /// The numbers of the records in the dead-letter topic, as often as they are there.
    pub dead_letters: Vec<u64>,
    /// The numbers of the records in retry topics.
    pub retried: HashSet<u64>,
}

impl<'k> Scenario<'k> {
    /// A scenario on a new topic; `service` is the path of the `ledger-service` binary.
    pub fn new(kafka: &'k Kafka, service: impl AsRef<Path>, name: &str, partitions: i32) -> Result<Self> {
        let (topic, group) = (unique_name(name), unique_name("group"));
        kafka.create_topic(&topic, partitions)?;
        let directory =
            tempfile::tempdir().map_err(|error| Error::io("cannot make a directory for a ledger", error))?;
        let progress = Progress { path: directory.path().join("ledger"), ..Progress::default() };
        Ok(Self {
            observer: Observer::start(kafka.bootstrap_servers(), &group, &topic, partitions)?,
            kafka,
            service: service.as_ref().to_owned(),
            directory,
            topic,
            group,
            partitions,
            settings: Vec::new(),
            environment: Vec::new(),
            started: 0,
            acked: Vec::new(),
            disrupted_ns: Vec::new(),
            exits: Vec::new(),
            progress,
            lane: Lane::Partition,
            servers: kafka.bootstrap_servers().to_owned(),
            is_static: false,
        })
    }

    /// Sets one key of the service's configuration.
    #[must_use]
    pub fn setting(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push(format!("--{key}={value}"));
        self
    }

    /// Lets processes connect through a proxy, behind which the broker was started. Whoever looks on does not.
    #[must_use]
    pub fn through(mut self, proxy: &Proxy) -> Self {
        self.servers = proxy.address();
        self
    }

    /// Lets the group miss a killed member as soon as the broker allows, instead of after 45 s.
    #[must_use]
    pub fn short_session(self) -> Self {
        // A cluster from outside has Kafka's own lower bound.
        let seconds = if self.kafka.broker_count() == 0 { 6 } else { 3 };
        self.setting("kafka.consumer.session-timeout", format_args!("{seconds}s"))
            .setting("kafka.consumer.heartbeat-interval", "500ms")
            .setting("kafka.consumer.drain-timeout", "1s")
    }

    /// Lets members have names of their own, by [`Scenario::start_as`], and keep their places when they stop.
    #[must_use]
    pub fn static_members(mut self) -> Self {
        self.is_static = true;
        self
    }

    /// Lets records of different keys be handled at once, `at_work_max` of them, and expects order within a key only.
    #[must_use]
    pub fn by_key(mut self, at_work_max: u32) -> Self {
        self.lane = Lane::Key;
        self.setting("kafka.listeners.work.ordering", "key")
            .setting("kafka.listeners.work.max-in-flight", at_work_max)
    }

    /// Sets one variable of the service's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets one key of the configuration of processes started from now on.
    pub fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        self.settings.push(format!("--{key}={value}"));
    }

    /// Produces records of 100 bytes each under a thousand keys, numbered on from those before. Keys, because records
    /// without them go to one partition for as long as a batch lasts, and would leave the partitions very uneven.
    ///
    /// Fails with [`ErrorKind::Kafka`] if the broker does not acknowledge every one of them.
    pub fn seed(&mut self, records: u64) -> Result<()> {
        let seeding = Seeding::new(&self.topic, records).keys(KEYS).first_uid(self.acked.len() as u64);
        let seeded = seeding.produce(self.kafka.bootstrap_servers())?;
        if let Some((uid, reason)) = seeded.failed.first() {
            let message = format!("record {uid} of `{}` was not acknowledged: {reason}", self.topic);
            return Err(Error::new(ErrorKind::Kafka, message));
        }
        self.acked.extend(seeded.acked);
        Ok(())
    }

    /// Starts one more process of the service, and does not wait for it.
    pub fn launch(&mut self) -> Result<Instance> {
        self.launch_with(&[])
    }

    /// Starts one more process, which is the static member of this name, and waits until it has an assignment.
    pub fn start_as(&mut self, member: &str) -> Result<Instance> {
        let instance = self.launch_as(member)?;
        instance.process.wait_for_line(PROCESS_DEADLINE, is_started)?;
        Ok(instance)
    }

    /// The same, without waiting.
    pub fn launch_as(&mut self, member: &str) -> Result<Instance> {
        self.launch_with(&[format!("--kafka.consumer.group-instance-id={member}")])
    }

    fn launch_with(&mut self, more: &[String]) -> Result<Instance> {
        self.started += 1;
        let name = format!("instance-{}", self.started);
        let directory = self.directory.path().display();
        let mut program = Program::new(&self.service)
            .directory(Path::new(env!("CARGO_MANIFEST_DIR")).join("service"))
            .arg(format!("--kafka.bootstrap-servers={}", self.servers))
            .arg(format!("--ledger.path={directory}/ledger"))
            .arg(format!("--ledger.produced={directory}/produced"))
            .arg(format!("--ledger.instance={name}"))
            .arg(format!("--kafka.consumer.client-id={name}"))
            .arg(format!("--ledger.topic={}", self.topic))
            .arg(format!("--ledger.group={}", self.group))
            .args(&self.settings)
            .args(more);
        for (variable, value) in &self.environment {
            program = program.env(variable, value);
        }
        Ok(Instance { name, process: program.start()? })
    }

    /// Starts one more process of the service and waits until it has its first assignment.
    pub fn start(&mut self) -> Result<Instance> {
        let instance = self.launch()?;
        instance.process.wait_for_line(PROCESS_DEADLINE, is_started)?;
        Ok(instance)
    }

    /// Waits until the ledger has `attempts` more lines than at the call.
    pub fn work_on(&mut self, attempts: u64) -> Result<()> {
        let target = self.progress.count()? + attempts;
        let progress = &mut self.progress;
        crate::wait::poll(PROCESS_DEADLINE, &format!("{target} attempts in the ledger"), || {
            let count = progress.count().map_err(|error| error.to_string())?;
            if count >= target { Ok(()) } else { Err(format!("there are {count}")) }
        })
    }

    /// As [`Scenario::work_on`], content with fewer lines if no partition has more than `lag` records left that are not
    /// committed: a bug that is there on purpose may have skipped the rest.
    pub fn work_on_or_drain(&mut self, attempts: u64, lag: i64) -> Result<()> {
        let target = self.progress.count()? + attempts;
        crate::wait::poll(PROCESS_DEADLINE, &format!("{target} attempts, or nothing left"), || {
            let count = self.progress.count().map_err(|error| error.to_string())?;
            let is_reached = count >= target || self.is_drained_but(lag);
            if is_reached { Ok(()) } else { Err(format!("there are {count}")) }
        })
    }

    /// How many attempts are in the ledger now.
    pub fn attempts(&mut self) -> Result<u64> {
        self.progress.count()
    }

    /// Waits until the group has committed all that is in the topic.
    pub fn drain(&self, deadline: Duration) -> Result<()> {
        self.drain_but(0, deadline)
    }

    /// Waits until no partition has more than `lag` records that are not committed.
    pub fn drain_but(&self, lag: i64, deadline: Duration) -> Result<()> {
        crate::wait::poll(deadline, &format!("a lag of at most {lag} in every partition"), || {
            let left: i64 = self.observer.latest().iter().map(Sample::lag).sum();
            let failure = self.observer.failure().map(|error| format!("; looking again failed: {error}"));
            let is_drained = failure.is_none() && self.is_drained_but(lag);
            let reason = format!("{left} records are not committed{}", failure.unwrap_or_default());
            if is_drained { Ok(()) } else { Err(reason) }
        })
    }

    fn is_drained_but(&self, lag: i64) -> bool {
        let latest = self.observer.latest();
        latest.iter().any(|sample| sample.end > 0) && latest.iter().all(|sample| sample.lag() <= lag)
    }

    /// Kills a process, which excuses repeats.
    pub fn kill(&mut self, mut instance: Instance) -> Result<()> {
        let at_ns = now_ns();
        instance.process.signal(Signal::Kill)?;
        instance.process.wait(PROCESS_DEADLINE)?;
        self.disrupted_ns.push(at_ns);
        Ok(())
    }

    /// Notes that a disruption begins now, which excuses repeats as a kill does.
    pub fn disrupted(&mut self) {
        self.disrupted_ns.push(now_ns());
    }

    /// Stops a process with `SIGTERM` and notes how it went; returns its output.
    pub fn stop(&mut self, instance: Instance) -> Result<Process> {
        let signalled_ns = now_ns();
        instance.process.signal(Signal::Terminate)?;
        self.await_exit(instance, signalled_ns)
    }

    /// Waits for the end of a process that was told to stop at `signalled_ns`, and notes how it went.
    pub fn await_exit(&mut self, mut instance: Instance, signalled_ns: u64) -> Result<Process> {
        let status = instance.process.wait(PROCESS_DEADLINE)?;
        let exited_ns = now_ns();
        let servers = self.kafka.bootstrap_servers();
        // Others may well be in the group: what matters is that this one is gone.
        let client_id = format!("{}-0", instance.name);
        let left_group = crate::wait::poll(LEAVE_DEADLINE, "the member to be gone", || {
            self.is_static || members(servers, &self.group).is_ok_and(|members| !members.contains(&client_id))
        });
        let committed = look(servers, &self.group, &self.topic, self.partitions)?;
        let exit = CleanExit {
            instance: instance.name,
            signalled_ns,
            exited_ns,
            exit_code: status.code(),
            limit: SHUTDOWN_LIMIT,
            left_group: left_group.is_ok(),
        };
        self.exits.push((exit, committed));
        Ok(instance.process)
    }

    /// The members of the group now, by client id.
    pub fn members(&self) -> Result<Vec<String>> {
        members(self.kafka.bootstrap_servers(), &self.group)
    }

    /// One look at the group now.
    pub fn look(&self) -> Result<Vec<Sample>> {
        look(self.kafka.bootstrap_servers(), &self.group, &self.topic, self.partitions)
    }

    /// How many records beyond the group's committed offsets the commits' metadata tells to be done.
    pub fn finished_beyond(&self) -> Result<u64> {
        let finished = |sample: &Sample| sample.finished.as_ref().map_or(0, kafka_boot::OffsetMap::len);
        Ok(self.look()?.iter().map(finished).sum())
    }

    /// The numbers of the records of a topic.
    fn numbers_in(&self, topic: &str) -> Result<Vec<u64>> {
        let records = read_topic(self.kafka.bootstrap_servers(), topic, PROCESS_DEADLINE)?;
        let stamps = records.iter().filter_map(|record| Stamp::parse(record.value.as_deref()?));
        Ok(stamps.map(|stamp| stamp.uid).collect())
    }

    /// Where whoever looks on connects to.
    pub fn bootstrap_servers(&self) -> &'k str {
        self.kafka.bootstrap_servers()
    }

    /// The topic that the records are in.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The group of all processes.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Ends the observation and reads the ledgers, the dead letters and what is in retry topics.
    pub fn finish(mut self) -> Result<History> {
        let produced = self.directory.path().join("produced");
        if produced.exists() {
            self.acked.extend(ProducerLedger::load(produced)?);
        }
        let entries = load(self.directory.path().join("ledger"))?;
        let dead_letters = self.numbers_in(&format!("{}-dlt", self.topic))?;
        let topics: HashSet<&str> = entries.iter().map(|entry| entry.topic.as_str()).collect();
        let mut retried = HashSet::new();
        for topic in topics.into_iter().filter(|topic| *topic != self.topic) {
            retried.extend(self.numbers_in(topic)?);
        }
        Ok(History {
            acked: self.acked,
            entries,
            topic: self.topic,
            dead_letters,
            retried,
            samples: self.observer.stop(),
            disrupted_ns: self.disrupted_ns,
            exits: self.exits,
            lane: self.lane,
        })
    }
}

impl History {
    /// Every violation of I1, I2, I3, I4 and I7, where each disruption excuses `repeats_each` repeats.
    pub fn judge(&self, repeats_each: usize) -> Vec<Violation> {
        let dead_lettered: HashSet<u64> = self.dead_letters.iter().copied().collect();
        let settlement =
            Settlement { acked: &self.acked, entries: &self.entries, dead_lettered: &dead_lettered };
        // Of the listener's own topic, a record is done as well when it waits elsewhere for its next attempt.
        let own: Vec<Entry> =
            self.entries.iter().filter(|entry| entry.topic == self.topic).cloned().collect();
        let elsewhere: HashSet<u64> = dead_lettered.union(&self.retried).copied().collect();
        let of_topic = Settlement { acked: &self.acked, entries: &own, dead_lettered: &elsewhere };
        let disruptions = Disruptions { at_ns: self.disrupted_ns.clone(), allowed_each: repeats_each };
        let mut violations = [
            no_loss(&settlement),
            commits_behind_frontier(&of_topic, &self.samples),
            commits_never_go_back(&self.samples),
            bounded_duplicates(&self.entries, &disruptions),
            ordered(&own, self.lane),
        ]
        .concat();
        for (exit, committed) in &self.exits {
            violations.extend(clean_exit(exit, &self.entries, committed));
        }
        violations
    }

    /// How many records are neither done nor dead letters.
    pub fn lost(&self) -> usize {
        let dead_lettered: HashSet<u64> = self.dead_letters.iter().copied().collect();
        let settlement =
            Settlement { acked: &self.acked, entries: &self.entries, dead_lettered: &dead_lettered };
        no_loss(&settlement).len()
    }

    /// How many times a record was done that had been done before.
    pub fn repeats(&self) -> usize {
        let done: Vec<u64> =
            self.entries.iter().filter(|entry| entry.outcome.settles()).map(|entry| entry.uid).collect();
        done.len() - done.iter().collect::<HashSet<_>>().len()
    }
}

/// Whether this line of the service's log says that every listener has its first assignment.
fn is_started(line: &str) -> bool {
    line.contains(": started took=")
}

/// Counts the lines of a growing file, reading each byte once.
#[derive(Debug, Default)]
struct Progress {
    path: PathBuf,
    read_to: u64,
    lines: u64,
}

impl Progress {
    fn count(&mut self) -> Result<u64> {
        let failed = |error| Error::io("cannot follow the ledger", error);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(failed(error)),
        };
        file.seek(SeekFrom::Start(self.read_to)).map_err(failed)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                return Ok(self.lines);
            }
            self.read_to += count as u64;
            self.lines += buffer[..count].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        }
    }
}
