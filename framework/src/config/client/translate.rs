//! Raw settings: which names pass, which of Java's are called otherwise, and which are refused with what to
//! use.

use crate::config::error::squeeze;

/// Which client a raw setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// Every client of a cluster.
    Any,
    Consumer,
    Producer,
    Admin,
}

/// Why a raw setting is refused, and what to use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Settings that take something out of the framework's hands, or whose rules only the typed key has.
const OWNED: &[(&str, &str)] = &[
    ("enable.auto.commit", "use `commit`: `auto`, `sync`, `async`, `manual` or `transaction`"),
    ("auto.commit.enable", "use `commit`: `auto`, `sync`, `async`, `manual` or `transaction`"),
    ("enable.auto.offset.store", "leave it out: an offset is stored when its record is settled"),
    ("auto.commit.interval.ms", "use `auto-commit-interval`"),
    ("group.id", "use `group-id`"),
    ("group.instance.id", "use `group-instance-id`"),
    ("group.protocol", "use `group-protocol`"),
    ("partition.assignment.strategy", "use `partition-assignment-strategy`"),
    ("max.poll.records", "use `max-poll-records`"),
    ("enable.partition.eof", "leave it out: the framework decides about it"),
    ("enable.idempotence", "use `enable-idempotence`"),
    ("transactional.id", "use `transactional-id`"),
    ("bootstrap.servers", "use `kafka.bootstrap-servers`"),
    ("metadata.broker.list", "use `kafka.bootstrap-servers`"),
    ("security.protocol", "use `kafka.security.protocol`"),
    ("statistics.interval.ms", "leave it out: the framework decides about it"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "leave it out: a token without a signature protects nothing"),
    ("plugin.library.paths", "leave it out: configuration loads no code"),
];

/// What the Java clients have and librdkafka does not.
const JAVA_ONLY: &[(&str, &str)] = &[
    ("key.serializer", "leave it out: the type of what is sent decides"),
    ("value.serializer", "leave it out: the type of what is sent decides"),
    ("key.deserializer", "leave it out: the types of the handler's arguments decide"),
    ("value.deserializer", "leave it out: the types of the handler's arguments decide"),
    ("interceptor.classes", "leave it out: there are no Java classes here"),
    ("metric.reporters", "leave it out: metrics are exported by the framework"),
    ("metrics.num.samples", "leave it out: metrics are exported by the framework"),
    ("metrics.recording.level", "leave it out: metrics are exported by the framework"),
    ("metrics.sample.window.ms", "leave it out: metrics are exported by the framework"),
    ("partitioner.class", "use `kafka.producer.partitioner`; its default is that of the Java clients"),
    ("partitioner.ignore.keys", "use `kafka.producer.partitioner: random`"),
    ("partitioner.adaptive.partitioning.enable", "leave it out: librdkafka has no such choice"),
    ("max.block.ms", "bound the wait where `send` is called; `max-in-flight-records` says when it begins"),
    ("default.api.timeout.ms", "use `kafka.admin.operation-timeout`, or `commit-timeout` of the consumer"),
    ("exclude.internal.topics", "leave it out: a `topic-pattern` can exclude topics that begin with `_`"),
    ("group.remote.assignor", "leave it out: the broker's choice holds"),
    ("security.providers", "leave it out: there are no Java classes here"),
    (
        "ssl.truststore.location",
        "use `kafka.security.ssl.ca-location`, with a PEM file (`keytool -exportcert -rfc`)",
    ),
    (
        "ssl.truststore.password",
        "leave it out: `kafka.security.ssl.ca-location` names a PEM file, which has none",
    ),
    ("ssl.truststore.type", "leave it out: `kafka.security.ssl.ca-location` names a PEM file"),
    ("ssl.truststore.certificates", "use `kafka.security.ssl.ca-location`, with a PEM file"),
    ("ssl.keystore.type", "leave it out: the key store is a PKCS#12 file"),
    ("ssl.keystore.key", "use `kafka.security.ssl.key-location`, with a PEM file"),
    ("ssl.keystore.certificate.chain", "use `kafka.security.ssl.certificate-location`, with a PEM file"),
    ("ssl.protocol", "leave it out: TLS 1.2 and 1.3 are spoken"),
    ("ssl.enabled.protocols", "leave it out: TLS 1.2 and 1.3 are spoken"),
    ("sasl.login.callback.handler.class", "leave it out: there are no Java classes here"),
    ("sasl.client.callback.handler.class", "leave it out: there are no Java classes here"),
];

