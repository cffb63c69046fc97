//! Commands that have come, so that none is done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::link::{Command, CommandId, CommandKind, CommandResult, Refusal};

use crate::REMEMBERED;

/// Beyond so many, a command is taken for lost on the way: it comes again. A server sends some in a second.
const MOST: usize = 10_000;
/// A deadline lies seconds ahead. What is due in days is a mistake, and would have to be remembered for as long.
const FARTHEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
pub struct Commands {
    known: BTreeMap<CommandId, Known>,
}

#[derive(Debug)]
struct Known {
    deadline: Utc,
    /// None while it is being done.
    result: Option<CommandResult>,
}

/// What is to be done about a command that has come.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Do(Command),
    Answer(CommandResult),
    /// It is being done, and will be answered then.
    Wait,
}

impl Commands {
    /// `now` is the server's clock.
    pub fn take(&mut self, command: Command, now: Utc) -> Verdict {
        if let Some(known) = self.known.get(&command.id) {
            return known.result.clone().map_or(Verdict::Wait, Verdict::Answer);
        }
        self.known.retain(|_, known| known.deadline.plus(REMEMBERED) >= now);
        if self.known.len() >= MOST {
            return Verdict::Wait;
        }
        let result = refused(&command, now);
        self.known.insert(command.id.clone(), Known { deadline: command.deadline, result: result.clone() });
        result.map_or(Verdict::Do(command), Verdict::Answer)
    }

    /// Keeps the first answer; false where this one is not it.
    pub fn answer(&mut self, id: &CommandId, result: &CommandResult) -> bool {
        let Some(known) = self.known.get_mut(id).filter(|known| known.result.is_none()) else { return false };
        known.result = Some(result.clone());
        true
    }
}

fn refused(command: &Command, now: Utc) -> Option<CommandResult> {
    if command.kind == CommandKind::Unknown {
        let message = "this recorder does not know such a command";
        return Some(CommandResult::refused(Refusal::Unsupported, message));
    }
    if now > command.deadline {
        let late = now.saturating_since(command.deadline);
        let message = format!("it came {} ms after its deadline", late.as_millis());
        return Some(CommandResult::refused(Refusal::Late, message));
    }
    if command.deadline > now.plus(FARTHEST) {
        return Some(CommandResult::refused(Refusal::Other, "its deadline is more than a day ahead"));
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Utc {
        Utc::parse("2026-01-05T09:00:00Z").unwrap().plus(Duration::from_secs(seconds))
    }

    fn stop(id: &str, deadline: Utc) -> Command {
        let recording = deskreel_model::RecordingId::new(at(0), 1);
        let kind = CommandKind::Stop { recording, why: String::new() };
        Command { id: CommandId(id.into()), deadline, kind }
    }

    fn refusal(verdict: &Verdict) -> Refusal {
        match verdict {
            Verdict::Answer(CommandResult::Refused { refusal, .. }) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_repeated_command_is_answered_as_the_first_time() {
        let mut commands = Commands::default();
        let command = stop("1", at(5));
        assert_eq!(commands.take(command.clone(), at(1)), Verdict::Do(command.clone()));
        assert_eq!(commands.take(command.clone(), at(2)), Verdict::Wait);
        assert!(commands.answer(&command.id, &CommandResult::Done));
        let other = CommandResult::refused(Refusal::Busy, "");
        assert!(!commands.answer(&command.id, &other), "the first answer stands");
        assert_eq!(
            commands.take(command, at(500)),
            Verdict::Answer(CommandResult::Done),
            "though it is late now"
        );
    }

    #[test]
    fn a_late_command_is_refused_and_stays_so() {
        let mut commands = Commands::default();
        assert_eq!(refusal(&commands.take(stop("1", at(5)), at(6))), Refusal::Late);
        assert_eq!(refusal(&commands.take(stop("1", at(50)), at(6))), Refusal::Late);
        assert_eq!(refusal(&commands.take(stop("2", at(90_000)), at(0))), Refusal::Other);
        let strange = Command { kind: CommandKind::Unknown, ..stop("3", at(50)) };
        assert_eq!(refusal(&commands.take(strange, at(6))), Refusal::Unsupported);
    }

    /// Else it would be done again.
    #[test]
    fn a_command_is_forgotten_only_when_it_would_be_refused_as_late() {
        let mut commands = Commands::default();
        let command = stop("1", at(5));
        commands.take(command.clone(), at(0));
        commands.answer(&command.id, &CommandResult::Done);
        commands.take(stop("2", at(3700)), at(3600));
        assert_eq!(commands.take(command.clone(), at(3605)), Verdict::Answer(CommandResult::Done));
        commands.take(stop("3", at(3700)), at(3606));
        assert_eq!(refusal(&commands.take(command, at(3606))), Refusal::Late);
    }

    #[test]
    fn too_many_commands_wait_rather_than_be_forgotten() {
        let mut commands = Commands::default();
        for n in 0..MOST {
            assert!(matches!(commands.take(stop(&n.to_string(), at(5)), at(0)), Verdict::Do(_)));
        }
        assert_eq!(commands.take(stop("more", at(5)), at(0)), Verdict::Wait);
        assert_eq!(commands.take(stop("7", at(5)), at(0)), Verdict::Wait, "still known");
    }
}
