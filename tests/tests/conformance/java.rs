//! The program of `tests/java`, which runs Kafka's own tools and the Java client in one virtual machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_boot_tests::kafka::Installation;
use kafka_boot_tests::process::{Program, Stream};
use kafka_boot_tests::seed::notice;

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
        let has_compiler = std::process::Command::new("javac").arg("-version").output().is_ok();
        if !has_compiler {
            assert!(!in_ci(), "`javac` is needed in CI: install `openjdk-17-jdk-headless`");
            notice(
                "skipped: the conformance suite (`javac` is not installed; install `openjdk-17-jdk-headless`)",
            );
            return None;
        }
        let installation = Installation::obtain().unwrap();
        let directory = directory().unwrap();
        let classes = directory.join("classes");
        let class_path = format!("{}:{}", classes.display(), installation.class_path());
        compile(&classes, &directory.join("classes.stamp"), &class_path);
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

fn compile(classes: &Path, stamp: &Path, class_path: &str) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("java/conformance");
    let mut files: Vec<PathBuf> = fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wanted = class_path.to_owned();
    for file in &files {
        let _ = write!(wanted, "\n{}\n{}", file.display(), fs::read_to_string(file).unwrap());
    }
    if fs::read_to_string(stamp).is_ok_and(|compiled| compiled == wanted) {
        return;
    }
    if classes.exists() {
        fs::remove_dir_all(classes).unwrap();
    }
    let compiler = std::process::Command::new("javac")
        .args(["-Xlint:all,-serial,-try,-path,-processing,-classfile", "-Werror", "-encoding", "UTF-8", "-d"])
        .arg(classes)
        .args(["-cp", class_path])
        .args(&files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiler.stderr);
    assert!(compiler.status.success(), "the program of `tests/java` does not compile:\n{said}");
    // Written last: a run that was cut short starts over.
    fs::write(stamp, wanted).unwrap();
}
