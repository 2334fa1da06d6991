//! Consumer groups, their members and their offsets.

use std::ptr;
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::{rd_kafka_admin_op_t, rd_kafka_consumer_group_state_t, rd_kafka_consumer_group_type_t};

use super::native::{Arguments, broker, elements, item_error, optional};
use super::{Admin, ItemResults};
use crate::error::{ClientError, ErrorKind, lossy};
use crate::metadata::BrokerMetadata;
use crate::native::{Event, c_string};
use crate::partition::{
    PartitionList, PartitionOffset, PartitionResults, TopicPartition, read_partitions, read_results,
};

/// What a group is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// Members are joining.
    PreparingRebalance,
    /// Members wait for their partitions.
    CompletingRebalance,
    /// Members have their partitions.
    Stable,
    /// The group has offsets, but no members.
    Empty,
    /// There is no such group.
    Dead,
    /// None of these.
    Unknown,
}

/// How a group coordinates itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupKind {
    /// A member assigns the partitions.
    Classic,
    /// The broker assigns the partitions (KIP-848).
    Consumer,
    /// The broker does not tell.
    Unknown,
}

/// A group, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupListing {
    /// The group's id.
    pub group_id: String,
    /// What it is doing.
    pub state: GroupState,
    /// How it coordinates itself.
    pub kind: GroupKind,
    /// Whether it only stores offsets, without members that subscribe.
    pub is_simple: bool,
}

/// The groups of the cluster.
#[derive(Debug)]
#[non_exhaustive]
pub struct GroupListings {
    /// The groups that coordinators told of, ordered by id.
    pub groups: Vec<GroupListing>,
    /// Why some brokers did not tell: their groups are missing.
    pub errors: Vec<ClientError>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// The group's id.
    pub group_id: String,
    /// What it is doing.
    pub state: GroupState,
    /// How it coordinates itself.
    pub kind: GroupKind,
    /// Whether it only stores offsets, without members that subscribe.
    pub is_simple: bool,
    /// The strategy that assigns partitions, such as `range`; empty without members.
    pub assignor: String,
    /// The broker that looks after it.
    pub coordinator: Option<BrokerMetadata>,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The id the coordinator gave.
    pub member_id: String,
    /// The member's `client.id`.
    pub client_id: String,
    /// The member's `group.instance.id`, if it has one.
    pub group_instance_id: Option<String>,
    /// Where it connects from.
    pub host: String,
    /// The partitions assigned to it.
    pub assignment: Vec<TopicPartition>,
}

