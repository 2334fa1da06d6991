//! `cluster`: the brokers, and which of them is the controller.

use clap::Subcommand;
use kafka_boot_client::Admin;
use serde_json::json;

use super::REQUEST;
use crate::error::CliError;
use crate::output::{Output, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the cluster's id, its controller and its brokers
    Describe,
}

pub(crate) async fn execute(
    command: &Command,
    admin: &Admin,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let Command::Describe = command;
    let cluster = admin.describe_cluster(REQUEST).await?;
    let controller = cluster.controller.as_ref().map(|broker| broker.id);
    if output.json {
        let brokers: Vec<_> = cluster
            .brokers
            .iter()
            .map(|broker| json!({ "id": broker.id, "host": broker.host, "port": broker.port, "rack": broker.rack }))
            .collect();
        return output
            .json(&json!({ "clusterId": cluster.cluster_id, "controller": controller, "brokers": brokers }));
    }
    output.line(&format!("Cluster: {}", cluster.cluster_id.as_deref().unwrap_or("-")))?;
    let mut table = Table::new(&["BROKER", "HOST", "PORT", "RACK", "CONTROLLER"]);
    for broker in &cluster.brokers {
        let is_controller = if controller == Some(broker.id) { "yes" } else { "no" };
        table.row([
            broker.id.to_string(),
            broker.host.clone(),
            broker.port.to_string(),
            broker.rack.clone().unwrap_or_else(|| "-".to_owned()),
            is_controller.to_owned(),
        ]);
    }
    output.table(&table)
}
