//! `sink.command`: runs a program for each finished recording.

mod environment;
mod process;

use std::time::Duration;

use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

use process::{ExitKind, Outcome, Program};

export_plugin! { descriptor: "plugin.toml", sink "sink.command" => CommandSink }

/// `EX_TEMPFAIL` of sysexits.h, which mail systems and others use in this sense.
const TRY_AGAIN: i32 = 75;
/// Seconds until the next try.
const LATER: u32 = 60;
/// The same if a person must repair something first.
const MUCH_LATER: u32 = 300;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// A program and its arguments.
    command: Vec<String>,
    #[serde(default = "default_timeout", deserialize_with = "durations::duration")]
    timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(600)
}

struct CommandSink {
    program: Program,
}

impl Sink for CommandSink {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let Some((name, arguments)) = settings.command.split_first() else {
            return Err(PluginError::settings("`command`: name a program"));
        };
        // The meaning of a relative path depends on the folder in which the recorder was started.
        if name.is_empty() || (name.contains('/') && !name.starts_with('/')) {
            let message =
                format!("`command`: `{name}` is neither an absolute path nor a name to look for in PATH");
            return Err(PluginError::settings(message));
        }
        let program =
            Program { name: name.clone(), arguments: arguments.to_vec(), timeout: settings.timeout };
        Ok(CommandSink { program })
    }

    fn check(&mut self) -> Result<()> {
        let name = &self.program.name;
        let folders = std::env::var_os("PATH").unwrap_or_default();
        // An absolute name replaces the folder that it is joined to.
        match std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()) {
            true => Ok(()),
            false => Err(PluginError::unavailable(format!("there is no program `{name}`"))),
        }
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer> {
        let name = &self.program.name;
        Ok(match self.program.run(&environment::for_recording(recording)) {
            Ok(outcome) => judge(name, &outcome),
            Err(error) => Answer::RetryAfter { seconds: MUCH_LATER, reason: format!("{name}: {error}") },
        })
    }
}

/// The answer that follows from how the program ended.
fn judge(name: &str, outcome: &Outcome) -> Answer {
    let why = |what: String| match outcome.errors.trim() {
        "" => format!("{name} {what}"),
        errors => format!("{name} {what}: {errors}"),
    };
    match outcome.exit {
        ExitKind::Exit(0) => {
            let last = outcome.output.lines().map(str::trim).rfind(|line| !line.is_empty());
            Answer::Acknowledged { place: last.unwrap_or(name).to_owned() }
        }
        ExitKind::Exit(TRY_AGAIN) => {
            Answer::RetryAfter { seconds: LATER, reason: why("asks for another try".to_owned()) }
        }
        ExitKind::Exit(code) => Answer::Refused { reason: why(format!("ended with {code}")) },
        ExitKind::Signal(signal) => {
            Answer::RetryAfter { seconds: LATER, reason: why(format!("was killed by signal {signal}")) }
        }
        ExitKind::TimedOut => {
            Answer::RetryAfter { seconds: LATER, reason: why("took too long and was killed".to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(exit: ExitKind) -> Outcome {
        Outcome { exit, output: "one\ns3://bucket/r\n\n".into(), errors: "no room\n".into() }
    }

    #[test]
    fn the_exit_code_decides_about_the_recording() {
        let place = "s3://bucket/r".to_owned();
        assert_eq!(judge("push", &outcome(ExitKind::Exit(0))), Answer::Acknowledged { place });
        let quiet = Outcome { output: String::new(), ..outcome(ExitKind::Exit(0)) };
        assert_eq!(judge("push", &quiet), Answer::Acknowledged { place: "push".into() });
        let reason = "push ended with 1: no room".to_owned();
        assert_eq!(judge("push", &outcome(ExitKind::Exit(1))), Answer::Refused { reason });
        for exit in [ExitKind::Exit(75), ExitKind::Signal(9), ExitKind::TimedOut] {
            let answer = judge("push", &outcome(exit));
            let Answer::RetryAfter { seconds: LATER, reason } = answer else { panic!("{answer:?}") };
            assert!(reason.starts_with("push ") && reason.ends_with(": no room"), "{reason}");
        }
    }
}
