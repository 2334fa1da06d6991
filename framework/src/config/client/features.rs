//! Checks that need to know what this program was built with: cargo features, and librdkafka's own list of
//! settings.

use super::translate::{ClientKind, translate};
use crate::config::error::{ConfigError, ConfigErrorKind, ConfigErrors};
use crate::config::model::{ClusterProperties, Compression, SaslMechanism};
use crate::config::settings::Settings;
use crate::config::tree::{Node, Place, join};

/// A value that needs a cargo feature of `kafka-boot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredFeature {
    /// The dotted key of the value.
    pub key: String,
    /// The feature's name: `tls`, `kerberos`, `oidc` or `zstd`.
    pub feature: &'static str,
    place: Place,
}

impl Settings {
    /// The cargo features that the configuration needs, each with the key that asks for it.
    ///
    /// ```
    /// use kafka_boot::config::{LoadOptions, Settings};
    ///
    /// let arguments = vec!["--kafka.producer.compression-type=zstd".into()];
    /// let settings = Settings::load(LoadOptions { arguments, ..LoadOptions::default() })?;
    /// assert_eq!(settings.required_features()[0].feature, "zstd");
    /// # Ok::<(), kafka_boot::config::ConfigErrors>(())
    /// ```
    pub fn required_features(&self) -> Vec<RequiredFeature> {
        let mut required = Vec::new();
        for (path, cluster) in self.clusters() {
            let mut need = |key: &str, feature: &'static str| {
                let key = join(&path, key);
                let place =
                    self.inner.tree.at_dotted(&key).map(|node| node.place.clone()).unwrap_or_default();
                required.push(RequiredFeature { key, feature, place });
            };
            if cluster.security.protocol.uses_tls() {
                need("security.protocol", "tls");
            }
            match cluster.security.sasl.mechanism {
                Some(SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512) => {
                    need("security.sasl.mechanism", "tls");
                }
                Some(SaslMechanism::Gssapi) => need("security.sasl.mechanism", "kerberos"),
                Some(SaslMechanism::OauthBearer) => need("security.sasl.mechanism", "oidc"),
                Some(SaslMechanism::Plain) | None => {}
            }
            if cluster.producer.compression_type == Compression::Zstd {
                need("producer.compression-type", "zstd");
            }
        }
        required
    }

    /// Checks that the program was built with the features that the configuration needs.
    pub fn check_features(&self, is_built: &dyn Fn(&str) -> bool) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for required in self.required_features() {
            if !is_built(required.feature) {
                let message = format!("this program was built without the feature `{}`", required.feature);
                let error = ConfigError::new(ConfigErrorKind::Unsupported, required.place, message);
                let help =
                    format!("kafka-boot = {{ …, features = [\"{}\"] }} in Cargo.toml", required.feature);
                errors.push(error.key(&required.key).help(help));
            }
        }
        errors.into_result(())
    }

    /// Checks that librdkafka knows every raw setting, by what it calls it.
    pub fn check_raw_settings(&self, is_known: &dyn Fn(&str) -> bool) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut check = |section: Option<&Node>, path: &str, client: ClientKind| {
            for (name, node) in section.and_then(Node::as_map).into_iter().flatten() {
                let value = node.as_scalar().unwrap_or_default();
                let Ok((translated, _)) = translate(client, name, value) else { continue };
                if !is_known(&translated) {
                    let message = "librdkafka has no setting of that name";
                    let error = ConfigError::new(ConfigErrorKind::Unsupported, node.place.clone(), message);
                    let help =
                        "its settings are listed in its CONFIGURATION.md; Kafka's Java names work as well";
                    errors.push(error.key(&join(path, name)).help(help).on_key());
                }
            }
        };
        let sections = [
            ("properties", ClientKind::Any),
            ("consumer.properties", ClientKind::Consumer),
            ("producer.properties", ClientKind::Producer),
            ("admin.properties", ClientKind::Admin),
        ];
        for (path, _) in self.clusters() {
            for (section, client) in sections {
                let path = join(&path, section);
                check(self.inner.tree.at_dotted(&path), &path, client);
            }
        }
        for id in self.kafka().listeners.keys() {
            let path = format!("kafka.listeners.{id}.properties");
            check(self.inner.tree.at(&["kafka", "listeners", id, "properties"]), &path, ClientKind::Consumer);
        }
        errors.into_result(())
    }

    /// Every cluster, with the dotted path of its section.
    fn clusters(&self) -> Vec<(String, ClusterProperties)> {
        let default = self.kafka().cluster(None).map(|cluster| ("kafka".to_owned(), cluster));
        let named = self.kafka().clusters.iter();
        let named = named.map(|(name, cluster)| (format!("kafka.clusters.{name}"), cluster.clone()));
        default.into_iter().chain(named).collect()
    }
}
