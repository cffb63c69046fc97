//! Commands under way, and their outcomes. A command that is sent twice with the same key is carried out
//! once.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::Error;
use super::openapi::schemas;
use super::problem::{Code, Problem};
use super::secret::{self, Digest};
use deskreel_desk::{Done, Refused};

/// The operations of one session.
pub struct Operations {
    most: usize,
    kept: Duration,
    index: Mutex<OperationIndex>,
}

#[derive(Default)]
struct OperationIndex {
    by_id: HashMap<String, Arc<Operation>>,
    by_key: HashMap<Box<str>, Arc<Operation>>,
    /// Oldest first.
    order: VecDeque<Arc<Operation>>,
}

pub struct Operation {
    pub id: String,
    pub command: &'static str,
    key: Option<Box<str>>,
    body: Digest,
    since: Instant,
    outcome: watch::Sender<Option<Result<Done, Refused>>>,
}

/// An operation as a client sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationView<'a> {
    pub operation: &'a str,
    #[schema(inline, value_type = schemas::Command)]
    pub command: &'static str,
    #[schema(inline, value_type = schemas::OperationState)]
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Standing>, nullable = false)]
    pub done: Option<Done>,
}

impl Operations {
    pub fn new(most: usize, kept: Duration) -> Operations {
        Operations { most, kept, index: Mutex::default() }
    }

    pub fn find(&self, id: &str) -> Option<Arc<Operation>> {
        self.index().by_id.get(id).cloned()
    }

    /// Returns the operation that `key` already has, or a new one, which `work` carries out.
    pub fn begin(
        &self,
        command: &'static str,
        key: Option<&str>,
        body: Digest,
        work: impl Future<Output = Result<Done, Refused>> + Send + 'static,
    ) -> Result<Arc<Operation>, Problem> {
        let now = Instant::now();
        let mut index = self.index();
        if let Some(before) = key.and_then(|key| index.by_key.get(key)) {
            if before.command != command || before.body != body {
                let detail = format!("the key was already used for another `{}` request", before.command);
                return Err(Problem::new(Code::KeyReused, detail)
                    .at("Idempotency-Key")
                    .cure("use a new key for each new command"));
            }
            return Ok(before.clone());
        }
        index.forget(now, self.most, self.kept)?;
        let id = secret::random().map_err(|error: Error| Problem::new(Code::Failed, error.to_string()))?;
        let operation = Arc::new(Operation {
            id: id.clone(),
            command,
            key: key.map(Into::into),
            body,
            since: now,
            outcome: watch::Sender::new(None),
        });
        index.by_id.insert(id, operation.clone());
        if let Some(key) = key {
            index.by_key.insert(key.into(), operation.clone());
        }
        index.order.push_back(operation.clone());
        drop(index);
        // A task of its own: it continues if the client hangs up.
        let ends = operation.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            ends.outcome.send_replace(Some(outcome));
        });
        Ok(operation)
    }

    fn index(&self) -> MutexGuard<'_, OperationIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OperationIndex {
    /// Makes room for one more: drops operations that have been kept for long enough.
    fn forget(&mut self, now: Instant, most: usize, kept: Duration) -> Result<(), Problem> {
        while self.order.len() >= most
            && let Some(oldest) = self.order.front()
        {
            let keep = oldest.since + kept;
            // One without a key cannot be repeated, so it need not be kept.
            if oldest.key.is_some() && keep > now {
                let detail = format!(
                    "{most} commands with keys are kept, and the oldest key is not old enough to be dropped"
                );
                return Err(Problem::new(Code::TooMany, detail)
                    .at("Idempotency-Key")
                    .retry_after(keep.saturating_duration_since(now)));
            }
            self.by_id.remove(&oldest.id);
            if let Some(key) = &oldest.key {
                self.by_key.remove(key);
            }
            self.order.pop_front();
        }
        Ok(())
    }
}

impl Operation {
    /// Waits for the outcome; `None` if there is none within `limit`.
    pub async fn outcome(&self, limit: Duration) -> Option<Result<Done, Refused>> {
        let mut outcome = self.outcome.subscribe();
        let outcome = timeout(limit, outcome.wait_for(Option::is_some)).await.ok()?.ok()?;
        outcome.clone()
    }

    pub fn view(&self, done: Option<Done>) -> OperationView<'_> {
        let state = if done.is_some() { "done" } else { "pending" };
        OperationView { operation: &self.id, command: self.command, state, done }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn done() -> Result<Done, Refused> {
        Ok(Done::default())
    }

    #[tokio::test]
    async fn the_same_key_is_the_same_operation_and_done_once() {
        let operations = Operations::new(8, HOUR);
        let times = Arc::new(AtomicUsize::new(0));
        let begin = || {
            let times = times.clone();
            let work = async move {
                times.fetch_add(1, Ordering::Relaxed);
                done().await
            };
            operations.begin("start", Some("k"), Digest::of(b""), work).unwrap()
        };
        let (first, second) = (begin(), begin());
        assert_eq!(first.id, second.id);
        assert_eq!(second.outcome(HOUR).await, Some(Ok(Done::default())));
        assert_eq!(times.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_key_of_another_body_or_command_is_refused() {
        let operations = Operations::new(8, HOUR);
        operations.begin("start", Some("k"), Digest::of(b""), done()).unwrap();
        for (command, body) in [("start", &b"{}"[..]), ("stop", b"")] {
            let refused = operations.begin(command, Some("k"), Digest::of(body), done());
            assert_eq!(refused.err().unwrap().code, Code::KeyReused);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_kept_for_an_hour_and_then_makes_room() {
        let operations = Operations::new(2, HOUR);
        let begin = |key| operations.begin("tag", key, Digest::of(b""), done());
        let first = begin(Some("1")).unwrap();
        begin(Some("2")).unwrap();
        assert_eq!(begin(Some("3")).err().unwrap().code, Code::TooMany);
        assert_eq!(begin(Some("1")).unwrap().id, first.id);
        tokio::time::advance(HOUR).await;
        begin(Some("3")).unwrap();
        assert!(operations.find(&first.id).is_none());
    }

    #[tokio::test]
    async fn operations_without_keys_never_fill_it() {
        let operations = Operations::new(2, HOUR);
        for _ in 0..5 {
            operations.begin("tag", None, Digest::of(b""), done()).unwrap();
        }
    }
}
