//! `feed.jsonl`: events from lines of JSON.
//!
//! One thread reads (`file_reader.rs` a file, `pipe_reader.rs` a pipe), `lines.rs` cuts the bytes into lines,
//! `emitter.rs` makes an event of each line and, in a replay, waits for its time.

mod emitter;
mod file_reader;
mod lines;
mod pipe_reader;
mod read_position;
mod report;
mod stop_signal;

use std::fs;
use std::io::PipeWriter;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use deskreel_sdk::prelude::*;

use emitter::Emitter;
use stop_signal::StopSignal;

export_plugin! { descriptor: "plugin.toml", feed "feed.jsonl" => JsonlFeed }

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    file: PathBuf,
    #[serde(default)]
    time: Time,
    #[serde(default = "one")]
    speed: f64,
    #[serde(default)]
    from: StartAt,
    remember: Option<PathBuf>,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Time {
    /// Emits each event as soon as its line is read.
    #[default]
    Real,
    /// Emits events at the pace of their times.
    Replay,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StartAt {
    #[default]
    Start,
    End,
}

struct JsonlFeed {
    settings: Settings,
    outlet: Arc<Outlet>,
    /// The thread runs as long as this exists.
    running: Option<PipeWriter>,
}

impl Feed for JsonlFeed {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        if !(settings.speed.is_finite() && settings.speed > 0.0) {
            return Err(PluginError::settings("`speed` must be more than 0"));
        }
        Ok(JsonlFeed { settings, outlet: Arc::new(Outlet::new(host)), running: None })
    }

    fn start(&mut self) -> Result<()> {
        let (stop, running) = StopSignal::new()?;
        let settings = self.settings.clone();
        let emitter = Emitter::new(settings.time, settings.speed);
        let outlet = self.outlet.clone();
        outlet.open();
        thread::Builder::new().name("feed.jsonl".to_owned()).spawn(move || {
            let ended = match settings.file.as_os_str() == "-" {
                true => pipe_reader::read_stdin(emitter, &outlet, &stop),
                false if is_pipe(&settings.file) => {
                    pipe_reader::read(&settings.file, emitter, &outlet, &stop)
                }
                false => file_reader::follow(&settings, emitter, &outlet, &stop),
            };
            if let Err(error) = ended {
                tracing::error!("{}: {error}", settings.file.display());
                report::emit_state(&outlet, "lost", Some(&error.to_string()));
            }
        })?;
        self.running = Some(running);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.running = None;
        self.outlet.close();
        Ok(())
    }
}

fn is_pipe(file: &std::path::Path) -> bool {
    fs::metadata(file).is_ok_and(|about| about.file_type().is_fifo())
}
