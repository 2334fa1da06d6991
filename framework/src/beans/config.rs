//! `Config<T>`: a part of the configuration, bound to the user's own type.

use std::any::type_name;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::registry::Beans;
use crate::error::{StartError, StartErrorKind};

/// A type that is bound to the configuration below a prefix.
///
/// ```
/// use kafka_boot::ConfigProperties;
///
/// #[derive(serde::Deserialize, ConfigProperties)]
/// #[serde(rename_all = "kebab-case", deny_unknown_fields)]
/// #[config(prefix = "repo")]
/// struct RepoProperties {
///     page_size: u32,
/// }
/// assert_eq!(RepoProperties::PREFIX, "repo");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not bound to the configuration",
    label = "has no configuration prefix",
    note = "add `#[derive(serde::Deserialize, kafka_boot::ConfigProperties)] #[config(prefix = \"…\")]` to it"
)]
pub trait ConfigProperties: DeserializeOwned + Send + Sync + 'static {
    /// The dotted key below which the properties stand, for example `repo` or `shop.billing`.
    const PREFIX: &'static str;
}

/// A part of the configuration, as an argument. Bound and checked at start; cloning it shares it.
pub struct Config<T> {
    value: Arc<T>,
}

impl<T> Config<T> {
    /// Makes one, to call a handler in a unit test.
    pub fn new(value: T) -> Self {
        Self { value: Arc::new(value) }
    }
}

impl<T> Clone for Config<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value) }
    }
}

impl<T> Deref for Config<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Config<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Config").field(&*self.value).finish()
    }
}

impl Beans {
    /// The configuration below `T`'s prefix.
    pub fn config<T: ConfigProperties>(&self) -> Result<Config<T>, StartError> {
        let settings = self.settings().ok_or_else(|| {
            let message =
                format!("`{}` asks for configuration, and the application has none", type_name::<T>());
            StartError::new(StartErrorKind::Configuration, message)
        })?;
        let value = settings.bind(T::PREFIX).map_err(StartError::from)?;
        Ok(Config { value: Arc::new(value) })
    }
}
