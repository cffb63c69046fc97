//! Nothing is wrong with the code; the descriptor asks for contract 2.0.

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
    source "broken.source.wrong-contract" => Broken,
}
