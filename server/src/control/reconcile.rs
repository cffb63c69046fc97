//! Compares what a recorder does with what is wanted of it. Pure.

use deskreel_contract::CaptureMode;
use deskreel_model::link::RunningRecording;
use deskreel_model::{AgentId, RecordingId};

/// A difference that a command ends.
#[derive(Debug, PartialEq)]
pub enum Difference<T> {
    /// This footage is wanted and not recorded.
    Missing(T),
    /// This recording captures in another mode than the wanted one.
    Other(RecordingId, CaptureMode),
    /// Nothing wants this recording.
    Unwanted(RecordingId),
}

/// `wanted` is footage with its agent and mode. A recording of the same agent is that footage, whatever its
/// id: a recorder that was interrupted continues under another.
pub fn reconcile<T: Copy>(
    wanted: &[(T, AgentId, CaptureMode)],
    running: &[RunningRecording],
) -> Vec<Difference<T>> {
    let mut differences = Vec::new();
    for (footage, agent, capture) in wanted {
        match running.iter().find(|one| one.agent == *agent) {
            None => differences.push(Difference::Missing(*footage)),
            Some(one) if one.capture != *capture => {
                differences.push(Difference::Other(one.recording.clone(), *capture));
            }
            Some(_) => {}
        }
    }
    let is_wanted = |one: &RunningRecording| wanted.iter().any(|(_, agent, _)| *agent == one.agent);
    let unwanted = running.iter().filter(|one| !is_wanted(one));
    differences.extend(unwanted.map(|one| Difference::Unwanted(one.recording.clone())));
    differences
}

#[cfg(test)]
mod tests {
    use deskreel_model::Utc;

    use super::*;

    fn running(salt: u32, agent: &str, capture: CaptureMode) -> RunningRecording {
        let recording = RecordingId::new(Utc::MIN, salt);
        RunningRecording { recording, agent: agent.into(), capture, since: Utc::MIN }
    }

    #[test]
    fn a_recorder_is_brought_to_what_is_wanted() {
        let live = CaptureMode::Live;
        let ann = running(1, "ann", live);
        let wanted = |capture| [(7, AgentId::from("ann"), capture)];
        assert_eq!(reconcile(&wanted(live), std::slice::from_ref(&ann)), []);
        assert_eq!(reconcile(&wanted(live), &[]), [Difference::Missing(7)]);
        let paused = Difference::Other(ann.recording.clone(), CaptureMode::Paused);
        assert_eq!(reconcile(&wanted(CaptureMode::Paused), std::slice::from_ref(&ann)), [paused]);
        assert_eq!(
            reconcile::<i32>(&[], std::slice::from_ref(&ann)),
            [Difference::Unwanted(ann.recording.clone())]
        );
        let bob = running(2, "bob", live);
        let changed = [Difference::Missing(7), Difference::Unwanted(bob.recording.clone())];
        assert_eq!(reconcile(&wanted(live), &[bob]), changed);
    }
}
