//! Does not return from loading.

#[path = "../../sound_source.rs"]
mod sound_source;

use deskreel_sdk::prelude::*;
use sound_source::SoundSource;

fn init() -> Result<()> {
    loop {
        std::thread::park();
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    init: init,
    source "broken.source.never-returns" => SoundSource,
}
