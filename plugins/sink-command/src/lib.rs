//! `sink.command`: a program for each finished recording.

mod facts;
mod run;

use std::time::Duration;

use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

use run::{Ended, Program, Run};

export_plugin! { descriptor: "plugin.toml", sink "sink.command" => CommandSink }

/// `EX_TEMPFAIL` of sysexits.h, which mail systems and others use in this meaning.
const TRY_AGAIN: i32 = 75;
/// Seconds until the next try.
const LATER: u32 = 60;
/// The same where somebody must mend something first.
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
        // What a relative path means depends on where the recorder was started.
        if name.is_empty() || (name.contains('/') && !name.starts_with('/')) {
            let message =
                format!("`command`: `{name}` is neither a whole path nor a name to look for in PATH");
            return Err(PluginError::settings(message));
        }
        let program =
            Program { name: name.clone(), arguments: arguments.to_vec(), timeout: settings.timeout };
        Ok(CommandSink { program })
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer> {
        let name = &self.program.name;
        Ok(match self.program.run(&facts::environment(recording)) {
            Ok(run) => judge(name, &run),
            Err(error) => Answer::RetryAfter { seconds: MUCH_LATER, reason: format!("{name}: {error}") },
        })
    }
}

/// What the end of the program says about the recording.
fn judge(name: &str, run: &Run) -> Answer {
    let why = |what: String| match run.errors.trim() {
        "" => format!("{name} {what}"),
        errors => format!("{name} {what}: {errors}"),
    };
    match run.ended {
        Ended::Exit(0) => {
            let last = run.output.lines().map(str::trim).rfind(|line| !line.is_empty());
            Answer::Acknowledged { place: last.unwrap_or(name).to_owned() }
        }
        Ended::Exit(TRY_AGAIN) => {
            Answer::RetryAfter { seconds: LATER, reason: why("asks for another try".to_owned()) }
        }
        Ended::Exit(code) => Answer::Refused { reason: why(format!("ended with {code}")) },
        Ended::Signal(signal) => {
            Answer::RetryAfter { seconds: LATER, reason: why(format!("was killed by signal {signal}")) }
        }
        Ended::TimedOut => {
            Answer::RetryAfter { seconds: LATER, reason: why("took too long and was killed".to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ended: Ended) -> Run {
        Run { ended, output: "one\ns3://bucket/r\n\n".into(), errors: "no room\n".into() }
    }

    #[test]
    fn the_exit_code_says_what_becomes_of_the_recording() {
        let place = "s3://bucket/r".to_owned();
        assert_eq!(judge("push", &run(Ended::Exit(0))), Answer::Acknowledged { place });
        let quiet = Run { output: String::new(), ..run(Ended::Exit(0)) };
        assert_eq!(judge("push", &quiet), Answer::Acknowledged { place: "push".into() });
        let reason = "push ended with 1: no room".to_owned();
        assert_eq!(judge("push", &run(Ended::Exit(1))), Answer::Refused { reason });
        for ended in [Ended::Exit(75), Ended::Signal(9), Ended::TimedOut] {
            let answer = judge("push", &run(ended));
            let Answer::RetryAfter { seconds: LATER, reason } = answer else { panic!("{answer:?}") };
            assert!(reason.starts_with("push ") && reason.ends_with(": no room"), "{reason}");
        }
    }
}
