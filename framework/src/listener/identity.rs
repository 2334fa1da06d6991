//! Who a listener's consumers are to the broker.

use crate::config::model::ListenerSettings;

/// `<prefix>-<n>`, as Spring names its consumers.
pub(crate) fn client_id(settings: &ListenerSettings, configured: Option<&str>, index: u16) -> String {
    let prefix = settings.consumer.client_id.as_deref().or(configured).unwrap_or(&settings.id);
    format!("{prefix}-{index}")
}

/// What makes a consumer a static member, if anything does.
pub(crate) fn instance_id(settings: &ListenerSettings, concurrency: u16, index: u16) -> Option<String> {
    let instance = settings.consumer.group_instance_id.as_deref()?;
    Some(match concurrency {
        1 => instance.to_owned(),
        _ => format!("{instance}-{}", index + 1),
    })
}

/// Why a static member ends that another one has taken the place of.
pub(crate) fn replaced(settings: &ListenerSettings, concurrency: u16, index: u16) -> String {
    let (group, instance) =
        (settings.group_id(), instance_id(settings, concurrency, index).unwrap_or_default());
    format!(
        "another member of group `{group}` has started as group-instance-id `{instance}` and taken its place; each process needs \
         an id of its own"
    )
}
