//! From the configuration to clients: settings by librdkafka's names, checked against what was built in.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_boot_client::{ClientConfig, builtin_features, is_known_property};

use crate::app::embedded::Embedded;
use crate::beans::{Admin, AnyBean, BeanKey, Beans, KafkaTemplate, ReplyingTemplate, TemplateOptions};
use crate::config::model::{
    AdminProperties, BootstrapServers, CommitMode, ListenerSettings, ProducerProperties,
};
use crate::config::{ClientSettings, Settings};
use crate::dead_letters::DeadLetters;
use crate::error::{StartError, StartErrorKind};
use crate::listener::TransactionSpec;

/// How often librdkafka reports lag and connections, unless the configuration says otherwise.
const STATISTICS_INTERVAL_MS: &str = "1000";
const STATISTICS_INTERVAL: &str = "statistics.interval.ms";
const ISOLATION_LEVEL: &str = "isolation.level";
const READ_COMMITTED: &str = "read_committed";
const TOPIC_BLACKLIST: &str = "topic.blacklist";
/// The name of a group that nobody joins: a client must have one.
const REPLIES_GROUP: &str = "kafka-boot.replies";
/// What the cluster without a name is called.
const DEFAULT_CLUSTER: &str = "default";
const LOG_CONNECTION_CLOSE: &str = "log.connection.close";

/// Refuses settings that librdkafka does not know, or was built without.
pub(super) fn check(settings: &Settings) -> Result<(), StartError> {
    settings.check_raw_settings(&is_known_property)?;
    let built_in: BTreeSet<String> = builtin_features();
    settings.check_features(&|feature| is_built(feature, &built_in))?;
    Ok(())
}

/// Whether librdkafka was built with what a cargo feature adds.
fn is_built(feature: &str, built_in: &BTreeSet<String>) -> bool {
    let librdkafka_name = match feature {
        "tls" | "tls-vendored" => "ssl",
        "kerberos" => "sasl_gssapi",
        "oidc" => "sasl_oauthbearer",
        other => other,
    };
    built_in.contains(librdkafka_name)
}

/// The topics that a listener by pattern must not read, because they hold its own dead letters: a record that fails there,
/// too, would go round for ever.
fn own_dead_letters(listener: &ListenerSettings) -> Option<String> {
    let pattern = listener.topic_pattern.as_deref()?;
    let dead_letters = &listener.error.dead_letter;
    let quoted = |text: &str| text.replace('.', "\\.");
    // Who asks for topics of that name wants them.
    if pattern.trim_end_matches('$').ends_with(&dead_letters.suffix) {
        return None;
    }
    let of_suffix = format!("^.*{}$", quoted(&dead_letters.suffix));
    Some(match &dead_letters.topic {
        Some(topic) => format!("{of_suffix},^{}$", quoted(topic)),
        None => of_suffix,
    })
}

/// The limits of a template.
fn options(cluster: &str, producer: &ProducerProperties) -> TemplateOptions {
    TemplateOptions {
        cluster: cluster.to_owned(),
        in_flight_records_max: usize::try_from(producer.max_in_flight_records).unwrap_or(usize::MAX),
        in_flight_bytes_max: usize::try_from(producer.max_in_flight_bytes.as_bytes()).unwrap_or(usize::MAX),
    }
}

/// Makes the clients of every cluster.
pub(crate) struct Clients {
    settings: Arc<Settings>,
    embedded_servers: Option<String>,
}

impl Clients {
    pub(crate) fn new(settings: Arc<Settings>, embedded: Option<&Embedded>) -> Self {
        Self { settings, embedded_servers: embedded.map(|embedded| embedded.bootstrap_servers().to_owned()) }
    }

    /// The client settings of one listener.
    pub(super) fn consumer(&self, listener: &ListenerSettings) -> ClientConfig {
        let mut config = self.config(&self.settings.consumer_client(listener), listener.cluster.as_deref());
        if config.get(STATISTICS_INTERVAL).is_none() {
            config.set(STATISTICS_INTERVAL, STATISTICS_INTERVAL_MS);
        }
        if let Some(own) = own_dead_letters(listener) {
            let others = config.get(TOPIC_BLACKLIST).map(|others| format!("{others},"));
            config.set(TOPIC_BLACKLIST, format!("{}{own}", others.unwrap_or_default()));
        }
        config
    }

    /// The client settings of one who only looks, in no group that anybody else is in.
    pub(crate) fn reader(&self, cluster: Option<&str>, group: &str) -> ClientConfig {
        let mut config = self.config(&self.settings.admin_client(cluster).unwrap_or_default(), cluster);
        config.set("group.id", group);
        config
    }

