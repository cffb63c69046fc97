//! What a dead worker left of a recording that goes on.

use std::path::Path;

use deskreel_model::MediaTime;
use deskreel_model::manifest::Track;

use crate::disk::Disk;
use crate::recover::{Summary, recover_track};
use crate::Error;

/// Brings a track of a running recording in line with what is on disk, when its worker is gone for sure: takes in
/// complete fragments that the worker could not report any more, and makes one of its tail. The last frame of the
/// tail stands until `still_until` at least, up to which the screen is known not to have changed.
pub fn reconcile(recording_dir: &Path, track: &mut Track, still_until: MediaTime) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    recover_track(&Disk::new(), recording_dir, track, still_until, &mut summary)?;
    Ok(summary)
}
