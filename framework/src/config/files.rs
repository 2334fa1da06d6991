//! Finds and reads the configuration files.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, did_you_mean};
use super::relaxed;
use super::tree::{Node, Place};
use super::yaml;

const EXTENSIONS: [&str; 2] = ["yml", "yaml"];

/// Where the files are.
#[derive(Debug)]
pub(crate) struct Locations {
    /// The folders, from the weakest to the strongest.
    folders: Vec<PathBuf>,
    /// What the names of the files begin with: `application`.
    stem: String,
    /// What the names in messages are relative to.
    base: PathBuf,
    /// Whether there must be a file.
    required: bool,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// The path, as messages show it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) root: Node,
    /// Which of the folders it is in.
    pub(crate) folder: usize,
}

impl Locations {
    /// Nowhere.
    pub(crate) fn none() -> Self {
        Self { folders: Vec::new(), stem: "application".into(), base: PathBuf::new(), required: false }
    }

    /// The folders to look in: the directory and its `config`, or the one place that was asked for, a folder
    /// or a file.
    pub(crate) fn new(directory: &Path, asked_for: Option<&Path>) -> Result<Self, ConfigError> {
        let base = directory.to_owned();
        let Some(asked_for) = asked_for else {
            let folders = vec![directory.to_owned(), directory.join("config")];
            return Ok(Self { folders, stem: "application".into(), base, required: false });
        };
        let path = directory.join(asked_for);
        let unreadable = |message: String| {
            let place = Place::WholeFile(asked_for.display().to_string());
            ConfigError::new(ConfigErrorKind::Unreadable, place, message)
        };
        let metadata = fs::metadata(&path).map_err(|error| {
            unreadable(format!("cannot be read: {}", reason(&error)))
                .help("`--config` names a folder, or a file in it")
        })?;
        if metadata.is_dir() {
            return Ok(Self { folders: vec![path], stem: "application".into(), base, required: true });
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_yaml = path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e));
        let Some(stem) = stem.filter(|_| is_yaml) else {
            return Err(unreadable("expected a folder, or a file that ends in `.yml` or `.yaml`".into()));
        };
        let folder = path.parent().unwrap_or(directory).to_owned();
        Ok(Self { folders: vec![folder], stem: stem.to_owned(), base, required: true })
    }

    /// Reads the files without a profile.
    pub(crate) fn read_base(&self, errors: &mut ConfigErrors) -> Vec<Document> {
        let found_before = errors.count();
        let documents = self.read(&self.stem, errors);
        if self.required && documents.is_empty() && errors.count() == found_before {
            let folder = self.folders.first().map(|folder| self.shown(folder)).unwrap_or_default();
            let message = format!("has no `{}.yml`", self.stem);
            errors.push(ConfigError::new(ConfigErrorKind::Unreadable, Place::WholeFile(folder), message));
        }
        documents
    }

    /// Reads the files of one profile.
    pub(crate) fn read_profile(&self, profile: &str, errors: &mut ConfigErrors) -> Vec<Document> {
        self.read(&format!("{}-{profile}", self.stem), errors)
    }

    /// The profiles that have a file.
    pub(crate) fn profiles(&self) -> BTreeSet<String> {
        let prefix = format!("{}-", self.stem);
        let files = self.folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let profile_of = |path: PathBuf| {
            let extension = path.extension()?.to_str()?;
            EXTENSIONS.contains(&extension).then_some(())?;
            Some(path.file_stem()?.to_str()?.strip_prefix(&prefix)?.to_owned())
        };
        files.filter_map(|file| profile_of(file.path())).collect()
    }

    fn read(&self, stem: &str, errors: &mut ConfigErrors) -> Vec<Document> {
        let mut documents = Vec::new();
        for (folder, path) in self.folders.iter().enumerate() {
            let candidates = EXTENSIONS.map(|extension| path.join(format!("{stem}.{extension}")));
            // A link that leads nowhere, or in a circle, is there as well: it must not be passed over in
            // silence.
            let present: Vec<&PathBuf> =
                candidates.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
            match present.as_slice() {
                [] => {}
                [path] => match self.read_one(path, folder) {
                    Ok(document) => documents.push(document),
                    Err(error) => errors.push(error),
                },
                [first, second, ..] => {
                    let message = format!("is there beside `{}`", self.shown(first));
                    let place = Place::WholeFile(self.shown(second));
                    errors.push(
                        ConfigError::new(ConfigErrorKind::Unreadable, place, message)
                            .help("keep one of them"),
                    );
                }
            }
        }
        documents
    }

    fn read_one(&self, path: &Path, folder: usize) -> Result<Document, ConfigError> {
        let name = self.shown(path);
        let refuse = |message: String| {
            ConfigError::new(ConfigErrorKind::Unreadable, Place::WholeFile(name.clone()), message)
        };
        let metadata =
            fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {}", reason(&error))))?;
        if !metadata.is_file() {
            return Err(refuse("is not a file".into()));
        }
        if metadata.len() > yaml::MAX_FILE_BYTES {
            return Err(refuse(format!("is larger than {} bytes", yaml::MAX_FILE_BYTES)));
        }
        let bytes = fs::read(path).map_err(|error| refuse(format!("cannot be read: {}", reason(&error))))?;
        let root = relaxed::normalise(yaml::parse(&name, bytes)?)?;
        Ok(Document { name, path: path.to_owned(), root, folder })
    }

    /// A path as messages show it: relative to the directory, where it is in it.
    fn shown(&self, path: &Path) -> String {
        let relative = path.strip_prefix(&self.base).unwrap_or(path);
        let relative = relative.strip_prefix(".").unwrap_or(relative);
        if relative.as_os_str().is_empty() { ".".into() } else { relative.display().to_string() }
    }
}

/// Why a file cannot be read, in the same words on every system.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".into(),
        ErrorKind::PermissionDenied => "this user may not read it".into(),
        ErrorKind::InvalidData => "it is not UTF-8".into(),
        ErrorKind::IsADirectory => "it is a folder".into(),
        kind => kind.to_string(),
    }
}

/// The error of a profile that has no file.
pub(crate) fn unknown_profile(profile: &str, place: Place, found: &BTreeSet<String>) -> ConfigError {
    let names: Vec<String> = found.iter().map(|name| format!("`{name}`")).collect();
    let help = did_you_mean(profile, found.iter().map(String::as_str)).unwrap_or_else(|| {
        if names.is_empty() {
            "there is no file `application-<profile>.yml`".into()
        } else {
            format!("there are files for {}", names.join(", "))
        }
    });
    ConfigError::new(ConfigErrorKind::Profile, place, format!("the profile `{profile}` has no file"))
        .help(help)
}

/// Whether a name can be that of a profile, and so a part of a file's name.
pub(crate) fn is_profile_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Whether others than the owner and the group may read, or write, a file. Always `false` where that is not
/// known.
pub(crate) fn open_to_others(path: &Path, bit: u32) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bit != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = (path, bit);
        false
    }
}
