//! Brokers as child processes, with faults to inject: real Apache Kafka in `KRaft` mode without containers or, with
//! `KAFKA_BOOT_TEST_BROKER=embedded`, the embedded broker.
//!
//! 1. A broker is ready when it answers a client, not when it says so in its log.
//! 2. A broker that comes back has the port and the data it had.
//! 3. Nothing outlives the test process: processes are tethered to it, and directories of dead runs are swept.
//!
//! `KAFKA_BOOTSTRAP_SERVERS` makes [`Kafka::shared`] use a cluster from outside. That one cannot be killed, so tests that
//! inject faults are then skipped. Where neither such a cluster nor Java and Maven exist, tests are skipped with a line
//! that says so; with `CI=true` that is a failure instead.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::process::Signal;
use crate::proxy::Proxy;
use crate::seed::notice;
use crate::{Error, ErrorKind, Result};

mod broker;
mod install;
mod placement;
mod run_directory;
mod tools;

use broker::{Broker, Node};
pub use install::Installation;
use run_directory::RunDirectory;
pub use tools::{ConsumedRecord, GroupRow, ToolOutput};

/// Names a cluster from outside to use instead of starting one.
const EXTERNAL_CLUSTER_VARIABLE: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// Says what brokers are: `apache` (default) or `embedded`.
const BROKER_VARIABLE: &str = "KAFKA_BOOT_TEST_BROKER";

/// How long a broker may take to answer after it was started; a loaded two-core machine needs about 10 s.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// How long a broker may take to end after `SIGTERM`.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// What the brokers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    /// Apache Kafka, from Maven Central; needs Java.
    Apache,
    /// `kafka-boot-embedded`, with a data directory.
    Embedded,
}

impl Software {
    /// What `KAFKA_BOOT_TEST_BROKER` says.
    ///
    /// # Panics
    ///
    /// When it says neither `apache` nor `embedded`.
    pub fn from_environment() -> Self {
        match std::env::var(BROKER_VARIABLE).as_deref() {
            Err(_) | Ok("" | "apache") => Self::Apache,
            Ok("embedded") => Self::Embedded,
            Ok(other) => panic!("{BROKER_VARIABLE} is `{other}`; expected `apache` or `embedded`"),
        }
    }
}

/// What cluster to start.
///
/// ```
/// use kafka_boot_tests::kafka::KafkaOptions;
///
/// let options = KafkaOptions::default().brokers(3).property("min.insync.replicas", "2");
/// assert_eq!(options.brokers, 3);
/// ```
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// What the brokers run; default: what `KAFKA_BOOT_TEST_BROKER` says, else Apache Kafka.
    pub software: Software,
    /// How many brokers, each also a controller: 1 (default) or 3.
    pub brokers: usize,
    /// The limit of each broker's Java heap, in mebibytes; default 512.
    pub heap_mebibytes: u32,
    /// Broker settings (`server.properties`) on top of, and instead of, those of the harness; Apache Kafka only.
    pub properties: Vec<(String, String)>,
    /// The port of a proxy in front of the broker: clients that come to it through that stay with it. One broker of Apache
    /// Kafka only.
    pub proxy_port: Option<u16>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        let software = Software::from_environment();
        Self { software, brokers: 1, heap_mebibytes: 512, properties: Vec::new(), proxy_port: None }
    }
}

impl KafkaOptions {
    /// Sets what the brokers run.
    #[must_use]
    pub fn software(mut self, software: Software) -> Self {
        self.software = software;
        self
    }

    /// Sets the number of brokers.
    #[must_use]
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers;
        self
    }

    /// Sets the limit of each broker's Java heap, in mebibytes.
    #[must_use]
    pub fn heap_mebibytes(mut self, mebibytes: u32) -> Self {
        self.heap_mebibytes = mebibytes;
        self
    }

    /// Puts a proxy in front of the broker, for clients that connect to it: see [`Kafka::lead`].
    #[must_use]
    pub fn behind(mut self, proxy: &Proxy) -> Self {
        self.software = Software::Apache;
        self.proxy_port = Some(proxy.port());
        self
    }

    /// Sets one broker setting, the last one of a name wins.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }
}

