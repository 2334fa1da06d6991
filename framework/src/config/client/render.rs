//! [`ClientSettings`]: what a client is created with, under librdkafka's names.

use std::collections::BTreeMap;
use std::fmt;

use super::translate::{ClientKind, translate};
use crate::config::model::{
    AutoOffsetReset, ClusterProperties, CommitMode, EndpointIdentification, GroupProtocol, IsolationLevel,
    ListenerSettings, OauthBearerMethod, RawProperties, SaslMechanism, SecurityProperties,
};
use crate::config::secret::{MASK, Secret, is_secret_name};
use crate::config::settings::Settings;
use crate::config::{DataSize, TimeSpan};

/// librdkafka's settings for one client, by name.
///
/// `bootstrap.servers` is missing where the broker inside the process is meant; whoever starts that one
/// [`set`](Self::set)s it. No value that may be a secret is printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings {
    settings: BTreeMap<String, String>,
}

impl ClientSettings {
    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Gives a setting a value, in place of any other.
    ///
    /// ```
    /// use kafka_boot::config::ClientSettings;
    ///
    /// let mut settings = ClientSettings::default();
    /// settings.set("bootstrap.servers", "127.0.0.1:9092");
    /// assert_eq!(settings.get("bootstrap.servers"), Some("127.0.0.1:9092"));
    /// ```
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.settings.insert(name.into(), value.into());
    }

    /// All settings, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.set(name, if value { "true" } else { "false" });
    }

    fn millis(&mut self, name: &str, value: TimeSpan) {
        self.set(name, value.as_millis().to_string());
    }

    fn number(&mut self, name: &str, value: u32) {
        self.set(name, value.to_string());
    }

    fn bytes(&mut self, name: &str, value: DataSize) {
        self.set(name, value.as_bytes().to_string());
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Lays raw settings over the others. They were checked when the configuration was loaded.
    fn raw(&mut self, client: ClientKind, properties: &RawProperties) {
        for (name, value) in properties.iter() {
            if let Ok((name, value)) = translate(client, name, value) {
                for alias in aliases(&name) {
                    self.settings.remove(*alias);
                }
                self.set(name, value);
            }
        }
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &String, value: &String| {
            if is_secret_name(name) { MASK.to_owned() } else { value.clone() }
        };
        f.debug_map().entries(self.settings.iter().map(|(name, value)| (name, shown(name, value)))).finish()
    }
}

/// The other names of a setting, so that a raw one is not given beside its typed twin.
fn aliases(name: &str) -> &'static [&'static str] {
    const ALIASES: &[&[&str]] = &[
        &["acks", "request.required.acks"],
        &["retries", "message.send.max.retries"],
        &["linger.ms", "queue.buffering.max.ms"],
        &["delivery.timeout.ms", "message.timeout.ms"],
        &["compression.type", "compression.codec"],
    ];
    ALIASES.iter().find(|names| names.contains(&name)).copied().unwrap_or_default()
}

