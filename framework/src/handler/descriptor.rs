//! The constant data that an attribute emits beside a function, and how it is found.

use std::any::TypeId;
use std::fmt;

use futures_util::future::BoxFuture;

use crate::beans::{AnyBean, BeanKey, Beans};
use crate::config::AttributeSetting;
pub use crate::config::AttributeValue;
use crate::error::{HandlerError, StartError};
use crate::handler::PlanContext;
use crate::listener::Handler;
use crate::policy::ErrorType;
use crate::schedule::Job;

/// Where a handler stands in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as the compiler names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One key of an attribute, under the name that the YAML file uses for it (`ack-mode`, not `ack_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The key in kebab case.
    pub key: &'static str,
    /// The value as written.
    pub value: AttributeValue,
}

impl Attribute {
    /// The attributes with their place in the program, as the configuration takes them.
    pub(crate) fn settings(attributes: &[Self], at: Location) -> Vec<AttributeSetting> {
        let setting = |attribute: &Self| AttributeSetting {
            key: attribute.key,
            value: attribute.value,
            file: at.file,
            line: at.line,
        };
        attributes.iter().map(setting).collect()
    }
}

/// Whether a listener takes one record at a time, or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerKind {
    /// One record a call.
    Record,
    /// A `Batch<T>` a call.
    Batch,
}

/// What `#[kafka_listener]` emits.
pub struct ListenerDescriptor {
    /// The listener's id: the attribute's, or the function's name.
    pub id: &'static str,
    /// The function's path, for messages.
    pub function: &'static str,
    /// Where the function stands.
    pub at: Location,
    /// The attribute's keys and values.
    pub attributes: &'static [Attribute],
    /// One record a call, or a batch.
    pub kind: HandlerKind,
    /// Whether the function is a plain `fn`, which runs on blocking threads.
    pub blocking: bool,
    /// Whether the function takes an `Ack`.
    pub takes_ack: bool,
    /// The listener whose dead letters it reads, with `#[dead_letter_listener]`.
    pub dead_letters_of: Option<&'static str>,
    /// Whether what the function returns is sent, with `#[send_to]`.
    pub replies: bool,
    /// The types that the attribute names for retries.
    pub error_types: &'static [ErrorType],
    /// Plans the arguments and makes the handler.
    pub build: fn(&PlanContext<'_>) -> Result<Box<dyn Handler>, StartError>,
}

/// What `#[scheduled]` emits.
pub struct JobDescriptor {
    /// The job's id: the attribute's, or the function's name.
    pub id: &'static str,
    /// The function's path, for messages.
    pub function: &'static str,
    /// Where the function stands.
    pub at: Location,
    /// The attribute's keys and values.
    pub attributes: &'static [Attribute],
    /// Whether the function is a plain `fn`, which runs on blocking threads.
    pub blocking: bool,
    /// Plans the arguments and makes the job.
    pub build: fn(&PlanContext<'_>) -> Result<Box<dyn Job>, StartError>,
}

/// A bean being made.
pub type BeanFuture = BoxFuture<'static, Result<AnyBean, HandlerError>>;

/// What `#[bean]` emits.
pub struct BeanDescriptor {
    /// The bean's name, or the empty string for the primary one of its type.
    pub name: &'static str,
    /// The type's id and name, as functions because neither is constant.
    pub key: fn() -> BeanKey,
    /// The function's path, for messages.
    pub function: &'static str,
    /// Where the function stands.
    pub at: Location,
    /// The beans that the function's arguments ask for.
    pub dependencies: fn() -> Vec<BeanKey>,
    /// Makes the bean.
    pub build: fn(&Beans) -> Result<BeanFuture, StartError>,
}

macro_rules! debug_by_id {
    ($($type:ty: $field:ident),+) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).field("id", &self.$field).field("at", &self.at).finish_non_exhaustive()
            }
        }
    )+};
}
debug_by_id!(ListenerDescriptor: id, JobDescriptor: id, BeanDescriptor: function);

/// A listener that discovery finds.
#[derive(Debug)]
pub struct RegisteredListener(pub &'static ListenerDescriptor);
/// A job that discovery finds.
#[derive(Debug)]
pub struct RegisteredJob(pub &'static JobDescriptor);
/// A bean function that discovery finds.
#[derive(Debug)]
pub struct RegisteredBean(pub &'static BeanDescriptor);

/// A configuration section that `#[derive(ConfigProperties)]` binds, so that it is never taken for a misspelt one.
#[derive(Debug)]
pub struct RegisteredSection(pub &'static str);

inventory::collect!(RegisteredSection);
inventory::collect!(RegisteredListener);
inventory::collect!(RegisteredJob);
inventory::collect!(RegisteredBean);

impl BeanKey {
    /// The key of the bean of type `T` with this name; the empty name is the primary bean.
    pub fn of<T: 'static>(name: &'static str) -> Self {
        Self { type_id: TypeId::of::<T>(), type_name: std::any::type_name::<T>(), name }
    }
}
