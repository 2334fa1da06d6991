//! Programs in Java, compiled when their source has changed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::seed::notice;

/// Whether there is a Java compiler. Without one, a line says that `what` is skipped.
///
/// # Panics
/// When there is none with `CI=true`.
pub fn has_compiler_or_skip(what: &str) -> bool {
    if Command::new("javac").arg("-version").output().is_ok() {
        return true;
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "`javac` is needed in CI: install `openjdk-17-jdk-headless`");
    notice(&format!("skipped: {what} (`javac` is not installed; install `openjdk-17-jdk-headless`)"));
    false
}

/// Compiles the files of a folder, unless their classes are there.
///
/// # Panics
/// When they do not compile, or a file cannot be read or written.
pub fn compile(sources: &Path, classes: &Path, class_path: &str) {
    let failed = |error: std::io::Error| panic!("`{}` cannot be compiled: {error}", sources.display());
    let stamp = classes.with_extension("stamp");
    let entries = fs::read_dir(sources).unwrap_or_else(failed);
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let mut wanted = class_path.to_owned();
    for file in &files {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("`{}`: {error}", file.display()));
        // Writing to a string cannot fail.
        let _ = write!(wanted, "\n{}\n{text}", file.display());
    }
    if fs::read_to_string(&stamp).is_ok_and(|compiled| compiled == wanted) {
        return;
    }
    if classes.exists() {
        fs::remove_dir_all(classes).unwrap_or_else(|error| panic!("`{}`: {error}", classes.display()));
    }
    let compiler = Command::new("javac")
        .args(["-Xlint:all,-serial,-try,-path,-processing,-classfile", "-Werror", "-encoding", "UTF-8", "-d"])
        .arg(classes)
        .args(["-cp", class_path])
        .args(&files)
        .output();
    match compiler {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            panic!("`{}` does not compile:\n{}", sources.display(), String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => panic!("`javac` cannot be run: {error}"),
    }
    // Written last: a run that was cut short starts over.
    fs::write(&stamp, wanted).unwrap_or_else(|error| panic!("`{}`: {error}", stamp.display()));
}
