//! Errors in a worker.

use std::error::Error as _;

use deskreel_contract::Codec;
use deskreel_model::{Failure, Fault};
use deskreel_pipeline::fit::Misfit;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start GStreamer: {0}")]
    Gstreamer(String),
    #[error("no loaded plugin provides `{0}`")]
    NoPlugin(String),
    #[error("{plugin}: {message}")]
    Plugin { plugin: String, message: String, fault: Fault },
    #[error("the GStreamer element `{factory}` is not installed{cure}")]
    NoElement { factory: String, cure: String },
    #[error("the element `{factory}` has no property `{property}`")]
    NoProperty { factory: String, property: String },
    #[error("`{value}` does not fit the property `{property}` of `{factory}`, which takes {wanted}")]
    BadProperty { factory: String, property: String, value: String, wanted: String },
    #[error("`{from}` and `{to}` cannot be linked")]
    NoLink { from: String, to: String },
    #[error("no encoder can be used: {0}")]
    NoEncoder(String),
    #[error("{plugin} offers no candidate `{candidate}` any more")]
    NoCandidate { plugin: String, candidate: String },
    #[error("the plugin offers no encoder for {0}")]
    NoCandidates(Codec),
    #[error("the candidate `{0}` names no element")]
    NoElements(String),
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("the source does not follow real time; set `is-live = true` on its element")]
    NotLive,
    #[error("the pipeline does not start: {0}")]
    NoStart(String),
    #[error("cannot write {path}")]
    Write { path: String, source: std::io::Error },
    #[error("the encoder's configuration cannot be written as MP4: {0}")]
    Configuration(String),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Error::NoProperty { .. } | Error::BadProperty { .. } | Error::NotLive => Fault::Config,
            Error::Plugin { fault, .. } => *fault,
            Error::NoPlugin(_)
            | Error::Configuration(_)
            | Error::NoLink { .. }
            | Error::NoCandidate { .. }
            | Error::NoElements(_)
            | Error::NoCandidates(_) => Fault::Plugin,
            Error::Misfit(_)
            | Error::Gstreamer(_)
            | Error::NoElement { .. }
            | Error::NoEncoder(_)
            | Error::NoStart(_) => Fault::Device,
            Error::Write { .. } => Fault::Disk,
            Error::Thread(_) => Fault::Device,
        }
    }
}

/// A failure is one text, so it includes the causes.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let message = causes.fold(error.to_string(), |message, cause| format!("{message}: {cause}"));
        Failure::new(error.fault(), message)
    }
}
