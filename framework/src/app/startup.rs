//! The order in which an application starts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tracing::{Dispatch, info, warn};

use crate::app::clients::{self, Clients};
use crate::app::embedded::Embedded;
use crate::app::outboxes::{self, Outboxes};
use crate::app::plan::{self, PlannedListener};
use crate::app::report;
use crate::app::running::RunningApp;
use crate::app::seams::Prepared;
use crate::app::signals::Signals;
use crate::app::topics;
use crate::app::{App, dead_letters, retry_topics};
use crate::beans::{self, Beans};
use crate::config::Settings;
use crate::error::{StartError, StartErrorKind};
use crate::handler::{BeanDescriptor, Interception, PlanContext, ReplyTarget};
use crate::listener::{Container, ListenerRegistry, ListenerSpec, ListenerState};
use crate::manage::{Health, watch_health};
use crate::observe;
use crate::policy::ErrorPolicy;
use crate::schedule::{JobSpec, Scheduler};

/// How many failures may wait to be told; the first one ends the application.
const FAILURES_MAX: usize = 4;

/// How often a test looks whether a pattern has no topic.
const UNMATCHED_INTERVAL: Duration = Duration::from_millis(5);

/// Starts everything, in order.
pub(super) async fn start(mut app: App) -> Result<RunningApp, StartError> {
    let began = Instant::now();
    let settings = Settings::load(app.options.clone())?;
    if app.logging {
        observe::init(settings.logging());
        observe::panics::install();
    }
    let plan = plan::plan(&app, &settings)?;
    clients::check(&settings)?;
    let settings = Arc::new(settings);
    report::tell(&settings, &plan);

    let embedded = match app.seams.embedded.take() {
        Some(kept) => Some(kept),
        None => start_embedded(&settings).await?,
    };
    let clients = Clients::new(Arc::clone(&settings), embedded.as_deref());
    let listeners = Arc::new(ListenerRegistry::default());
    let scheduler = Arc::new(Scheduler::new());
    let health = Arc::new(Health::new(Arc::clone(&listeners)));
    let mut beans = Beans::new(Arc::clone(&settings));
    beans.share(Arc::clone(&listeners));
    beans.share(Arc::clone(&scheduler));
    beans.share(Arc::clone(&health));
    let templates = clients.make_beans(&mut beans)?;
    add_beans_by_hand(&app, &mut beans)?;
    let replaced = |function: &&'static BeanDescriptor| app.seams.is_replaced(&(function.key)());
    let bean_functions: Vec<_> =
        app.bean_functions.iter().copied().filter(|function| !replaced(function)).collect();
    beans::build(&mut beans, &bean_functions).await?;
    for template in &templates {
        template.set_listener(&beans);
    }

    let told_to_stop_before = tokio::select! {
        declared = topics::declare(&settings, &beans) => declared.map(|()| false)?,
        () = told_to_stop(app.signals.as_deref()) => true,
    };
    let beans = Arc::new(beans);
    if let Some(prepare) = app.seams.prepare.take() {
        let planned = plan.listeners.iter().map(|listener| listener.settings.clone()).collect();
        let prepared =
            Prepared { settings: Arc::clone(&settings), beans: Arc::clone(&beans), listeners: planned };
        prepare(prepared).await?;
    }
    let (escalate, failures) = mpsc::channel(FAILURES_MAX);
    let mut outboxes = Outboxes::new(&clients, &beans);
    let mut missing = dead_letters::missing(&plan.listeners, &mut outboxes)?;
    missing.append(&mut retry_topics::missing(&plan.listeners, &mut outboxes)?);
    let told_to_stop = told_to_stop_before
        || tokio::select! {
            () = outboxes::make(missing) => false,
            () = told_to_stop(app.signals.as_deref()) => true,
        };
    let makers =
        Makers { listeners: &listeners, beans: &beans, clients: &clients, log: app.seams.log.as_ref() };
    let containers = make_containers(plan.listeners, &makers, &mut outboxes, &escalate)?;
    listeners.set_containers(containers);
    let jobs = plan.jobs.into_iter().map(|job| {
        let context = PlanContext::new(&beans, job.descriptor.id);
        let handler = (job.descriptor.build)(&context)
            .map_err(|error| in_handler("job", job.descriptor.id, job.descriptor.at, &error))?;
        let (at, blocking) = (job.descriptor.at, job.descriptor.blocking);
        Ok(JobSpec { settings: job.settings, cron: job.cron, at, blocking, job: handler })
    });
    scheduler.set_jobs(jobs.collect::<Result<_, StartError>>()?);

    for container in listeners.containers() {
        if container.spec.settings.consumer.auto_startup && !told_to_stop {
            container.start().await;
        }
    }
    until_assigned(&listeners, &settings, &app).await;
    health.set_ready();
    if !app.seams.idle_jobs {
        scheduler.start().await;
    }
    let stopping = watch::Sender::new(false);
    let health_task = tokio::spawn(watch_health(Arc::clone(&health), stopping.subscribe()));
    info!(took = ?began.elapsed(), listeners = listeners.containers().len(), jobs = scheduler.list().len(), "started");
    Ok(RunningApp {
        settings,
        beans,
        listeners,
        scheduler,
        health,
        templates,
        failures,
        health_task,
        stopping,
        signals: app.signals,
        embedded,
    })
}

