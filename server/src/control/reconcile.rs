//! Compares what a recorder does with what is wanted of it. Pure.

use deskreel_contract::CaptureMode;
use deskreel_model::RecordingId;
use deskreel_model::link::RunningRecording;

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

/// `wanted` is footage with its mode; `is_of` tells whether a recording is of that footage. What is not
/// wanted comes first: a recorder makes one recording at a time.
pub fn reconcile<T: Copy>(
    wanted: &[(T, CaptureMode)],
    running: &[RunningRecording],
    is_of: impl Fn(&T, &RunningRecording) -> bool,
) -> Vec<Difference<T>> {
    let is_wanted = |one: &RunningRecording| wanted.iter().any(|(footage, _)| is_of(footage, one));
    let unwanted = running.iter().filter(|one| !is_wanted(one));
    let mut differences: Vec<_> = unwanted.map(|one| Difference::Unwanted(one.recording.clone())).collect();
    for (footage, capture) in wanted {
        match running.iter().find(|one| is_of(footage, one)) {
            None => differences.push(Difference::Missing(*footage)),
            Some(one) if one.capture != *capture => {
                differences.push(Difference::Other(one.recording.clone(), *capture));
            }
            Some(_) => {}
        }
    }
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
        let is_anns = |_: &i32, one: &RunningRecording| *one.agent.0 == *"ann";
        let brought =
            |wanted: &[(i32, CaptureMode)], running: &[RunningRecording]| reconcile(wanted, running, is_anns);
        assert_eq!(brought(&[(7, live)], std::slice::from_ref(&ann)), []);
        assert_eq!(brought(&[(7, live)], &[]), [Difference::Missing(7)]);
        let paused = Difference::Other(ann.recording.clone(), CaptureMode::Paused);
        assert_eq!(brought(&[(7, CaptureMode::Paused)], std::slice::from_ref(&ann)), [paused]);
        assert_eq!(brought(&[], std::slice::from_ref(&ann)), [Difference::Unwanted(ann.recording.clone())]);
        let bob = running(2, "bob", live);
        let changed = [Difference::Unwanted(bob.recording.clone()), Difference::Missing(7)];
        assert_eq!(brought(&[(7, live)], &[bob]), changed);
    }
}
