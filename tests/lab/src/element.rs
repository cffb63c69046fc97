//! `labh264enc`: x264 in a bin that fails at a given frame.

mod imp;

use deskreel_sdk::{PluginError, Result};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

pub const FACTORY: &str = "labh264enc";

glib::wrapper! {
    pub struct LabH264Enc(ObjectSubclass<imp::LabH264Enc>) @extends gst::Bin, gst::Element, gst::Object;
}

/// Called once in a process, when the library is loaded.
pub fn register() -> Result<()> {
    let failed = |error: glib::Error| PluginError::failed(error.to_string());
    gst::init().map_err(failed)?;
    gst::Element::register(None, FACTORY, gst::Rank::NONE, LabH264Enc::static_type())
        .map_err(|error| PluginError::failed(error.to_string()))
}
