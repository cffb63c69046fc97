//! One recording, from start to seal: its state, its workers, its parts, its manifest.
//!
//! A recording continues whatever happens to a worker, a stop ends within its limit, and the manifest says
//! what happened. This crate touches no frame, links no GStreamer and delivers nothing.
//!
//! [`session`] decides, purely. [`run`](record()) waits for events, asks the session, and carries out its
//! answers. `ledger` keeps the manifest, and [`Pool`] has the worker processes. `select` finds out which
//! encoders work, by the rules of `ranking` and with the verdicts that `probe_verdicts` remembers;
//! `encoder_choice` has the outcome.

pub mod session;

mod control;
mod notice;
mod run;
mod setup;

mod clocks;
mod job;
mod ledger;
mod watchdog;

mod machine_dir;
mod pool;
mod worker;

mod encoder_choice;
mod probe_verdicts;
mod ranking;
mod select;
mod survey;

pub use clocks::new_id;
pub use control::{Control, KeepRequest, Rest};
pub use job::job_of;
pub use notice::{Notice, RecordingProgress, RecordingResult};
pub use pool::Pool;
pub use ranking::{KnownCandidate, Standing};
pub use run::{record, stand_by};
pub use select::CandidateTrial;
pub use setup::RecordingSetup;
pub use survey::{TrackEncoders, look_at_sources, survey_encoders};
pub use worker::{Worker, default_worker};

use std::error::Error as _;

use deskreel_model::{Failure, Fault};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start the worker {path}")]
    Spawn { path: String, source: std::io::Error },
    #[error("the worker {0} is missing; install it beside this program")]
    NoWorker(String),
    #[error(transparent)]
    Spool(#[from] deskreel_spool::Error),
    #[error("the worker ended before it answered")]
    WorkerGone,
    #[error("the worker did not answer in time")]
    WorkerSilent,
    #[error("cannot encode a command for the worker")]
    Question(#[source] std::io::Error),
    #[error("cannot write to {path}")]
    Cache { path: String, source: std::io::Error },
    /// A failure while finding out which encoders work.
    #[error("{}", .0.message)]
    Selection(Failure),
    #[error("the plugin library {path} hangs: {reason}", path = .path.display())]
    PluginHangs { path: std::path::PathBuf, reason: String },
}

impl Error {
    /// The error and its causes in one sentence, for logs and manifests that hold no chain.
    pub fn with_causes(&self) -> String {
        let causes = std::iter::successors(self.source(), |cause| (*cause).source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

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
        Failure::new(error.fault(), error.with_causes())
    }
}
