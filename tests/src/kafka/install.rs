//! Kafka's jars, and those of Spring Kafka, fetched once from Maven Central into `target/kafka`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::{Error, ErrorKind, Result};

/// What to fetch. A change here fetches again.
const KAFKA: Wanted = Wanted { pom: include_str!("../../kafka/pom.xml"), what: "Kafka", folder: "libs" };
const SPRING: Wanted =
    Wanted { pom: include_str!("../../interop/pom.xml"), what: "Spring Kafka", folder: "spring-libs" };

struct Wanted {
    pom: &'static str,
    what: &'static str,
    folder: &'static str,
}

/// Kafka's jars on this machine.
#[derive(Debug, Clone)]
pub struct Installation {
    class_path: String,
}

impl Installation {
    /// The jars of `tests/kafka/pom.xml`, fetched if they are not there yet. Safe to call from several processes at once.
    ///
    /// Fails with [`ErrorKind::Unavailable`] when Java, Maven or the download is missing.
    pub fn obtain() -> Result<Self> {
        Self::of(&KAFKA)
    }

    /// The jars of `tests/interop/pom.xml`, in the same way.
    pub fn obtain_spring() -> Result<Self> {
        Self::of(&SPRING)
    }

    fn of(wanted: &Wanted) -> Result<Self> {
        require("java", "-version", "Java 17 or later")?;
        let root = super::root_directory()?;
        let libraries = root.join(wanted.folder);
        let stamp = root.join(format!("{}.stamp", wanted.folder));
        let _lock = lock_file(&root.join("install.lock"))?;
        if fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == wanted.pom) {
            return Ok(Self { class_path: class_path(&libraries)? });
        }
        fetch(wanted, &root, &libraries)?;
        // Written last: a run that was cut short starts over.
        fs::write(&stamp, wanted.pom)
            .map_err(|error| Error::io(format!("cannot write `{}`", stamp.display()), error))?;
        Ok(Self { class_path: class_path(&libraries)? })
    }

    /// All jars, for `java -cp`.
    pub fn class_path(&self) -> &str {
        &self.class_path
    }
}

fn fetch(wanted: &Wanted, root: &Path, libraries: &Path) -> Result<()> {
    let what = wanted.what;
    require("mvn", "--version", "Maven 3.8 or later")?;
    crate::seed::notice(&format!("fetching {what} from Maven Central into target/kafka"));
    if libraries.exists() {
        fs::remove_dir_all(libraries)
            .map_err(|error| Error::io(format!("cannot remove {what}'s old jars"), error))?;
    }
    // Beside the jars rather than in the source tree, so that Maven has no reason to write there.
    let pom = root.join(format!("{}.pom.xml", wanted.folder));
    fs::write(&pom, wanted.pom)
        .map_err(|error| Error::io(format!("cannot write `{}`", pom.display()), error))?;
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--no-transfer-progress", "dependency:copy-dependencies"])
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", libraries.display()))
        .arg("--file")
        .arg(&pom)
        .output()
        .map_err(|error| Error::io("cannot run `mvn`", error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Err(Error::new(ErrorKind::Unavailable, format!("cannot fetch {what} from Maven Central:\n{said}")))
}

fn class_path(libraries: &Path) -> Result<String> {
    let unreadable = |error| Error::io(format!("cannot list `{}`", libraries.display()), error);
    let mut jars = Vec::new();
    for entry in fs::read_dir(libraries).map_err(unreadable)? {
        jars.push(entry.map_err(unreadable)?.path().to_string_lossy().into_owned());
    }
    jars.sort();
    Ok(jars.join(":"))
}

fn require(program: &str, version_flag: &str, what: &str) -> Result<()> {
    let found = Command::new(program).arg(version_flag).output().is_ok_and(|output| output.status.success());
    if found {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("`{program}` is not installed; {what} is needed for a real broker"),
    ))
}

/// Takes a lock between processes, held until the file is dropped.
fn lock_file(path: &Path) -> Result<File> {
    let failed = |error| Error::io(format!("cannot lock `{}`", path.display()), error);
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
