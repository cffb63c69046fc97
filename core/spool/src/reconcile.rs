//! Takes in the remains of a dead worker while the recording continues.

use std::path::Path;

use deskreel_model::MediaTime;
use deskreel_model::manifest::Track;

use crate::Error;
use crate::disk::Disk;
use crate::recover::{RecoverySummary, Scope, recover_track};

/// Makes a track of a running recording agree with the disk, once its worker is certainly gone. Takes in
/// complete fragments that the worker could no longer report, and makes one of its tail. The last frame of
/// the newest part's tail lasts at least until `still_until`, up to which the screen is known not to have
/// changed.
///
/// Looks only at the newest part, and at parts that an earlier call could not finish, because the recorder
/// waits for this. After an error the track has everything that could be taken in, and another call continues
/// from there.
pub fn reconcile(
    recording_dir: &Path,
    track: &mut Track,
    still_until: MediaTime,
) -> Result<RecoverySummary, Error> {
    let mut summary = RecoverySummary::default();
    recover_track(&Disk::new(), recording_dir, track, Scope::LeftBehind { still_until }, &mut summary)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::symlink;

    use deskreel_model::MediaTime;
    use deskreel_model::manifest::{Cause, Outcome, Track};

    use super::reconcile;
    use crate::fixture::{FRAMES, Fixture, tail, write_fragment};
    use crate::recover::RecoverySummary;
    use crate::verify_bytes;

    fn ms(ms: u64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    /// Seals the recording with this track, and checks that it verifies.
    fn assert_true(mut fixture: Fixture, track: Track) {
        fixture.change(|manifest| {
            manifest.tracks[0] = track;
            manifest.outcome = Some(Outcome::Finished);
        });
        assert_eq!(verify_bytes(&fixture.folder).findings, []);
    }

    #[test]
    fn the_files_of_a_killed_worker_are_taken_in() {
        let fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        write_fragment(&fixture.folder, track.parts[1].number, 3, 3000);
        fs::write(fixture.path("video/part-0002/tail"), tail(4, 3500, 2)).unwrap();
        fs::write(fixture.path("video/part-0002/000004.m4s.tmp"), b"half").unwrap();

        let summary = reconcile(&fixture.folder, &mut track, ms(5000)).unwrap();
        assert_eq!((summary.taken_in, summary.salvaged, summary.set_aside.len()), (1, 1, 0));
        assert_eq!(track.parts[1].frames.encoded, 3 * FRAMES + 2);
        assert_eq!(track.end(), Some(ms(5000)), "the last picture lasts until then");
        assert_true(fixture, track);
    }

    #[test]
    fn a_worker_that_died_before_it_had_a_header_leaves_nothing() {
        let fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        fs::create_dir(fixture.path("video/part-0003")).unwrap();
        fs::write(fixture.path("video/part-0003/init.mp4.tmp"), b"half").unwrap();
        assert_eq!(reconcile(&fixture.folder, &mut track, ms(5000)).unwrap(), RecoverySummary::default());
        assert_eq!(track, fixture.manifest.tracks[0]);
        assert_true(fixture, track);
    }

    #[test]
    fn finished_parts_are_not_looked_at() {
        let fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        fs::remove_file(fixture.path("video/part-0001/000002.m4s")).unwrap();
        assert_eq!(reconcile(&fixture.folder, &mut track, ms(5000)).unwrap(), RecoverySummary::default());
        assert_eq!(track, fixture.manifest.tracks[0]);
    }

    #[test]
    fn a_picture_stands_still_only_in_the_newest_part() {
        let fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        fs::write(fixture.path("video/part-0001/tail"), tail(4, 1500, 2)).unwrap();
        fs::write(fixture.path("video/part-0002/tail"), tail(3, 3000, 2)).unwrap();
        assert_eq!(reconcile(&fixture.folder, &mut track, ms(5000)).unwrap().salvaged, 2);
        let ends = track.parts.iter().map(|part| part.fragments.last().unwrap().end());
        assert_eq!(ends.collect::<Vec<_>>(), [ms(1700), ms(5000)]);
        assert_true(fixture, track);
    }

    #[test]
    fn an_error_forgets_no_fragment() {
        let fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        let first = fixture.path("video/part-0002/000001.m4s");
        fs::remove_file(&first).unwrap();
        symlink("000001.m4s", &first).unwrap();
        reconcile(&fixture.folder, &mut track, ms(0)).unwrap_err();
        assert_eq!(track, fixture.manifest.tracks[0]);
    }

    #[test]
    fn a_tail_that_cannot_be_written_waits_and_all_else_is_taken_in() {
        let fixture = Fixture::unsealed();
        let mut track = fixture.manifest.tracks[0].clone();
        // Half a second is missing before the unreported fragment.
        write_fragment(&fixture.folder, track.parts[1].number, 3, 3500);
        fs::write(fixture.path("video/part-0002/tail"), tail(4, 4000, 2)).unwrap();
        let obstacle = fixture.path("video/part-0002/000004.m4s.tmp");
        fs::create_dir(&obstacle).unwrap();

        reconcile(&fixture.folder, &mut track, ms(0)).unwrap_err();
        assert_eq!(track.parts[1].frames.encoded, 3 * FRAMES);
        let gap = track.gaps.last().unwrap();
        assert_eq!((gap.from, gap.to, gap.cause), (ms(3000), ms(3500), Cause::WorkerDied));
        assert_eq!(gap.frames, 5, "half a second at ten frames per second");

        fs::remove_dir(&obstacle).unwrap();
        assert_eq!(reconcile(&fixture.folder, &mut track, ms(0)).unwrap().salvaged, 1);
        assert_eq!(track.parts[1].frames.encoded, 3 * FRAMES + 2);
        assert_true(fixture, track);
    }
}
