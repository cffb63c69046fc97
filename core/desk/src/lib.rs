//! The desk: one seat with its agent and its recording, as the API, the metrics and the status see it.
//!
//! [`Desk`] is a handle. A request goes through one queue to the daemon's loop, which alone changes anything.
//! The state comes back as a [`Status`] that can be read at any time, and what happens as [`News`].

pub mod news;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::event::{Event, Request, Seat};
use deskreel_model::{AgentId, Fault, RecordingId};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use news::News;
use status::Status;

/// Requests that wait for the daemon's loop. Further callers wait until there is a free place.
const BACKLOG: usize = 256;

#[derive(Clone)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    status: watch::Receiver<Arc<Status>>,
    news: News,
}

/// A request to the desk.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Logs out the agent who was here before.
    LogIn {
        agent: AgentId,
        seat: Seat,
    },
    LogOut {
        agent: AgentId,
    },
    /// Reports something that a desktop knows: a call, an agent's state, a chat. Answered once policies have
    /// decided.
    Tell(Box<Event>),
    /// Start, stop, pause, mask, resume or tag. Answered once it holds: a pause when no pixel passes any
    /// more, a stop when the recording is sealed.
    Request {
        agent: AgentId,
        request: Request,
    },
}

/// The result of a request that was carried out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Done {
    /// The running recording, or the one that has just been stopped.
    pub recording: Option<RecordingId>,
    /// The mode in which that recording captures the screen.
    pub capture: Option<CaptureMode>,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("agent `{0}` is not logged in here")]
    NotLoggedIn(AgentId),
    #[error("nothing is being recorded")]
    NothingRecorded,
    /// A policy or the pipeline file does not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// It failed, with the fault.
    #[error("{reason}")]
    Failed { fault: Fault, reason: String },
    /// Not done in time; it may still happen.
    #[error("not done within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("the recorder is going down")]
    GoingDown,
}

/// A request with the channel for its answer.
pub struct Ask {
    pub act: Act,
    pub reply: oneshot::Sender<Result<Done, Refused>>,
}

/// The daemon's end of the desk: the requests, and where to publish status and news.
pub struct Ends {
    pub asks: mpsc::Receiver<Ask>,
    pub status: watch::Sender<Arc<Status>>,
    pub news: News,
}

impl Desk {
    pub fn new(status: Status) -> (Desk, Ends) {
        let (asks, asked) = mpsc::channel(BACKLOG);
        let (tell, status) = watch::channel(Arc::new(status));
        let news = News::new();
        let ends = Ends { asks: asked, status: tell, news: news.clone() };
        (Desk { asks, status, news }, ends)
    }

    /// Sends a request and waits at most `limit` for its answer. A request that times out is not revoked.
    pub async fn ask(&self, act: Act, limit: Duration) -> Result<Done, Refused> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(Ask { act, reply }).await.map_err(|_| Refused::GoingDown)?;
            answer.await.map_err(|_| Refused::GoingDown)?
        };
        timeout(limit, asked).await.unwrap_or(Err(Refused::Late(limit)))
    }

    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    pub fn news(&self) -> &News {
        &self.news
    }
}
