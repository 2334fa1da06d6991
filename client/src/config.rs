//! Settings by librdkafka's names, checked by librdkafka itself, whose secrets never show.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_char};
use std::fmt;
use std::ptr;

use rdkafka_sys as rdsys;
use rdsys::rd_kafka_conf_res_t::{RD_KAFKA_CONF_INVALID, RD_KAFKA_CONF_OK, RD_KAFKA_CONF_UNKNOWN};

use crate::error::{ClientError, ErrorKind};

/// Room for the messages librdkafka writes; longer ones are cut.
const MESSAGE_BYTES: usize = 1_024;

/// The settings of one client, by librdkafka's names.
///
/// `Debug` shows every secret value as `***`; no error message repeats one.
///
/// ```
/// use kafka_boot_client::ClientConfig;
///
/// let mut config = ClientConfig::new();
/// config.set("bootstrap.servers", "localhost:9092").set("sasl.password", "hunter2");
/// assert!(!format!("{config:?}").contains("hunter2"));
/// assert_eq!(config.get("bootstrap.servers"), Some("localhost:9092"));
/// config.validate().expect("both settings are known");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientConfig {
    settings: BTreeMap<String, String>,
}

impl ClientConfig {
    /// No settings: librdkafka's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`, replacing what was there. Nothing is checked before [`Self::validate`] or the
    /// construction of a client.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.settings.insert(key.into(), value.into());
        self
    }

    /// Removes `key` and returns what it was.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.settings.remove(key)
    }

    /// The value set for `key`; `None` when librdkafka's default holds.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// Every setting, ordered by name, secrets included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value in force for `key`: what was set, under this name or another of librdkafka's for the same thing, or the
    /// default. `None` for an unknown setting, for one without a value, and when any setting is invalid.
    ///
    /// ```
    /// use kafka_boot_client::ClientConfig;
    ///
    /// assert_eq!(ClientConfig::new().effective("max.poll.interval.ms").as_deref(), Some("300000"));
    /// ```
    pub fn effective(&self, key: &str) -> Option<String> {
        NativeConfig::create(self).ok()?.get(key)
    }

    /// Has librdkafka check every setting by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] or [`ErrorKind::FeatureMissing`], with the setting's name and librdkafka's words.
    /// Contradictions between settings show only when a client is made.
    pub fn validate(&self) -> Result<(), ClientError> {
        NativeConfig::create(self).map(drop)
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(key, value)| (key, if is_secret(key) { "***" } else { value })))
            .finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ClientConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(settings: I) -> Self {
        Self { settings: settings.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

/// Whether the value of `key` must never be shown.
///
/// ```
/// assert!(kafka_boot_client::is_secret("ssl.key.pem"));
/// assert!(!kafka_boot_client::is_secret("ssl.ca.location"));
/// ```
pub fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 11] = [
        "password",
        "passphrase",
        "secret",
        "private.key",
        "private_key",
        "key.pem",
        "ssl_key",
        "ssl.keystore.key",
        "oauthbearer.config",
        "jaas.config",
        "credential.provider",
    ];
    const KEYS: [&str; 3] = ["ssl.key.location", "ssl.ca.pem", "sasl.username"];
    let key = key.to_ascii_lowercase();
    KEYS.contains(&key.as_str()) || WORDS.iter().any(|word| key.contains(word))
}

/// Whether librdkafka has a setting of this name, for the client or for a topic.
///
/// ```
/// assert!(kafka_boot_client::is_known_property("message.timeout.ms"));
/// assert!(!kafka_boot_client::is_known_property("max.poll.records"));
/// ```
pub fn is_known_property(name: &str) -> bool {
    // Callbacks are settings to librdkafka, but nothing that text could set. A known setting may well refuse to be
    // empty; only an unknown one is "no setting".
    !name.ends_with("_cb")
        && !name.ends_with("opaque")
        && CString::new(name).is_ok_and(|name| {
            let (config, mut message) = (NativeConfig::empty(), MessageBuffer::new());
            // SAFETY: configuration, strings and buffer are live.
            let result = unsafe {
                rdsys::rd_kafka_conf_set(
                    config.0,
                    name.as_ptr(),
                    c"".as_ptr(),
                    message.as_mut_ptr(),
                    message.len(),
                )
            };
            result != RD_KAFKA_CONF_UNKNOWN
        })
}

/// What the linked librdkafka was built with: `gzip`, `ssl`, `sasl_scram`, `sasl_gssapi`, `oidc` and so on.
///
/// ```
/// assert!(kafka_boot_client::builtin_features().contains("zstd"));
/// ```
pub fn builtin_features() -> BTreeSet<String> {
    let features = NativeConfig::empty().get("builtin.features").unwrap_or_default();
    features
        .split(',')
        .map(|feature| feature.trim().to_owned())
        .filter(|feature| !feature.is_empty())
        .collect()
}

