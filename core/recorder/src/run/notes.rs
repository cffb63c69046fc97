//! Writes the manifest's content beside footage: incidents, withheld stretches and the end.

use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::MediaTime;
use deskreel_model::manifest::{Cause, Outcome};

use super::{ModeRequest, RecordingRun};
use crate::notice::Notice;
use crate::session::{Event, step};

/// Time from the last frame of a recording to its end: a frame's time and the time that encoding takes.
const END_SLACK: Duration = Duration::from_millis(500);

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    /// Shows a slate in place of the screen, or the screen again.
    pub(super) async fn set_mode(&mut self, capture: CaptureMode, why: String) {
        self.wake_up().await;
        let at = self.now();
        if capture == CaptureMode::Live {
            self.ledger.about_to_show(at);
        }
        self.unconfirmed.push_back(ModeRequest { at, why });
        self.event(Event::ModeAsked(capture)).await;
    }

    pub(super) fn note_mode(&mut self, capture: CaptureMode, at: MediaTime, why: String) {
        self.ledger.note_mode(capture, at, why);
        (self.tell)(Notice::ModeHolds { at, capture });
    }

    /// The newest request holds, since nothing is captured; older ones are moot.
    pub(super) fn mode_holds_without_worker(&mut self, capture: CaptureMode) {
        let newest = self.unconfirmed.drain(..).next_back();
        let (asked, why) = newest.map(|request| (request.at, request.why)).unwrap_or_default();
        // A worker that was to show the screen again may have done so before it died.
        let at = if capture == CaptureMode::Live { asked } else { self.now() };
        self.note_mode(capture, at, why);
    }

    pub(super) fn note(&mut self, cause: Cause, detail: String) {
        if self.state.standby {
            return tracing::info!(?cause, detail, "the standby starts over");
        }
        let at = self.now();
        self.missing_because = Some(cause);
        self.ledger.note(at, cause, detail.clone());
        (self.tell)(Notice::Incident { at, cause, detail });
    }

    pub(super) fn seal(&mut self, outcome: Outcome) {
        if self.ledger.folder().is_some() {
            self.seal_manifest(outcome);
        }
        let (state, _) = step(self.state.clone(), Event::Sealed);
        self.state = state;
    }

    fn seal_manifest(&mut self, outcome: Outcome) {
        let ended = self.stopped_at.unwrap_or_else(|| self.now());
        let slack = if self.last_end.is_complete { END_SLACK } else { Duration::ZERO };
        // A part without a frame has not ended the gap that it began with. A worker that has written
        // everything it was handed until the stop was too slow for the rest.
        let begun = match (self.last_end.had_frame, self.last_end.is_complete) {
            (true, true) => Cause::Backlog,
            (true, false) => Cause::WorkerDied,
            (false, _) => self.ledger.cause(),
        };
        self.ledger.gap_at_end(ended, slack, self.missing_because.unwrap_or(begun));
        self.unsealed = self.ledger.seal(outcome, ended).err();
    }
}
