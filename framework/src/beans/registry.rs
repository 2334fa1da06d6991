//! The registry, and `Bean<T>`: the way to it.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::config::Settings;
use crate::error::{StartError, StartErrorKind};

/// A name that tells beans of one type apart, as a type.
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::{KafkaTemplate, Qualifier};
///
/// /// The cluster that `kafka.clusters.east` configures.
/// struct East;
/// impl Qualifier for East {
///     const NAME: &'static str = "east";
/// }
///
/// #[scheduled(fixed_delay = 1000)]
/// async fn copy(east: Bean<KafkaTemplate, East>) -> Result<()> {
///     east.send("test", "hello").await?;
///     Ok(())
/// }
/// ```
pub trait Qualifier: Send + Sync + 'static {
    /// The bean's name; the empty string is the primary bean of its type.
    const NAME: &'static str;
}

/// The qualifier of the one bean of a type that needs no name.
#[derive(Debug)]
pub struct Primary;

impl Qualifier for Primary {
    const NAME: &'static str = "";
}

/// A bean's type and name.
#[derive(Clone, Copy, Debug)]
pub struct BeanKey {
    pub(crate) type_id: TypeId,
    pub(crate) type_name: &'static str,
    pub(crate) name: &'static str,
}

impl PartialEq for BeanKey {
    fn eq(&self, other: &Self) -> bool {
        self.type_id == other.type_id && self.name == other.name
    }
}

impl Eq for BeanKey {}

impl Hash for BeanKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.type_id.hash(state);
        self.name.hash(state);
    }
}

impl fmt::Display for BeanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "" => write!(f, "`{}`", self.type_name),
            name => write!(f, "`{}` named `{name}`", self.type_name),
        }
    }
}

/// A bean whose type is known only by its key.
#[derive(Clone)]
pub struct AnyBean {
    value: Arc<dyn Any + Send + Sync>,
}

impl AnyBean {
    /// Wraps a value.
    pub fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self { value: Arc::new(value) }
    }

    pub(crate) fn shared<T: Send + Sync + 'static>(value: Arc<T>) -> Self {
        Self { value }
    }
}

impl fmt::Debug for AnyBean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyBean")
    }
}

/// A shared bean, as an argument. Cloning it shares it.
///
/// ```
/// use kafka_boot::Bean;
///
/// let greeting: Bean<String> = Bean::new("hello".to_owned());
/// assert_eq!(greeting.len(), 5);
/// ```
pub struct Bean<T: ?Sized, Q = Primary> {
    value: Arc<T>,
    qualifier: PhantomData<fn() -> Q>,
}

impl<T, Q> Bean<T, Q> {
    /// Makes a bean, to call a handler in a unit test.
    pub fn new(value: T) -> Self {
        Self::from_arc(Arc::new(value))
    }
}

impl<T: ?Sized, Q> Bean<T, Q> {
    pub(crate) fn from_arc(value: Arc<T>) -> Self {
        Self { value, qualifier: PhantomData }
    }

    /// The shared value.
    pub fn into_arc(self) -> Arc<T> {
        self.value
    }
}

impl<T: ?Sized, Q> Clone for Bean<T, Q> {
    fn clone(&self) -> Self {
        Self::from_arc(Arc::clone(&self.value))
    }
}

impl<T: ?Sized, Q> Deref for Bean<T, Q> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized + fmt::Debug, Q> fmt::Debug for Bean<T, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bean").field(&&*self.value).finish()
    }
}

/// The application's beans, and its configuration for those that bind a part of it.
#[derive(Default)]
pub struct Beans {
    beans: HashMap<BeanKey, AnyBean>,
    settings: Option<Arc<Settings>>,
}

impl Beans {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self { beans: HashMap::new(), settings: Some(settings) }
    }

    pub(crate) fn insert(&mut self, key: BeanKey, bean: AnyBean) -> Option<AnyBean> {
        self.beans.insert(key, bean)
    }

    /// Adds one of the framework's own beans: the primary one of its type.
    pub(crate) fn share<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.insert(BeanKey::of::<T>(""), AnyBean::shared(value));
    }

    pub(crate) fn contains(&self, key: &BeanKey) -> bool {
        self.beans.contains_key(key)
    }

    pub(crate) fn settings(&self) -> Option<&Arc<Settings>> {
        self.settings.as_ref()
    }

    /// The bean of type `T` with the qualifier `Q`.
    pub fn bean<T: Send + Sync + 'static, Q: Qualifier>(&self) -> Result<Bean<T, Q>, StartError> {
        self.named(Q::NAME).map(Bean::from_arc)
    }

    /// The bean of type `T` with this name; the empty name is the primary one.
    pub fn named<T: Send + Sync + 'static>(&self, name: &str) -> Result<Arc<T>, StartError> {
        let type_id = TypeId::of::<T>();
        let found = self.beans.iter().find(|(key, _)| key.type_id == type_id && key.name == name);
        found
            .and_then(|(_, bean)| Arc::clone(&bean.value).downcast().ok())
            .ok_or_else(|| self.missing(type_id, type_name::<T>(), name))
    }

    /// The error for a bean that is not there, with what is there of the same type or of a similar name.
    pub(crate) fn missing(&self, type_id: TypeId, type_name: &str, name: &str) -> StartError {
        let named = if name.is_empty() { String::new() } else { format!(" named `{name}`") };
        let mut same_type: Vec<&str> =
            self.beans.keys().filter(|key| key.type_id == type_id).map(|key| key.name).collect();
        same_type.sort_unstable();
        let remedy = if same_type.is_empty() {
            "add `#[bean] fn …` that returns it, or `App::new().bean(value)`".to_owned()
        } else {
            let shown: Vec<String> = same_type
                .iter()
                .map(|name| if name.is_empty() { "the primary one".to_owned() } else { format!("`{name}`") })
                .collect();
            format!("beans of that type are: {}", shown.join(", "))
        };
        StartError::new(StartErrorKind::Bean, format!("no bean of type `{type_name}`{named} ({remedy})"))
    }
}

impl fmt::Debug for Beans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<String> = self.beans.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        f.debug_tuple("Beans").field(&names).finish()
    }
}