impl Settings {
    /// What the consumers of a listener are created with, `client.id` apart where neither the listener nor
    /// the cluster names one: then it is `<application>-<listener>`.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings};
    ///
    /// let arguments = ["--kafka.listeners.consume.topics=orders", "--kafka.consumer.group-id=billing"];
    /// let arguments = arguments.map(str::to_owned).to_vec();
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// let client = settings.consumer_client(&settings.listener("consume", &[])?);
    /// assert_eq!(client.get("enable.auto.commit"), Some("false"));
    /// assert_eq!(client.get("group.id"), Some("billing"));
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn consumer_client(&self, listener: &ListenerSettings) -> ClientSettings {
        let cluster = self.kafka().cluster(listener.cluster.as_deref()).unwrap_or_default();
        let consumer = &listener.consumer;
        let default_id = format!("{}-{}", self.application().name, listener.id);
        let client_id = consumer
            .client_id
            .clone()
            .or_else(|| cluster.client_id.as_ref().map(|client_id| format!("{client_id}-{}", listener.id)));
        let mut client = common(&cluster, &client_id.unwrap_or(default_id));

        let automatic = consumer.commit == CommitMode::Auto;
        client.flag("enable.auto.commit", automatic);
        // Also with the timer, only what is settled is stored: what was merely fetched must not be committed.
        client.flag("enable.auto.offset.store", false);
        if automatic {
            client.millis("auto.commit.interval.ms", consumer.auto_commit_interval);
        }
        client.optional("group.id", consumer.group_id.as_deref());
        client.optional("group.instance.id", consumer.group_instance_id.as_deref());
        client.set(
            "auto.offset.reset",
            match consumer.auto_offset_reset {
                AutoOffsetReset::Earliest => "earliest",
                AutoOffsetReset::Latest => "latest",
                AutoOffsetReset::None => "error",
            },
        );
        client.set(
            "isolation.level",
            match consumer.isolation_level {
                IsolationLevel::ReadCommitted => "read_committed",
                IsolationLevel::ReadUncommitted => "read_uncommitted",
            },
        );
        match consumer.group_protocol {
            GroupProtocol::Consumer => client.set("group.protocol", "consumer"),
            GroupProtocol::Classic => {
                let strategies =
                    consumer.partition_assignment_strategy.iter().map(|strategy| strategy.as_str());
                client.set("group.protocol", "classic");
                client.set("partition.assignment.strategy", strategies.collect::<Vec<_>>().join(","));
                client.millis("session.timeout.ms", consumer.session_timeout);
                client.millis("heartbeat.interval.ms", consumer.heartbeat_interval);
            }
        }
        client.millis("max.poll.interval.ms", consumer.max_poll_interval);
        client.bytes("fetch.min.bytes", consumer.fetch_min_bytes);
        client.millis("fetch.wait.max.ms", consumer.fetch_max_wait);
        client.set("queued.max.messages.kbytes", consumer.queued_max_bytes.as_kib().to_string());
        client.number("queued.min.messages", consumer.queued_min_records);
        client.millis("fetch.queue.backoff.ms", consumer.fetch_queue_backoff);
        client.flag("check.crcs", consumer.check_crcs);
        client.flag("allow.auto.create.topics", consumer.allow_auto_create_topics);
        client.millis("topic.metadata.refresh.interval.ms", consumer.metadata_max_age);
        client.raw(ClientKind::Any, &cluster.properties);
        client.raw(ClientKind::Consumer, &consumer.properties);
        client
    }

    /// What the producer of a cluster is created with, the default cluster's for `None`; `None` when there is
    /// no cluster of that name.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings};
    ///
    /// let settings = Settings::load(LoadOptions::default())?;
    /// let client = settings.producer_client(None).expect("the default cluster");
    /// assert_eq!(client.get("enable.idempotence"), Some("true"));
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn producer_client(&self, cluster: Option<&str>) -> Option<ClientSettings> {
        let cluster = self.kafka().cluster(cluster)?;
        let producer = &cluster.producer;
        let mut client = common(&cluster, self.client_id(&cluster, producer.client_id.as_deref()));
        client.set("acks", producer.acks.as_str());
        client.number("retries", producer.retries);
        client.flag("enable.idempotence", producer.enable_idempotence);
        client.millis("linger.ms", producer.linger);
        client.bytes("batch.size", producer.batch_size);
        client.bytes("message.max.bytes", producer.max_request_size);
        client.set("compression.type", producer.compression_type.as_str());
        client.millis("delivery.timeout.ms", producer.delivery_timeout);
        client.millis("request.timeout.ms", producer.request_timeout);
        client.number("queue.buffering.max.messages", producer.max_in_flight_records);
        client.set("queue.buffering.max.kbytes", producer.max_in_flight_bytes.as_kib().to_string());
        client.set("partitioner", producer.partitioner.as_str());
        client.optional("transactional.id", producer.transactional_id.as_deref());
        client.raw(ClientKind::Any, &cluster.properties);
        client.raw(ClientKind::Producer, &producer.properties);
        Some(client)
    }

