//! Handles each report of a worker.

use std::time::Instant;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, Fragment, FrameCounts};
use deskreel_model::worker::{OpenedPart, Report, TrackBeat};
use deskreel_model::{MediaTime, PartNumber};

use super::RecordingRun;
use crate::notice::Notice;
use crate::session::Event;
use crate::worker::tell_refused;

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    pub(super) async fn report(&mut self, report: Report) {
        if let Some(part) = &mut self.part {
            part.watchdog.heard(Instant::now());
        }
        match report {
            Report::PartOpened { track, part } => self.part_opened(track, part).await,
            Report::FragmentClosed { track, part, fragment, frames } => {
                self.fragment_closed(track, part, fragment, frames).await;
            }
            Report::EncoderFailed { track, plugin, candidate, cause, detail, next } => {
                self.choice.encoder_failed(&track, &plugin, &candidate, &detail);
                self.pool.strike(&plugin, &candidate);
                let detail = format!("track `{track}`: {plugin} ({candidate}): {detail}");
                self.event(Event::EncoderFailed(cause, detail, next)).await;
            }
            Report::Beat { tracks } => self.beat(&tracks),
            Report::ModeHolds { capture, at } => self.mode_holds(capture, at).await,
            Report::StandingBy { .. } => {
                (self.tell)(Notice::StandingBy);
                self.event(Event::StandingBy).await;
                self.refill_pool().await;
            }
            Report::Kept { from } => self.kept(from),
            Report::DiskFull { detail } => {
                self.set_disk_full(true);
                self.note(Cause::DiskFull, detail);
            }
            Report::DiskBack => {
                self.set_disk_full(false);
                self.missing_because = None;
                (self.tell)(Notice::DiskBack);
            }
            Report::SourceEnded => {
                if let Some(part) = &mut self.part {
                    part.is_asked_to_stop = true;
                }
                self.stopped_at = Some(self.now());
                self.event(Event::SourceEnded).await;
            }
            Report::SourceChanged { detail } => {
                self.pool.forget_survey();
                self.event(Event::SourceChanged(detail)).await;
            }
            Report::SourceFailed { failure } => {
                self.pool.forget_survey();
                self.event(Event::SourceFailed(failure)).await;
            }
            Report::Failed { failure } => {
                self.pool.forget_survey();
                self.event(Event::WorkerFailed(failure)).await;
            }
            Report::Ready { refused, .. } => tell_refused(&refused),
            Report::PluginHangs { path, reason } => {
                if let Some(part) = &mut self.part {
                    part.is_suspect = false;
                }
                self.pool.exclude(&path, &reason);
            }
            Report::Ended => {
                if let Some(part) = &mut self.part {
                    part.has_ended_well = part.is_asked_to_stop && part.newest_with_frame.is_some();
                }
                // The last report. A plugin or a driver may keep the process itself from ending.
                self.worker_gone().await;
            }
            Report::Surveyed { .. }
            | Report::Looked { .. }
            | Report::Probed { .. }
            | Report::Devices { .. }
            | Report::Decoded { .. } => {}
        }
    }

    async fn part_opened(&mut self, track: String, part: OpenedPart) {
        let (number, encoder) = (part.number, part.encoder.clone());
        self.choice.uses(&track, &encoder.plugin, &encoder.candidate);
        self.pool.part_opened(&track, part.width, part.height);
        let file = part.init.clone();
        self.ledger.part_opened(&track, part);
        (self.tell)(Notice::File { track: track.clone(), part: number, number: 0, file });
        (self.tell)(Notice::Encoder { track, part: number, encoder });
        self.event(Event::PartOpened(number)).await;
    }

    async fn fragment_closed(
        &mut self,
        track: String,
        part: PartNumber,
        fragment: Fragment,
        frames: FrameCounts,
    ) {
        let (number, file) = (fragment.number, fragment.file.clone());
        self.ledger.fragment_closed(&track, part, fragment, frames);
        self.frame_on_disk(part).await;
        (self.tell)(Notice::File { track, part, number, file });
    }

    fn beat(&mut self, tracks: &[TrackBeat]) {
        if let Some(part) = &mut self.part {
            part.watchdog.beat(tracks, Instant::now());
        }
        tracks.iter().for_each(|beat| self.ledger.beat(beat));
    }

    async fn mode_holds(&mut self, capture: CaptureMode, at: MediaTime) {
        let why = self.unconfirmed.pop_front().map(|request| request.why).unwrap_or_default();
        // The worker of a standby that was kept too late still counts from its own start.
        let at = if self.job.origin_ns == 0 { MediaTime::ZERO } else { at };
        self.note_mode(capture, at, why);
        self.event(Event::ModeHolds).await;
    }

    fn set_disk_full(&mut self, is_full: bool) {
        if let Some(part) = &mut self.part {
            part.watchdog.disk_full = is_full;
        }
    }
}
