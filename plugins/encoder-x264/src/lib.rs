//! `encoder.x264`: H.264 by GStreamer's `x264enc`.

mod x264;

use deskreel_sdk::export_plugin;
use x264::X264;

export_plugin! { descriptor: "plugin.toml", encoder "encoder.x264" => X264 }