    /// What the admin client of a cluster is created with, the default cluster's for `None`; `None` when
    /// there is no cluster of that name. The timeouts of `kafka.admin` go with each request and are not among
    /// them.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings};
    ///
    /// let settings = Settings::load(LoadOptions::default())?;
    /// assert!(settings.admin_client(None).is_some());
    /// assert!(settings.admin_client(Some("east")).is_none());
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn admin_client(&self, cluster: Option<&str>) -> Option<ClientSettings> {
        let cluster = self.kafka().cluster(cluster)?;
        let admin = &cluster.admin;
        let mut client = common(&cluster, self.client_id(&cluster, admin.client_id.as_deref()));
        client.raw(ClientKind::Any, &cluster.properties);
        client.raw(ClientKind::Admin, &admin.properties);
        Some(client)
    }

    fn client_id<'a>(&'a self, cluster: &'a ClusterProperties, own: Option<&'a str>) -> &'a str {
        own.or(cluster.client_id.as_deref()).unwrap_or(&self.application().name)
    }
}

/// What all clients of a cluster share, raw settings apart.
fn common(cluster: &ClusterProperties, client_id: &str) -> ClientSettings {
    let mut client = ClientSettings::default();
    if !cluster.bootstrap_servers.is_embedded() {
        client.set("bootstrap.servers", cluster.bootstrap_servers.joined());
    }
    client.set("client.id", client_id);
    security(&mut client, &cluster.security);
    client
}

fn security(client: &mut ClientSettings, security: &SecurityProperties) {
    client.set("security.protocol", security.protocol.as_str());
    if security.protocol.uses_tls() {
        let ssl = &security.ssl;
        client.optional("ssl.ca.location", ssl.ca_location.as_deref());
        client.optional("ssl.certificate.location", ssl.certificate_location.as_deref());
        client.optional("ssl.key.location", ssl.key_location.as_deref());
        client.optional("ssl.key.password", ssl.key_password.as_ref().map(Secret::expose));
        client.optional("ssl.keystore.location", ssl.keystore_location.as_deref());
        client.optional("ssl.keystore.password", ssl.keystore_password.as_ref().map(Secret::expose));
        client.flag("enable.ssl.certificate.verification", ssl.verify);
        client.set(
            "ssl.endpoint.identification.algorithm",
            match ssl.endpoint_identification {
                EndpointIdentification::Https => "https",
                EndpointIdentification::None => "none",
            },
        );
    }
    let Some(mechanism) = security.sasl.mechanism.filter(|_| security.protocol.uses_sasl()) else { return };
    let sasl = &security.sasl;
    client.set("sasl.mechanism", mechanism.as_str());
    match mechanism {
        SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
            client.optional("sasl.username", sasl.username.as_deref());
            client.optional("sasl.password", sasl.password.as_ref().map(Secret::expose));
        }
        SaslMechanism::Gssapi => {
            client.set("sasl.kerberos.service.name", sasl.kerberos.service_name.as_str());
            client.optional("sasl.kerberos.principal", sasl.kerberos.principal.as_deref());
            client.optional("sasl.kerberos.keytab", sasl.kerberos.keytab.as_deref());
        }
        SaslMechanism::OauthBearer => {
            let oauth = &sasl.oauthbearer;
            let method = match oauth.method {
                OauthBearerMethod::Oidc => "oidc",
            };
            client.set("sasl.oauthbearer.method", method);
            client.optional("sasl.oauthbearer.token.endpoint.url", oauth.token_endpoint_url.as_deref());
            client.optional("sasl.oauthbearer.client.id", oauth.client_id.as_deref());
            let secret = oauth.client_secret.as_ref().map(Secret::expose);
            client.optional("sasl.oauthbearer.client.secret", secret);
            client.optional("sasl.oauthbearer.scope", oauth.scope.as_deref());
        }
    }
}
