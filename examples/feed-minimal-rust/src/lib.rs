//! The smallest feed: emits the events of a file, one JSON object a line, and is done.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use deskreel_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    file: PathBuf,
}

struct Minimal {
    file: PathBuf,
    host: Host,
    stopping: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Feed for Minimal {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        Ok(Minimal { file: settings.file, host, stopping: Arc::default(), reader: None })
    }

    fn start(&mut self) -> Result<()> {
        // What can fail now fails now; what takes long happens on a thread of our own.
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| PluginError::settings(format!("{}: {error}", self.file.display())))?;
        let events =
            text.lines().map(deskreel_sdk::serde_json::from_str).collect::<Result<Vec<Event>, _>>()?;
        let (host, stopping) = (self.host.clone(), self.stopping.clone());
        self.reader = Some(std::thread::spawn(move || {
            let going_on = |_: &&Event| !stopping.load(Ordering::Relaxed);
            for event in events.iter().take_while(going_on) {
                if let Err(error) = host.emit(event) {
                    tracing::warn!(%error, "event not emitted");
                }
            }
        }));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.stopping.store(true, Ordering::Relaxed);
        // After `stop` no event may follow, so wait for the one that is on its way.
        match self.reader.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(PluginError::failed("the reading thread panicked")),
            _ => Ok(()),
        }
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    feed "example.feed.minimal" => Minimal,
}
