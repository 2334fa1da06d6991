//! The latest requests, for as long as somebody may ask for them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::request::{ReceivedRequest, RequestOutcome};

/// The latest requests of all brokers.
#[derive(Debug)]
pub(crate) struct Record {
    kept: Mutex<Kept>,
    changed: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<Entry>,
    /// Requests so far.
    received: u64,
    /// Changes so far: arrivals and outcomes.
    changes: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Entry {
    request: ReceivedRequest,
    changed: u64,
}

/// A request that has not been answered yet. Dropped without an outcome, its connection has ended.
#[derive(Debug)]
pub(super) struct Unanswered<'a> {
    record: &'a Record,
    number: u64,
    outcome: RequestOutcome,
}

impl Record {
    pub(super) fn new(capacity: usize) -> Self {
        Self { kept: Mutex::default(), changed: Notify::new(), capacity }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request down, and numbers it.
    pub(super) fn arrived(&self, request: &mut ReceivedRequest) -> Unanswered<'_> {
        let mut kept = self.kept();
        kept.received += 1;
        kept.changes += 1;
        request.number = kept.received;
        let entry = Entry { request: request.clone(), changed: kept.changes };
        if kept.requests.len() >= self.capacity {
            kept.requests.pop_front();
        }
        if self.capacity > 0 {
            kept.requests.push_back(entry);
        }
        drop(kept);
        self.changed.notify_waiters();
        Unanswered { record: self, number: request.number, outcome: RequestOutcome::Cut }
    }

    fn ended(&self, number: u64, outcome: RequestOutcome) {
        let kept = &mut *self.kept();
        // Numbers are in order; what is too old has been forgotten.
        if let Ok(at) = kept.requests.binary_search_by_key(&number, |entry| entry.request.number) {
            kept.changes += 1;
            kept.requests[at].changed = kept.changes;
            kept.requests[at].request.outcome = outcome;
        }
        self.changed.notify_waiters();
    }

    pub(super) fn all(&self) -> Vec<ReceivedRequest> {
        self.kept().requests.iter().map(|entry| entry.request.clone()).collect()
    }

    pub(super) fn forget(&self) {
        self.kept().requests.clear();
    }

    /// The first request that fits, which may have come already. `None` if there will be no more.
    pub(super) async fn wait_for(&self, fits: impl Fn(&ReceivedRequest) -> bool) -> Option<ReceivedRequest> {
        let mut seen = 0;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (news, is_closed) = self.since(&mut seen);
            // Asked without the lock, since the question may be anything.
            if let Some(found) = news.into_iter().find(&fits) {
                return Some(found);
            }
            if is_closed {
                return None;
            }
            changed.await;
        }
    }

    /// What has arrived or ended since a number of changes, and whether that was all.
    fn since(&self, seen: &mut u64) -> (Vec<ReceivedRequest>, bool) {
        let kept = self.kept();
        let before = std::mem::replace(seen, kept.changes);
        let news = kept.requests.iter().filter(|entry| entry.changed > before);
        (news.map(|entry| entry.request.clone()).collect(), kept.is_closed)
    }

    /// Says that there will be no more requests.
    pub(crate) fn close(&self) {
        self.kept().is_closed = true;
        self.changed.notify_waiters();
    }
}

impl Unanswered<'_> {
    pub(super) fn ends(mut self, outcome: RequestOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.record.ended(self.number, self.outcome);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use kafka_protocol::messages::ApiKey;

    use super::*;

    pub(crate) fn request(client_id: &str) -> ReceivedRequest {
        ReceivedRequest {
            number: 0,
            api: ApiKey::Produce,
            version: 9,
            client_id: client_id.to_owned(),
            broker: 1,
            topics: Vec::new(),
            group: None,
            transactional_id: None,
            arrived_ms: 0,
            outcome: RequestOutcome::Pending,
        }
    }

    #[test]
    fn only_the_latest_requests_are_kept_each_with_its_outcome() {
        let record = Record::new(2);
        for client in ["a", "b", "c"] {
            record.arrived(&mut request(client)).ends(RequestOutcome::Answered(None));
        }
        let pending = record.arrived(&mut request("d"));
        let kept = |record: &Record| {
            record.all().into_iter().map(|kept| (kept.number, kept.outcome)).collect::<Vec<_>>()
        };
        assert_eq!(kept(&record), [(3, RequestOutcome::Answered(None)), (4, RequestOutcome::Pending)]);
        drop(pending);
        assert_eq!(kept(&record)[1].1, RequestOutcome::Cut);
        record.forget();
        assert_eq!(kept(&record), []);
    }

    #[tokio::test]
    async fn who_waits_for_a_request_gets_it_with_its_outcome_and_an_end() {
        let record = Record::new(10);
        let (found, ()) = tokio::join!(record.wait_for(ReceivedRequest::succeeded), async {
            record.arrived(&mut request("a")).ends(RequestOutcome::Unanswered);
            let pending = record.arrived(&mut request("b"));
            tokio::task::yield_now().await;
            pending.ends(RequestOutcome::Answered(None));
        });
        assert_eq!(found.map(|found| found.client_id).as_deref(), Some("b"));
        let (none, ()) =
            tokio::join!(record.wait_for(|found| found.client_id == "c"), async { record.close() });
        assert!(none.is_none());
        assert!(record.wait_for(|found| found.client_id == "a").await.is_some(), "what came is still there");
    }
}