/// Java's names of what librdkafka calls otherwise.
const RENAMED: &[(&str, &str)] = &[
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.request.size", "message.max.bytes"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms"),
];

/// The name and value under which librdkafka knows a raw setting.
pub(crate) fn translate(client: ClientKind, name: &str, value: &str) -> Result<(String, String), Refusal> {
    let refuse = |message: String, help: &str| Err(Refusal { message, help: help.to_owned() });
    let find = |table: &'static [(&'static str, &'static str)]| {
        table.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    };
    if let Some(help) = find(OWNED) {
        return refuse("the framework sets this itself".into(), help);
    }
    if let Some(help) = find(JAVA_ONLY) {
        return refuse("only the Java clients have this setting".into(), help);
    }
    if name.starts_with("sasl.") || name.starts_with("ssl.") || name == "enable.ssl.certificate.verification"
    {
        return security(client, name, value);
    }
    let translated = match (name, client) {
        ("buffer.memory", _) => {
            let Some(bytes) = value.parse::<u64>().ok().filter(|bytes| *bytes > 0) else {
                return refuse(
                    "expected a number of bytes".into(),
                    "use `max-in-flight-bytes`, which takes `64MiB`",
                );
            };
            ("queue.buffering.max.kbytes".to_owned(), bytes.div_ceil(1024).to_string())
        }
        // The Java clients wait this long for any answer; of librdkafka's two, that is the socket's.
        ("request.timeout.ms", ClientKind::Consumer | ClientKind::Admin) => {
            ("socket.timeout.ms".to_owned(), value.to_owned())
        }
        ("auto.offset.reset", _) if squeeze(value) == "none" => (name.to_owned(), "error".to_owned()),
        _ => (find(RENAMED).unwrap_or(name).to_owned(), value.to_owned()),
    };
    Ok(translated)
}

/// Settings of encryption and login: what the typed section has is said there, where its rules are checked.
fn security(client: ClientKind, name: &str, value: &str) -> Result<(String, String), Refusal> {
    if let Some((_, path)) = super::security::ADOPTED.iter().find(|(known, _)| *known == name) {
        return Err(Refusal {
            message: "encryption and login are those of the whole cluster".into(),
            help: format!("use `kafka.security.{}`", path.join(".")),
        });
    }
    if client != ClientKind::Any {
        return Err(Refusal {
            message: "encryption and login are those of the whole cluster".into(),
            help: "move it to `kafka.properties`, or to the cluster's `properties`".into(),
        });
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_names_become_those_of_librdkafka() {
        for (client, name, value, expected) in [
            (ClientKind::Consumer, "fetch.max.wait.ms", "100", ("fetch.wait.max.ms", "100")),
            (ClientKind::Producer, "max.request.size", "2000", ("message.max.bytes", "2000")),
            (ClientKind::Producer, "buffer.memory", "33554432", ("queue.buffering.max.kbytes", "32768")),
            (ClientKind::Consumer, "request.timeout.ms", "7", ("socket.timeout.ms", "7")),
            (ClientKind::Producer, "request.timeout.ms", "7", ("request.timeout.ms", "7")),
            (ClientKind::Consumer, "auto.offset.reset", "none", ("auto.offset.reset", "error")),
            (ClientKind::Producer, "linger.ms", "20", ("linger.ms", "20")),
            (ClientKind::Producer, "delivery.timeout.ms", "20", ("delivery.timeout.ms", "20")),
            (ClientKind::Any, "socket.keepalive.enable", "true", ("socket.keepalive.enable", "true")),
            (ClientKind::Any, "send.buffer.bytes", "1", ("socket.send.buffer.bytes", "1")),
            (ClientKind::Any, "ssl.cipher.suites", "X", ("ssl.cipher.suites", "X")),
        ] {
            let expected = (expected.0.to_owned(), expected.1.to_owned());
            assert_eq!(translate(client, name, value), Ok(expected), "{name}");
        }
    }

    #[test]
    fn what_undoes_the_commit_mode_or_is_javas_alone_is_refused_with_what_to_use() {
        for (name, value) in OWNED.iter().chain(JAVA_ONLY) {
            let refusal = translate(ClientKind::Any, name, value).expect_err(name);
            assert!(!refusal.help.is_empty(), "{name}");
        }
        assert!(translate(ClientKind::Producer, "buffer.memory", "32MB").is_err());
        assert!(translate(ClientKind::Consumer, "ssl.cipher.suites", "X").is_err());
    }
}
