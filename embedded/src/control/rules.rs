//! Rules: to which requests something is done, and what.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;

use super::link::Link;
use super::request::ReceivedRequest;
use crate::state::State;

/// A question about a request.
type Predicate = Box<dyn Fn(&ReceivedRequest) -> bool + Send + Sync>;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Fail(ResponseError),
    Delay(Duration),
    DelayAnswer(Duration),
    LoseAnswer,
    Cut,
    Slow(Link),
}

/// A rule as it is applied.
struct ActiveRule {
    filter: Filter,
    action: Action,
    count: Mutex<Count>,
    hits: watch::Sender<u64>,
}

/// Which requests are meant.
#[derive(Default)]
struct Filter {
    api: Option<ApiKey>,
    broker: Option<i32>,
    client_id: Option<String>,
    topic: Option<String>,
    partition: Option<i32>,
    group: Option<String>,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    skip: u64,
    left: u64,
}

/// All rules, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<Vec<Arc<ActiveRule>>>);

/// Names requests, to do something to them. Without a limit, to all that fit, for as long as the [`Rule`] lives.
///
/// ```
/// # use kafka_boot_embedded::EmbeddedBroker;
/// use kafka_boot_embedded::control::{ApiKey, ResponseError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = EmbeddedBroker::builder().topic("orders", 1).start().await?;
/// let control = broker.control();
/// // The third and the fourth write to `orders` are refused.
/// let rule = control
///     .on(ApiKey::Produce)
///     .topic("orders")
///     .skip(2)
///     .times(2)
///     .fail(ResponseError::NotEnoughReplicas);
/// assert_eq!(rule.hits(), 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before one of `fail`, `delay`, `delay_answer`, `lose_answer`, `cut` and `slow`"]
pub struct RuleBuilder {
    state: Arc<State>,
    filter: Filter,
    count: Count,
}

/// A rule that is being applied, until this is dropped or [cancelled](Self::cancel).
#[must_use = "a rule ends when it is dropped"]
pub struct Rule {
    state: Arc<State>,
    rule: Arc<ActiveRule>,
}

impl Filter {
    fn matches(&self, request: &ReceivedRequest) -> bool {
        let about = |topic: &super::RequestedTopic| {
            self.topic.as_ref().is_none_or(|name| topic.name == *name)
                && self.partition.is_none_or(|partition| topic.partitions.contains(&partition))
        };
        self.api.is_none_or(|api| request.api == api)
            && self.broker.is_none_or(|broker| request.broker == broker)
            && self.client_id.as_ref().is_none_or(|client| request.client_id == *client)
            && self.group.as_ref().is_none_or(|group| request.group.as_ref() == Some(group))
            && (self.topic.is_none() && self.partition.is_none() || request.topics.iter().any(about))
            && self.predicates.iter().all(|predicate| predicate(request))
    }
}

impl ActiveRule {
    /// Whether it is this request's turn, which then counts.
    fn hits(&self, request: &ReceivedRequest) -> bool {
        if !self.filter.matches(request) {
            return false;
        }
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if count.skip > 0 {
            count.skip -= 1;
            return false;
        }
        if count.left == 0 {
            return false;
        }
        count.left -= 1;
        drop(count);
        self.hits.send_modify(|hits| *hits += 1);
        true
    }
}

impl Rules {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<ActiveRule>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done to a request, in the order of the rules. Of the actions that decide how it ends, the first
    /// counts, and the rules of the others are not hit.
    pub(super) fn actions_on(&self, request: &ReceivedRequest) -> Vec<Action> {
        // Asked without the lock, since a predicate may be anything.
        let rules = self.all().clone();
        let mut actions = Vec::new();
        let mut decided = false;
        for rule in rules {
            let is_an_end = matches!(rule.action, Action::Fail(_) | Action::LoseAnswer | Action::Cut);
            if (!is_an_end || !decided) && rule.hits(request) {
                decided |= is_an_end;
                actions.push(rule.action);
            }
        }
        actions
    }

    fn add(&self, rule: Arc<ActiveRule>, active: &AtomicUsize) {
        self.all().push(rule);
        active.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, rule: &Arc<ActiveRule>, active: &AtomicUsize) {
        let mut all = self.all();
        let before = all.len();
        all.retain(|other| !Arc::ptr_eq(other, rule));
        active.fetch_sub(before - all.len(), Ordering::Relaxed);
    }
}

impl RuleBuilder {
    pub(super) fn new(state: Arc<State>, api: Option<ApiKey>) -> Self {
        let filter = Filter { api, ..Filter::default() };
        Self { state, filter, count: Count { skip: 0, left: u64::MAX } }
    }

