//! The recorder's memory of received commands, so that none is done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::link::{Command, CommandId, CommandKind, CommandRefusal, CommandResult};

use crate::REMEMBER_FOR;

/// Most commands that are remembered. Further ones are ignored as if lost on the way; they come again. A
/// server sends a few in a second.
const MAX_COMMANDS: usize = 10_000;
/// A deadline lies seconds ahead. One that is days ahead is a mistake, and would have to be remembered that
/// long.
const MAX_DEADLINE_AHEAD: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
pub struct Commands {
    known: BTreeMap<CommandId, KnownCommand>,
}

#[derive(Debug)]
struct KnownCommand {
    deadline: Utc,
    /// `None` while it is being done.
    result: Option<CommandResult>,
}

/// The reaction to a received command.
#[derive(Debug, PartialEq)]
pub enum CommandResponse {
    Do(Command),
    Answer(CommandResult),
    /// None: it is being done and will be answered, or there is no room for it.
    Wait,
}

impl Commands {
    /// `now` is by the server's clock.
    pub fn take(&mut self, command: Command, now: Utc) -> CommandResponse {
        if let Some(known) = self.known.get(&command.id) {
            return known.result.clone().map_or(CommandResponse::Wait, CommandResponse::Answer);
        }
        self.known.retain(|_, known| known.deadline.plus(REMEMBER_FOR) >= now);
        if self.known.len() >= MAX_COMMANDS {
            return CommandResponse::Wait;
        }
        let result = refused(&command, now);
        self.known
            .insert(command.id.clone(), KnownCommand { deadline: command.deadline, result: result.clone() });
        result.map_or(CommandResponse::Do(command), CommandResponse::Answer)
    }

    /// Keeps the first answer. Returns whether this is it.
    pub fn answer(&mut self, id: &CommandId, result: &CommandResult) -> bool {
        let Some(known) = self.known.get_mut(id).filter(|known| known.result.is_none()) else { return false };
        known.result = Some(result.clone());
        true
    }
}

/// Why a command is refused before it is tried, if it is.
fn refused(command: &Command, now: Utc) -> Option<CommandResult> {
    if command.kind == CommandKind::Unknown {
        let message = "this recorder does not know such a command";
        return Some(CommandResult::refused(CommandRefusal::Unsupported, message));
    }
    if now > command.deadline {
        let late = now.saturating_since(command.deadline);
        let message = format!("it came {} ms after its deadline", late.as_millis());
        return Some(CommandResult::refused(CommandRefusal::Late, message));
    }
    if command.deadline > now.plus(MAX_DEADLINE_AHEAD) {
        return Some(CommandResult::refused(CommandRefusal::Other, "its deadline is more than a day ahead"));
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

    fn refusal(verdict: &CommandResponse) -> CommandRefusal {
        match verdict {
            CommandResponse::Answer(CommandResult::Refused { refusal, .. }) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_repeated_command_is_answered_as_the_first_time() {
        let mut commands = Commands::default();
        let command = stop("1", at(5));
        assert_eq!(commands.take(command.clone(), at(1)), CommandResponse::Do(command.clone()));
        assert_eq!(commands.take(command.clone(), at(2)), CommandResponse::Wait);
        assert!(commands.answer(&command.id, &CommandResult::Done));
        let other = CommandResult::refused(CommandRefusal::Busy, "");
        assert!(!commands.answer(&command.id, &other), "the first answer stands");
        assert_eq!(
            commands.take(command, at(500)),
            CommandResponse::Answer(CommandResult::Done),
            "though it is late now"
        );
    }

    #[test]
    fn a_late_command_is_refused_and_stays_so() {
        let mut commands = Commands::default();
        assert_eq!(refusal(&commands.take(stop("1", at(5)), at(6))), CommandRefusal::Late);
        assert_eq!(refusal(&commands.take(stop("1", at(50)), at(6))), CommandRefusal::Late);
        assert_eq!(refusal(&commands.take(stop("2", at(90_000)), at(0))), CommandRefusal::Other);
        let strange = Command { kind: CommandKind::Unknown, ..stop("3", at(50)) };
        assert_eq!(refusal(&commands.take(strange, at(6))), CommandRefusal::Unsupported);
    }

    /// Otherwise it would be done again.
    #[test]
    fn a_command_is_forgotten_only_when_it_would_be_refused_as_late() {
        let mut commands = Commands::default();
        let command = stop("1", at(5));
        commands.take(command.clone(), at(0));
        commands.answer(&command.id, &CommandResult::Done);
        commands.take(stop("2", at(3700)), at(3600));
        assert_eq!(commands.take(command.clone(), at(3605)), CommandResponse::Answer(CommandResult::Done));
        commands.take(stop("3", at(3700)), at(3606));
        assert_eq!(refusal(&commands.take(command, at(3606))), CommandRefusal::Late);
    }

    #[test]
    fn too_many_commands_wait_rather_than_be_forgotten() {
        let mut commands = Commands::default();
        for n in 0..MAX_COMMANDS {
            assert!(matches!(commands.take(stop(&n.to_string(), at(5)), at(0)), CommandResponse::Do(_)));
        }
        assert_eq!(commands.take(stop("more", at(5)), at(0)), CommandResponse::Wait);
        assert_eq!(commands.take(stop("7", at(5)), at(0)), CommandResponse::Wait, "still known");
    }
}
