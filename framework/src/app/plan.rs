//! From descriptors to effective settings: everything that can be wrong is found before anything is started.

use std::collections::HashMap;

use crate::app::{App, dead_letters, retry_topics};
use crate::config::model::{Exhausted, JobSettings, ListenerSettings, Ordering, Trigger};
use crate::config::{ConfigError, ConfigErrors, Settings};
use crate::error::{StartError, StartErrorKind};
use crate::handler::{
    Attribute, HandlerKind, JobDescriptor, ListenerDescriptor, Location, RegisteredJob, RegisteredListener,
};
use crate::listener::HANDLER_THREADS_MAX;
use crate::policy::RetryTopics;
use crate::schedule::CronPlan;

/// One listener with its settings.
pub(super) struct PlannedListener {
    pub(super) descriptor: &'static ListenerDescriptor,
    pub(super) settings: ListenerSettings,
    /// Its retry topics, seen from the topics that it reads.
    pub(super) retry_topics: Option<RetryTopics>,
}

/// One job with its settings.
pub(super) struct PlannedJob {
    pub(super) descriptor: &'static JobDescriptor,
    pub(super) settings: JobSettings,
    pub(super) cron: Option<CronPlan>,
}

/// What the application will run.
pub(super) struct Plan {
    pub(super) listeners: Vec<PlannedListener>,
    pub(super) jobs: Vec<PlannedJob>,
}

/// Resolves every listener and job; reports everything that is wrong with any of them.
pub(super) fn plan(app: &App, settings: &Settings) -> Result<Plan, StartError> {
    let mut listeners = app.listeners.clone();
    let mut jobs = app.jobs.clone();
    listeners.sort_by_key(|listener| (listener.id, listener.at));
    jobs.sort_by_key(|job| (job.id, job.at));
    if app.discovery {
        refuse_nothing_to_do(&listeners, &jobs)?;
    }
    refuse_same_id(
        "listener",
        "kafka_listener",
        listeners.iter().map(|listener| (listener.id, listener.at)),
    )?;
    refuse_same_id("job", "scheduled", jobs.iter().map(|job| (job.id, job.at)))?;

    let mut errors: Vec<ConfigError> = Vec::new();
    let mut planned_listeners: Vec<PlannedListener> = Vec::new();
    // Those that read the dead letters of others come behind the others.
    let (of_topics, of_letters): (Vec<_>, Vec<_>) =
        listeners.into_iter().partition(|descriptor| descriptor.dead_letters_of.is_none());
    for descriptor in of_topics.into_iter().chain(of_letters) {
        let attributes = Attribute::settings(descriptor.attributes, descriptor.at);
        let inherited = dead_letters::inherited(descriptor, &planned_listeners, &app.seams.group_suffix)?;
        match settings.listener_from(descriptor.id, &attributes, &inherited) {
            Ok(mut settings) => {
                let group = format!("{}{}", settings.group_id(), app.seams.group_suffix);
                settings.consumer.group_id = Some(group);
                let retry_topics = RetryTopics::new(&settings.error.retry_topics);
                planned_listeners.push(PlannedListener { descriptor, settings, retry_topics });
            }
            Err(error) => errors.extend(error),
        }
    }
    planned_listeners.sort_by_key(|planned| (planned.descriptor.id, planned.descriptor.at));
    let mut planned_jobs = Vec::new();
    for descriptor in jobs {
        let attributes = Attribute::settings(descriptor.attributes, descriptor.at);
        match settings.job(descriptor.id, &attributes) {
            Ok(settings) => planned_jobs.push((descriptor, settings)),
            Err(error) => errors.extend(error),
        }
    }
    let mut ids: Vec<&str> = app.listeners.iter().map(|listener| listener.id).collect();
    if app.seams.is_part {
        ids.extend(inventory::iter::<RegisteredListener>().map(|found| found.0.id));
        ids.sort_unstable();
        ids.dedup();
    }
    if let Err(unknown) = settings.check_listener_ids(&ids) {
        errors.extend(unknown);
    }
    let mut ids: Vec<&str> = app.jobs.iter().map(|job| job.id).collect();
    if app.seams.is_part {
        ids.extend(inventory::iter::<RegisteredJob>().map(|found| found.0.id));
        ids.sort_unstable();
        ids.dedup();
    }
    if let Err(unknown) = settings.check_job_ids(&ids) {
        errors.extend(unknown);
    }
    if !errors.is_empty() {
        return Err(ConfigErrors::from_iter(errors).into());
    }

    for listener in &planned_listeners {
        refuse_contradictions(listener)?;
    }
    retry_topics::add_listeners(&mut planned_listeners, &app.seams.group_suffix)?;
    let jobs =
        planned_jobs.into_iter().map(|planned| with_cron(planned, settings)).collect::<Result<_, _>>()?;
    Ok(Plan { listeners: planned_listeners, jobs })
}