async fn start_embedded(settings: &Settings) -> Result<Option<Arc<Embedded>>, StartError> {
    let kafka = settings.kafka();
    let wanted = kafka.bootstrap_servers.is_embedded()
        || kafka.clusters.values().any(|cluster| cluster.bootstrap_servers.is_embedded());
    if !wanted {
        return Ok(None);
    }
    Ok(Some(Arc::new(Embedded::start(&kafka.embedded).await?)))
}

fn add_beans_by_hand(app: &App, beans: &mut Beans) -> Result<(), StartError> {
    if let Some(type_name) = app.duplicate_bean() {
        let message = format!(
            "two beans of type `{type_name}` with the same name were given by hand; name one with `named_bean`"
        );
        return Err(StartError::new(StartErrorKind::Bean, message));
    }
    for (key, bean) in app.beans.iter().filter(|(key, _)| !app.seams.is_replaced(key)) {
        if beans.insert(*key, bean.clone()).is_some() {
            let message = format!(
                "bean {key} given by hand replaces one of the framework's; name it with `named_bean`"
            );
            return Err(StartError::new(StartErrorKind::Bean, message));
        }
    }
    for (key, bean) in &app.seams.replaced {
        beans.insert(*key, bean.clone());
    }
    Ok(())
}

/// What containers are made of.
struct Makers<'a> {
    listeners: &'a ListenerRegistry,
    beans: &'a Arc<Beans>,
    clients: &'a Clients,
    log: Option<&'a Dispatch>,
}

fn make_containers(
    planned: Vec<PlannedListener>,
    makers: &Makers<'_>,
    outboxes: &mut Outboxes<'_>,
    escalate: &mpsc::Sender<String>,
) -> Result<Vec<Arc<Container>>, StartError> {
    let Makers { listeners, beans, clients, log } = makers;
    let mut containers = Vec::new();
    for PlannedListener { descriptor, settings, retry_topics } in planned {
        if settings.send_to.is_some() && !descriptor.replies {
            let message = format!(
                "error: `kafka.listeners.{}.send-to` has no effect: the function returns nothing to send\n  help: write `#[send_to]` below `#[kafka_listener]` ({}), and return the reply",
                settings.id, descriptor.at
            );
            return Err(StartError::new(StartErrorKind::Configuration, message));
        }
        let target = ReplyTarget { cluster: settings.cluster.as_deref(), topic: settings.send_to.as_deref() };
        let transactions = clients.transactions(&settings)?;
        let context =
            PlanContext::new(beans, descriptor.id).replying(target).transactional(transactions.is_some());
        let handler = (descriptor.build)(&context)
            .map_err(|error| in_handler("listener", descriptor.id, descriptor.at, &error))?;
        let spec = ListenerSpec {
            at: descriptor.at,
            blocking: descriptor.blocking,
            handler: handler.into(),
            policy: ErrorPolicy::new(&settings.error, descriptor.error_types, retry_topics.clone()),
            recover: Some(outboxes.dead_letters(&settings, descriptor.error_types, retry_topics)?),
            client: clients.consumer(&settings),
            events: listeners.event_bus().of(&settings.id),
            interception: Interception::of(beans, &settings.id),
            transactions,
            settings,
            runtime: Handle::current(),
            log: log.cloned(),
        };
        containers.push(Arc::new(Container::new(spec, escalate.clone())));
    }
    Ok(containers)
}

fn in_handler(what: &str, id: &str, at: crate::handler::Location, error: &StartError) -> StartError {
    StartError::new(error.kind(), format!("{what} `{id}` ({at}): {error}"))
}

/// Waits for a signal, or for ever if nobody listens to signals.
async fn told_to_stop(signals: Option<&Signals>) {
    match signals {
        Some(signals) => signals.first().await,
        None => std::future::pending().await,
    }
}

/// Waits for the first assignment of every listener that starts.
async fn until_assigned(listeners: &ListenerRegistry, settings: &Settings, app: &App) {
    let timeout = settings.lifecycle().startup_timeout.get();
    let assigned = async {
        for container in listeners.containers() {
            if !container.spec.settings.consumer.auto_startup {
                continue;
            }
            // A test does not wait for topics that it may never create.
            tokio::select! {
                () = until_first_assignment(container) => {}
                () = until_unmatched(container), if app.seams.is_part => {}
            }
        }
    };
    let in_time = tokio::select! {
        () = told_to_stop(app.signals.as_deref()) => return,
        in_time = tokio::time::timeout(timeout, assigned) => in_time,
    };
    if in_time.is_err() {
        let waiting: Vec<String> = listeners
            .list()
            .into_iter()
            .filter(|listener| listener.state == ListenerState::Starting)
            .map(|listener| listener.id)
            .collect();
        warn!(?waiting, ?timeout, "listeners have no assignment yet; going on without them being ready");
    }
}

async fn until_first_assignment(container: &Container) {
    let mut state = container.state.clone();
    // An error means that the container is gone, which its own log tells of.
    drop(state.wait_for(|state| !matches!(state, ListenerState::Starting | ListenerState::Stopped)).await);
}

/// Waits until the client has said that no topic matches the listener's pattern.
async fn until_unmatched(container: &Container) {
    while !container.is_unmatched() {
        tokio::time::sleep(UNMATCHED_INTERVAL).await;
    }
}