impl Admin {
    /// Every group of the cluster.
    pub async fn list_groups(&self, deadline: Duration) -> Result<GroupListings, ClientError> {
        const DOING: &str = "list groups";
        let pending = self.start(
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
            DOING,
            deadline,
            // SAFETY: all live for the call.
            |client, options, queue| unsafe { rdsys::rd_kafka_ListConsumerGroups(client, options, queue) },
        )?;
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_ListConsumerGroups_result(event.as_ptr());
            let found = elements(|count| rdsys::rd_kafka_ListConsumerGroups_result_valid(result, count));
            let failed = elements(|count| rdsys::rd_kafka_ListConsumerGroups_result_errors(result, count));
            let mut groups: Vec<_> = found
                .iter()
                .map(|group| GroupListing {
                    group_id: lossy(rdsys::rd_kafka_ConsumerGroupListing_group_id(*group)),
                    state: state(rdsys::rd_kafka_ConsumerGroupListing_state(*group)),
                    kind: kind(rdsys::rd_kafka_ConsumerGroupListing_type(*group)),
                    is_simple: rdsys::rd_kafka_ConsumerGroupListing_is_simple_consumer_group(*group) != 0,
                })
                .collect();
            groups.sort_unstable_by(|one, other| one.group_id.cmp(&other.group_id));
            // Brokers that move a coordinator between them may both tell of its groups.
            groups.dedup_by(|one, other| one.group_id == other.group_id);
            let errors = failed.iter().filter_map(|error| item_error(DOING, *error).err()).collect();
            Ok(GroupListings { groups, errors })
        }
    }

    /// State, members and assignment of each of `groups`.
    pub async fn describe_groups(
        &self,
        groups: &[&str],
        deadline: Duration,
    ) -> Result<ItemResults<GroupDescription>, ClientError> {
        const DOING: &str = "describe group";
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let names: Vec<_> =
                groups.iter().map(|group| c_string("a group", group)).collect::<Result<_, _>>()?;
            let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
            self.start(
                rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
                DOING,
                deadline,
                |client, options, queue| {
                    // SAFETY: all live for the call; the request copies the names.
                    unsafe {
                        rdsys::rd_kafka_DescribeConsumerGroups(
                            client,
                            pointers.as_mut_ptr(),
                            pointers.len(),
                            options,
                            queue,
                        );
                    }
                },
            )?
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DescribeConsumerGroups_result(event.as_ptr());
            let found = elements(|count| rdsys::rd_kafka_DescribeConsumerGroups_result_groups(result, count));
            Ok(found
                .iter()
                .map(|group| {
                    let name = lossy(rdsys::rd_kafka_ConsumerGroupDescription_group_id(*group));
                    let doing = format!("{DOING} `{name}`");
                    let checked = item_error(&doing, rdsys::rd_kafka_ConsumerGroupDescription_error(*group));
                    (name, checked.map(|()| GroupDescription::copy(*group)))
                })
                .collect())
        }
    }

    /// The offsets `group` has committed for `partitions`, or for all it has any for.
    /// [`PartitionOffset::COMMITTED`] stands for none.
    pub async fn list_group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        deadline: Duration,
    ) -> Result<PartitionResults, ClientError> {
        const DOING: &str = "list group offsets";
        let pending = {
            let name = c_string("a group", group)?;
            let list = partitions.map(PartitionList::of_partitions).transpose()?;
            let list = list.as_ref().map_or(ptr::null(), |list| list.as_ptr().cast_const());
            let mut arguments = Arguments::new(rdsys::rd_kafka_ListConsumerGroupOffsets_destroy);
            // SAFETY: name and list are copied; the argument is destroyed by its list.
            unsafe { arguments.push(rdsys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), list)) };
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_ListConsumerGroupOffsets,
                )?
            }
        };
        let event = pending.answer().await?;
        group_offsets(DOING, &event, |event, count| {
            // SAFETY: the event is live, and what it holds with it.
            unsafe {
                let result = rdsys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
                rdsys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, count)
            }
        })
    }

    /// Sets the offsets (the next ones to read) of a group without members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[PartitionOffset],
        deadline: Duration,
    ) -> Result<PartitionResults, ClientError> {
        const DOING: &str = "alter group offsets";
        if offsets.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let name = c_string("a group", group)?;
            let list = PartitionList::of_offsets(offsets)?;
            let mut arguments = Arguments::new(rdsys::rd_kafka_AlterConsumerGroupOffsets_destroy);
            // SAFETY: name and list are copied; the argument is destroyed by its list.
            unsafe {
                arguments.push(rdsys::rd_kafka_AlterConsumerGroupOffsets_new(name.as_ptr(), list.as_ptr()));
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_AlterConsumerGroupOffsets,
                )?
            }
        };
        let event = pending.answer().await?;
        group_offsets(DOING, &event, |event, count| {
            // SAFETY: the event is live, and what it holds with it.
            unsafe {
                let result = rdsys::rd_kafka_event_AlterConsumerGroupOffsets_result(event);
                rdsys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, count)
            }
        })
    }

    /// Forgets the offsets of `partitions`, to which no member of the group may be subscribed.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Result<PartitionResults, ClientError> {
        const DOING: &str = "delete group offsets";
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let name = c_string("a group", group)?;
            let list = PartitionList::of_partitions(partitions)?;
            let mut arguments = Arguments::new(rdsys::rd_kafka_DeleteConsumerGroupOffsets_destroy);
            // SAFETY: name and list are copied; the argument is destroyed by its list.
            unsafe {
                arguments.push(rdsys::rd_kafka_DeleteConsumerGroupOffsets_new(name.as_ptr(), list.as_ptr()));
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_DeleteConsumerGroupOffsets,
                )?
            }
        };
        let event = pending.answer().await?;
        group_offsets(DOING, &event, |event, count| {
            // SAFETY: the event is live, and what it holds with it.
            unsafe {
                let result = rdsys::rd_kafka_event_DeleteConsumerGroupOffsets_result(event);
                rdsys::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, count)
            }
        })
    }

    /// Deletes groups without members, with their offsets.
    pub async fn delete_groups(
        &self,
        groups: &[&str],
        deadline: Duration,
    ) -> Result<ItemResults<()>, ClientError> {
        const DOING: &str = "delete group";
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let mut arguments = Arguments::new(rdsys::rd_kafka_DeleteGroup_destroy);
            for group in groups {
                let name = c_string("a group", group)?;
                // SAFETY: the name is copied; the argument is destroyed by its list.
                unsafe { arguments.push(rdsys::rd_kafka_DeleteGroup_new(name.as_ptr())) };
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETEGROUPS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_DeleteGroups,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DeleteGroups_result(event.as_ptr());
            let found = elements(|count| rdsys::rd_kafka_DeleteGroups_result_groups(result, count));
            Ok(found
                .iter()
                .map(|group| {
                    let name = lossy(rdsys::rd_kafka_group_result_name(*group));
                    let doing = format!("{DOING} `{name}`");
                    let outcome = item_error(&doing, rdsys::rd_kafka_group_result_error(*group));
                    (name, outcome)
                })
                .collect())
        }
    }
}

