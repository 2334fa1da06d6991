//! Takes raw settings about encryption and login over into the typed section, so that one set of rules holds
//! for both.
//!
//! Services that come from Java have them as `security.protocol`, `sasl.mechanism` and `sasl.jaas.config`.

use crate::config::error::{ConfigError, ConfigErrorKind, ConfigErrors};
use crate::config::tree::{Kind, Node, Provenance, join};

/// The raw settings that are taken over, and the keys below `security` they become.
pub(crate) const ADOPTED: &[(&str, &[&str])] = &[
    ("security.protocol", &["protocol"]),
    ("enable.ssl.certificate.verification", &["ssl", "verify"]),
    ("ssl.endpoint.identification.algorithm", &["ssl", "endpoint-identification"]),
    ("ssl.ca.location", &["ssl", "ca-location"]),
    ("ssl.certificate.location", &["ssl", "certificate-location"]),
    ("ssl.key.location", &["ssl", "key-location"]),
    ("ssl.key.password", &["ssl", "key-password"]),
    ("ssl.keystore.location", &["ssl", "keystore-location"]),
    ("ssl.keystore.password", &["ssl", "keystore-password"]),
    ("sasl.mechanism", &["sasl", "mechanism"]),
    ("sasl.mechanisms", &["sasl", "mechanism"]),
    ("sasl.username", &["sasl", "username"]),
    ("sasl.password", &["sasl", "password"]),
    ("sasl.kerberos.service.name", &["sasl", "kerberos", "service-name"]),
    ("sasl.kerberos.principal", &["sasl", "kerberos", "principal"]),
    ("sasl.kerberos.keytab", &["sasl", "kerberos", "keytab"]),
    ("sasl.oauthbearer.method", &["sasl", "oauthbearer", "method"]),
    ("sasl.oauthbearer.token.endpoint.url", &["sasl", "oauthbearer", "token-endpoint-url"]),
    ("sasl.oauthbearer.client.id", &["sasl", "oauthbearer", "client-id"]),
    ("sasl.oauthbearer.client.secret", &["sasl", "oauthbearer", "client-secret"]),
    ("sasl.oauthbearer.scope", &["sasl", "oauthbearer", "scope"]),
    ("sasl.jaas.config", &["sasl", "username"]),
];

/// Moves the settings of every cluster's `properties` into its `security`.
pub(crate) fn adopt_raw_settings(tree: &mut Node, errors: &mut ConfigErrors) {
    let Kind::Map(root) = &mut tree.kind else { return };
    let Some(kafka) = root.get_mut("kafka").filter(|node| node.as_map().is_some()) else { return };
    adopt(kafka, "kafka", errors);
    let Some(Kind::Map(clusters)) = kafka.make_map().get_mut("clusters").map(|node| &mut node.kind) else {
        return;
    };
    for (name, cluster) in clusters.iter_mut().filter(|(_, cluster)| cluster.as_map().is_some()) {
        adopt(cluster, &format!("kafka.clusters.{name}"), errors);
    }
}

fn adopt(cluster: &mut Node, path: &str, errors: &mut ConfigErrors) {
    let Some(Kind::Map(raw)) = cluster.make_map().get_mut("properties").map(|node| &mut node.kind) else {
        return;
    };
    let taken: Vec<(&str, &[&str], Node)> =
        ADOPTED.iter().filter_map(|(name, steps)| Some((*name, *steps, raw.remove(*name)?))).collect();
    for (name, steps, node) in taken {
        let raw_path = join(&join(path, "properties"), name);
        if name != "sasl.jaas.config" {
            put(cluster, path, &raw_path, steps, value(name, node), errors);
            continue;
        }
        let Some((username, password)) = node.as_scalar().and_then(jaas_login) else {
            let message =
                "expected a `PlainLoginModule` or `ScramLoginModule` with `username` and `password`";
            let error = ConfigError::at(ConfigErrorKind::Unsupported, &node, &raw_path, message).hide_value();
            errors.push(error.help("use `kafka.security.sasl`, which also has `kerberos` and `oauthbearer`"));
            continue;
        };
        let part = |text: String| Node {
            kind: Kind::Scalar(text),
            provenance: Provenance::Sensitive,
            ..node.clone()
        };
        put(cluster, path, &raw_path, &["sasl", "username"], part(username), errors);
        put(cluster, path, &raw_path, &["sasl", "password"], part(password), errors);
    }
}

/// The typed form of a raw value: Java turns the check of the broker's name off with an empty text.
fn value(name: &str, node: Node) -> Node {
    let turned_off = name == "ssl.endpoint.identification.algorithm"
        && (node.kind == Kind::Empty || node.as_scalar() == Some(""));
    if turned_off { Node { kind: Kind::Scalar("none".into()), ..node } } else { node }
}

fn put(
    cluster: &mut Node,
    path: &str,
    raw_path: &str,
    steps: &[&str],
    node: Node,
    errors: &mut ConfigErrors,
) {
    let typed_path = format!("{path}.security.{}", steps.join("."));
    let full: Vec<&str> = std::iter::once("security").chain(steps.iter().copied()).collect();
    if cluster.at(&full).is_some() {
        let message = format!("`{typed_path}` says the same");
        let error = ConfigError::at(ConfigErrorKind::Conflict, &node, raw_path, message).hide_value();
        errors.push(error.help("keep one of them"));
        return;
    }
    let place = node.place.clone();
    let mut section = cluster;
    for step in &full[..full.len() - 1] {
        let entries = section.make_map();
        section = entries.entry((*step).to_owned()).or_insert_with(|| Node::new(Kind::Empty, place.clone()));
    }
    section.make_map().insert(full[full.len() - 1].to_owned(), node);
}

/// The user and password of a JAAS line: `….PlainLoginModule required username="u" password="p";`.
fn jaas_login(line: &str) -> Option<(String, String)> {
    let (module, options) = line.trim().split_once(char::is_whitespace)?;
    let module = module.rsplit('.').next()?;
    if !matches!(module, "PlainLoginModule" | "ScramLoginModule") {
        return None;
    }
    Some((jaas_option(options, "username")?, jaas_option(options, "password")?))
}

/// The quoted value of one option.
fn jaas_option(options: &str, name: &str) -> Option<String> {
    let start = options.find(&format!("{name}="))? + name.len() + 1;
    let mut characters = options[start..].chars();
    let quote = characters.next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut value = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?),
            character if character == quote => return Some(value),
            character => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jaas_line_gives_user_and_password() {
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\\\"q\";";
        assert_eq!(jaas_login(plain), Some(("u".into(), "p\"q".into())));
        let scram = "  org.apache.kafka.common.security.scram.ScramLoginModule required\n username='u'\n password='p';";
        assert_eq!(jaas_login(scram), Some(("u".into(), "p".into())));
        for line in [
            "",
            "x",
            "com.sun.security.auth.module.Krb5LoginModule required;",
            "PlainLoginModule required username=\"u",
        ] {
            assert_eq!(jaas_login(line), None, "{line}");
        }
    }
}
