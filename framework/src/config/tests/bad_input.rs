//! Configurations that must be refused, each with a message that a person can act on.

use std::fmt::Write;

use proptest::prelude::*;

use super::Setup;
use crate::config::REFERENCE;
use crate::config::schema::{SchemaNode, Shape};
use crate::config::tree::join;

/// Writes one family of cases, each a name and a setup, as one snapshot.
fn snapshot(family: &str, cases: Vec<(&str, Setup)>) {
    let mut report = String::new();
    for (name, setup) in cases {
        let errors = setup.errors();
        assert!(errors.starts_with("error: invalid configuration\n"), "{name}: {errors}");
        writeln!(report, "## {name}\n\n{errors}").expect("a string takes everything");
    }
    insta::assert_snapshot!(family, report);
}

fn yaml_cases(family: &str, cases: &[(&'static str, &str)]) {
    snapshot(family, cases.iter().map(|(name, yaml)| (*name, Setup::with(yaml))).collect());
}

#[test]
fn broken_syntax() {
    yaml_cases(
        "syntax",
        &[
            ("a tab as indentation", "kafka:\n\tclient-id: x\n"),
            ("an unclosed quote", "kafka:\n  client-id: \"x\n"),
            ("an unknown anchor", "kafka: *none\n"),
            ("an alias within its own value", "kafka: &a { client-id: x, consumer: *a }\n"),
            ("a key given twice", "kafka:\n  client-id: a\n  client-id: b\n"),
            ("a key given twice, once flat", "kafka.client-id: a\nkafka:\n  client-id: b\n"),
            ("two documents", "kafka: { client-id: a }\n---\nkafka: { client-id: b }\n"),
            ("an unclosed bracket", "kafka: { client-id: a\n"),
            ("text after the end", "kafka: { client-id: a } }\n"),
            ("a bare text", "kafka\n"),
            ("a list at the outermost level", "- kafka\n"),
            ("a tag", "kafka: { client-id: !!str x }\n"),
            ("a section as a key", "{ a: b }: c\n"),
            ("a bad merge", "kafka: { <<: x }\n"),
            ("bad indentation", "kafka:\n  client-id: a\n consumer: {}\n"),
            ("an odd name at the outermost level", "\"a b\": c\n"),
            ("a name with an index", "\"x[99999999999]\": c\n"),
        ],
    );
}

#[test]
fn bad_encodings_and_bombs() {
    let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(aliases, "a{level}: &a{level} [{row}]").expect("a string takes everything");
    }
    let many_keys: String = (0..60_000).fold(String::new(), |mut text, index| {
        writeln!(text, "k{index}: [x]").expect("a string takes everything");
        text
    });
    snapshot(
        "encodings_and_bombs",
        vec![
            ("UTF-16", Setup::new().file("application.yml", b"\xff\xfek\0a\0")),
            ("invalid UTF-8", Setup::new().file("application.yml", b"a: x\nb: \xc3\x28\n")),
            ("a NUL", Setup::with("a: x\0y\n")),
            ("a terminal sequence", Setup::with("a: \"\u{1b}[31m\"\n")),
            ("a file of ten megabytes", Setup::with(&format!("a: {}\n", "x".repeat(10_000_000)))),
            ("ten thousand brackets", Setup::with(&format!("a: {}\n", "[".repeat(10_000)))),
            ("sections a hundred deep", Setup::with(&nested(100))),
            ("aliases that multiply", Setup::with(&aliases)),
            ("a hundred thousand values", Setup::with(&many_keys)),
        ],
    );
}

fn nested(depth: usize) -> String {
    (0..depth).fold(String::new(), |text, level| text + &"  ".repeat(level) + "a:\n")
}

#[test]
fn unknown_keys() {
    yaml_cases(
        "unknown_keys",
        &[
            ("one letter off", "kafka:\n  consumer:\n    gruop-id: x\n"),
            ("two letters off", "kafka:\n  consumer:\n    auto-ofset-rest: latest\n"),
            ("camel case", "kafka:\n  bootstrapServers: a:1\n"),
            ("far off", "kafka:\n  admin:\n    wherever: x\n"),
            ("a section of the framework, misspelt", "kafak:\n  client-id: x\n"),
            ("in a list", "kafka:\n  topics:\n    - name: a\n      partition: 3\n"),
            ("in a listener", "kafka:\n  listeners:\n    consume:\n      concurency: 3\n"),
            ("in a cluster", "kafka:\n  clusters:\n    east:\n      listeners: {}\n"),
            ("a secret under an unknown key", "kafka:\n  security:\n    sasl:\n      passwrod: hunter2\n"),
            ("Spring's prefix", "spring:\n  kafka:\n    client-id: x\n"),
            ("Spring's enable-auto-commit", "kafka:\n  consumer:\n    enable-auto-commit: false\n"),
            ("Spring's listener section", "kafka:\n  listener:\n    ack-mode: record\n"),
            ("Spring's serializers", "kafka:\n  producer:\n    value-serializer: StringSerializer\n"),
            ("Spring's trust store", "kafka:\n  security:\n    ssl:\n      trust-store-location: t.jks\n"),
        ],
    );
}

#[test]
fn wrong_types_and_yaml_traps() {
    yaml_cases(
        "types_and_traps",
        &[
            ("a word that is none of the choices", "kafka:\n  consumer:\n    auto-offset-reset: earlest\n"),
            ("a section where a value belongs", "kafka:\n  client-id:\n    a: b\n"),
            ("a list where a value belongs", "kafka:\n  client-id: [a]\n"),
            ("a value where a section belongs", "kafka:\n  consumer: fast\n"),
            ("a value where a list of sections belongs", "kafka:\n  topics: orders\n"),
            ("nothing where a value belongs", "kafka:\n  client-id:\n"),
            ("a tilde", "kafka:\n  consumer:\n    concurrency: ~\n"),
            ("no", "kafka:\n  consumer:\n    auto-startup: no\n"),
            ("on", "kafka:\n  consumer:\n    check-crcs: on\n"),
            ("digits in groups", "kafka:\n  consumer:\n    max-poll-records: 1_000\n"),
            ("octal", "kafka:\n  consumer:\n    max-poll-records: 0o17\n"),
            ("an octal look-alike", "kafka:\n  consumer:\n    max-poll-records: 017\n"),
            ("sexagesimal", "kafka:\n  consumer:\n    session-timeout: 12:30\n"),
            ("an exponent", "kafka:\n  consumer:\n    max-poll-records: 1e3\n"),
            ("a fraction", "kafka:\n  consumer:\n    concurrency: 1.5\n"),
            ("a topic without a name", "kafka:\n  topics:\n    - partitions: 3\n"),
            ("a bad topic name", "kafka:\n  topics:\n    - name: a b\n"),
            ("a bad topic pattern", "kafka:\n  listeners:\n    consume:\n      topic-pattern: ^orders-(\n"),
            ("an ordering that is not there", "kafka:\n  listeners:\n    consume:\n      ordering: topic\n"),
            ("an empty text", "kafka:\n  consumer:\n    group-id: \"\"\n"),
            ("a bad address", "kafka:\n  bootstrap-servers: http://a:9092/x\n"),
            ("an address without a port", "kafka:\n  bootstrap-servers: [a:9092, b]\n"),
            ("a hole in a list", "kafka:\n  bootstrap-servers: a:1,,b:1\n  partition: x\n"),
            ("a log level", "logging:\n  level:\n    root: verbose\n"),
        ],
    );
}

#[test]
fn values_out_of_range() {
    yaml_cases(
        "ranges",
        &[
            ("zero", "kafka:\n  consumer:\n    concurrency: 0\n"),
            ("negative", "kafka:\n  consumer:\n    max-in-flight: -1\n"),
            ("beyond 64 bits", "kafka:\n  producer:\n    retries: 18446744073709551616\n"),
            (
                "beyond all bits",
                "kafka:\n  producer:\n    retries: 999999999999999999999999999999999999999999\n",
            ),
            ("not a number", "kafka:\n  error:\n    backoff:\n      multiplier: NaN\n"),
            ("infinite", "kafka:\n  error:\n    backoff:\n      multiplier: 1e400\n"),
            ("more than all", "kafka:\n  error:\n    backoff:\n      jitter: 1.5\n"),
            (
                "a commit interval of zero",
                "kafka:\n  consumer:\n    commit: auto\n    auto-commit-interval: 0\n",
            ),
            ("a linger beyond librdkafka's", "kafka:\n  producer:\n    linger: 1d\n"),
            ("a size beyond librdkafka's", "kafka:\n  consumer:\n    queued-max-bytes: 4TiB\n"),
            ("a size of nothing", "kafka:\n  producer:\n    batch-size: 0\n"),
        ],
    );
}

#[test]
fn bad_durations_and_sizes() {
    yaml_cases(
        "durations_and_sizes",
        &[
            ("a space before the unit", "kafka:\n  consumer:\n    session-timeout: 5 m\n"),
            ("an unknown unit", "kafka:\n  consumer:\n    session-timeout: 5min\n"),
            ("a negative duration", "kafka:\n  consumer:\n    session-timeout: -1s\n"),
            ("no number", "kafka:\n  consumer:\n    session-timeout: ∞\n"),
            ("a fraction of a second", "kafka:\n  consumer:\n    session-timeout: 1.5s\n"),
            ("ISO 8601", "kafka:\n  consumer:\n    session-timeout: PT45S\n"),
            ("a space in a size", "kafka:\n  producer:\n    batch-size: 64 KiB\n"),
            ("an unknown size unit", "kafka:\n  producer:\n    batch-size: 64K\n"),
            ("too large a size", "kafka:\n  producer:\n    batch-size: 99999999999TiB\n"),
        ],
    );
}

#[test]
fn bad_placeholders() {
    let file = "kafka:\n  client-id: a-${NAME}\n  consumer:\n    concurrency: ${THREADS}\n";
    snapshot(
        "placeholders",
        vec![
            ("not set", Setup::with("kafka:\n  client-id: a-${NAME}-b\n")),
            ("without an end", Setup::with("kafka:\n  client-id: \"x ${NAME\"\n")),
            ("without an end inside", Setup::with("kafka:\n  client-id: \"${A:${B}\"\n")),
            ("without a name", Setup::with("kafka:\n  client-id: \"${}\"\n")),
            ("around in a circle", Setup::with("a: ${b}\nb: ${c}\nc: ${a}\n")),
            ("of itself", Setup::with("kafka:\n  client-id: ${kafka.client-id}\n")),
            ("of a section", Setup::with("kafka:\n  client-id: ${kafka}\n")),
            ("a secret's file is missing", Setup::with("repo:\n  password: ${file:/no/such/file}\n")),
            ("stands for a wrong value", Setup::with(file).variable("NAME", "x").variable("THREADS", "many")),
            (
                "stands for a wrong value that is secret",
                Setup::with("kafka:\n  consumer:\n    concurrency: ${MY_TOKEN}\n")
                    .variable("MY_TOKEN", "hunter2"),
            ),
            (
                "YAML in a variable stays a text",
                Setup::with("kafka:\n  consumer: ${EVIL}\n").variable("EVIL", "{ group-id: x }"),
            ),
        ],
    );
}

#[test]
fn bad_profiles_and_sources() {
    let profiles =
        || Setup::with("a: b\n").file("application-dev.yml", "").file("config/application-prod.yml", "");
    snapshot(
        "profiles_and_sources",
        vec![
            ("an unknown profile, nearly one", profiles().argument("--profile=dve")),
            (
                "an unknown profile, far from any",
                profiles().variable("APP_PROFILES_ACTIVE", "dev,production"),
            ),
            ("a profile without any files", Setup::new().argument("--profile=dev")),
            ("a profile that leaves the folder", Setup::new().argument("--profile=../../etc/x")),
            (
                "a profile's file that chooses profiles",
                Setup::new()
                    .file("application-dev.yml", "application:\n  profiles:\n    active: prod\n")
                    .argument("--profile=dev"),
            ),
            ("a variable", Setup::new().variable("KAFKA_CONSUMER_AUTO_OFFSET_RESET", "earlest")),
            ("a secret in a variable", Setup::new().variable("KAFKA_SECURITY_SASL_PASSWORD", "hunter2")),
            ("a variable that makes a hole", Setup::new().variable("KAFKA_TOPICS_1_NAME", "x")),
            ("an argument", Setup::new().argument("--kafka.consumer.concurrency=many")),
            ("an argument with an unknown key", Setup::new().argument("--kafka.consumer.grupid=x")),
            ("an argument without a value", Setup::new().argument("--kafka.client-id")),
            ("an argument with a bad path", Setup::new().argument("--kafka.topics[x].name=a")),
            ("a profile argument without a value", Setup::new().argument("--profile")),
        ],
    );
}

#[test]
fn bad_files() {
    let directory = Setup::new();
    std::fs::create_dir(directory.path().join("application.yml")).expect("a folder");
    let mut cases = vec![
        ("a folder of that name", directory),
        ("both extensions", Setup::with("a: b\n").file("application.yaml", "a: b\n")),
        ("a named folder that is missing", Setup::new().argument("--config=none")),
        ("a named folder without a file", Setup::new().file("empty/x", "").argument("--config=empty")),
        ("a named file of another kind", Setup::new().file("a.toml", "").argument("--config=a.toml")),
    ];
    if cfg!(unix) {
        let looped = Setup::new();
        #[cfg(unix)]
        std::os::unix::fs::symlink("application.yml", looped.path().join("application.yml")).expect("a link");
        cases.push(("a link to itself", looped));
    }
    snapshot("files", cases);
}

#[test]
fn values_that_cannot_hold_together() {
    yaml_cases(
        "combinations",
        &[
            ("auto commit, manual ack", "kafka:\n  consumer: { commit: auto, ack-mode: manual }\n"),
            ("auto commit, ack mode", "kafka:\n  consumer: { commit: auto, ack-mode: record }\n"),
            ("manual commit, automatic ack", "kafka:\n  consumer: { commit: manual, ack-mode: batch }\n"),
            ("sync commit, interval", "kafka:\n  consumer: { commit: sync, auto-commit-interval: 1s }\n"),
            ("ack-count without counting", "kafka:\n  consumer: { ack-count: 5 }\n"),
            ("ack-time without a time", "kafka:\n  consumer: { ack-mode: count, ack-time: 6s }\n"),
            (
                "heartbeats too rare",
                "kafka:\n  consumer: { session-timeout: 20s, heartbeat-interval: 20s }\n",
            ),
            ("session beyond the poll interval", "kafka:\n  consumer: { max-poll-interval: 30s }\n"),
            ("drain beyond the session", "kafka:\n  consumer: { drain-timeout: 45s }\n"),
            (
                "new protocol, old timeout",
                "kafka:\n  consumer: { group-protocol: consumer, session-timeout: 20s }\n",
            ),
            (
                "new protocol, assignment strategy",
                "kafka:\n  consumer: { group-protocol: consumer, partition-assignment-strategy: range }\n",
            ),
            (
                "cooperative and eager",
                "kafka:\n  consumer: { partition-assignment-strategy: [range, cooperative-sticky] }\n",
            ),
            ("idempotence without acks", "kafka:\n  producer: { acks: 1 }\n"),
            ("idempotence without retries", "kafka:\n  producer: { retries: 0 }\n"),
            (
                "transactions without idempotence",
                "kafka:\n  producer: { enable-idempotence: false, transactional-id: t }\n",
            ),
            (
                "transactions that read everything",
                "kafka:\n  consumer: { commit: transaction, isolation-level: read-uncommitted }\n",
            ),
            (
                "transactions by number of records",
                "kafka:\n  consumer: { commit: transaction, ack-mode: count }\n",
            ),
            ("delivery before linger", "kafka:\n  producer: { delivery-timeout: 1s, linger: 2s }\n"),
            ("a request larger than the buffer", "kafka:\n  producer: { max-request-size: 65MiB }\n"),
            ("backoff the wrong way round", "kafka:\n  error: { backoff: { initial: 20s } }\n"),
            ("restart backoff the wrong way round", "kafka:\n  supervision: { backoff: { max: 100ms } }\n"),
            ("a topic twice", "kafka:\n  topics:\n    - name: a\n    - name: a\n"),
            ("two triggers", "scheduling:\n  jobs:\n    x: { fixed-delay: 1s, cron: 0 * * * * * }\n"),
            ("a zone without cron", "scheduling:\n  jobs:\n    x: { fixed-delay: 1s, zone: UTC }\n"),
            ("cron with a delay", "scheduling:\n  jobs:\n    x: { cron: 0 * * * * *, initial-delay: 1s }\n"),
            ("embedded beside others", "kafka:\n  bootstrap-servers: embedded, a:9092\n"),
        ],
    );
}

#[test]
fn insecure_or_half_set_up_security() {
    let plaintext = "kafka:\n  bootstrap-servers: \"HOST:9092\"\n  security:\n    protocol: sasl-plaintext\n    sasl: { mechanism: plain, username: u, password: hunter2 }\n";
    let jaas = "kafka:\n  bootstrap-servers: a:1\n  properties:\n    security.protocol: SASL_SSL\n    sasl.mechanism: GSSAPI\n    sasl.jaas.config: com.sun.Krb5LoginModule required password=\"hunter2\";\n";
    for loopback in ["localhost", "127.0.0.1", "[::1]"] {
        Setup::with(&plaintext.replace("HOST", loopback)).load();
    }
    yaml_cases(
        "security",
        &[
            ("a password in the clear", &plaintext.replace("HOST", "broker")),
            (
                "a login without its protocol",
                "kafka:\n  security:\n    sasl: { username: u, password: hunter2 }\n",
            ),
            (
                "a protocol without its login",
                "kafka:\n  bootstrap-servers: a:1\n  security: { protocol: sasl-ssl }\n",
            ),
            (
                "a login without a password",
                "kafka:\n  bootstrap-servers: a:1\n  security: { protocol: sasl-ssl, sasl: { mechanism: plain, username: u } }\n",
            ),
            (
                "a token without its issuer",
                "kafka:\n  bootstrap-servers: a:1\n  security: { protocol: sasl-ssl, sasl: { mechanism: oauthbearer } }\n",
            ),
            ("certificates without TLS", "kafka:\n  security: { ssl: { ca-location: ca.pem } }\n"),
            (
                "no verification",
                "kafka:\n  bootstrap-servers: a:1\n  security: { protocol: ssl, ssl: { verify: false, endpoint-identification: none } }\n",
            ),
            (
                "a certificate without its key",
                "kafka:\n  bootstrap-servers: a:1\n  security: { protocol: ssl, ssl: { certificate-location: c.pem } }\n",
            ),
            (
                "two certificates",
                "kafka:\n  bootstrap-servers: a:1\n  security: { protocol: ssl, ssl: { keystore-location: k, certificate-location: c, key-location: k } }\n",
            ),
            ("TLS inside the process", "kafka:\n  security: { protocol: ssl }\n"),
            ("a JAAS line of another kind", jaas),
            ("a secret of the wrong form", "kafka:\n  security:\n    sasl:\n      password: [hunter2]\n"),
            ("a secret on a line that is not YAML", "kafka:\n  security: { sasl: { password: \"hunter2 }\n"),
        ],
    );
}

#[test]
fn raw_settings_that_are_not_for_users() {
    let names = [
        ("consumer", "enable.auto.commit", "true"),
        ("consumer", "enable.auto.offset.store", "true"),
        ("consumer", "group.id", "x"),
        ("consumer", "max.poll.records", "5"),
        ("consumer", "key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer"),
        ("producer", "value.serializer", "x"),
        ("producer", "interceptor.classes", "x"),
        ("producer", "max.block.ms", "5"),
        ("producer", "buffer.memory", "32MB"),
        ("producer", "sasl.password", "hunter2"),
        ("producer", "ssl.key.pem", "hunter2"),
        ("admin", "bootstrap.servers", "x:1"),
        ("admin", "plugin.library.paths", "evil.so"),
        ("consumer", "ssl.truststore.location", "t.jks"),
    ];
    let mut yaml = String::from("kafka:\n");
    for section in ["consumer", "producer", "admin"] {
        writeln!(yaml, "  {section}:\n    properties:").expect("a string takes everything");
        for (_, name, value) in names.iter().filter(|(of, ..)| *of == section) {
            writeln!(yaml, "      {name}: {value}").expect("a string takes everything");
        }
    }
    yaml_cases("raw_settings", &[("all at once", &yaml)]);
}

#[test]
fn all_faults_are_reported_at_once_and_in_order() {
    let setup = Setup::with("kafka:\n  client-id: [x]\n  consumer:\n    concurency: 2\n    commit: never\n")
        .file("config/application.yml", "logging: { format: xml }\n")
        .variable("KAFKA_PRODUCER_ACKS", "most");
    insta::assert_snapshot!("all_at_once", setup.errors());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The reference with one stretch replaced: whatever that makes of it, there is an answer, and it can be shown.
    #[test]
    fn no_damage_to_a_file_makes_the_loader_panic(
        start in 0..REFERENCE.len(),
        length in 0..40_usize,
        inserted in "([a-c0-9]|[-:?,\\[\\]{}#&*!|>'\"%@` \n\t~<.$]){0,12}",
    ) {
        let start = REFERENCE.floor_char_boundary(start);
        let end = REFERENCE.floor_char_boundary((start + length).min(REFERENCE.len())).max(start);
        let damaged = format!("{}{inserted}{}", &REFERENCE[..start], &REFERENCE[end..]);
        if let Err(errors) = Setup::with(&damaged).try_load() {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

/// Every slot that is typed as a secret, given in every way that is refused.
#[test]
fn no_error_shows_a_secret() {
    fn secrets(schema: SchemaNode, path: &str, found: &mut Vec<String>) {
        match schema.shape() {
            Shape::Section { keys, .. } => {
                for (key, schema) in keys {
                    secrets(SchemaNode::child(schema), &join(path, key), found);
                }
            }
            Shape::Map(values) => secrets(values, &join(path, "some"), found),
            Shape::Secret => found.push(path.to_owned()),
            _ => {}
        }
    }
    let mut slots = Vec::new();
    secrets(SchemaNode::root(), "", &mut slots);
    assert!(slots.len() > 15, "only {slots:?}");
    let bad = "--kafka.consumer.concurrency=0";
    for slot in slots {
        let setups = [
            Setup::with(&format!("{slot}: [CANARY]\n")),
            Setup::with(&format!("{slot}: {{ a: CANARY }}\n")),
            Setup::with(&format!("{slot}x: CANARY\n")).argument(bad),
            Setup::with(&format!("{slot}: CANARY\n")).argument(bad),
            Setup::with(&format!("{slot}: ${{none:${{CANARY\n")),
            Setup::new().argument(&format!("--{slot}=CANARY")).argument(bad),
            Setup::with(&format!("{slot}: ${{VALUE_TOKEN}}\n"))
                .variable("VALUE_TOKEN", "CANARY")
                .argument(bad),
        ];
        for setup in setups {
            let errors = setup.errors();
            let shown = errors.replace("${CANARY", "");
            assert!(!shown.contains("CANARY"), "{slot}: {errors}");
        }
    }
}

/// One wrong value for every key there is, taken from the schema.
#[test]
fn every_key_refuses_a_value_of_another_type() {
    fn walk(schema: SchemaNode, path: &str, cases: &mut Vec<(String, &'static str)>) {
        match schema.shape() {
            Shape::Section { keys, .. } => {
                for (key, schema) in keys {
                    walk(SchemaNode::child(schema), &join(path, key), cases);
                }
            }
            Shape::Map(values) => {
                cases.push((path.to_owned(), "[a list]"));
                walk(values, &join(path, "some"), cases);
            }
            Shape::List { .. } | Shape::Text { .. } | Shape::Secret => {
                cases.push((path.to_owned(), "{ a: section }"));
            }
            _ => cases.push((path.to_owned(), "\"neither number nor word\"")),
        }
    }
    let mut cases = Vec::new();
    walk(SchemaNode::root(), "", &mut cases);
    assert!(cases.len() > 150, "only {} keys", cases.len());
    for (path, value) in cases {
        let setup = Setup::with(&format!("{path}: {value}\n"));
        let errors = setup.errors();
        assert!(errors.contains(&format!("= key: {path}")), "{path}: {errors}");
        assert!(errors.contains("--> application.yml:1:"), "{path}: {errors}");
    }
}
