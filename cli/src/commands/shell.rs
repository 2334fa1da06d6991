//! `completions` and `man`: what a shell and a reader want to know of the tool.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Cli;
use crate::error::CliError;
use crate::output::Output;

/// The binary's name.
const NAME: &str = "kafka-boot";

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for the tool and one for each command into this folder, instead of printing the first
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

pub(super) fn completions(completions: &Completions, output: &mut Output<'_>) -> Result<(), CliError> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), NAME, &mut script);
    Ok(output.sink.write_all(&script)?)
}

pub(super) fn man(man: &Man, output: &mut Output<'_>) -> Result<(), CliError> {
    let Some(folder) = &man.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return Ok(output.sink.write_all(&page)?);
    };
    let failed = |error: std::io::Error| {
        CliError::failed(format!("`--directory {}`: {error}", folder.display()))
            .with_help("name a folder that can be written to")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    let name = folder.display().to_string();
    output.done("written", &name, &format!("Wrote the pages to {name}."))
}
