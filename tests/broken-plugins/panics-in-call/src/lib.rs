//! Loads without a problem, but panics when it is asked for a recipe.

use deskreel_sdk::prelude::*;

struct Broken;

impl Source for Broken {
    type Settings = NoSettings;

    fn open(_settings: NoSettings, _host: Host) -> Result<Self> {
        Ok(Broken)
    }

    fn recipe(&mut self, _request: &SourceRequest) -> Result<SourceRecipe> {
        panic!("index 7 of 3 monitors")
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    source "broken.source.panics-in-call" => Broken,
}
