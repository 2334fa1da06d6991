//! Finding the binaries of other crates of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, ErrorKind, Result};

/// Builds `binary` of the workspace member `package`, in the profile of the running test, and returns its path.
///
/// `cargo test` does not build the binaries of other packages, so this asks cargo; with nothing to do that takes a
/// fraction of a second. Fails with [`ErrorKind::Tool`] and the compiler's output when it does not build.
///
/// ```no_run
/// use kafka_boot_tests::process::{Program, workspace_binary};
///
/// let path = workspace_binary("scheduled-producer", "scheduled-producer").unwrap();
/// let service = Program::new(path).arg("--profile=dev").start().unwrap();
/// ```
pub fn workspace_binary(package: &str, binary: &str) -> Result<PathBuf> {
    let profile_directory = profile_directory()?;
    let release = profile_directory.file_name().is_some_and(|name| name == "release");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--package", package, "--bin", binary]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if release {
        command.arg("--release");
    }
    let output = command.output().map_err(|error| Error::io("cannot run `cargo`", error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(ErrorKind::Tool, format!("cannot build `{binary}` of `{package}`:\n{said}")));
    }
    Ok(profile_directory.join(binary))
}

/// `target/<profile>`, from the place of the running program: `target/<profile>/deps/<test>`, or `target/<profile>/<program>`.
fn profile_directory() -> Result<PathBuf> {
    let program =
        std::env::current_exe().map_err(|error| Error::io("cannot find the running program", error))?;
    let directory = program.parent().map(|directory| match directory.file_name() {
        Some(name) if name == "deps" => directory.parent().unwrap_or(directory),
        _ => directory,
    });
    directory.map(Path::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("`{}` is not in a target directory", program.display()))
    })
}