/// A Kafka cluster that a test can talk to and, unless it is shared or from outside, hurt.
///
/// ```no_run
/// use kafka_boot_tests::kafka::{Kafka, KafkaOptions};
/// use std::time::Duration;
///
/// let Some(kafka) = Kafka::start_or_skip(&KafkaOptions::default()) else { return };
/// kafka.create_topic("orders", 3).unwrap();
/// kafka.kill9(0).unwrap();
/// kafka.restart(0).unwrap();
/// assert!(kafka.console_consumer("orders", 1, Duration::from_secs(2)).unwrap().is_empty());
/// ```
#[derive(Debug)]
pub struct Kafka {
    bootstrap_servers: String,
    /// Kafka's own tools, if this machine has Java; looked for when they are first needed.
    installation: OnceLock<Result<Installation, String>>,
    brokers: Vec<Mutex<Broker>>,
    owner: Owner,
    // Declared after the brokers: they end before their directory goes.
    directory: Option<RunDirectory>,
}

/// Whose cluster it is, and thereby who may hurt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Test,
    Process,
    Outside,
}

impl Kafka {
    /// The cluster that all tests of this process share, started at the first call: the one of
    /// `KAFKA_BOOTSTRAP_SERVERS`, or one broker of our own, which ends with the process. `None` means: skip this test,
    /// and the output says so.
    ///
    /// # Panics
    ///
    /// When Kafka is installed but does not start; and, with `CI=true`, when there is no Kafka to be had.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            if let Some(bootstrap_servers) = external_cluster() {
                notice(&format!("using the cluster of {EXTERNAL_CLUSTER_VARIABLE}={bootstrap_servers}"));
                return Ok(Self::outside(bootstrap_servers));
            }
            let mut kafka = available(Self::start(&KafkaOptions::default()))?;
            kafka.owner = Owner::Process;
            Ok(kafka)
        });
        shared.as_ref().map_err(|reason| notice_skip(reason)).ok()
    }

    /// A cluster of the caller's own, to hurt; stopped on drop. `None` means: skip this test, and the output says so.
    ///
    /// # Panics
    ///
    /// As [`Kafka::shared`] does.
    pub fn start_or_skip(options: &KafkaOptions) -> Option<Self> {
        if external_cluster().is_some() {
            notice_skip(&format!("{EXTERNAL_CLUSTER_VARIABLE} is set, and that cluster must not be hurt"));
            return None;
        }
        available(Self::start(options)).map_err(|reason| notice_skip(&reason)).ok()
    }

    /// A cluster of the caller's own, ready for clients; stopped on drop.
    ///
    /// Fails with [`ErrorKind::Unavailable`] without Java or Maven, and with [`ErrorKind::Timeout`] or
    /// [`ErrorKind::Tool`], and the end of the broker's log, when it does not become ready.
    pub fn start(options: &KafkaOptions) -> Result<Self> {
        if !matches!(options.brokers, 1 | 3) {
            let message = format!("`brokers` is {}, but a cluster has 1 or 3", options.brokers);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let root = root_directory()?;
        let directory = RunDirectory::create(&root)?;
        let installation = OnceLock::new();
        let mut brokers = match options.software {
            Software::Apache => {
                let obtained = Installation::obtain()?;
                let formatted = formatted(&obtained, directory.path(), options)?;
                drop(installation.set(Ok(obtained)));
                formatted
            }
            Software::Embedded if options.brokers == 1 => {
                let node = Node::choose(1)?[0];
                vec![Broker::embedded(directory.path(), node)?]
            }
            Software::Embedded => {
                let message = "the embedded broker keeps several nodes in one process, which cannot be killed one by one";
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        };
        // Started only after all are formatted, so that the quorum forms without waiting for a Java start.
        for broker in &mut brokers {
            broker.start()?;
        }
        let bootstrap: Vec<String> = brokers.iter().map(Broker::address).collect();
        let kafka = Self {
            bootstrap_servers: bootstrap.join(","),
            installation,
            brokers: brokers.into_iter().map(Mutex::new).collect(),
            owner: Owner::Test,
            directory: Some(directory),
        };
        kafka.wait_until_ready()?;
        Ok(kafka)
    }

    fn outside(bootstrap_servers: String) -> Self {
        Self {
            bootstrap_servers,
            installation: OnceLock::new(),
            brokers: Vec::new(),
            owner: Owner::Outside,
            directory: None,
        }
    }

    /// What clients set as `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Lets a proxy lead to the broker that was started [`behind`](KafkaOptions::behind) it.
    pub fn lead(&self, proxy: &Proxy) -> Result<()> {
        let broker = self.broker(0)?;
        proxy.lead_to(broker.proxied_address());
        Ok(())
    }

    /// How many brokers this harness runs; 0 for a cluster from outside.
    pub fn broker_count(&self) -> usize {
        self.brokers.len()
    }

    /// `host:port` of broker `index`, counted from 0; its node id is one more.
    pub fn broker_address(&self, index: usize) -> Result<String> {
        Ok(self.broker(index)?.address())
    }

    /// Creates a topic, replicated to every broker, and waits until its partitions have leaders.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        crate::produce::create_topic(&self.bootstrap_servers, name, partitions)
    }

    /// Crashes broker `index` with `SIGKILL` and waits until it is gone.
    pub fn kill9(&self, index: usize) -> Result<()> {
        self.own(index)?.kill9()
    }

    /// Shuts broker `index` down with `SIGTERM` and waits until it is gone.
    pub fn stop(&self, index: usize) -> Result<()> {
        self.own(index)?.stop(STOP_DEADLINE)
    }

    /// Starts broker `index` again, stopping it first if it runs, with its port and data; returns when it answers.
    /// Its replicas may still be catching up then.
    pub fn restart(&self, index: usize) -> Result<()> {
        let mut broker = self.own(index)?;
        if broker.is_running()? {
            broker.stop(STOP_DEADLINE)?;
        }
        broker.start()?;
        drop(broker);
        self.wait_until_ready()
    }

    /// Freezes broker `index` with `SIGSTOP`: its sockets stay open and nothing answers.
    pub fn pause(&self, index: usize) -> Result<()> {
        self.own(index)?.signal(Signal::Stop)
    }

    /// Thaws broker `index` with `SIGCONT`.
    pub fn resume(&self, index: usize) -> Result<()> {
        self.own(index)?.signal(Signal::Continue)
    }

    /// The process id of broker `index`, if it runs.
    pub fn broker_pid(&self, index: usize) -> Result<Option<u32>> {
        Ok(self.broker(index)?.pid())
    }

    /// The log of broker `index`, kept until the next run.
    pub fn log_file(&self, index: usize) -> Result<PathBuf> {
        Ok(self.broker(index)?.log_file().to_owned())
    }

    /// Waits until every running broker answers clients and knows that all of them are registered.
    fn wait_until_ready(&self) -> Result<()> {
        let mut addresses = Vec::new();
        for broker in &self.brokers {
            let mut broker = lock(broker);
            if broker.is_running()? {
                addresses.push(broker.address());
            }
        }
        let expected = addresses.len();
        let ready = crate::wait::poll(START_DEADLINE, "the brokers to answer", || {
            if self.running().is_ok_and(|running| running < expected) {
                return Ok(Err("a broker ended while it started"));
            }
            while let Some(address) = addresses.last() {
                let known = brokers_known_to(address).map_err(|error| format!("`{address}`: {error}"))?;
                if known < expected {
                    return Err(format!("`{address}` knows {known} of {expected} brokers"));
                }
                addresses.pop();
            }
            Ok(Ok(()))
        });
        let reason = match ready {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(ended)) => Error::new(ErrorKind::Tool, ended),
            Err(timeout) => timeout,
        };
        let logs: Vec<String> = self.brokers.iter().map(|broker| lock(broker).log_tail()).collect();
        Err(Error::new(reason.kind(), format!("{reason}\n{}", logs.join("\n"))))
    }

    fn running(&self) -> Result<usize> {
        let mut running = 0;
        for broker in &self.brokers {
            running += usize::from(lock(broker).is_running()?);
        }
        Ok(running)
    }

    fn broker(&self, index: usize) -> Result<MutexGuard<'_, Broker>> {
        self.brokers.get(index).map(lock).ok_or_else(|| {
            let message = format!("there is no broker `{index}` among the {} run here", self.brokers.len());
            Error::new(ErrorKind::Unsupported, message)
        })
    }

    fn own(&self, index: usize) -> Result<MutexGuard<'_, Broker>> {
        if self.owner == Owner::Test {
            return self.broker(index);
        }
        let message =
            "this cluster is shared: a test that injects faults starts its own with `Kafka::start_or_skip`";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(crate) fn installation(&self) -> Result<&Installation> {
        let obtained =
            self.installation.get_or_init(|| Installation::obtain().map_err(|error| error.to_string()));
        obtained.as_ref().map_err(|reason| {
            Error::new(ErrorKind::Unavailable, format!("Kafka's own tools cannot be had: {reason}"))
        })
    }

    /// Whether Kafka's own tools are there. `false` means: skip this test, and the output says so.
    ///
    /// # Panics
    ///
    /// When they are not, with `CI=true`.
    pub fn has_tools(&self) -> bool {
        available(self.installation().map(drop)).map_err(|reason| notice_skip(&reason)).is_ok()
    }
}

