//! Events at the desk, as numbered items for listeners. A listener that was away asks for what it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_model::{AgentId, MediaTime, RecordingId, Utc};
use serde::Serialize;
use tokio::sync::watch;

/// Items that are kept for listeners that were away: hours of an ordinary day, under a megabyte.
const CAPACITY: usize = 2048;

/// Something that happened, with its number. Numbers start at 1 with each start of the daemon and have no
/// gaps.
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
    /// A recording was commanded. Its id is final; its first frame is not on disk yet.
    #[serde(rename = "recording.starting")]
    Starting { recording: RecordingId, agent: AgentId, capture: CaptureMode, why: String },
    /// Its first frame is on disk.
    #[serde(rename = "recording.started")]
    Started { recording: RecordingId },
    /// From here on the recording captures the screen in this mode.
    #[serde(rename = "recording.capture")]
    ModeHolds { recording: RecordingId, capture: CaptureMode, media: MediaTime, why: String },
    #[serde(rename = "recording.incident")]
    Incident { recording: RecordingId, media: MediaTime, cause: Cause, detail: String },
    #[serde(rename = "recording.stopping")]
    Stopping { recording: RecordingId, why: String },
    /// The recording has ended; nothing is added to it any more.
    #[serde(rename = "recording.sealed")]
    Sealed { recording: RecordingId, outcome: Outcome, duration: MediaTime, frames: u64, gaps: usize },
    /// A recording was commanded but could not begin.
    #[serde(rename = "recording.not_started")]
    NotStarted { agent: AgentId, why: String },
    #[serde(rename = "recording.delivered")]
    Delivered { recording: String, sink: String, place: String },
    #[serde(rename = "recording.refused")]
    RefusedBySink { recording: String, sink: String, reason: String },
    /// The pipeline file was read again; `error` says why the previous one stays in use.
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
    /// Distinguishes the numbers of one start of the daemon from those of another.
    stream: Arc<str>,
    kept: Arc<Mutex<VecDeque<Item>>>,
    newest: watch::Sender<u64>,
}

/// The next answer to a listener.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The items, in order.
    Items(Vec<Item>),
    /// Items that the listener has not received are no longer kept. It should read the status and go on from
    /// `seq`.
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
        if kept.len() == CAPACITY {
            kept.pop_front();
        }
        kept.push_back(Item { seq, at, what });
        // Under the lock, so that a woken listener finds the item.
        self.newest.send_replace(seq);
    }

    /// The number of the newest item; 0 if nothing has happened yet.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Returns everything after `seq`, as soon as there is something. Cancel safe. Returns `None` when the
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

    fn news_with(count: u64) -> News {
        let news = News::new();
        for _ in 0..count {
            news.tell(Utc::MIN, What::GoingDown);
        }
        news
    }

    #[tokio::test]
    async fn a_listener_that_was_away_gets_what_it_missed_in_order() {
        let Some(Heard::Items(items)) = news_with(5).after(2).await else { panic!("lost") };
        assert_eq!(items.iter().map(|item| item.seq).collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[tokio::test]
    async fn a_listener_that_was_away_for_too_long_learns_so() {
        let news = news_with(CAPACITY as u64 + 3);
        assert_eq!(news.after(2).await, Some(Heard::Lost { seq: CAPACITY as u64 + 3 }));
        assert!(matches!(news.after(3).await, Some(Heard::Items(items)) if items.len() == CAPACITY));
    }

    #[tokio::test]
    async fn a_listener_waits_for_the_next() {
        let news = news_with(1);
        let listener = tokio::spawn({
            let news = news.clone();
            async move { news.after(1).await }
        });
        tokio::task::yield_now().await;
        news.tell(Utc::MIN, What::GoingDown);
        assert!(matches!(listener.await.unwrap(), Some(Heard::Items(items)) if items[0].seq == 2));
    }
}
