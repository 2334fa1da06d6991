//! The arguments of a listener, a job and a bean function.

use std::any::type_name;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::beans::{AttemptScope, Bean, BeanKey, Beans, Config, ConfigProperties, Qualifier, Transaction};
use crate::error::{ExtractError, StartError, StartErrorKind};
use crate::handler::{Ack, Attempt};
use crate::record::{FromPayload, Headers, Json, Key, Payload, Record, RecordMeta, RecordView};

/// What arguments are planned against: the beans, and the handler that asks.
#[derive(Debug)]
pub struct PlanContext<'a> {
    pub(crate) beans: &'a Beans,
    pub(crate) handler: &'a str,
    reply_target: ReplyTarget<'a>,
    is_transactional: bool,
}

/// Where a listener's replies go.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplyTarget<'a> {
    pub(crate) cluster: Option<&'a str>,
    /// `None` is the topic that each request names.
    pub(crate) topic: Option<&'a str>,
}

impl<'a> PlanContext<'a> {
    pub(crate) fn new(beans: &'a Beans, handler: &'a str) -> Self {
        Self { beans, handler, reply_target: ReplyTarget::default(), is_transactional: false }
    }

    pub(crate) fn replying(self, reply_target: ReplyTarget<'a>) -> Self {
        Self { reply_target, ..self }
    }

    /// The same for a listener whose records are consumed in transactions, or not.
    pub(crate) fn transactional(self, is_transactional: bool) -> Self {
        Self { is_transactional, ..self }
    }

    /// Refuses an argument that only a listener with transactions has.
    pub(crate) fn require_transactions(&self) -> Result<(), StartError> {
        if self.is_transactional {
            return Ok(());
        }
        let message = "its function takes a `Transaction`, and its `commit` is not `transaction`: set that, or use `KafkaTemplate::transaction`";
        Err(StartError::new(StartErrorKind::Configuration, message))
    }

    pub(crate) fn reply_target(&self) -> ReplyTarget<'a> {
        self.reply_target
    }

    /// The application's beans.
    pub fn beans(&self) -> &'a Beans {
        self.beans
    }

    /// The handler's id.
    pub fn handler(&self) -> &str {
        self.handler
    }
}

/// An argument of a `#[kafka_listener]` function that handles one record at a time.
///
/// Implement it for a type of your own to take that type as an argument:
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::{ExtractError, ListenerArg, PlanContext, RecordView, StartError};
///
/// struct Tenant(String);
///
/// impl ListenerArg for Tenant {
///     type Plan = ();
///     fn plan(_: &PlanContext<'_>) -> Result<(), StartError> {
///         Ok(())
///     }
///     fn extract(_: &(), record: &RecordView<'_>) -> Result<Self, ExtractError> {
///         let tenant = record.header("tenant").ok_or_else(|| ExtractError::new("Tenant", "header `tenant` is missing"))?;
///         Ok(Self(String::from_utf8_lossy(tenant).into_owned()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `#[kafka_listener]` argument",
    label = "not a listener argument",
    note = "arguments are `Record<T>`, `Payload<T>`, `Json<T>`, `Key<T>`, `Header<N, T>`, `Headers`, `RecordMeta`, `Ack`, `Attempt`, `Transaction`, `Bean<T>`, `Config<T>` and, in a batch listener, `Batch<T>`",
    note = "to take your own type, implement `kafka_boot::ListenerArg` for it"
)]
pub trait ListenerArg: Sized + Send {
    /// What start-up resolves once, for every record to use.
    type Plan: Send + Sync + 'static;

