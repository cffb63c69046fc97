//! How a standby becomes a recording.
//!
//! It counts media time from the start of its worker. Once the worker has said with which frame the recording begins, that
//! is where it counts from, and what was told before is told anew.

use std::time::Instant;

use deskreel_model::MediaTime;
use deskreel_spool::RecordingDir;

use super::Run;
use crate::clocks::{anchor_of_zero, new_id};
use crate::notice::Notice;
use crate::session::{Event, Phase};
use crate::setup::Keep;

impl<T: FnMut(Notice)> Run<'_, T> {
    /// The standby is a recording from here on.
    pub(super) async fn keep(&mut self, keep: Keep) {
        if !self.state.standby || !self.stoppable() {
            return;
        }
        // What was before a sleep is not what was just now.
        self.wake_up().await;
        let recording = keep.recording.unwrap_or_else(new_id);
        let folder = match RecordingDir::create(&self.directory, &recording) {
            Ok(folder) => folder,
            Err(error) => {
                self.not_kept = Some(error.into());
                return self.event(Event::StopAsked).await;
            }
        };
        self.begin(recording.clone(), folder, |manifest| {
            manifest.recording = recording;
            manifest.agent = keep.agent.or(manifest.agent.take());
            manifest.place = keep.place.or(manifest.place.take());
        });
        self.look_back = keep.look_back;
        self.deadline = self.max_duration.map(|duration| Instant::now() + duration);
        self.job.preroll_ns = None;
        if !matches!(self.state.phase, Phase::Preparing | Phase::Recording) {
            self.begin_time_anew();
        }
        self.event(Event::KeepAsked).await;
        self.tell_rest();
    }

    /// Of the standby there is nothing: media time begins with the next part.
    pub(super) fn begin_time_anew(&mut self) {
        self.keeping = false;
        self.job.origin_ns = 0;
        self.ledger.begins_anew();
    }

    pub(super) fn kept(&mut self, from: MediaTime) {
        self.keeping = false;
        self.job.origin_ns = self.job.origin_ns.saturating_add_unsigned(from.0);
        self.ledger.begins_at(from, anchor_of_zero(self.job.origin_ns));
        self.asked.iter_mut().for_each(|(at, _)| *at = MediaTime(at.0.saturating_sub(from.0)));
    }
}
