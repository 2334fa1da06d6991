//! One broker: its ports, settings, data and process.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::install::Installation;
use super::{KafkaOptions, tools};
use crate::process::{Signal, send_signal, spawn_tethered, tethered, workspace_binary};
use crate::seed::{Random, entropy};
use crate::{Error, ErrorKind, Result};

/// Every cluster has the same id: none of them ever meets another.
const CLUSTER_ID: &str = "a2Fma2EtYm9vdC10ZXN0cw";

/// How many bytes of a log a failure shows.
const SHOWN_LOG_BYTES: usize = 6_000;

/// The ports of one broker, which is also a controller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    id: usize,
    port: u16,
    controller_port: u16,
    /// For those who come through a proxy.
    proxied_port: u16,
}

/// A broker that may or may not be running.
#[derive(Debug)]
pub(super) struct Broker {
    node: Node,
    start: Start,
    log: PathBuf,
    child: Option<Child>,
}

/// What its process runs.
#[derive(Debug)]
enum Start {
    Apache { class_path: String, heap_mebibytes: u32, settings: PathBuf },
    Embedded { program: PathBuf, data: PathBuf },
}

impl Node {
    /// Chooses free ports for `count` brokers.
    ///
    /// They lie below the range from which the kernel takes the ports of outgoing connections: in that range a client
    /// that reconnects to a killed broker can connect to itself, and the broker then finds its port taken.
    pub(super) fn choose(count: usize) -> Result<Vec<Self>> {
        let mut random = Random::new(entropy());
        let mut held = Vec::with_capacity(3 * count);
        for _ in 0..10_000 {
            if held.len() == 3 * count {
                break;
            }
            let candidate = 10_000 + u16::try_from(random.below(20_000)).unwrap_or_default();
            // Held until all are chosen, so that none is chosen twice.
            held.extend(
                TcpListener::bind(("127.0.0.1", candidate)).ok().map(|listener| (candidate, listener)),
            );
        }
        if held.len() < 3 * count {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "there are no free ports between 10000 and 30000",
            ));
        }
        let nodes = held.chunks_exact(3).zip(1..);
        Ok(nodes
            .map(|(pair, id)| Self {
                id,
                port: pair[0].0,
                controller_port: pair[1].0,
                proxied_port: pair[2].0,
            })
            .collect())
    }
}

impl Broker {
    /// Writes the settings of `nodes[index]` and formats its storage under `directory`.
    pub(super) fn format(
        installation: &Installation,
        directory: &Path,
        nodes: &[Node],
        index: usize,
        options: &KafkaOptions,
    ) -> Result<Self> {
        let node = nodes[index];
        let settings = directory.join(format!("broker-{}.properties", node.id));
        let data = directory.join(format!("data-{}", node.id));
        fs::write(&settings, server_properties(nodes, node, &data, options))
            .map_err(|error| Error::io(format!("cannot write `{}`", settings.display()), error))?;
        let settings_text = settings.to_string_lossy();
        let format = ["format", "--cluster-id", CLUSTER_ID, "--config", settings_text.as_ref()];
        tools::run_java(installation, "kafka.tools.StorageTool", &format, Duration::from_mins(1))?
            .success()?;
        let class_path = installation.class_path().to_owned();
        let start = Start::Apache { class_path, heap_mebibytes: options.heap_mebibytes, settings };
        Ok(Self { node, start, log: log_file(directory, node), child: None })
    }

    /// An embedded broker that keeps its data under `directory`.
    pub(super) fn embedded(directory: &Path, node: Node) -> Result<Self> {
        let program = workspace_binary("kafka-boot-tests", "embedded-broker")?;
        let start = Start::Embedded { program, data: directory.join("data-1") };
        Ok(Self { node, start, log: log_file(directory, node), child: None })
    }