    /// Resolves, at start-up, what every record needs; an error refuses to start.
    fn plan(context: &PlanContext<'_>) -> Result<Self::Plan, StartError>;

    /// Takes the argument out of a record.
    fn extract(plan: &Self::Plan, record: &RecordView<'_>) -> Result<Self, ExtractError>;
}

/// A planned argument. Boxed, so that a wrong argument type is one compile error rather than four.
type Extract<T> = Box<dyn Fn(&RecordView<'_>) -> Result<T, ExtractError> + Send + Sync>;

/// Plans one argument. The only place where generated code names the bound.
#[doc(hidden)]
pub fn extractor<T: ListenerArg + 'static>(context: &PlanContext<'_>) -> Result<Extract<T>, StartError> {
    let plan = T::plan(context)?;
    Ok(Box::new(move |record| T::extract(&plan, record)))
}

/// Asks a listener's filter whether the handler is to be called. The only place where generated code names its type.
#[doc(hidden)]
pub fn pass(filter: fn(&RecordView<'_>) -> bool, record: &RecordView<'_>) -> Result<(), ExtractError> {
    if filter(record) { Ok(()) } else { Err(ExtractError::filtered()) }
}

/// An argument of a `#[scheduled]` or `#[bean]` function: it comes from the beans, not from a record.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument here",
    label = "neither `Bean<T>` nor `Config<T>`",
    note = "a `#[scheduled]` or `#[bean]` function takes `Bean<T>` and `Config<T>`; there is no record to read from"
)]
pub trait BeanArg: Clone + Send + Sync + 'static {
    /// The bean that must exist first, if any.
    fn dependency() -> Option<BeanKey>;

    /// Takes the argument out of the registry.
    fn resolve(beans: &Beans) -> Result<Self, StartError>;
}

/// Resolves one argument of a job or a bean. The only place where generated code names the bound.
#[doc(hidden)]
pub fn bean_argument<T: BeanArg>(beans: &Beans) -> Result<T, StartError> {
    T::resolve(beans)
}

/// The bean that an argument needs first. Names the bound for generated code.
#[doc(hidden)]
pub fn dependency<T: BeanArg>() -> Option<BeanKey> {
    T::dependency()
}

/// Resolves one argument of a job, to be taken once a run. The only place where generated code names the bound.
#[doc(hidden)]
pub fn job_argument<T: BeanArg>(
    context: &PlanContext<'_>,
) -> Result<Box<dyn Fn() -> T + Send + Sync>, StartError> {
    let argument = T::resolve(context.beans())?;
    Ok(Box::new(move || argument.clone()))
}

impl<T: Send + Sync + 'static, Q: Qualifier> BeanArg for Bean<T, Q> {
    fn dependency() -> Option<BeanKey> {
        Some(BeanKey::of::<T>(Q::NAME))
    }

    fn resolve(beans: &Beans) -> Result<Self, StartError> {
        beans.bean()
    }
}

impl<T: ConfigProperties> BeanArg for Config<T> {
    fn dependency() -> Option<BeanKey> {
        None
    }

    fn resolve(beans: &Beans) -> Result<Self, StartError> {
        beans.config()
    }
}

impl<T: Send + Sync + 'static, Q: Qualifier> ListenerArg for Bean<T, Q> {
    type Plan = Self;

    fn plan(context: &PlanContext<'_>) -> Result<Self, StartError> {
        context.beans().bean()
    }

    fn extract(plan: &Self, _: &RecordView<'_>) -> Result<Self, ExtractError> {
        Ok(plan.clone())
    }
}

impl<T: ConfigProperties> ListenerArg for Config<T> {
    type Plan = Self;

    fn plan(context: &PlanContext<'_>) -> Result<Self, StartError> {
        context.beans().config()
    }

    fn extract(plan: &Self, _: &RecordView<'_>) -> Result<Self, ExtractError> {
        Ok(plan.clone())
    }
}

/// Implements [`ListenerArg`] for types that need nothing at start-up.
macro_rules! from_record {
    ($(impl [$($generics:tt)*] $type:ty => |$record:ident| $body:expr;)+) => {$(
        impl<$($generics)*> ListenerArg for $type {
            type Plan = ();

            fn plan(_: &PlanContext<'_>) -> Result<(), StartError> {
                Ok(())
            }

            fn extract((): &(), $record: &RecordView<'_>) -> Result<Self, ExtractError> {
                $body
            }
        }
    )+};
}

