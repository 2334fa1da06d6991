//! `new`: a service that compiles, tests and runs at once.

mod name;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::name::Name;
use self::template::{Dependency, FILES, fill};
use crate::error::CliError;
use crate::output::Output;

/// The checkout that this tool was built from. It may be gone by now.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where kafka-boot comes from, without a checkout.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The service's name, or a folder that is to be made and ends with it
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    #[command(flatten)]
    source: Source,
}

/// Where the service gets kafka-boot from: the checkout that this tool was built from, if it is still there, else its
/// repository.
#[derive(Debug, Args)]
struct Source {
    /// Depend on kafka-boot in this checkout
    #[arg(long, value_name = "CHECKOUT", conflicts_with = "git")]
    path: Option<PathBuf>,
    /// Depend on kafka-boot in this repository
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = REPOSITORY)]
    git: Option<String>,
    /// With `--git`: a commit, tag or branch
    #[arg(long, value_name = "REVISION", requires = "git")]
    rev: Option<String>,
}

impl Source {
    fn dependency(&self) -> Result<Dependency, CliError> {
        if let Some(url) = &self.git {
            return Ok(Dependency::Git { url: url.clone(), rev: self.rev.clone() });
        }
        if let Some(checkout) = &self.path {
            return checkout_at(checkout).ok_or_else(|| {
                CliError::failed(format!("`--path {}` is no checkout of kafka-boot", checkout.display()))
                    .with_help("name a folder with `framework/Cargo.toml` in it, or use `--git`")
            });
        }
        Ok(checkout_at(Path::new(CHECKOUT))
            .unwrap_or_else(|| Dependency::Git { url: REPOSITORY.to_owned(), rev: None }))
    }
}

fn checkout_at(folder: &Path) -> Option<Dependency> {
    let checkout = folder.canonicalize().ok()?;
    let manifest = fs::read_to_string(checkout.join("framework/Cargo.toml")).ok()?;
    manifest.contains("name = \"kafka-boot\"").then_some(Dependency::Checkout(checkout))
}

pub(super) fn execute(command: &Command, output: &mut Output<'_>) -> Result<(), CliError> {
    let name = Name::of(&command.folder)?;
    let dependency = command.source.dependency()?;
    let folder = &command.folder;
    refuse_to_overwrite(folder)?;
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::failed(format!("cannot write `{}`: {error}", path.display()))
            .with_help("name a folder that can be written to")
    };
    for (path, text) in FILES {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        fs::write(&path, fill(text, &name, &dependency)).map_err(|error| failed(&path, &error))?;
    }
    let tested_with = match &dependency {
        Dependency::Checkout(checkout) => Some(checkout.clone()),
        Dependency::Git { .. } => match checkout_at(Path::new(CHECKOUT)) {
            Some(Dependency::Checkout(checkout)) => Some(checkout),
            _ => None,
        },
    };
    if let Some(checkout) = tested_with {
        // The versions with which kafka-boot was built and tested, and which are there without a network.
        let lock = folder.join("Cargo.lock");
        match fs::copy(checkout.join("Cargo.lock"), &lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&lock, &error)),
            _ => {}
        }
    }
    tell(&name, folder, &dependency, output)
}

/// Only what is not there yet, or is an empty folder, becomes a service.
fn refuse_to_overwrite(folder: &Path) -> Result<(), CliError> {
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    Err(CliError::failed(format!("`{}` is there already, and stays as it is", folder.display()))
        .with_help("choose another name, or remove it first"))
}

fn tell(
    name: &Name,
    folder: &Path,
    dependency: &Dependency,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    if let Dependency::Checkout(checkout) = dependency {
        output.note(&format!(
            "Cargo.toml, Dockerfile and docker-compose.yml name the checkout {}, which is only on this machine: the CI workflow cannot \
             build it. `--git` makes a service that depends on kafka-boot's repository.",
            checkout.display()
        ));
    }
    if output.json {
        let source = match dependency {
            Dependency::Checkout(checkout) => json!({ "path": checkout.display().to_string() }),
            Dependency::Git { url, rev } => json!({ "git": url, "rev": rev }),
        };
        return output.json(
            &json!({ "result": "created", "name": name.package(), "folder": folder.display().to_string(), "kafkaBoot": source }),
        );
    }
    output.line(&format!("Created the service {} with {dependency}.", name.package()))?;
    output.line(&format!("Next: cd {} && cargo run", folder.display()))
}
