//! Rules about `kafka.security`: nothing is sent in the clear by accident, and nothing is half set up.

use std::net::IpAddr;

use super::Section;
use crate::config::error::ConfigErrors;
use crate::config::model::{
    BootstrapServers, ClusterProperties, EndpointIdentification, SaslMechanism, SaslProperties,
    SecurityProtocol, SslProperties,
};

pub(super) fn security(cluster: &Section<'_>, properties: &ClusterProperties, errors: &mut ConfigErrors) {
    let section = cluster.child("security");
    let security = &properties.security;
    let protocol = security.protocol;
    if properties.bootstrap_servers.is_embedded() {
        if protocol != SecurityProtocol::Plaintext {
            let message = "the broker inside the process has no encryption and no login";
            let help = "set `bootstrap-servers` to the brokers that these settings are for";
            errors.push(section.conflict(&["protocol"], message, help));
        }
        if properties.bootstrap_servers.addresses().len() > 1 {
            let message =
                "`embedded` stands alone: the broker inside the process, or the addresses of others";
            errors.push(cluster.conflict(&["bootstrap-servers"], message, "keep one of the two"));
        }
    } else {
        addresses(cluster, &properties.bootstrap_servers, errors);
    }
    ssl(&section, &security.ssl, protocol, security.allow_insecure, errors);
    sasl(&section, &security.sasl, protocol, errors);

    let leaves_machine = properties.bootstrap_servers.addresses().iter().any(|address| !is_loopback(address));
    let in_the_clear =
        protocol == SecurityProtocol::SaslPlaintext && !properties.bootstrap_servers.is_embedded();
    if in_the_clear && leaves_machine && !security.allow_insecure {
        let message = "`sasl-plaintext` would send the password unencrypted to another machine";
        let help = "use `sasl-ssl`, or set `kafka.security.allow-insecure: true` if the network is trusted";
        errors.push(section.conflict(&["protocol"], message, help));
    }
}

fn addresses(cluster: &Section<'_>, servers: &BootstrapServers, errors: &mut ConfigErrors) {
    for address in servers.addresses() {
        let port = address.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
        if matches!(port, Some((true, Ok(1..)))) && !address.contains(['/', '@']) {
            continue;
        }
        let message = "expected addresses `host:port` with commas between them, or `embedded`";
        let help = "Kafka's usual port is 9092; an address has no scheme and no path";
        errors.push(cluster.conflict(&["bootstrap-servers"], message, help));
        return;
    }
}

/// Whether an address `host:port` is this machine's own.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn ssl(
    security: &Section<'_>,
    ssl: &SslProperties,
    protocol: SecurityProtocol,
    allow_insecure: bool,
    errors: &mut ConfigErrors,
) {
    let section = security.child("ssl");
    if !protocol.uses_tls()
        && *ssl != SslProperties::default()
        && let Some((key, _)) = section.entries().next()
    {
        let message = "is of no use without TLS";
        errors.push(section.conflict(
            &[key],
            message,
            "set `kafka.security.protocol` to `ssl` or `sasl-ssl`",
        ));
    }
    let weakened = [
        ("verify", !ssl.verify, "`verify: false` lets anybody pose as the broker"),
        (
            "endpoint-identification",
            ssl.endpoint_identification == EndpointIdentification::None,
            "`endpoint-identification: none` lets the holder of any valid certificate pose as the broker",
        ),
    ];
    for (key, _, message) in weakened.into_iter().filter(|(_, weak, _)| *weak && !allow_insecure) {
        let help = "remove it, or set `kafka.security.allow-insecure: true` to take the risk";
        errors.push(section.conflict(&[key], message, help));
    }
    if ssl.certificate_location.is_some() != ssl.key_location.is_some() {
        let message = "`certificate-location` and `key-location` go together";
        let help = "give both, or a `keystore-location` that holds both";
        errors.push(section.conflict(&["certificate-location", "key-location"], message, help));
    }
    if ssl.keystore_location.is_some() && ssl.certificate_location.is_some() {
        let message = "the certificate is given twice: by `keystore-location` and by `certificate-location`";
        errors.push(section.conflict(&["keystore-location"], message, "keep one of them"));
    }
}

fn sasl(
    security: &Section<'_>,
    sasl: &SaslProperties,
    protocol: SecurityProtocol,
    errors: &mut ConfigErrors,
) {
    let section = security.child("sasl");
    if !protocol.uses_sasl() {
        if *sasl != SaslProperties::default()
            && let Some((key, _)) = section.entries().next()
        {
            let message = format!("`protocol: {}` has no login", protocol.as_str());
            let help = "set `kafka.security.protocol` to `sasl-ssl`, or remove `sasl`";
            errors.push(section.conflict(&[key], message, help));
        }
        return;
    }
    let Some(mechanism) = sasl.mechanism else {
        let message = format!("`protocol: {}` needs a login", protocol.as_str().replace('_', "-"));
        let help = "set `kafka.security.sasl.mechanism`, for example to `scram-sha-512`";
        errors.push(security.conflict(&["protocol"], message, help));
        return;
    };
    let needed = match mechanism {
        SaslMechanism::Plain | SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
            vec![("username", sasl.username.is_some()), ("password", sasl.password.is_some())]
        }
        SaslMechanism::Gssapi => Vec::new(),
        SaslMechanism::OauthBearer => {
            let oauth = &sasl.oauthbearer;
            vec![
                ("oauthbearer.token-endpoint-url", oauth.token_endpoint_url.is_some()),
                ("oauthbearer.client-id", oauth.client_id.is_some()),
                ("oauthbearer.client-secret", oauth.client_secret.is_some()),
            ]
        }
    };
    for (key, _) in needed.into_iter().filter(|(_, given)| !given) {
        let message = format!("`mechanism: {}` needs `{key}`", mechanism.as_str().to_ascii_lowercase());
        let help = format!("set `{}.{key}`", section.path);
        errors.push(section.conflict(&["mechanism"], message, &help));
    }
}
