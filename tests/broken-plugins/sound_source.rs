//! A source without a defect, for the crates here whose defect is elsewhere.

use deskreel_sdk::prelude::*;

pub struct SoundSource;

impl Source for SoundSource {
    type Settings = NoSettings;

    fn open(_settings: NoSettings, _host: Host) -> Result<Self> {
        Ok(SoundSource)
    }

    fn recipe(&mut self, _request: &SourceRequest) -> Result<SourceRecipe> {
        Ok(SourceRecipe::elements([Element::new("videotestsrc")]))
    }
}
