//! The descriptor promises `broken.source.lying-descriptor`; the code has something else.

use deskreel_sdk::prelude::*;

struct Broken;

impl Source for Broken {
    type Settings = NoSettings;

    fn open(_settings: NoSettings, _host: Host) -> Result<Self> {
        Ok(Broken)
    }

    fn recipe(&mut self, _request: &SourceRequest) -> Result<SourceRecipe> {
        Ok(SourceRecipe::elements([Element::new("videotestsrc")]))
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    source "broken.source.something-else" => Broken,
}