from_record! {
    impl [T: FromPayload] Record<T> => |record| {
        let value = T::from_record(record).map_err(|error| ExtractError::new(type_name::<Self>(), error))?;
        Ok(Record::from_view(record, value))
    };
    impl [T: FromPayload] Payload<T> => |record| {
        T::from_record(record).map(Payload).map_err(|error| ExtractError::new(type_name::<Self>(), error))
    };
    impl [T: serde::de::DeserializeOwned + Send + 'static] Json<T> => |record| {
        Self::from_payload(record.payload()).map_err(|error| ExtractError::new(type_name::<Self>(), error))
    };
    impl [T: FromPayload] Key<T> => |record| {
        T::from_payload(record.key()).map(Key).map_err(|error| ExtractError::new(type_name::<Self>(), error).of_key())
    };
    impl [] Headers => |record| Ok(Headers::from_view(record));
    impl [] RecordMeta => |record| Ok(RecordMeta::from_view(record));
    impl [] Ack => |record| Ack::from_view(record);
    impl [] Attempt => |record| Ok(Attempt(record.attempt()));
}

impl ListenerArg for Transaction {
    type Plan = ();

    fn plan(context: &PlanContext<'_>) -> Result<(), StartError> {
        context.require_transactions()
    }

    fn extract((): &(), record: &RecordView<'_>) -> Result<Self, ExtractError> {
        record.transaction().map(AttemptScope::transaction).ok_or_else(no_transaction)
    }
}

pub(super) fn no_transaction() -> ExtractError {
    ExtractError::new("Transaction", "the listener's `commit` is not `transaction`")
}

/// A header's name, as a type: what [`Header`] reads.
///
/// ```
/// use kafka_boot::HeaderValue;
///
/// struct TraceId;
/// impl HeaderValue for TraceId {
///     const NAME: &'static str = "trace-id";
/// }
/// ```
pub trait HeaderValue: 'static {
    /// The header's name on the record.
    const NAME: &'static str;
}

/// The value of one header, parsed; a missing or unreadable one is an extract error. `Header<N, Option<T>>` is not
/// needed: take `Headers` where a header may be missing.
///
/// ```
/// use kafka_boot::prelude::*;
/// use kafka_boot::HeaderValue;
///
/// struct TraceId;
/// impl HeaderValue for TraceId {
///     const NAME: &'static str = "trace-id";
/// }
///
/// #[kafka_listener(topic = "orders", group = "billing")]
/// async fn on_order(order: Payload<String>, trace: Header<TraceId, u64>) -> Result<()> {
///     info!(order = %order.0, trace = *trace, "order");
///     Ok(())
/// }
/// ```
pub struct Header<N: HeaderValue, T = String>(pub T, std::marker::PhantomData<fn() -> N>);

impl<N: HeaderValue, T> Header<N, T> {
    /// Makes the argument, to call a handler in a unit test.
    pub fn new(value: T) -> Self {
        Self(value, std::marker::PhantomData)
    }
}

impl<N: HeaderValue, T> Deref for Header<N, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<N: HeaderValue, T: fmt::Debug> fmt::Debug for Header<N, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(N::NAME).field(&self.0).finish()
    }
}

from_record! {
    impl [N: HeaderValue, T: FromStr<Err: fmt::Display> + Send + 'static] Header<N, T> => |record| {
        let fault = |reason: String| ExtractError::new(type_name::<Self>(), format!("header `{}` {reason}", N::NAME));
        let bytes = record.header(N::NAME).ok_or_else(|| fault("is missing".to_owned()))?;
        let text = std::str::from_utf8(bytes).map_err(|error| fault(format!("is not UTF-8: {error}")))?;
        text.parse().map(Self::new).map_err(|error| fault(format!("cannot be parsed: {error}")))
    };
}
