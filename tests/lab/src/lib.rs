//! `lab.encoder.*`: encoders that fail on demand. They test how the host handles faults, and say nothing
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
