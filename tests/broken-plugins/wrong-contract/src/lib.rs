//! Nothing is wrong with the code, but the descriptor asks for contract 2.0.

#[path = "../../sound_source.rs"]
mod sound_source;

use deskreel_sdk::export_plugin;
use sound_source::SoundSource;

export_plugin! {
    descriptor: "plugin.toml",
    source "broken.source.wrong-contract" => SoundSource,
}
