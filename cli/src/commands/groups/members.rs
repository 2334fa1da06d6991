//! `groups describe --members` and `--state`: who is in a group, and how the group is.

use kafka_boot_client::{GroupDescription, GroupListing, GroupMember};
use serde_json::json;

use crate::error::CliError;
use crate::output::{Output, Table};

/// Who is in the groups, and which partitions each one has.
pub(super) fn show_members(groups: &[GroupDescription], output: &mut Output<'_>) -> Result<(), CliError> {
    let rows: Vec<(&str, &GroupMember)> = groups
        .iter()
        .flat_map(|group| group.members.iter().map(|member| (group.group_id.as_str(), member)))
        .collect();
    if output.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(group, member)| {
                let assigned = |topic: &kafka_boot_client::TopicPartition| {
                    json!({ "topic": &*topic.topic, "partition": topic.partition })
                };
                json!({
                    "group": group, "consumerId": member.member_id, "groupInstanceId": member.group_instance_id,
                    "host": member.host, "clientId": member.client_id,
                    "assignment": member.assignment.iter().map(assigned).collect::<Vec<_>>(),
                })
            })
            .collect();
        return output.json(&json!(rows));
    }
    // As in Kafka's own tool, the column is there where a member has such an id.
    let any_static = rows.iter().any(|(_, member)| member.group_instance_id.is_some());
    let mut columns = vec!["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT"];
    if any_static {
        columns.insert(2, "GROUP-INSTANCE-ID");
    }
    let mut table = Table::new(&columns);
    for (group, member) in rows {
        let mut row = vec![
            group.to_owned(),
            member.member_id.clone(),
            member.host.clone(),
            member.client_id.clone(),
            member.assignment.len().to_string(),
            assignment(member),
        ];
        if any_static {
            row.insert(2, member.group_instance_id.clone().unwrap_or_else(|| "-".to_owned()));
        }
        table.row(row);
    }
    output.table(&table)
}

/// A member's partitions, topic by topic, as in `orders(0,1), payments(3)`.
fn assignment(member: &GroupMember) -> String {
    let mut partitions: Vec<_> = member.assignment.iter().collect();
    partitions.sort_unstable();
    let topics: Vec<_> = partitions
        .chunk_by(|one, other| one.topic == other.topic)
        .map(|chunk| {
            let numbers: Vec<_> = chunk.iter().map(|partition| partition.partition.to_string()).collect();
            format!("{}({})", chunk[0].topic, numbers.join(","))
        })
        .collect();
    if topics.is_empty() { "-".to_owned() } else { topics.join(", ") }
}

/// How the groups are.
pub(super) fn show_state(groups: &[GroupDescription], output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        let rows: Vec<_> = groups
            .iter()
            .map(|group| {
                let coordinator = group
                    .coordinator
                    .as_ref()
                    .map(|broker| json!({ "id": broker.id, "host": broker.host, "port": broker.port }));
                json!({
                    "group": group.group_id, "coordinator": coordinator, "assignmentStrategy": group.assignor,
                    "state": format!("{:?}", group.state), "members": group.members.len(),
                })
            })
            .collect();
        return output.json(&json!(rows));
    }
    let mut table = Table::new(&["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"]);
    for group in groups {
        let coordinator = group.coordinator.as_ref().map_or_else(
            || "-".to_owned(),
            |broker| format!("{}:{} ({})", broker.host, broker.port, broker.id),
        );
        let strategy = if group.assignor.is_empty() { "-" } else { &group.assignor };
        table.row([
            group.group_id.clone(),
            coordinator,
            strategy.to_owned(),
            format!("{:?}", group.state),
            group.members.len().to_string(),
        ]);
    }
    output.table(&table)
}

/// The groups in short: how each one coordinates itself, and how it is.
pub(super) fn show_listings(groups: &[GroupListing], output: &mut Output<'_>) -> Result<(), CliError> {
    if output.json {
        let rows: Vec<_> = groups
            .iter()
            .map(|group| {
                json!({ "group": group.group_id, "protocol": format!("{:?}", group.kind), "state": format!("{:?}", group.state) })
            })
            .collect();
        return output.json(&json!(rows));
    }
    let mut table = Table::new(&["GROUP", "PROTOCOL", "STATE"]);
    for group in groups {
        table.row([group.group_id.clone(), format!("{:?}", group.kind), format!("{:?}", group.state)]);
    }
    output.table(&table)
}
