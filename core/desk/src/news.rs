//! What happens at the desk, numbered, for everybody who listens. A listener that was away asks for what it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_model::{AgentId, MediaTime, RecordingId, Utc};
use serde::Serialize;
use tokio::sync::watch;

/// Kept for listeners that were away: hours of an ordinary day, under a megabyte.
const KEPT: usize = 2048;

/// Something that happened, with its number. Numbers are in order and without holes, from 1 at each start of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    pub seq: u64,
    pub at: Utc,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum What {
    #[serde(rename = "agent.logged_in")]
    LoggedIn { agent: AgentId },
    #[serde(rename = "agent.logged_out")]
    LoggedOut { agent: AgentId },
    /// A recording was commanded; its id is final, its first frame not yet on disk.
    #[serde(rename = "recording.starting")]
    Starting { recording: RecordingId, agent: AgentId, capture: CaptureMode, why: String },
    /// Its first frame is on disk.
    #[serde(rename = "recording.started")]
    Started { recording: RecordingId },
    /// From here on it takes this of the screen.
    #[serde(rename = "recording.capture")]
    ModeHolds { recording: RecordingId, capture: CaptureMode, media: MediaTime, why: String },
    #[serde(rename = "recording.incident")]
    Incident { recording: RecordingId, media: MediaTime, cause: Cause, detail: String },
    #[serde(rename = "recording.stopping")]
    Stopping { recording: RecordingId, why: String },
    /// Nothing is added any more.
    #[serde(rename = "recording.sealed")]
    Sealed { recording: RecordingId, outcome: Outcome, duration: MediaTime, frames: u64, gaps: usize },
    /// One was commanded, and there is none.
    #[serde(rename = "recording.not_started")]
    NotStarted { agent: AgentId, why: String },
    #[serde(rename = "recording.delivered")]
    Delivered { recording: String, sink: String, place: String },
    #[serde(rename = "recording.refused")]
    RefusedBySink { recording: String, sink: String, reason: String },
    /// The pipeline file was read again; `error` says why the one before stays.
    #[serde(rename = "pipeline.reloaded")]
    Reloaded {
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The daemon ends.
    #[serde(rename = "recorder.stopping")]
    GoingDown,
}

#[derive(Clone)]
pub struct News {
    /// Tells the numbers of one start of the daemon from another's.
    stream: Arc<str>,
    kept: Arc<Mutex<VecDeque<Item>>>,
    newest: watch::Sender<u64>,
}

/// What a listener gets next.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// In order.
    Items(Vec<Item>),
    /// Items between what it knows and what is kept are gone: it should ask how things stand, and go on from `seq`.
    Lost { seq: u64 },
}

impl News {
    pub(super) fn new() -> News {
        let started = jiff::Timestamp::now().as_millisecond();
        let stream = format!("{started:x}-{:x}", std::process::id()).into();
        News { stream, kept: Arc::default(), newest: watch::Sender::new(0) }
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    pub fn tell(&self, at: Utc, what: What) {
        let mut kept = self.lock();
        let seq = *self.newest.borrow() + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Item { seq, at, what });
        // Under the lock: who is woken finds it.
        self.newest.send_replace(seq);
    }

    /// The number of the newest item; 0 where nothing has happened yet.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Everything behind `seq`, at once where there is something, else as soon as there is. Cancel safe. None when the
    /// daemon is gone.
    pub async fn after(&self, seq: u64) -> Option<Heard> {
        let mut newest = self.newest.subscribe();
        newest.wait_for(|newest| *newest > seq).await.ok()?;
        let kept = self.lock();
        let oldest = kept.front().map_or(0, |item| item.seq);
        if oldest > seq + 1 {
            return Some(Heard::Lost { seq: *self.newest.borrow() });
        }
        Some(Heard::Items(kept.iter().filter(|item| item.seq > seq).cloned().collect()))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn told(count: u64) -> News {
        let news = News::new();
        for _ in 0..count {
            news.tell(Utc::MIN, What::GoingDown);
        }
        news
    }

    #[tokio::test]
    async fn who_was_away_gets_what_was_missed_in_order() {
        let Some(Heard::Items(items)) = told(5).after(2).await else { panic!("lost") };
        assert_eq!(items.iter().map(|item| item.seq).collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[tokio::test]
    async fn who_was_away_for_too_long_is_told_so() {
        let news = told(KEPT as u64 + 3);
        assert_eq!(news.after(2).await, Some(Heard::Lost { seq: KEPT as u64 + 3 }));
        assert!(matches!(news.after(3).await, Some(Heard::Items(items)) if items.len() == KEPT));
    }

    #[tokio::test]
    async fn a_listener_waits_for_the_next() {
        let news = told(1);
        let listener = tokio::spawn({
            let news = news.clone();
            async move { news.after(1).await }
        });
        tokio::task::yield_now().await;
        news.tell(Utc::MIN, What::GoingDown);
        assert!(matches!(listener.await.unwrap(), Some(Heard::Items(items)) if items[0].seq == 2));
    }
}
