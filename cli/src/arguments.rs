//! What may be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    cluster, config, configs, consume, dev, dlt, groups, new, offsets, produce, records, shell, topics,
};

/// Kafka from a terminal: topics, groups and records, a broker for development, new services.
#[derive(Debug, Parser)]
#[command(name = "kafka-boot", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How results are written
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, help_heading = "Everywhere")]
    pub(crate) output: Format,
    /// Answer every question with yes
    #[arg(long, short = 'y', global = true, help_heading = "Everywhere")]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the cluster is, and how to get in.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Brokers to begin with, as `host:port,…`; else `KAFKA_BOOTSTRAP_SERVERS`, the service's `application.yml`, or localhost:9092
    #[arg(long, global = true, value_name = "SERVERS")]
    pub(crate) bootstrap_servers: Option<String>,
    /// The folder of the service whose `application.yml` tells the connection; else `KAFKA_BOOT_CONFIG` [default: the current
    /// one, unless `--bootstrap-servers` or `--command-config` is given without `--cluster`]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) config_dir: Option<PathBuf>,
    /// The service's profiles, separated by commas; else `APP_PROFILES_ACTIVE`
    #[arg(long, global = true, value_name = "PROFILES")]
    pub(crate) profile: Option<String>,
    /// One of the service's `kafka.clusters`, by name [default: the cluster that `kafka` itself describes]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// A file of client settings, in the syntax of Java's properties, as Kafka's own tools read it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OnCluster(Box<OnCluster>),
    /// Makes a service that compiles, tests and runs at once
    New(new::Command),
    /// A broker for development, on port 9092, until Ctrl-C
    Dev(dev::Command),
    /// A service's configuration, without running the service
    #[command(subcommand)]
    Config(config::Command),
    /// Prints the script that completes this command in a shell
    Completions(shell::Completions),
    /// Prints the manual page, or writes one for each command
    Man(shell::Man),
}

/// What is done on a cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum OnCluster {
    /// Topics and their partitions
    #[command(subcommand)]
    Topics(topics::Command),
    /// Settings of topics and brokers
    #[command(subcommand)]
    Configs(configs::Command),
    /// Consumer groups and where they stand
    #[command(subcommand)]
    Groups(groups::Command),
    /// Writes records, a line each, from standard input or a file
    Produce(produce::Command),
    /// Reads the records of a topic
    Consume(consume::Command),
    /// Where the partitions of topics begin and end
    Offsets(offsets::Command),
    /// Records that are there
    #[command(subcommand)]
    Records(records::Command),
    /// Dead letters: what nobody could handle
    #[command(subcommand)]
    Dlt(dlt::Command),
    /// The cluster as a whole
    #[command(subcommand)]
    Cluster(cluster::Command),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_contradict_nothing() {
        super::Cli::command().debug_assert();
    }
}
