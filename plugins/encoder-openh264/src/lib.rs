//! `encoder.openh264`: H.264 by GStreamer's `openh264enc`.

mod openh264;

use deskreel_sdk::export_plugin;
use openh264::OpenH264;

export_plugin! { descriptor: "plugin.toml", encoder "encoder.openh264" => OpenH264 }
