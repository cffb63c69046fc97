//! `source.synthetic`: pictures that need no screen. A frame is a pure function of the settings, its number
//! and its time, so that a test knows what a recording must show. The exception is a counter with the time of
//! day.

mod scene;
mod settings;

mod counter;
mod motion;
mod office;

mod canvas;
mod font;
mod words;

use std::time::{SystemTime, UNIX_EPOCH};

use deskreel_sdk::prelude::*;

pub use scene::Scene;
pub use settings::{Clock, Mode, Settings};

export_plugin! { descriptor: "plugin.toml", source "source.synthetic" => Synthetic }

struct Synthetic {
    settings: Settings,
    scene: Scene,
}

impl Source for Synthetic {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        settings.check()?;
        Ok(Synthetic { settings, scene: Scene::new(&settings, settings.fps) })
    }

    fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe> {
        self.scene = Scene::new(&self.settings, request.max_fps);
        let changes_only = self.scene.changes_only();
        Ok(SourceRecipe { changes_only, ..SourceRecipe::frames(self.scene.format) })
    }

    fn devices(&mut self) -> Result<Vec<Device>> {
        let modes =
            [("counter", "a frame counter"), ("office", "an agent's desktop"), ("motion", "full motion")];
        let device =
            |(mode, name): (&str, &str)| Device { name: name.to_owned(), settings: json!({ "mode": mode }) };
        Ok(modes.into_iter().chain([("still", "a still picture")]).map(device).collect())
    }

    fn frame(&mut self, frame: &mut Frame<'_>) -> Result<FrameStatus> {
        let expected = self.scene.format.frame_size();
        if frame.pixels.len() != expected {
            let given = frame.pixels.len();
            return Err(PluginError::failed(format!("the frame has {given} bytes, not {expected}")));
        }
        let time_ns = match self.settings.clock {
            Clock::Media => frame.time_ns,
            Clock::Day => time_of_day_ns(),
        };
        self.scene.paint(frame.number, time_ns, frame.pixels);
        Ok(FrameStatus::Painted)
    }
}

/// Nanoseconds since midnight in UTC.
fn time_of_day_ns() -> u64 {
    const DAY: u128 = 24 * 3600 * 1_000_000_000;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos() % DAY).unwrap_or(0)
}
