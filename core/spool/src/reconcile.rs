//! What a dead worker left of a recording that goes on.

use std::path::Path;

use deskreel_model::MediaTime;
use deskreel_model::manifest::Track;

use crate::Error;
use crate::disk::Disk;
use crate::recover::{Summary, recover_track};

/// Brings a track of a running recording in line with what is on disk, when its worker is gone for sure: takes in
/// complete fragments that the worker could not report any more, and makes one of its tail. The last frame of the
/// tail stands until `still_until` at least, up to which the screen is known not to have changed.
pub fn reconcile(recording_dir: &Path, track: &mut Track, still_until: MediaTime) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    recover_track(&Disk::new(), recording_dir, track, still_until, &mut summary)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use deskreel_model::MediaTime;
    use deskreel_model::manifest::Outcome;

    use super::reconcile;
    use crate::fixture::{FRAMES, Fixture, tail, write_fragment};
    use crate::verify_bytes;

    #[test]
    fn what_a_killed_worker_left_belongs_to_the_recording() {
        let mut fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        write_fragment(&fixture.folder, track.parts[1].number, 3, 3000);
        fs::write(fixture.path("video/part-0002/tail"), tail(4, 3500, 2)).unwrap();
        fs::write(fixture.path("video/part-0002/000004.m4s.tmp"), b"half").unwrap();
        // The next worker died before it had a header.
        fs::create_dir(fixture.path("video/part-0003")).unwrap();
        fs::write(fixture.path("video/part-0003/init.mp4.tmp"), b"half").unwrap();

        let summary = reconcile(&fixture.folder, &mut track, MediaTime::from_millis(5000)).unwrap();
        assert_eq!((summary.taken_in, summary.salvaged, summary.set_aside.len()), (1, 1, 0));
        assert_eq!(track.parts[1].frames.encoded, 3 * FRAMES + 2);
        assert_eq!(
            track.end(),
            Some(MediaTime::from_millis(5000)),
            "the last picture stood still until then"
        );

        fixture.change(|manifest| {
            manifest.tracks[0] = track;
            manifest.outcome = Some(Outcome::Finished);
        });
        assert_eq!(verify_bytes(&fixture.folder).findings, []);
    }
}
