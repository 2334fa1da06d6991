//! Settings that live in the cluster: of topics, brokers and groups.

use std::ptr;
use std::time::Duration;

use rdkafka_sys as rdsys;
use rdsys::{
    rd_kafka_AlterConfigOpType_t, rd_kafka_ConfigSource_t, rd_kafka_ResourceType_t, rd_kafka_admin_op_t,
};

use super::Admin;
use super::native::{Arguments, check_reason, elements, optional};
use crate::error::{ClientError, ErrorCode, lossy};
use crate::native::c_string;

/// Something that has settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by id. At most one in a request.
    Broker(i32),
    /// A consumer group, by id; Kafka 4.0 and later.
    Group(String),
}

impl ConfigResource {
    fn kind(&self) -> rd_kafka_ResourceType_t {
        match self {
            Self::Topic(_) => rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
            Self::Broker(_) => rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER,
            Self::Group(_) => rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) => name.clone(),
            Self::Broker(id) => id.to_string(),
        }
    }

    fn of(kind: rd_kafka_ResourceType_t, name: String) -> Option<Self> {
        match kind {
            rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC => Some(Self::Topic(name)),
            rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER => name.parse().ok().map(Self::Broker),
            rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP => Some(Self::Group(name)),
            _ => None,
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Kafka's name of it.
    pub name: String,
    /// Its value; `None` for a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can only be changed by a restart.
    pub is_read_only: bool,
    /// Whether it holds a secret.
    pub is_sensitive: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set for this topic.
    Topic,
    /// Set for this broker at run time.
    Broker,
    /// Set for all brokers at run time.
    AllBrokers,
    /// In the broker's file.
    BrokerFile,
    /// Set for this group.
    Group,
    /// Kafka's default.
    Default,
    /// None of these.
    Unknown,
}

/// A change to one setting; all others stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Kafka's name of the setting.
    pub name: String,
    /// What to do.
    pub operation: ConfigOperation,
}

/// What to do with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Give it this value.
    Set(String),
    /// Go back to the default.
    Delete,
    /// Add to a list.
    Append(String),
    /// Take off a list.
    Subtract(String),
}

/// What became of each resource of a request.
pub type ResourceResults<T> = Vec<(ConfigResource, Result<T, ClientError>)>;

impl Admin {
    /// The settings of each of `resources`, of which at most one may be a broker.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        deadline: Duration,
    ) -> Result<ResourceResults<Vec<ConfigEntry>>, ClientError> {
        const DOING: &str = "describe settings";
        if resources.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let mut arguments = Arguments::new(rdsys::rd_kafka_ConfigResource_destroy);
            for resource in resources {
                push_resource(&mut arguments, resource)?;
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_DescribeConfigs,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_DescribeConfigs_result(event.as_ptr());
            let found = elements(|count| rdsys::rd_kafka_DescribeConfigs_result_resources(result, count));
            Ok(resource_results(DOING, found, |resource| entries(resource)))
        }
    }

    /// Changes settings, leaving those not named as they are.
    pub async fn incremental_alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<ConfigChange>)],
        deadline: Duration,
    ) -> Result<ResourceResults<()>, ClientError> {
        const DOING: &str = "alter settings";
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let pending = {
            let mut arguments = Arguments::new(rdsys::rd_kafka_ConfigResource_destroy);
            for (resource, changes) in changes {
                let native = push_resource(&mut arguments, resource)?;
                for change in changes {
                    // SAFETY: the resource was just made, and lives in the list.
                    unsafe { add_change(native, change)? };
                }
            }
            // SAFETY: the request copies its arguments, and the operation is its own.
            unsafe {
                self.start_with(
                    rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
                    DOING,
                    deadline,
                    arguments,
                    rdsys::rd_kafka_IncrementalAlterConfigs,
                )?
            }
        };
        let event = pending.answer().await?;
        // SAFETY: the event is live, and what it holds with it.
        unsafe {
            let result = rdsys::rd_kafka_event_IncrementalAlterConfigs_result(event.as_ptr());
            let found =
                elements(|count| rdsys::rd_kafka_IncrementalAlterConfigs_result_resources(result, count));
            Ok(resource_results(DOING, found, |_| ()))
        }
    }
}

