//! The descriptor promises `broken.source.lying-descriptor`, but the code has another plugin.

#[path = "../../sound_source.rs"]
mod sound_source;

use deskreel_sdk::export_plugin;
use sound_source::SoundSource;

export_plugin! {
    descriptor: "plugin.toml",
    source "broken.source.something-else" => SoundSource,
}
