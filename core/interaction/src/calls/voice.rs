//! Follows the voice recorder.

use deskreel_contract::Voice;
use deskreel_model::event::{CallChange, CallFields, VoiceChange};
use deskreel_model::{AgentId, CallId};

use super::EventFold;
use crate::agent::VoiceRecording;
use crate::call::EndingKind;

impl EventFold<'_> {
    /// The voice recorder may be faster than the switch; then its event makes the connection, and its last
    /// one ends it if the switch has said nothing. It may also be slower: what it says of a call that the
    /// agent has just left begins nothing.
    pub(super) fn update_voice(
        &mut self,
        change: VoiceChange,
        call: &CallId,
        agent: &AgentId,
        recording: Option<&str>,
    ) {
        let call = &self.current_id(call, agent);
        if self.connection_to(call, agent).is_none() {
            let known = self.world.call(call);
            if change == VoiceChange::Stopped
                || known.is_some_and(|known| known.is_settling(agent, self.told))
            {
                return;
            }
            self.update_connection(CallChange::Established, call, agent, &CallFields::default(), None);
            let known = self.agent_mut(agent);
            let Some(index) = known.connection(call) else { return };
            known.connection_mut(index).is_of_recorder = true;
        }
        let (at, told) = (self.at, self.told);
        let known = self.agent_mut(agent);
        let Some(index) = known.connection(call) else { return };
        let connection = known.connection_mut(index);
        if told < connection.voice_told {
            return;
        }
        connection.voice_told = told;
        let mut recordings = connection.recordings.to_vec();
        apply_change(&mut recordings, change, recording);
        connection.recordings = recordings.into();
        let now = state_of_all(&connection.recordings);
        if now == Voice::Paused && connection.voice != Voice::Paused {
            connection.voice_paused = Some(at);
        }
        connection.voice = now;
        connection.is_doubtful = false;
        let is_over = now == Voice::Off && connection.is_of_recorder;
        self.mark_changed(agent, index);
        if is_over {
            self.end_connection(agent, call, EndingKind::Silent);
        }
    }
}

/// Applies a change to the recordings of one call. One that names no recording is about all of them; one that
/// names an unknown recording ends or resumes none.
fn apply_change(recordings: &mut Vec<VoiceRecording>, change: VoiceChange, id: Option<&str>) {
    let state = change.now();
    let is_meant = |known: &VoiceRecording| match (id, known.id.as_deref()) {
        (Some(id), Some(known)) => id == known,
        _ => true,
    };
    if change == VoiceChange::Stopped {
        recordings.retain(|known| !is_meant(known));
        return;
    }
    let mut meant = recordings.iter_mut().filter(|known| is_meant(known)).peekable();
    if meant.peek().is_some() {
        meant.for_each(|known| {
            known.state = state;
            if known.id.is_none() {
                known.id = id.map(Into::into);
            }
        });
    } else if change != VoiceChange::Resumed || recordings.is_empty() {
        recordings.push(VoiceRecording { id: id.map(Into::into), state });
    }
}

/// Paused if one of them is, since only that one knows why.
fn state_of_all(recordings: &[VoiceRecording]) -> Voice {
    let is = |state| recordings.iter().any(|recording| recording.state == state);
    match (is(Voice::Paused), is(Voice::On)) {
        (true, _) => Voice::Paused,
        (false, true) => Voice::On,
        (false, false) => Voice::Off,
    }
}