/// Adds a native resource to the list, and returns it.
fn push_resource(
    arguments: &mut Arguments<rdsys::rd_kafka_ConfigResource_t>,
    resource: &ConfigResource,
) -> Result<*mut rdsys::rd_kafka_ConfigResource_t, ClientError> {
    let name = resource.name();
    let native_name = c_string("a resource name", &name)?;
    // SAFETY: the name is copied.
    let native = unsafe { rdsys::rd_kafka_ConfigResource_new(resource.kind(), native_name.as_ptr()) };
    if native.is_null() {
        return Err(ClientError::invalid(format!("`{name}` is no name for a resource")));
    }
    // SAFETY: live, and the list destroys it.
    unsafe { arguments.push(native) };
    Ok(native)
}

/// # Safety
/// `resource` is live.
unsafe fn add_change(
    resource: *mut rdsys::rd_kafka_ConfigResource_t,
    change: &ConfigChange,
) -> Result<(), ClientError> {
    let (operation, value) = match &change.operation {
        ConfigOperation::Set(value) => {
            (rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, Some(value))
        }
        ConfigOperation::Delete => (rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, None),
        ConfigOperation::Append(value) => {
            (rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_APPEND, Some(value))
        }
        ConfigOperation::Subtract(value) => {
            (rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SUBTRACT, Some(value))
        }
    };
    let name = c_string("a setting", &change.name)?;
    let value = value.map(|value| c_string("a setting's value", value)).transpose()?;
    // SAFETY: the resource is live by this function's contract; both strings are copied; the error is taken over.
    unsafe {
        let error = rdsys::rd_kafka_ConfigResource_add_incremental_config(
            resource,
            name.as_ptr(),
            operation,
            value.as_ref().map_or(ptr::null(), |value| value.as_ptr()),
        );
        ClientError::check(&format!("alter setting `{}`", change.name), error)
    }
}

/// # Safety
/// The resources are live, and what they hold with them.
unsafe fn resource_results<T>(
    doing: &str,
    found: &[*const rdsys::rd_kafka_ConfigResource_t],
    read: impl Fn(*const rdsys::rd_kafka_ConfigResource_t) -> T,
) -> ResourceResults<T> {
    found
        .iter()
        .filter_map(|native| {
            // SAFETY: by this function's contract.
            unsafe {
                let name = lossy(rdsys::rd_kafka_ConfigResource_name(*native));
                let doing = format!("{doing} of `{name}`");
                let resource = ConfigResource::of(rdsys::rd_kafka_ConfigResource_type(*native), name)?;
                let code = ErrorCode::from(rdsys::rd_kafka_ConfigResource_error(*native));
                let reason = lossy(rdsys::rd_kafka_ConfigResource_error_string(*native));
                Some((resource, check_reason(&doing, code, &reason).map(|()| read(*native))))
            }
        })
        .collect()
}

/// # Safety
/// The resource is live, and what it holds with it.
unsafe fn entries(resource: *const rdsys::rd_kafka_ConfigResource_t) -> Vec<ConfigEntry> {
    // SAFETY: by this function's contract.
    unsafe {
        elements(|count| rdsys::rd_kafka_ConfigResource_configs(resource, count))
            .iter()
            .map(|entry| ConfigEntry {
                name: lossy(rdsys::rd_kafka_ConfigEntry_name(*entry)),
                value: optional(rdsys::rd_kafka_ConfigEntry_value(*entry)),
                source: source(rdsys::rd_kafka_ConfigEntry_source(*entry)),
                is_read_only: rdsys::rd_kafka_ConfigEntry_is_read_only(*entry) > 0,
                is_sensitive: rdsys::rd_kafka_ConfigEntry_is_sensitive(*entry) > 0,
            })
            .collect()
    }
}

fn source(native: rd_kafka_ConfigSource_t) -> ConfigSource {
    match native {
        rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG => ConfigSource::Topic,
        rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_BROKER_CONFIG => ConfigSource::Broker,
        rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER_CONFIG => {
            ConfigSource::AllBrokers
        }
        rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_STATIC_BROKER_CONFIG => ConfigSource::BrokerFile,
        rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_GROUP_CONFIG => ConfigSource::Group,
        rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG => ConfigSource::Default,
        _ => ConfigSource::Unknown,
    }
}
