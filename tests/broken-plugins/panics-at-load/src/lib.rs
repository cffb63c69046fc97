//! Panics while it is loaded.

#[path = "../../sound_source.rs"]
mod sound_source;

use deskreel_sdk::prelude::*;
use sound_source::SoundSource;

fn init() -> Result<()> {
    panic!("no license dongle");
}

export_plugin! {
    descriptor: "plugin.toml",
    init: init,
    source "broken.source.panics-at-load" => SoundSource,
}
