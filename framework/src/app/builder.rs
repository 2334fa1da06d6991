//! `App`: what the application is made of.

use std::sync::Arc;

use crate::app::running::RunningApp;
use crate::app::seams::Seams;
use crate::app::signals::Signals;
use crate::app::startup;
use crate::beans::{AnyBean, BeanKey};
use crate::config::LoadOptions;
use crate::error::StartError;
use crate::handler::{
    BeanDescriptor, JobDescriptor, ListenerDescriptor, RegisteredBean, RegisteredJob, RegisteredListener,
    RegisteredSection,
};

/// An application: its listeners, jobs and beans, found by discovery or given by hand.
///
/// ```no_run
/// use kafka_boot::prelude::*;
///
/// #[kafka_listener(topic = "test", group = "default")]
/// async fn consume(record: Record<String>) -> Result<()> {
///     info!(%record, "consumed");
///     Ok(())
/// }
///
/// #[kafka_boot::main]
/// async fn main(app: App) -> App {
///     app.bean(String::from("a bean given by hand"))
/// }
/// ```
#[derive(Debug)]
#[must_use = "an application does nothing until it is started"]
pub struct App {
    pub(super) discovery: bool,
    pub(super) listeners: Vec<&'static ListenerDescriptor>,
    pub(super) jobs: Vec<&'static JobDescriptor>,
    pub(super) bean_functions: Vec<&'static BeanDescriptor>,
    pub(super) beans: Vec<(BeanKey, AnyBean)>,
    pub(super) options: LoadOptions,
    pub(super) logging: bool,
    pub(super) signals: Option<Arc<Signals>>,
    pub(super) seams: Seams,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// An application that finds every annotated function of the program, and reads the process's arguments,
    /// environment and configuration files.
    pub fn new() -> Self {
        Self {
            discovery: true,
            listeners: Vec::new(),
            jobs: Vec::new(),
            bean_functions: Vec::new(),
            beans: Vec::new(),
            options: LoadOptions::from_process(),
            logging: true,
            signals: None,
            seams: Seams::default(),
        }
    }

    /// Uses only what is given by hand, which may be nothing but beans.
    pub fn without_discovery(mut self) -> Self {
        self.discovery = false;
        self
    }

    /// Adds listeners by hand: `app.listeners(listeners![consume])`.
    pub fn listeners(mut self, listeners: &[&'static ListenerDescriptor]) -> Self {
        self.listeners.extend_from_slice(listeners);
        self
    }

    /// Adds jobs by hand: `app.jobs(jobs![produce])`.
    pub fn jobs(mut self, jobs: &[&'static JobDescriptor]) -> Self {
        self.jobs.extend_from_slice(jobs);
        self
    }

    /// Adds bean functions by hand: `app.bean_functions(bean_functions![repo])`.
    pub fn bean_functions(mut self, functions: &[&'static BeanDescriptor]) -> Self {
        self.bean_functions.extend_from_slice(functions);
        self
    }

    /// Adds a bean: the primary one of its type.
    pub fn bean<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.named_bean("", value)
    }

    /// Adds a bean with a name.
    pub fn named_bean<T: Send + Sync + 'static>(mut self, name: &'static str, value: T) -> Self {
        self.beans.push((BeanKey::of::<T>(name), AnyBean::new(value)));
        self
    }

    /// Reads the configuration from here instead of from the process, for a test.
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// Leaves the log to a `tracing` subscriber of the program's own.
    pub fn without_logging(mut self) -> Self {
        self.logging = false;
        self
    }

    pub(crate) fn seams(mut self, seams: Seams) -> Self {
        self.seams = seams;
        self
    }

    /// Starts the application: configuration, beans, topics, listeners, jobs, in this order. Returns when every
    /// listener has its first assignment, or `lifecycle.startup-timeout` is over.
    ///
    /// # Errors
    /// What keeps it from starting: see [`StartErrorKind`](crate::StartErrorKind). Nothing is left running then.
    pub async fn start(mut self) -> Result<RunningApp, StartError> {
        // Types are bound by whoever names them, with discovery or without.
        let sections = inventory::iter::<RegisteredSection>().map(|found| found.0.to_owned());
        self.options.own_sections.extend(sections);
        if self.discovery {
            self.listeners.extend(inventory::iter::<RegisteredListener>().map(|found| found.0));
            self.jobs.extend(inventory::iter::<RegisteredJob>().map(|found| found.0));
            self.bean_functions.extend(inventory::iter::<RegisteredBean>().map(|found| found.0));
        }
        startup::start(self).await
    }

    pub(super) fn duplicate_bean(&self) -> Option<&'static str> {
        let keys: Vec<&BeanKey> = self.beans.iter().map(|(key, _)| key).collect();
        let twice = keys.iter().enumerate().find(|(index, key)| keys[..*index].contains(key));
        twice.map(|(_, key)| key.type_name)
    }
}
