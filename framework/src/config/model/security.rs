//! `kafka.security`: encryption and authentication.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// `kafka.security`: encryption and authentication of every client of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SecurityProperties {
    /// How brokers are spoken to. Default `plaintext`.
    pub protocol: SecurityProtocol,
    /// Permits what protects nothing: a password sent unencrypted to another machine, a certificate that is
    /// not verified. Each start then warns. Default `false`.
    pub allow_insecure: bool,
    /// Certificates and keys.
    pub ssl: SslProperties,
    /// The login.
    pub sasl: SaslProperties,
}

/// How brokers are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SecurityProtocol {
    /// Unencrypted, without a login.
    #[default]
    Plaintext,
    /// TLS, without a login.
    Ssl,
    /// Unencrypted, with a login.
    SaslPlaintext,
    /// TLS, with a login.
    SaslSsl,
}

impl SecurityProtocol {
    /// The name librdkafka knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether the connection is encrypted.
    pub const fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether there is a login.
    pub const fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// `kafka.security.ssl`: certificates and keys. All files are PEM but the key store, which is PKCS#12.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SslProperties {
    /// The file or folder of the authorities that are trusted. Default: those of the system.
    #[schemars(length(min = 1))]
    pub ca_location: Option<String>,
    /// The file of the client's certificate. Default: none.
    #[schemars(length(min = 1))]
    pub certificate_location: Option<String>,
    /// The file of the client's private key. Default: none.
    #[schemars(length(min = 1))]
    pub key_location: Option<String>,
    /// The password of the private key. Default: none.
    pub key_password: Option<Secret>,
    /// The PKCS#12 file with both certificate and key. Default: none.
    #[schemars(length(min = 1))]
    pub keystore_location: Option<String>,
    /// The password of the key store. Default: none.
    pub keystore_password: Option<Secret>,
    /// Whether the broker's name must be that of its certificate; `none` needs `allow-insecure`. Default
    /// `https`.
    pub endpoint_identification: EndpointIdentification,
    /// Whether the broker's certificate is verified; `false` needs `allow-insecure`. Default `true`.
    pub verify: bool,
}

impl Default for SslProperties {
    fn default() -> Self {
        Self {
            ca_location: None,
            certificate_location: None,
            key_location: None,
            key_password: None,
            keystore_location: None,
            keystore_password: None,
            endpoint_identification: EndpointIdentification::Https,
            verify: true,
        }
    }
}

/// Whether the broker's name must be that of its certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum EndpointIdentification {
    /// It must, by the rules of HTTPS.
    #[default]
    Https,
    /// It need not.
    None,
}

/// `kafka.security.sasl`: the login.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SaslProperties {
    /// The kind of login. Default: none; a `sasl-…` protocol needs one.
    pub mechanism: Option<SaslMechanism>,
    /// The user of `plain` and `scram-…`. Default: none.
    #[schemars(length(min = 1))]
    pub username: Option<String>,
    /// The password of `plain` and `scram-…`. Default: none.
    pub password: Option<Secret>,
    /// The details of `gssapi`.
    pub kerberos: KerberosProperties,
    /// The details of `oauthbearer`.
    pub oauthbearer: OauthBearerProperties,
}

/// The kind of login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SaslMechanism {
    /// User and password as they are.
    #[serde(rename = "plain")]
    Plain,
    /// A challenge, with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// A challenge, with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// Kerberos.
    #[serde(rename = "gssapi")]
    Gssapi,
    /// A token of an identity provider.
    #[serde(rename = "oauthbearer")]
    OauthBearer,
}

impl SaslMechanism {
    /// The name librdkafka knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::Gssapi => "GSSAPI",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// `kafka.security.sasl.kerberos`: the details of `gssapi`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KerberosProperties {
    /// The service part of the brokers' principal. Default `kafka`.
    #[schemars(length(min = 1))]
    pub service_name: String,
    /// The client's principal. Default: that of the environment.
    #[schemars(length(min = 1))]
    pub principal: Option<String>,
    /// The file of the client's keys. Default: that of the environment.
    #[schemars(length(min = 1))]
    pub keytab: Option<String>,
}

impl Default for KerberosProperties {
    fn default() -> Self {
        Self { service_name: "kafka".into(), principal: None, keytab: None }
    }
}

/// `kafka.security.sasl.oauthbearer`: the details of `oauthbearer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OauthBearerProperties {
    /// Where tokens come from. Default `oidc`.
    pub method: OauthBearerMethod,
    /// The address that issues tokens. Default: none; `oidc` needs one.
    #[schemars(length(min = 1))]
    pub token_endpoint_url: Option<String>,
    /// The client's id. Default: none; `oidc` needs one.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,
    /// The client's secret. Default: none; `oidc` needs one.
    pub client_secret: Option<Secret>,
    /// The scope that is asked for. Default: none.
    #[schemars(length(min = 1))]
    pub scope: Option<String>,
}

/// Where tokens come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum OauthBearerMethod {
    /// From an identity provider, with the client's credentials.
    #[default]
    Oidc,
}
