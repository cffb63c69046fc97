//! A survey of every encoder candidate of this machine, without a recording.

use std::time::Duration;

use deskreel_model::worker::{Command, Picture, Report};

use crate::Error;
use crate::pool::Pool;
use crate::ranking::{Extent, KnownCandidate};
use crate::select::{CandidateTrial, Selection, SelectionError, SelectionStep};

/// The picture of a track's source, and its encoder candidates in the order of preference. A recording uses
/// the first one that works.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackEncoders {
    pub track: String,
    pub picture: Picture,
    pub candidates: Vec<KnownCandidate>,
}

/// Limit for the sources to say whether they could capture now.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Asks the sources of the pool's tracks whether they could capture now. Captures nothing, and tries no
/// encoder.
pub async fn look_at_sources(pool: &mut Pool) -> Result<(), Error> {
    pool.settle().await?;
    let tracks = pool.tracks().to_vec();
    let mut worker = pool.take().await?;
    let answer = |report| match report {
        Report::Looked { result } => Some(result),
        _ => None,
    };
    // A worker that does not answer in time is of no further use.
    let result = worker.ask(&Command::Look { tracks }, LOOK_LIMIT, answer).await?;
    pool.put_back(worker);
    result.map_err(Error::Selection)
}

/// Tries every candidate of the pool's tracks whose standing is not known; with `fresh`, every candidate.
/// Calls `tell` for each one that is tried.
pub async fn survey_encoders(
    pool: &mut Pool,
    fresh: bool,
    mut tell: impl FnMut(CandidateTrial),
) -> Result<Vec<TrackEncoders>, Error> {
    if fresh {
        pool.forget_all();
    }
    let tracks = pool.tracks().to_vec();
    let worker = pool.take().await?;
    let mut selection = Selection::begin(worker, pool.request(&tracks, Extent::All));
    let selected = loop {
        match selection.next().await {
            SelectionStep::Trying(trying) => tell(trying),
            SelectionStep::Done(done) => break *done,
        }
    };
    let selected = selected.map_err(|error| match error {
        SelectionError::Failed(failure) => Error::Selection(failure),
        SelectionError::Gone(_) => Error::WorkerGone,
        SelectionError::Silent(_) => Error::WorkerSilent,
        SelectionError::PluginHangs { path, reason } => Error::PluginHangs { path, reason },
    })?;
    let pictures: Vec<Picture> = selected.surveys.iter().map(|survey| survey.picture.clone()).collect();
    let candidates = pool.selected(&tracks, selected);
    pool.save();
    let named = tracks.into_iter().zip(pictures).zip(candidates);
    Ok(named
        .map(|((job, picture), candidates)| TrackEncoders { track: job.track, picture, candidates })
        .collect())
}
