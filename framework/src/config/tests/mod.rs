//! Tests of the configuration as a whole: what a program sees, from files to errors.

mod bad_input;
mod clients;
mod guide;
mod layering;
mod listeners;
mod reference;

use std::fs;
use std::path::Path;

use super::{ConfigErrors, LoadOptions, Settings};

/// A directory with files, and what else a configuration is loaded from.
struct Setup {
    directory: tempfile::TempDir,
    options: LoadOptions,
}

impl Setup {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = LoadOptions { directory: Some(directory.path().to_owned()), ..LoadOptions::default() };
        Self { directory, options }
    }

    /// A setup with one `application.yml`.
    fn with(yaml: &str) -> Self {
        Self::new().file("application.yml", yaml)
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.options.environment.push((name.into(), value.into()));
        self
    }

    fn argument(mut self, argument: &str) -> Self {
        self.options.arguments.push(argument.into());
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn try_load(&self) -> Result<Settings, ConfigErrors> {
        Settings::load(self.options.clone())
    }

    #[track_caller]
    fn load(&self) -> Settings {
        self.try_load().unwrap_or_else(|errors| panic!("the configuration is refused:\n{errors}"))
    }

    #[track_caller]
    fn errors(&self) -> String {
        match self.try_load() {
            Ok(_) => panic!("the configuration is accepted"),
            Err(errors) => {
                assert_eq!(errors.exit_code(), 78);
                errors.to_string().replace(&self.path().display().to_string(), "<dir>")
            }
        }
    }
}
