//! The smallest feed: emits the events of a file, one JSON object a line, and is done.

use std::path::PathBuf;
use std::sync::Arc;

use deskreel_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    file: PathBuf,
}

struct Minimal {
    file: PathBuf,
    outlet: Arc<Outlet>,
}

impl Feed for Minimal {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        Ok(Minimal { file: settings.file, outlet: Arc::new(Outlet::new(host)) })
    }

    fn start(&mut self) -> Result<()> {
        // Errors that show at once are reported here; anything slow happens on a thread of our own.
        let text = std::fs::read_to_string(&self.file)
            .map_err(|error| PluginError::settings(format!("{}: {error}", self.file.display())))?;
        let events =
            text.lines().map(deskreel_sdk::serde_json::from_str).collect::<Result<Vec<Event>, _>>()?;
        self.outlet.open();
        let outlet = self.outlet.clone();
        // Ends with the file, or with the first event that the closed outlet does not take.
        std::thread::spawn(move || events.iter().all(|event| outlet.emit(event)));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        // No event may follow, so this waits for the one that is under way.
        self.outlet.close();
        Ok(())
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    feed "example.feed.minimal" => Minimal,
}