/// Handlers in a crate that nobody names are not linked, silently: that is worth an error, unless the application says
/// that it brings its own.
fn refuse_nothing_to_do(
    listeners: &[&'static ListenerDescriptor],
    jobs: &[&'static JobDescriptor],
) -> Result<(), StartError> {
    if !listeners.is_empty() || !jobs.is_empty() {
        return Ok(());
    }
    let message = "no listener and no job was found: annotate a function with `#[kafka_listener]` or `#[scheduled]`; if \
                   they stand in a library of their own, name it in this program with `use that_library as _;`, because a \
                   crate that nobody names is not linked; a program that only wants the beans says `app.without_discovery()`";
    Err(StartError::new(StartErrorKind::Handler, message))
}

fn refuse_same_id(
    what: &str,
    attribute: &str,
    handlers: impl Iterator<Item = (&'static str, Location)>,
) -> Result<(), StartError> {
    let mut seen: HashMap<&str, Location> = HashMap::new();
    for (id, at) in handlers {
        if let Some(first) = seen.insert(id, at) {
            let message = format!(
                "two {what}s have the id `{id}`: at {first} and at {at}; give one of them another with `#[{attribute}(id = \"…\")]`"
            );
            return Err(StartError::new(StartErrorKind::Handler, message));
        }
    }
    Ok(())
}

/// What only the function and the settings together show.
fn refuse_contradictions(listener: &PlannedListener) -> Result<(), StartError> {
    let PlannedListener { descriptor, settings, .. } = listener;
    let manual = settings.consumer.ack_mode.is_manual();
    let contradiction = if descriptor.takes_ack && !manual {
        "its function takes an `Ack`, and its ack mode is not manual: set `ack-mode` to `manual` or `manual-immediate`, or \
         drop the argument"
    } else if manual && !descriptor.takes_ack {
        "its ack mode is manual, and its function takes no `Ack`: nothing would ever be committed; add the argument"
    } else if descriptor.kind == HandlerKind::Batch
        && settings.consumer.ack_mode == crate::config::model::AckMode::Record
    {
        "its function takes a batch, and its ack mode is `record`: there is no single record to commit after; use `batch`"
    } else if descriptor.kind == HandlerKind::Batch && settings.ordering != Ordering::Partition {
        "its function takes a batch, and its ordering is not `partition`: the records of a batch are handled together; take \
         one record at a time, or use `partition`"
    } else if descriptor.blocking
        && settings.ordering != Ordering::Partition
        && settings.consumer.max_in_flight > HANDLER_THREADS_MAX
    {
        "its function is a plain `fn`, and its `max-in-flight` is above 1024: each handler at work needs a thread; make it an \
         `async fn`, or lower `max-in-flight`"
    } else if descriptor.kind == HandlerKind::Batch
        && settings.error.retry_topics.is_any()
        && settings.error.then == Exhausted::Stop
    {
        "its function takes a batch, it has retry topics, and `error.then` is `stop`: of records that fail together some may have \
         deliveries left; use `dead-letter` or `skip`"
    } else {
        return Ok(());
    };
    let message = format!("listener `{}` ({}) cannot start: {contradiction}", descriptor.id, descriptor.at);
    Err(StartError::new(StartErrorKind::Configuration, format!("error: {message}")))
}

fn with_cron(
    (descriptor, job): (&'static JobDescriptor, JobSettings),
    settings: &Settings,
) -> Result<PlannedJob, StartError> {
    let cron = match &job.trigger {
        Trigger::Cron { expression, zone } => Some(CronPlan::parse(expression, zone).map_err(|fault| {
            let key = format!("scheduling.jobs.{}.{}", descriptor.id, fault.key);
            let is_attribute = !settings.effective().iter().any(|value| value.key == key);
            if is_attribute {
                let message =
                    format!("error: job `{}` ({}): {}", descriptor.id, descriptor.at, fault.message);
                return StartError::new(StartErrorKind::Configuration, message);
            }
            ConfigErrors::from(settings.invalid_value(&key, fault.message)).into()
        })?),
        Trigger::FixedDelay(_) | Trigger::FixedRate(_) => None,
    };
    Ok(PlannedJob { descriptor, settings: job, cron })
}
