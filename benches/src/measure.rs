//! Clocks, and the line in which a contender reports what it measured.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// Named numbers, one line: `measured cpu_seconds=1.5 peak_kib=51200 records=4000000 seconds=1.25`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measurement(BTreeMap<String, f64>);

impl Measurement {
    /// What the line begins with.
    pub(crate) const PREFIX: &'static str = "measured ";

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    pub(crate) fn get(&self, name: &str) -> Result<f64> {
        self.0.get(name).copied().ok_or_else(|| format!("`{self}` has no `{name}`").into())
    }

    pub(crate) fn parse(line: &str) -> Result<Self> {
        let fields = line.strip_prefix(Self::PREFIX).ok_or("not a measurement")?;
        let mut measurement = Self::default();
        for field in fields.split_whitespace() {
            let (name, value) = field.split_once('=').ok_or_else(|| format!("`{field}` has no value"))?;
            measurement.set(name, value.parse()?);
        }
        Ok(measurement)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX.trim_end())?;
        self.0.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// Wall time and this process's processor time since it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu_time() }
    }

    /// What happened since then to `records` records.
    pub(crate) fn stop(&self, records: u64) -> Measurement {
        let (seconds, cpu) = (self.started.elapsed(), cpu_time().saturating_sub(self.cpu));
        let mut measurement = Measurement::default();
        measurement.set("records", to_f64(records));
        measurement.set("seconds", seconds.as_secs_f64());
        measurement.set("cpu_seconds", cpu.as_secs_f64());
        measurement
    }
}

/// Adds the peak of this process's resident memory and prints the line that the parent waits for.
pub(crate) fn report(mut measurement: Measurement) -> Result<()> {
    measurement.set("peak_kib", peak_kib("self")?);
    println!("{measurement}");
    Ok(())
}

/// The highest resident memory that a process ever had, in KiB.
pub(crate) fn peak_kib(process: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(peak.ok_or("`/proc` has no `VmHWM`")?.trim().parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds here are far below 2^52")]
pub(crate) fn to_f64(value: u64) -> f64 {
    value as f64
}

fn cpu_time() -> Duration {
    // The kernel's answer is never negative.
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_survives_its_line() {
        let mut measurement = Measurement::default();
        measurement.set("records", 4_000_000.0);
        measurement.set("seconds", 1.25);
        let line = measurement.to_string();
        assert_eq!(line, "measured records=4000000 seconds=1.25");
        assert_eq!(Measurement::parse(&line).ok(), Some(measurement));
    }
}
