//! The program of `tests/java`, which runs Kafka's own tools and the Java client in one virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_boot_tests::java;
use kafka_boot_tests::kafka::Installation;
use kafka_boot_tests::process::{Program, Stream};

use crate::table::Case;

/// A virtual machine that starts fast; the log of the clients goes to a file of its own.
const JAVA_OPTIONS: [&str; 4] = [
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// The compiled program.
pub(crate) struct Driver {
    class_path: String,
    directory: PathBuf,
}

/// Where the classes and the transcripts are.
pub(crate) fn directory() -> std::io::Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka/conformance");
    fs::create_dir_all(&directory)?;
    directory.canonicalize()
}

impl Driver {
    /// Compiles the program, unless its classes are there. Nothing, and a line that says so, without a Java compiler.
    ///
    /// # Panics
    /// When the program does not compile; and, with `CI=true`, when there is no compiler.
    pub(crate) fn compile_or_skip() -> Option<Self> {
        if !java::has_compiler_or_skip("the conformance suite") {
            return None;
        }
        let installation = Installation::obtain().unwrap();
        let directory = directory().unwrap();
        let classes = directory.join("classes");
        let class_path = format!("{}:{}", classes.display(), installation.class_path());
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/conformance");
        java::compile(&sources, &classes, &class_path);
        Some(Self { class_path, directory })
    }

    /// Runs the cases whose names contain `filter` on one broker.
    ///
    /// # Errors
    /// The program does not end in time, or says what is no case.
    pub(crate) fn run(&self, bootstrap: &str, filter: &str, deadline: Duration) -> Result<Vec<Case>, String> {
        let log = self.directory.join(format!("clients-of-{}.log", bootstrap.replace(':', "-")));
        let mut process = Program::new("java")
            .args(JAVA_OPTIONS)
            .arg(format!("-Dorg.slf4j.simpleLogger.logFile={}", log.display()))
            .args(["-cp", &self.class_path, "conformance.Main", bootstrap, filter])
            // The tools show times in the zone of the machine.
            .env("TZ", "UTC")
            .start()
            .map_err(|error| error.to_string())?;
        let status = process.wait(deadline).map_err(|error| error.to_string())?;
        // Of interest only after a failure, and then the transcripts tell more.
        drop(fs::remove_file(&log));
        let errors = process.text(Stream::Err);
        if !status.success() {
            return Err(format!("the Java program ended with {status}:\n{errors}"));
        }
        let text = process.text(Stream::Out);
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("`{line}`: {error}")))
            .collect()
    }
}

/// Whether a missing program is an error rather than a reason to skip.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
