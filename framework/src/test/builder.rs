//! `TestAppBuilder`: what the application under test is made of.

use std::panic::Location as Caller;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::beans::{AnyBean, BeanKey};
use crate::config::LoadOptions;
use crate::error::StartError;
use crate::handler::{
    BeanDescriptor, JobDescriptor, ListenerDescriptor, RegisteredBean, RegisteredJob, RegisteredListener,
    RegisteredSection,
};
use crate::test::TestApp;
use crate::test::session::Session;

const TIMEOUT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_mins(1);

/// An application under test, before it starts. `#[kafka_boot::test]` makes one of its keys; use it by hand where an
/// attribute cannot say it, on any runtime:
///
/// ```
/// use kafka_boot::prelude::*;
/// use std::sync::Mutex;
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Payload<String>, seen: Bean<Mutex<Vec<String>>>) -> Result<()> {
///     seen.lock().map_err(|_| "an earlier handler panicked")?.push(order.0);
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let app = TestApp::builder()
///     .without_discovery()
///     .listeners(kafka_boot::listeners![on_order])
///     .property("kafka.listeners.on_order.concurrency", 2)
///     .bean(Mutex::new(Vec::<String>::new()))
///     .start()
///     .await?;
/// app.send("orders", "12 pears").await;
/// app.settled().await;
/// assert_eq!(*app.bean::<Mutex<Vec<String>>>().lock().unwrap(), ["12 pears"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing runs until it is started"]
pub struct TestAppBuilder {
    pub(super) name: String,
    directory: PathBuf,
    profile: Option<String>,
    documents: Vec<(String, String)>,
    properties: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    discovery: bool,
    listeners: Option<Vec<&'static ListenerDescriptor>>,
    jobs: Option<Vec<&'static JobDescriptor>>,
    bean_functions: Option<Vec<&'static BeanDescriptor>>,
    pub(super) beans: Vec<(BeanKey, AnyBean)>,
    pub(super) topics: Vec<String>,
    pub(super) timeout: Duration,
    pub(super) limit: Duration,
    pub(super) scheduling: bool,
    pub(super) show_log: bool,
}

impl TestAppBuilder {
    pub(super) fn new() -> Self {
        let of_process = LoadOptions::from_process();
        let thread = std::thread::current();
        Self {
            name: thread.name().unwrap_or("test").to_owned(),
            directory: std::env::var_os("CARGO_MANIFEST_DIR")
                .map_or_else(|| PathBuf::from("."), PathBuf::from),
            profile: None,
            documents: Vec::new(),
            properties: Vec::new(),
            environment: of_process.environment,
            discovery: true,
            listeners: None,
            jobs: None,
            bean_functions: None,
            beans: Vec::new(),
            topics: Vec::new(),
            timeout: TIMEOUT,
            limit: LIMIT,
            scheduling: false,
            show_log: std::env::var_os("KAFKA_BOOT_TEST_LOG").is_some_and(|value| value != "0"),
        }
    }

    /// What the test is called in reports. Default: the thread's name, which is the test's.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The directory in which, and in whose `config`, the configuration's files are; relative to the crate's own, which is
    /// the default.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = self.directory.join(directory);
        self
    }

    /// The profiles that are on, with commas between them. Default: `test`, if there is such a file.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Lays a YAML document over the files.
    #[track_caller]
    pub fn config(mut self, yaml: impl Into<String>) -> Self {
        let caller = Caller::caller();
        let name = format!("the YAML of the test at {}:{}", caller.file(), caller.line());
        self.documents.push((name, yaml.into()));
        self
    }

    /// Sets one key, over everything else: `property("kafka.listeners.consume.concurrency", 2)`.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts are given as they are written")]
    pub fn property(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.properties.push((key.into(), value.to_string()));
        self
    }

    /// Sets a variable, as if the process had it.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Uses only these listeners: `listeners(listeners![consume])`. Default: all that the test's program contains.
    pub fn listeners(mut self, listeners: &[&'static ListenerDescriptor]) -> Self {
        self.listeners.get_or_insert_default().extend_from_slice(listeners);
        self
    }

    /// Uses only these jobs: `jobs(jobs![produce])`. Default: all that the test's program contains.
    pub fn jobs(mut self, jobs: &[&'static JobDescriptor]) -> Self {
        self.jobs.get_or_insert_default().extend_from_slice(jobs);
        self
    }

    /// Uses only these bean functions: `bean_functions(bean_functions![repo])`. Default: all that the test's program
    /// contains.
    pub fn bean_functions(mut self, functions: &[&'static BeanDescriptor]) -> Self {
        self.bean_functions.get_or_insert_default().extend_from_slice(functions);
        self
    }

    /// Uses only what is given by hand, which may be nothing but beans.
    pub fn without_discovery(mut self) -> Self {
        self.discovery = false;
        self
    }

    /// Puts a value in the place of the primary bean of its type. The function that would make that bean is not called.
    pub fn bean<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.named_bean("", value)
    }

    /// Puts a value in the place of the bean of its type with this name.
    pub fn named_bean<T: Send + Sync + 'static>(mut self, name: &'static str, value: T) -> Self {
        self.beans.push((BeanKey::of::<T>(name), AnyBean::new(value)));
        self
    }

    /// Topics of the primary cluster that must exist before the listeners start, such as those that a listener's pattern is
    /// to match. The topics that listeners name are created in any case.
    pub fn topics<S: Into<String>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// How long each of the kit's calls may wait. Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a test under the attribute may take as a whole. Default: 60 s.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whether jobs run by their clock. Default: no; a test runs them with [`TestApp::run`].
    pub fn scheduling(mut self, scheduling: bool) -> Self {
        self.scheduling = scheduling;
        self
    }

    /// Whether the log is shown when the test succeeds, too. Default: only if `KAFKA_BOOT_TEST_LOG` is set.
    pub fn show_log(mut self, show: bool) -> Self {
        self.show_log = show;
        self
    }

    /// Starts the application; it is ready when this returns. It stops when the [`TestApp`] is dropped.
    ///
    /// # Errors
    /// Whatever keeps an application from starting; the application's log is part of the error's text.
    pub async fn start(self) -> Result<TestApp, StartError> {
        let session = self.prepare()?;
        session.take_turn().await?;
        match TestApp::owning(Arc::clone(&session)).started().await {
            Ok(app) => Ok(app),
            Err(error) => Err(StartError::new(error.kind(), format!("{error}\n{}", session.report()))),
        }
    }

    /// The value of a key that the test sets itself.
    pub(super) fn own_property(&self, key: &str) -> Option<&str> {
        self.properties.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The value of a variable, unless it is empty.
    pub(super) fn own_variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn prepare(self) -> Result<Arc<Session>, StartError> {
        Session::new(self).map(Arc::new)
    }

    /// Where the configuration comes from, with `more` under the test's own properties.
    pub(super) fn load_options(&self, more: &[(String, String)]) -> LoadOptions {
        let profile = self.profile.clone().or_else(|| self.has_test_profile().then(|| "test".to_owned()));
        let profile = profile.map(|profile| format!("--profile={profile}"));
        let kit = more.iter().filter(|(key, _)| self.own_property(key).is_none());
        let pairs = kit.chain(&self.properties).map(|(key, value)| format!("--{key}={value}"));
        LoadOptions {
            arguments: profile.into_iter().chain(pairs).collect(),
            environment: self.environment.clone(),
            directory: Some(self.directory.clone()),
            documents: self.documents.clone(),
            defaults: Vec::new(),
            own_sections: inventory::iter::<RegisteredSection>().map(|found| found.0.to_owned()).collect(),
        }
    }

    fn has_test_profile(&self) -> bool {
        let folders = [self.directory.clone(), self.directory.join("config")];
        let mut files = folders.iter().flat_map(|folder| {
            ["yml", "yaml"].map(|extension| folder.join(format!("application-test.{extension}")))
        });
        files.any(|file| file.is_file())
    }

    pub(super) fn app(&self, options: LoadOptions) -> App {
        let app = App::new().load_options(options).without_logging();
        let is_chosen = self.listeners.is_some() || self.jobs.is_some() || self.bean_functions.is_some();
        if self.discovery && !is_chosen {
            return app;
        }
        let found_listeners = || inventory::iter::<RegisteredListener>().map(|found| found.0).collect();
        let found_jobs = || inventory::iter::<RegisteredJob>().map(|found| found.0).collect();
        let found_functions = || inventory::iter::<RegisteredBean>().map(|found| found.0).collect();
        app.without_discovery()
            .listeners(&self.listeners.clone().unwrap_or_else(|| self.discovered(found_listeners)))
            .jobs(&self.jobs.clone().unwrap_or_else(|| self.discovered(found_jobs)))
            .bean_functions(&self.bean_functions.clone().unwrap_or_else(|| self.discovered(found_functions)))
    }

    fn discovered<T>(&self, find: impl FnOnce() -> Vec<T>) -> Vec<T> {
        if self.discovery { find() } else { Vec::new() }
    }
}
