//! Turns a standby into a recording.
//!
//! A standby counts media time from the start of its worker. Once the worker has reported which frame the
//! recording begins with, time counts from there, and everything noted before is moved to the new zero.

use std::time::{Duration, Instant};

use deskreel_model::MediaTime;
use deskreel_model::worker::Command;
use deskreel_spool::RecordingDir;

use super::RecordingRun;
use crate::Error;
use crate::clocks::{anchor_of_zero, new_id};
use crate::control::KeepRequest;
use crate::notice::Notice;
use crate::session::{Event, Phase};

/// A request to keep a standby that is under way. Whether there is a standby at all is `State::standby`.
pub(super) enum Standby {
    /// None is under way.
    Settled,
    /// The session has still to decide about a request for this much of the past.
    Wanted { look_back: Duration },
    /// The worker was asked to keep its footage, and has not reported yet from when on.
    Keeping,
    /// The recording's folder could not be created: the standby ends.
    Failed(Error),
}

impl Standby {
    pub(super) fn is_keeping(&self) -> bool {
        matches!(self, Standby::Keeping)
    }
}

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    /// From here on the standby is a recording.
    pub(super) async fn keep(&mut self, keep: KeepRequest) {
        if !self.state.standby || !self.is_stoppable() {
            return;
        }
        // Footage from before a sleep is not part of the last minutes.
        self.wake_up().await;
        let recording = keep.recording.unwrap_or_else(new_id);
        let folder = match RecordingDir::create(&self.settings.directory, &recording) {
            Ok(folder) => folder,
            Err(error) => {
                self.standby = Standby::Failed(error.into());
                return self.event(Event::StopAsked).await;
            }
        };
        self.begin(recording.clone(), folder, |manifest| {
            manifest.recording = recording;
            manifest.agent = keep.agent.or(manifest.agent.take());
            manifest.place = keep.place.or(manifest.place.take());
        });
        self.standby = Standby::Wanted { look_back: keep.look_back };
        self.deadline = self.settings.max_duration.map(|duration| Instant::now() + duration);
        self.job.preroll_ns = None;
        if !matches!(self.state.phase, Phase::Preparing | Phase::Recording) {
            self.restart_time();
        }
        self.event(Event::KeepAsked).await;
        self.tell_rest();
    }

    pub(super) async fn ask_to_keep(&mut self) {
        let look_back = match self.standby {
            Standby::Wanted { look_back } => look_back,
            _ => Duration::ZERO,
        };
        self.standby = Standby::Keeping;
        let directory = self.job.directory.clone();
        let look_back_ns = u64::try_from(look_back.as_nanos()).unwrap_or(u64::MAX);
        self.send(&Command::Keep { directory, look_back_ns }).await;
    }

    /// None of the standby's footage is left: media time begins with the next part.
    pub(super) fn restart_time(&mut self) {
        self.standby = Standby::Settled;
        self.job.origin_ns = 0;
        self.ledger.restart_time();
    }

    /// The worker has kept its footage from this time on.
    pub(super) fn kept(&mut self, from: MediaTime) {
        self.standby = Standby::Settled;
        self.job.origin_ns = self.job.origin_ns.saturating_add_unsigned(from.0);
        self.ledger.move_zero(from, anchor_of_zero(self.job.origin_ns));
        for request in &mut self.unconfirmed {
            request.at = MediaTime(request.at.0.saturating_sub(from.0));
        }
    }
}
