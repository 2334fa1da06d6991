//! Handlers: what the attributes generate, and the arguments that user functions take.
//!
//! A handler's arguments are resolved in two phases. *Plan* runs once, at start-up, with the beans: a missing bean
//! refuses to start. *Extract* runs once per record: a record that cannot be read goes to the error pipeline.

mod ack;
mod argument;
mod attempt;
mod batch;
mod batch_error;
mod completion;
mod descriptor;
mod interceptor;
mod lists;
mod outcome;
mod reply;

pub(crate) use ack::AckTarget;
pub use ack::{Ack, NotInBatch};
pub(crate) use argument::ReplyTarget;
pub use argument::{
    BeanArg, Header, HeaderValue, ListenerArg, PlanContext, bean_argument, dependency, extractor,
    job_argument, pass,
};
pub use attempt::Attempt;
pub use batch::{Batch, BatchArg, batch_extractor};
pub use batch_error::BatchError;
pub(crate) use completion::Completion;
pub use descriptor::{
    Attribute, AttributeValue, BeanDescriptor, BeanFuture, HandlerKind, JobDescriptor, ListenerDescriptor,
    Location, RegisteredBean, RegisteredJob, RegisteredListener, RegisteredSection,
};
pub(crate) use interceptor::Interception;
pub use interceptor::RecordInterceptor;
pub use outcome::{
    AnyReturned, AskedError, HandlerResult, IntoBean, IntoJobResult, IntoOutcome, OnFailure, Outcome,
    Retryable, Returned, directed,
};
pub(crate) use reply::{CORRELATION_ID, REPLY_TOPIC};
pub use reply::{IntoReplies, Reply, answer, replies};