    /// Only at this broker.
    pub fn broker(mut self, id: i32) -> Self {
        self.filter.broker = Some(id);
        self
    }

    /// Only of clients with this `client.id`.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.filter.client_id = Some(client_id.into());
        self
    }

    /// Only what is about this topic, besides others perhaps; see [`ReceivedRequest::topics`].
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.filter.topic = Some(topic.into());
        self
    }

    /// Only what is about this partition, of the [`topic`](Self::topic) or of any.
    pub fn partition(mut self, partition: i32) -> Self {
        self.filter.partition = Some(partition);
        self
    }

    /// Only what is about this consumer group; see [`ReceivedRequest::group`].
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.filter.group = Some(group.into());
        self
    }

    /// Only what this says yes to. It is asked on the broker's runtime, for every request that fits all else, and should
    /// not block.
    pub fn matching(mut self, predicate: impl Fn(&ReceivedRequest) -> bool + Send + Sync + 'static) -> Self {
        self.filter.predicates.push(Box::new(predicate));
        self
    }

    /// Not the first so many that fit. Default: 0.
    pub fn skip(mut self, requests: u64) -> Self {
        self.count.skip = requests;
        self
    }

    /// Only so many of those that fit and are not skipped. Default: all.
    pub fn times(mut self, requests: u64) -> Self {
        self.count.left = requests;
        self
    }

    /// Answers with an error, and does nothing of what is asked. The code stands for everything in the request. A
    /// `Produce` with `acks=0` has its connection closed, as by Kafka.
    pub fn fail(self, error: ResponseError) -> Rule {
        self.start(Action::Fail(error))
    }

    /// Holds requests back for so long before they are carried out. Those that follow on the same connection wait too.
    pub fn delay(self, delay: Duration) -> Rule {
        self.start(Action::Delay(delay))
    }

    /// Carries requests out, and holds their answers back for so long.
    pub fn delay_answer(self, delay: Duration) -> Rule {
        self.start(Action::DelayAnswer(delay))
    }

    /// Carries requests out, and cuts the connection instead of answering: the client cannot know whether it happened.
    pub fn lose_answer(self) -> Rule {
        self.start(Action::LoseAnswer)
    }

    /// Cuts the connection, and does nothing of what is asked.
    pub fn cut(self) -> Rule {
        self.start(Action::Cut)
    }

    /// Has requests arrive, and answers leave, as over a slow network.
    pub fn slow(self, link: Link) -> Rule {
        self.start(Action::Slow(link))
    }

    fn start(self, action: Action) -> Rule {
        let hits = watch::Sender::new(0);
        let rule = Arc::new(ActiveRule { filter: self.filter, action, count: Mutex::new(self.count), hits });
        self.state.controls.rules.add(Arc::clone(&rule), &self.state.controls.active);
        Rule { state: self.state, rule }
    }
}

impl Rule {
    /// To how many requests it has been applied so far.
    pub fn hits(&self) -> u64 {
        *self.rule.hits.borrow()
    }

    /// Waits until it has been applied to so many requests.
    ///
    /// ```
    /// # use kafka_boot_embedded::EmbeddedBroker;
    /// use kafka_boot_embedded::control::ApiKey;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tokio::io::AsyncWriteExt;
    /// let broker = EmbeddedBroker::builder().start().await?;
    /// let rule = broker.control().on(ApiKey::ApiVersions).cut();
    /// let mut client = tokio::net::TcpStream::connect(broker.bootstrap_servers()).await?;
    /// client.write_all(&[0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'x']).await?;
    /// rule.wait_for_hits(1).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for_hits(&self, hits: u64) {
        // The sender is in the rule itself, so it cannot be gone.
        let _ = self.rule.hits.subscribe().wait_for(|so_far| *so_far >= hits).await;
    }

    /// Ends the rule, and says how often it was applied.
    pub fn cancel(self) -> u64 {
        self.hits()
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        self.state.controls.rules.remove(&self.rule, &self.state.controls.active);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Filter")
            .field("api", &self.api)
            .field("broker", &self.broker)
            .field("client_id", &self.client_id)
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("group", &self.group)
            .field("predicates", &self.predicates.len())
            .finish()
    }
}

impl fmt::Debug for ActiveRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hits = *self.hits.borrow();
        formatter
            .debug_struct("Rule")
            .field("filter", &self.filter)
            .field("action", &self.action)
            .field("hits", &hits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RuleBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RuleBuilder").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(formatter)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
