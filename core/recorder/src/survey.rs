//! Every encoder candidate of this machine, without a recording.

use deskreel_model::worker::Picture;

use crate::Error;
use crate::pool::Pool;
use crate::ranking::{Extent, Tried};
use crate::select::{NotSelected, Selection, Step, Trying};

/// What a track's source shows, and what is known of each candidate to encode it, in the order of preference. A
/// recording uses the first one that works.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackEncoders {
    pub track: String,
    pub picture: Picture,
    pub tried: Vec<Tried>,
}

/// Tries every candidate of the pool's tracks, but for those of which it is known; those too, if it is to be `fresh`.
/// `tell` hears of each that is tried.
pub async fn encoders(
    pool: &mut Pool,
    fresh: bool,
    mut tell: impl FnMut(Trying),
) -> Result<Vec<TrackEncoders>, Error> {
    if fresh {
        pool.start_afresh();
    }
    let tracks = pool.tracks().to_vec();
    let worker = pool.take().await?;
    let mut selection = Selection::begin(worker, pool.request(&tracks, Extent::All));
    let selected = loop {
        match selection.next().await {
            Step::Trying(trying) => tell(trying),
            Step::Done(done) => break *done,
        }
    };
    let selected = selected.map_err(|error| match error {
        NotSelected::Failed(failure) => Error::Selection(failure),
        NotSelected::Gone(_) => Error::WorkerGone,
        NotSelected::Silent(_) => Error::WorkerSilent,
        NotSelected::PluginHangs { path, reason } => Error::PluginHangs { path, reason },
    })?;
    let pictures: Vec<Picture> = selected.surveys.iter().map(|survey| survey.picture.clone()).collect();
    let tried = pool.selected(&tracks, selected);
    pool.save();
    let named = tracks.into_iter().zip(pictures).zip(tried);
    Ok(named.map(|((job, picture), tried)| TrackEncoders { track: job.track, picture, tried }).collect())
}