    /// Where a proxy is to lead to.
    pub(super) fn proxied_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.node.proxied_port))
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.node.port)
    }

    pub(super) fn log_file(&self) -> &Path {
        &self.log
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process; it is ready some seconds later.
    pub(super) fn start(&mut self) -> Result<()> {
        let failed = |error| Error::io(format!("cannot open `{}`", self.log.display()), error);
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(spawn_tethered(command)?);
        Ok(())
    }

    fn command(&self) -> Command {
        match &self.start {
            Start::Apache { class_path, heap_mebibytes, settings } => {
                let mut command = tethered("java");
                command
                    .arg(format!("-Xmx{heap_mebibytes}m"))
                    // Cheap to start and light on threads, on machines with two cores.
                    .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"])
                    .args(["-Dorg.slf4j.simpleLogger.showDateTime=true"])
                    .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
                    .args(["-cp", class_path, "kafka.Kafka"])
                    .arg(settings);
                command
            }
            Start::Embedded { program, data } => {
                let mut command = tethered(program);
                command.arg(self.node.port.to_string()).arg(data);
                command
            }
        }
    }

    /// Whether the process is there; a paused one is.
    pub(super) fn is_running(&mut self) -> Result<bool> {
        let Some(child) = self.child.as_mut() else { return Ok(false) };
        let ended = child.try_wait().map_err(|error| Error::io("cannot wait for a broker", error))?.is_some();
        if ended {
            self.child = None;
        }
        Ok(!ended)
    }

    pub(super) fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::Kill)?;
        self.wait_for_end(Duration::from_secs(10))
    }

    pub(super) fn stop(&mut self, deadline: Duration) -> Result<()> {
        self.signal(Signal::Terminate)?;
        // A paused broker would not notice.
        self.signal(Signal::Continue)?;
        self.wait_for_end(deadline)
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running()? {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("broker {} is not running", self.node.id),
            ));
        }
        self.pid().map_or(Ok(()), |pid| send_signal(pid, signal))
    }

    /// The end of the log under a headline with its path.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let shown = String::from_utf8_lossy(&text[text.len().saturating_sub(SHOWN_LOG_BYTES)..]).into_owned();
        format!("--- end of {} ---\n{shown}", self.log.display())
    }

    fn wait_for_end(&mut self, deadline: Duration) -> Result<()> {
        let what = format!("broker {} to end", self.node.id);
        crate::wait::poll(deadline, &what, || self.is_running().is_ok_and(|running| !running))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = self.child.as_mut() {
            // Killing fails only if the broker has ended. Its data goes with it, so there is nothing to shut down well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn log_file(directory: &Path, node: Node) -> PathBuf {
    directory.join(format!("broker-{}.log", node.id))
}

fn server_properties(nodes: &[Node], node: Node, data: &Path, options: &KafkaOptions) -> String {
    let voters: Vec<String> =
        nodes.iter().map(|voter| format!("{}@127.0.0.1:{}", voter.id, voter.controller_port)).collect();
    let replicas = nodes.len().to_string();
    let in_sync = if nodes.len() == 3 { "2" } else { "1" };
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", node.port);
    let mut advertised = listeners.clone();
    if let Some(port) = options.proxy_port {
        let _ = write!(listeners, ",PROXIED://127.0.0.1:{}", node.proxied_port);
        let _ = write!(advertised, ",PROXIED://127.0.0.1:{port}");
    }
    let protocols = "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT";

    let settings: &[(&str, &str)] = &[
        ("process.roles", "broker,controller"),
        ("node.id", &node.id.to_string()),
        ("controller.quorum.voters", &voters.join(",")),
        ("listeners", &format!("{listeners},CONTROLLER://127.0.0.1:{}", node.controller_port)),
        ("advertised.listeners", &advertised),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", protocols),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("log.dirs", &data.to_string_lossy()),
        // A typo in a topic's name is an error, not a new topic.
        ("auto.create.topics.enable", "false"),
        ("default.replication.factor", &replicas),
        ("offsets.topic.replication.factor", &replicas),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.replication.factor", &replicas),
        ("transaction.state.log.min.isr", in_sync),
        ("transaction.state.log.num.partitions", "4"),
        ("share.coordinator.state.topic.replication.factor", &replicas),
        ("share.coordinator.state.topic.min.isr", in_sync),
        ("share.coordinator.state.topic.num.partitions", "4"),
        // The first member of a group does not wait for a second one.
        ("group.initial.rebalance.delay.ms", "0"),
        // Tests of lost sessions set short ones; the default minimum is 6 s.
        ("group.min.session.timeout.ms", "1000"),
        // A killed broker may register again only when its old session is over; the default is 9 s.
        ("broker.session.timeout.ms", "3000"),
        ("broker.heartbeat.interval.ms", "500"),
        // The default dedupe buffer, 128 MiB, would be a quarter of the heap.
        ("log.cleaner.dedupe.buffer.size", "4194304"),
        ("num.network.threads", "2"),
        ("num.io.threads", "4"),
        ("background.threads", "2"),
    ];
    let own = settings.iter().copied();
    let theirs = options.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // Of a repeated name Java's reader keeps the last value.
    own.chain(theirs).fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}={value}");
        text
    })
}
