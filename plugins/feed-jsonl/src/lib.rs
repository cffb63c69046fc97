//! `feed.jsonl`: events out of lines of JSON.
//!
//! One thread reads (`follow.rs` a file, `pipe.rs` a pipe), `lines.rs` cuts lines, `pace.rs` makes an event of each and holds it
//! until its time has come.

mod follow;
mod lines;
mod outlet;
mod pace;
mod pipe;
mod place;
mod wake;

use std::fs;
use std::io::PipeWriter;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use deskreel_sdk::prelude::*;

use outlet::Outlet;
use pace::Pace;
use wake::Wake;

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
    from: From,
    remember: Option<PathBuf>,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Time {
    /// As the lines come.
    #[default]
    Real,
    /// As their times say.
    Replay,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    #[default]
    Start,
    End,
}

struct JsonlFeed {
    settings: Settings,
    outlet: Arc<Outlet>,
    /// While it is held, the thread goes on.
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
        let (wake, running) = Wake::new()?;
        let settings = self.settings.clone();
        let pace = Pace::new(settings.time, settings.speed);
        let outlet = self.outlet.clone();
        outlet.open();
        thread::Builder::new().name("feed.jsonl".to_owned()).spawn(move || {
            let ended = match settings.file.as_os_str() == "-" {
                true => pipe::read_stdin(pace, &outlet, &wake),
                false if is_pipe(&settings.file) => pipe::read(&settings.file, pace, &outlet, &wake),
                false => follow::follow(&settings, pace, &outlet, &wake),
            };
            if let Err(error) = ended {
                tracing::error!("{}: {error}", settings.file.display());
                outlet.state("lost", Some(&error.to_string()));
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