/// The version of the linked librdkafka, such as `2.12.1`.
pub fn librdkafka_version() -> String {
    // SAFETY: the function has no preconditions and returns a static string.
    unsafe { crate::error::lossy(rdsys::rd_kafka_version_str()) }
}

/// An owned native configuration.
pub(crate) struct NativeConfig(*mut rdsys::rd_kafka_conf_t);

impl NativeConfig {
    pub(crate) fn empty() -> Self {
        // SAFETY: no preconditions; librdkafka aborts rather than return null.
        Self(unsafe { rdsys::rd_kafka_conf_new() })
    }

    pub(crate) fn create(config: &ClientConfig) -> Result<Self, ClientError> {
        let native = Self::empty();
        // The names of librdkafka's threads in front of every log line help nobody who does not ask for them.
        native.set("log.thread.name", "false")?;
        for (key, value) in config.iter() {
            native.set(key, value)?;
        }
        Ok(native)
    }

    pub(crate) fn as_ptr(&self) -> *mut rdsys::rd_kafka_conf_t {
        self.0
    }

    fn set(&self, key: &str, value: &str) -> Result<(), ClientError> {
        let (Ok(native_key), Ok(native_value)) = (CString::new(key), CString::new(value)) else {
            return Err(configuration(key, format!("`{key}` must not contain a NUL byte")));
        };
        let mut message = MessageBuffer::new();
        // SAFETY: the configuration is live; both strings and the buffer outlive the call.
        let result = unsafe {
            rdsys::rd_kafka_conf_set(
                self.0,
                native_key.as_ptr(),
                native_value.as_ptr(),
                message.as_mut_ptr(),
                message.len(),
            )
        };
        match result {
            RD_KAFKA_CONF_OK => Ok(()),
            RD_KAFKA_CONF_UNKNOWN => Err(configuration(key, format!("`{key}` is no setting of librdkafka"))),
            RD_KAFKA_CONF_INVALID => Err(refused(key, &message.text())),
        }
    }

    /// The value of a client or topic setting, if it has one.
    fn get(&self, key: &str) -> Option<String> {
        let key = CString::new(key).ok()?;
        let of_client = read_setting(|value, size| {
            // SAFETY: the configuration and the name are live; `value` has room for `size` bytes or is null.
            unsafe { rdsys::rd_kafka_conf_get(self.0, key.as_ptr(), value, size) }
        });
        of_client.or_else(|| {
            // SAFETY: made, read and destroyed here; `value` has room for `size` bytes or is null.
            unsafe {
                let topic = rdsys::rd_kafka_topic_conf_new();
                let found = read_setting(|value, size| {
                    rdsys::rd_kafka_topic_conf_get(topic, key.as_ptr(), value, size)
                });
                rdsys::rd_kafka_topic_conf_destroy(topic);
                found
            }
        })
    }

    /// Makes a client of the configuration, which is consumed whether that works or not.
    pub(crate) fn into_client(
        self,
        client_type: rdsys::rd_kafka_type_t,
        config: &ClientConfig,
    ) -> Result<ptr::NonNull<rdsys::rd_kafka_t>, ClientError> {
        let mut message = MessageBuffer::new();
        // SAFETY: the configuration is live; on success the client owns it, so it is forgotten below.
        let client = unsafe { rdsys::rd_kafka_new(client_type, self.0, message.as_mut_ptr(), message.len()) };
        match ptr::NonNull::new(client) {
            Some(client) => {
                // Not `mem::forget`: the wrapper is plain data once its pointer is cleared.
                let mut consumed = self;
                consumed.0 = ptr::null_mut();
                Ok(client)
            }
            None => Err(refused_together(config, &message.text())),
        }
    }
}

/// Asks for a value's size, then for the value.
fn read_setting(ask: impl Fn(*mut c_char, *mut usize) -> rdsys::rd_kafka_conf_res_t) -> Option<String> {
    let mut size = 0;
    if ask(ptr::null_mut(), &raw mut size) != RD_KAFKA_CONF_OK {
        return None;
    }
    let mut value = vec![0_u8; size.max(1)];
    if ask(value.as_mut_ptr().cast(), &raw mut size) != RD_KAFKA_CONF_OK {
        return None;
    }
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    Some(String::from_utf8_lossy(&value[..end]).into_owned())
}

impl Drop for NativeConfig {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: live and owned: a client that took it over has cleared the pointer.
            unsafe { rdsys::rd_kafka_conf_destroy(self.0) };
        }
    }
}

/// A buffer for librdkafka to write a message to.
pub(crate) struct MessageBuffer([u8; MESSAGE_BYTES]);