fn formatted(installation: &Installation, directory: &Path, options: &KafkaOptions) -> Result<Vec<Broker>> {
    let nodes = Node::choose(options.brokers)?;
    (0..nodes.len()).map(|index| Broker::format(installation, directory, &nodes, index, options)).collect()
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        if let Some(directory) = self.directory.as_mut() {
            directory.keep_until_next_run();
            for broker in &self.brokers {
                notice(&format!("broker log: {}", lock(broker).log_file().display()));
            }
        }
    }
}

/// Settings for a client of the harness that keeps its log to itself: brokers are killed on purpose here.
pub(crate) fn quiet_client(bootstrap_servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("log.connection.close", "false")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("broker.address.family", "v4");
    config
}

/// Asks the broker at `address`, and no other: a new client knows nobody else yet.
fn brokers_known_to(address: &str) -> Result<usize> {
    let client: BaseConsumer = quiet_client(address).create()?;
    Ok(client.fetch_metadata(None, Duration::from_secs(1))?.brokers().len())
}

fn external_cluster() -> Option<String> {
    std::env::var(EXTERNAL_CLUSTER_VARIABLE).ok().filter(|servers| !servers.trim().is_empty())
}

/// What was obtained, or why this machine has none. Any other failure, and in CI that one too, fails the test here.
fn available<T>(started: Result<T>) -> Result<T, String> {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    started.map_err(|error| {
        assert!(error.kind() == ErrorKind::Unavailable, "Kafka does not start: {error}");
        assert!(!in_ci, "Kafka is needed in CI: {error}");
        error.to_string()
    })
}

fn notice_skip(reason: &str) {
    let thread = std::thread::current();
    notice(&format!("skipped: {} ({reason})", thread.name().unwrap_or("a test")));
}

fn lock(broker: &Mutex<Broker>) -> MutexGuard<'_, Broker> {
    broker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the jars and the running brokers' directories are: `target/kafka` of this workspace.
fn root_directory() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka");
    std::fs::create_dir_all(&root)
        .and_then(|()| root.canonicalize())
        .map_err(|error| Error::io(format!("cannot make `{}`", root.display()), error))
}
