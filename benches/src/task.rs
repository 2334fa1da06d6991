//! What a contender is told, and how it is started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kafka_boot_tests::process::{Process, Program};

use crate::measure::Measurement;
use crate::{CONTENDER_DEADLINE, Result};

/// How long a contender may take to end after it printed its line.
const EXIT_DEADLINE: Duration = Duration::from_secs(30);

/// One run of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) servers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) records: u64,
    /// Arguments for the framework, on top of those that every contender has.
    pub(crate) settings: Vec<String>,
}

impl Task {
    /// Reads what [`Self::arguments`] wrote.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let [servers, topic, group, records, settings @ ..] = arguments else {
            return Err(crate::USAGE.into());
        };
        Ok(Self {
            servers: servers.clone(),
            topic: topic.clone(),
            group: group.clone(),
            records: records.parse()?,
            settings: settings.to_vec(),
        })
    }

    fn arguments(&self) -> Vec<String> {
        let fixed = [self.servers.clone(), self.topic.clone(), self.group.clone(), self.records.to_string()];
        fixed.into_iter().chain(self.settings.iter().cloned()).collect()
    }

    /// Runs `contender` in a process of its own and returns what it measured.
    pub(crate) fn run(&self, contender: &str) -> Result<Measurement> {
        let child = self.program(contender)?.start()?;
        let line = first_line(&child, Measurement::PREFIX)?;
        end(child)?;
        Measurement::parse(&line)
    }

    /// Runs `contender` and returns the time from its start to the line that `prefix` begins.
    pub(crate) fn time_to_line(&self, contender: &str, prefix: &str) -> Result<Duration> {
        let program = self.program(contender)?;
        let started = Instant::now();
        let child = program.start()?;
        let line = child.wait_for_line(CONTENDER_DEADLINE, |line| line.starts_with(prefix))?;
        let took = line.at.duration_since(started);
        end(child)?;
        Ok(took)
    }

    fn program(&self, contender: &str) -> Result<Program> {
        Ok(Program::new(std::env::current_exe()?).args(["contender", contender]).args(self.arguments()))
    }
}

/// Runs an example of the client crate, built first, and returns what it measured.
pub(crate) fn run_client_example(name: &str, arguments: &[String]) -> Result<Measurement> {
    let child = Program::new(client_example(name)?).args(arguments).start()?;
    let line = first_line(&child, Measurement::PREFIX)?;
    end(child)?;
    Measurement::parse(&line)
}

/// Builds an example of the client crate; with nothing to do that takes a fraction of a second.
fn client_example(name: &str) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "kafka-boot-client", "--example", name]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let program = std::env::current_exe()?;
    let profile = program.parent().ok_or("the benchmark is not in a target directory")?;
    if profile.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(format!("cannot build `{name}`:\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(profile.join("examples").join(name))
}

/// The folder of the workspace, in which the examples find their configuration.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn first_line(child: &Process, prefix: &str) -> Result<String> {
    Ok(child.wait_for_line(CONTENDER_DEADLINE, |line| line.starts_with(prefix))?.text)
}

fn end(mut child: Process) -> Result<()> {
    let status = child.wait(EXIT_DEADLINE)?;
    if status.success() { Ok(()) } else { Err(format!("a contender ended with {status}").into()) }
}