impl GroupDescription {
    /// # Safety
    /// `native` is live, and what it holds with it.
    unsafe fn copy(native: *const rdsys::rd_kafka_ConsumerGroupDescription_t) -> Self {
        // SAFETY: by this function's contract; members are asked for by index, up to their number.
        unsafe {
            let count = rdsys::rd_kafka_ConsumerGroupDescription_member_count(native);
            Self {
                group_id: lossy(rdsys::rd_kafka_ConsumerGroupDescription_group_id(native)),
                state: state(rdsys::rd_kafka_ConsumerGroupDescription_state(native)),
                kind: kind(rdsys::rd_kafka_ConsumerGroupDescription_type(native)),
                is_simple: rdsys::rd_kafka_ConsumerGroupDescription_is_simple_consumer_group(native) != 0,
                assignor: lossy(rdsys::rd_kafka_ConsumerGroupDescription_partition_assignor(native)),
                coordinator: broker(rdsys::rd_kafka_ConsumerGroupDescription_coordinator(native)),
                members: (0..count)
                    .map(|index| {
                        GroupMember::copy(rdsys::rd_kafka_ConsumerGroupDescription_member(native, index))
                    })
                    .collect(),
            }
        }
    }
}

impl GroupMember {
    /// # Safety
    /// `native` is live, and what it holds with it.
    unsafe fn copy(native: *const rdsys::rd_kafka_MemberDescription_t) -> Self {
        // SAFETY: by this function's contract.
        unsafe {
            let assignment = rdsys::rd_kafka_MemberDescription_assignment(native);
            Self {
                member_id: lossy(rdsys::rd_kafka_MemberDescription_consumer_id(native)),
                client_id: lossy(rdsys::rd_kafka_MemberDescription_client_id(native)),
                group_instance_id: optional(rdsys::rd_kafka_MemberDescription_group_instance_id(native)),
                host: lossy(rdsys::rd_kafka_MemberDescription_host(native)),
                assignment: if assignment.is_null() {
                    Vec::new()
                } else {
                    read_partitions(rdsys::rd_kafka_MemberAssignment_partitions(assignment))
                },
            }
        }
    }
}

/// The offsets in an answer about one group.
fn group_offsets(
    doing: &str,
    event: &Event,
    groups: impl FnOnce(*mut rdsys::rd_kafka_event_t, *mut usize) -> *mut *const rdsys::rd_kafka_group_result_t,
) -> Result<PartitionResults, ClientError> {
    // SAFETY: the event is live, and what it holds with it.
    unsafe {
        let Some(group) = elements(|count| groups(event.as_ptr(), count)).first() else {
            return Err(ClientError::of_kind(ErrorKind::Other, format!("{doing}: the answer is empty")));
        };
        item_error(doing, rdsys::rd_kafka_group_result_error(*group))?;
        Ok(read_results(rdsys::rd_kafka_group_result_partitions(*group), doing))
    }
}

fn state(native: rd_kafka_consumer_group_state_t) -> GroupState {
    use rd_kafka_consumer_group_state_t as native_state;
    match native {
        native_state::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE => GroupState::PreparingRebalance,
        native_state::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE => GroupState::CompletingRebalance,
        native_state::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE => GroupState::Stable,
        native_state::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY => GroupState::Empty,
        native_state::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD => GroupState::Dead,
        _ => GroupState::Unknown,
    }
}

fn kind(native: rd_kafka_consumer_group_type_t) -> GroupKind {
    match native {
        rd_kafka_consumer_group_type_t::RD_KAFKA_CONSUMER_GROUP_TYPE_CLASSIC => GroupKind::Classic,
        rd_kafka_consumer_group_type_t::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER => GroupKind::Consumer,
        _ => GroupKind::Unknown,
    }
}