    /// The client settings of a cluster's producers.
    pub(super) fn producer(&self, cluster: Option<&str>) -> ClientConfig {
        self.config(&self.settings.producer_client(cluster).unwrap_or_default(), cluster)
    }

    /// What a listener consumes in transactions with, if it does.
    pub(super) fn transactions(
        &self,
        listener: &ListenerSettings,
    ) -> Result<Option<TransactionSpec>, StartError> {
        if listener.consumer.commit != CommitMode::Transaction {
            return Ok(None);
        }
        let refused = |reason: String| {
            let message =
                format!("error: the listener `{}` cannot consume in transactions: {reason}", listener.id);
            StartError::new(StartErrorKind::Configuration, message)
        };
        // The typed key is checked with the configuration; this is what raw settings make of it.
        if self.consumer(listener).get(ISOLATION_LEVEL) != Some(READ_COMMITTED) {
            let reason =
                "`isolation.level` among its `properties` is not `read_committed`\n  help: leave it out";
            return Err(refused(reason.to_owned()));
        }
        let name = listener.cluster.as_deref();
        let cluster = self.settings.kafka().cluster(name).unwrap_or_default();
        let options = options(name.unwrap_or(DEFAULT_CLUSTER), &cluster.producer);
        let spec = TransactionSpec::new(&self.producer(name), options);
        let group = listener.consumer.group_id.as_deref().unwrap_or_default();
        // What librdkafka says of them is better heard now than from every partition.
        spec.check(group).map_err(|error| refused(error.to_string()))?;
        Ok(Some(spec))
    }

    /// Makes template and admin of the primary cluster and of each named one. Returns the templates.
    pub(super) fn make_beans(&self, beans: &mut Beans) -> Result<Vec<Arc<KafkaTemplate>>, StartError> {
        let kafka = self.settings.kafka();
        let mut templates = vec![self.make_cluster(None, &kafka.producer, &kafka.admin, beans)?];
        for (name, cluster) in &kafka.clusters {
            templates.push(self.make_cluster(Some(name), &cluster.producer, &cluster.admin, beans)?);
        }
        if let Some(topic) = &kafka.replies.topic {
            let timeout = kafka.replies.timeout.get();
            let reader = self.reader(None, REPLIES_GROUP);
            let replying = ReplyingTemplate::start(Arc::clone(&templates[0]), reader, topic, timeout);
            beans.insert(BeanKey::of::<ReplyingTemplate>(""), AnyBean::shared(Arc::new(replying)));
        }
        Ok(templates)
    }

    fn make_cluster(
        &self,
        name: Option<&str>,
        producer: &ProducerProperties,
        admin: &AdminProperties,
        beans: &mut Beans,
    ) -> Result<Arc<KafkaTemplate>, StartError> {
        let label = name.unwrap_or(DEFAULT_CLUSTER);
        let failed = |what: &str, error: kafka_boot_client::ClientError| {
            StartError::new(
                StartErrorKind::Configuration,
                format!("error: the {what} of cluster `{label}` cannot be made: {error}"),
            )
        };
        let template = KafkaTemplate::with_transactions(self.producer(name), options(label, producer))
            .map_err(|error| failed("producer", error))?;
        let admin_config = self.settings.admin_client(name).unwrap_or_default();
        let admin =
            Admin::new(&self.config(&admin_config, name), admin).map_err(|error| failed("admin", error))?;
        let (template, admin) = (Arc::new(template), Arc::new(admin));
        let letters = DeadLetters::new(self.config(&admin_config, name), self.producer(name));
        // Qualifiers are constants of the program; the names of clusters are known only now, and live as long.
        let name: &'static str = name.map_or("", |name| Box::leak(name.to_owned().into_boxed_str()));
        beans.insert(BeanKey::of::<KafkaTemplate>(name), AnyBean::shared(Arc::clone(&template)));
        beans.insert(BeanKey::of::<Admin>(name), AnyBean::shared(admin));
        beans.insert(BeanKey::of::<DeadLetters>(name), AnyBean::shared(Arc::new(letters)));
        Ok(template)
    }

    fn config(&self, settings: &ClientSettings, cluster: Option<&str>) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in settings.iter() {
            config.set(name, value);
        }
        if config.get(LOG_CONNECTION_CLOSE).is_none() {
            // A broker that closes an idle connection is no news.
            config.set(LOG_CONNECTION_CLOSE, "false");
        }
        if let Some(servers) = self.embedded_servers.as_deref().filter(|_| self.is_embedded(cluster)) {
            config.set("bootstrap.servers", servers);
        }
        config
    }

    fn is_embedded(&self, cluster: Option<&str>) -> bool {
        self.settings.kafka().cluster(cluster).is_some_and(|cluster| {
            let servers: &BootstrapServers = &cluster.bootstrap_servers;
            servers.is_embedded()
        })
    }
}
