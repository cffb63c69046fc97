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
    /// Number and shown time of the picture that stays the same.
    resting: Option<(u64, u64)>,
}

impl Source for Synthetic {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        settings.check()?;
        Ok(Synthetic { settings, scene: Scene::new(&settings, settings.fps), resting: None })
    }

    fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe> {
        self.scene = Scene::new(&self.settings, request.max_fps);
        let changes_only = self.scene.changes_only() || self.settings.rests != [0, 0];
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
        let [from, to] = self.settings.rests.map(u64::from);
        let rests = (from..to).contains(&(frame.time_ns / 1_000_000_000));
        self.resting = rests.then(|| self.resting.unwrap_or((frame.number, time_ns)));
        let (number, time_ns) = self.resting.unwrap_or((frame.number, time_ns));
        self.scene.paint(number, time_ns, frame.pixels);
        Ok(FrameStatus::Painted)
    }
}

/// Nanoseconds since midnight in UTC.
fn time_of_day_ns() -> u64 {
    const DAY: u128 = 24 * 3600 * 1_000_000_000;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos() % DAY).unwrap_or(0)
}
