//! `source.x11`: an X11 screen, monitor, window or region, captured by GStreamer's `ximagesrc`.

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
