//! Viewers of running recordings, as far as recorders need to know: a recorder whose recording is watched
//! sends a fragment each second, though the screen is still. Pure.
//!
//! The page does not report that a viewer leaves. So the server repeats the command while somebody watches,
//! and each command holds for a few seconds only.

use std::collections::HashMap;
use std::time::Duration;

use deskreel_model::RecordingId;
use deskreel_model::link::CommandKind;

use crate::names::PersonName;

/// Time for which one command holds, in seconds.
const SECONDS: u32 = 20;
/// Interval between two commands. Two fit into that time, so one may come late.
const TELL_EVERY: Duration = Duration::from_secs(8);
/// Time between two keyframes for viewers who join.
const JOIN_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Viewers(HashMap<RecordingId, WatchedRecording>);

#[derive(Debug, Default)]
struct WatchedRecording {
    /// When its recorder was last told, and when a keyframe was last asked for.
    told: Option<Duration>,
    joined: Option<Duration>,
    /// When each person last asked.
    persons: HashMap<PersonName, Duration>,
}

impl Viewers {
    /// A person asks for the newest footage of a recording; `joins`: in one more window. Returns the command
    /// to its recorder, if one is due.
    pub fn ask(
        &mut self,
        recording: &RecordingId,
        person: &PersonName,
        joins: bool,
        now: Duration,
    ) -> Option<CommandKind> {
        let is_over = |at: Option<Duration>, time| at.is_none_or(|at| now.saturating_sub(at) >= time);
        let lasting = Duration::from_secs(SECONDS.into());
        self.0.retain(|_, watched| {
            watched.persons.retain(|_, at| !is_over(Some(*at), lasting));
            !watched.persons.is_empty()
        });
        let watched = self.0.entry(recording.clone()).or_default();
        let is_new = watched.persons.insert(person.clone(), now).is_none();
        let joins = (is_new || joins) && is_over(watched.joined, JOIN_EVERY);
        if !joins && !is_over(watched.told, TELL_EVERY) {
            return None;
        }
        watched.told = Some(now);
        watched.joined = if joins { Some(now) } else { watched.joined };
        Some(CommandKind::Watch { recording: recording.clone(), seconds: SECONDS, joins })
    }
}

#[cfg(test)]
mod tests {
    use deskreel_model::Utc;

    use super::*;

    #[test]
    fn a_recorder_is_told_at_once_and_then_now_and_then_however_many_watch() {
        let recording = RecordingId::new(Utc::MIN, 1);
        let mut viewers = Viewers::default();
        let mut told = Vec::new();
        let mut ask = |name: &str, joins: bool, ms: u64| {
            let command = viewers.ask(&recording, &name.to_owned().into(), joins, Duration::from_millis(ms));
            if let Some(CommandKind::Watch { joins, seconds: SECONDS, .. }) = command {
                told.push((ms, joins));
            }
        };
        // Sue asks every half second, opens a second window at 6 s, and pauses from 20 s to 45 s. Two more
        // people join at 3 s.
        for ms in (0..50_000).step_by(500).filter(|ms| !(20_000..45_000).contains(ms)) {
            ask("sue", ms == 6000, ms);
            if (3000..10_000).contains(&ms) {
                ask("tim", false, ms);
                ask("una", false, ms + 100);
            }
        }
        assert_eq!(told, [(0, true), (3000, true), (6000, true), (14_000, false), (45_000, true)]);
    }
}
