//! One recording, from start to seal: its state, its workers, its parts, its manifest.
//!
//! It promises that a recording goes on whatever becomes of a worker, that a stop ends within its limit, and that
//! the manifest says what happened. It does not touch a frame, link GStreamer, or deliver anything anywhere.
//!
//! [`session`] decides, purely; [`run`](record()) waits for what happens, asks the session, and does what it
//! says; [`ledger`](mod@ledger) keeps the manifest; [`Pool`] has the worker processes. Which encoders are used is found
//! out by `select`, by the rules of `ranking`, with what `verdicts` remembers; `choice` has the outcome.

mod choice;
mod clocks;
mod job;
mod kept;
mod ledger;
mod notice;
mod pool;
mod ranking;
mod run;
mod select;
pub mod session;
mod setup;
mod survey;
mod verdicts;
mod watchdog;
mod worker;

pub use clocks::new_id;
pub use job::job_of;
pub use notice::{Finished, Notice, Status};
pub use pool::Pool;
pub use ranking::{Standing, Tried};
pub use run::{record, stand_by};
pub use select::Trying;
pub use setup::{Control, Keep, Rest, Setup};
pub use survey::{TrackEncoders, encoders};
pub use worker::{Worker, default_worker};

use deskreel_model::{Failure, Fault};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start the worker {path}: {source}")]
    Spawn { path: String, source: std::io::Error },
    #[error("the worker is not beside this program: {0} is missing")]
    NoWorker(String),
    #[error(transparent)]
    Spool(#[from] deskreel_spool::Error),
    #[error("the worker was gone before it answered")]
    WorkerGone,
    #[error("the worker did not answer in time")]
    WorkerSilent,
    #[error("the worker cannot be asked: {0}")]
    Question(std::io::Error),
    #[error("cannot write in {path}: {source}")]
    Cache { path: String, source: std::io::Error },
    /// While it was found out which encoders work.
    #[error("{}", .0.message)]
    Selection(Failure),
    #[error("the plugin library {path} hangs: {reason}", path = .path.display())]
    PluginHangs { path: std::path::PathBuf, reason: String },
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Error::Spawn { .. } => Fault::Device,
            Error::NoWorker(_) => Fault::Config,
            Error::Spool(error) => error.fault(),
            Error::WorkerGone | Error::WorkerSilent | Error::PluginHangs { .. } => Fault::Plugin,
            Error::Question(_) => Fault::Bug,
            Error::Cache { .. } => Fault::Disk,
            Error::Selection(failure) => failure.fault,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(error.fault(), error.to_string())
    }
}
