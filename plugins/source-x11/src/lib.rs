//! `source.x11`: captures an X11 screen, monitor, window or region with GStreamer's `ximagesrc`.

mod settings;
mod source;

mod target;
mod watch;

mod display;
mod xlib;

#[cfg(test)]
mod xvfb;

use deskreel_sdk::export_plugin;
use source::X11;

export_plugin! { descriptor: "plugin.toml", source "source.x11" => X11 }
