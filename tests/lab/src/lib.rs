//! `lab.encoder.*`: an encoder that fails as it is told to. It tests what the host does about faults, and says nothing
//! about any hardware. README.md lists the faults.

mod element;
mod faults;
mod plugin;

use deskreel_sdk::export_plugin;
use plugin::Lab;

export_plugin! {
    descriptor: "plugin.toml",
    init: element::register,
    encoder "lab.encoder.a" => Lab,
    encoder "lab.encoder.b" => Lab,
    encoder "lab.encoder.c" => Lab,
    encoder "lab.encoder.pretend-nvidia" => Lab,
    encoder "lab.encoder.pretend-intel" => Lab,
    encoder "lab.encoder.pretend-amd" => Lab,
}
