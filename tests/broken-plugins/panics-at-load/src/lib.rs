//! Panics while it is loaded.

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

fn init() -> Result<()> {
    panic!("no licence dongle");
}

export_plugin! {
    descriptor: "plugin.toml",
    init: init,
    source "broken.source.panics-at-load" => Broken,
}
