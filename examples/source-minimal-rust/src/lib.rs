//! The smallest capture source: a GStreamer element with one setting.

use deskreel_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    pattern: String,
}

struct Minimal(Settings);

impl Source for Minimal {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(Minimal(settings))
    }

    fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe> {
        tracing::debug!(max_fps = request.max_fps, "recipe requested");
        let picture =
            Element::new("videotestsrc").set("is-live", true).set("pattern", self.0.pattern.as_str());
        Ok(SourceRecipe::elements([picture]))
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    source "example.source.minimal" => Minimal,
}