impl MessageBuffer {
    pub(crate) fn new() -> Self {
        Self([0; MESSAGE_BYTES])
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr().cast()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn text(&self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

pub(crate) fn configuration(key: &str, message: impl Into<String>) -> ClientError {
    ClientError::of_kind(ErrorKind::Configuration { key: key.to_owned() }, message)
}

/// librdkafka refused one setting.
fn refused(key: &str, reason: &str) -> ClientError {
    if let Some(error) = feature_missing(key, reason) {
        return error;
    }
    // librdkafka quotes the value, which for a secret must not reach a log.
    let reason = if is_secret(key) { "the value is invalid" } else { reason };
    configuration(key, format!("`{key}`: {reason}"))
}

/// librdkafka refused the settings as a whole.
fn refused_together(config: &ClientConfig, reason: &str) -> ClientError {
    let named = config
        .iter()
        .map(|(key, _)| key)
        .filter(|key| reason.contains(&format!("`{key}`")))
        .max_by_key(|key| key.len())
        .unwrap_or_default();
    if reason.contains("No provider for SASL mechanism") {
        let key = ["sasl.mechanism", "sasl.mechanisms"].into_iter().find(|key| config.get(key).is_some());
        let key = key.unwrap_or("sasl.mechanisms");
        if let Some(error) = feature_missing(key, reason) {
            return error;
        }
    }
    let shown = config
        .iter()
        .filter(|(key, value)| is_secret(key) && value.len() > 3)
        .fold(reason.to_owned(), |reason, (_, secret)| reason.replace(secret, "***"));
    configuration(named, format!("create client: {shown}"))
}

fn feature_missing(key: &str, reason: &str) -> Option<ClientError> {
    let feature = if reason.contains("SASL mechanism GSSAPI") || reason.contains("libsasl2 not available") {
        "kerberos"
    } else if reason.contains("libcurl") {
        "oidc"
    } else if reason.contains("OpenSSL") || reason.contains("No provider for SASL mechanism") {
        "tls"
    } else {
        return None;
    };
    let kind = ErrorKind::FeatureMissing { key: key.to_owned(), feature };
    Some(ClientError::of_kind(
        kind,
        format!("`{key}` needs the cargo feature `{feature}`, which this program was built without"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET_KEYS: [&str; 14] = [
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl_key",
        "ssl.ca.pem",
        "ssl.keystore.password",
        "ssl.truststore.password",
        "sasl.username",
        "sasl.password",
        "sasl.jaas.config",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
    ];

    #[test]
    fn no_secret_shows_in_debug_or_in_an_error() {
        for key in SECRET_KEYS {
            let mut config = ClientConfig::new();
            config.set(key, "canary-7f3a");
            assert!(!format!("{config:?}").contains("canary"), "{key} shows in Debug");
            assert!(format!("{config:?}").contains(key));
            if let Err(error) = config.validate() {
                assert!(!format!("{error} {error:?}").contains("canary"), "{key} shows in {error:?}");
            }
        }
    }

    #[test]
    fn a_bad_setting_is_named_together_with_librdkafkas_reason() {
        let table = [
            ("max.poll.records", "500", "`max.poll.records` is no setting of librdkafka"),
            ("session.timeout.ms", "soon", "session.timeout.ms"),
            ("auto.offset.reset", "earlest", "earlest"),
        ];
        for (key, value, message) in table {
            let error =
                ClientConfig::from_iter([(key, value)]).validate().expect_err("the setting is refused");
            assert_eq!(error.kind(), &ErrorKind::Configuration { key: key.to_owned() });
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn a_setting_that_needs_another_build_names_the_feature() {
        if builtin_features().contains("ssl") {
            return;
        }
        let table = [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("ssl.key.password", "x"),
        ];
        for (key, value) in table {
            let error =
                ClientConfig::from_iter([(key, value)]).validate().expect_err("the setting is refused");
            assert_eq!(
                error.kind(),
                &ErrorKind::FeatureMissing { key: key.to_owned(), feature: "tls" },
                "{error}"
            );
        }
    }

    #[test]
    fn known_properties_are_those_text_can_set() {
        for known in ["bootstrap.servers", "message.timeout.ms", "partitioner", "fetch.min.bytes"] {
            assert!(is_known_property(known), "{known}");
        }
        for unknown in ["rebalance_cb", "opaque", "value.deserializer", "max.poll.records", ""] {
            assert!(!is_known_property(unknown), "{unknown}");
        }
    }

    #[test]
    fn the_effective_value_falls_back_to_the_default() {
        let config = ClientConfig::from_iter([("linger.ms", "20")]);
        assert_eq!(config.effective("linger.ms").as_deref(), Some("20"));
        assert_eq!(config.effective("message.timeout.ms").as_deref(), Some("300000"));
        let aliased = ClientConfig::from_iter([("delivery.timeout.ms", "1234")]);
        assert_eq!(aliased.effective("message.timeout.ms").as_deref(), Some("1234"));
        assert_eq!(config.effective("no.such"), None);
    }
}
