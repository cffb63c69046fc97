//! Plan -> GStreamer elements. The only place that makes elements for a recording.

use deskreel_contract::{Element, Property};
use deskreel_pipeline::plan::{Plan, Role};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use serde_json::Value;

use crate::error::Error;

/// The elements of a track that somebody has to hold on to.
pub struct Chain {
    pub capture: gst::Element,
    pub frames: Option<gstreamer_app::AppSrc>,
    pub queue: gst::Element,
    pub output: gstreamer_app::AppSink,
}

/// Makes the plan's elements, adds them to the pipeline and links them in order.
pub fn chain(pipeline: &gst::Pipeline, plan: &Plan) -> Result<Chain, Error> {
    let mut made: Vec<(Role, gst::Element)> = Vec::with_capacity(plan.steps.len());
    for (index, step) in plan.steps.iter().enumerate() {
        let element = element(&step.element, &format!("{}-{index}-{}", plan.track, step.element.factory))?;
        pipeline.add(&element).map_err(|error| Error::NoStart(error.to_string()))?;
        if let Some((_, before)) = made.last() {
            before.link(&element).map_err(|_| no_link(before, &element))?;
        }
        made.push((step.role, element));
    }
    let find = |role| made.iter().find(|(r, _)| *r == role).map(|(_, element)| element.clone());
    let incomplete = || Error::NoStart(format!("track `{}` has no complete chain", plan.track));
    Ok(Chain {
        capture: find(Role::Capture).ok_or_else(incomplete)?,
        frames: find(Role::Frames).and_then(|element| element.downcast().ok()),
        queue: find(Role::Queue).ok_or_else(incomplete)?,
        output: find(Role::Output).and_then(|element| element.downcast().ok()).ok_or_else(incomplete)?,
    })
}

/// Makes one element with its properties.
pub fn element(wanted: &Element, name: &str) -> Result<gst::Element, Error> {
    let factory = gst::ElementFactory::find(&wanted.factory)
        .ok_or_else(|| Error::NoElement { factory: wanted.factory.clone(), cure: cure(&wanted.factory) })?;
    let element = factory.create().name(name).build().map_err(|error| Error::NoStart(error.to_string()))?;
    for property in &wanted.properties {
        set(&element, &wanted.factory, property)?;
    }
    Ok(element)
}

fn set(element: &gst::Element, factory: &str, property: &Property) -> Result<(), Error> {
    let Some(spec) = element.find_property(&property.name) else {
        if property.if_present {
            return Ok(());
        }
        return Err(Error::NoProperty { factory: factory.to_owned(), property: property.name.clone() });
    };
    let bad = || Error::BadProperty {
        factory: factory.to_owned(),
        property: property.name.clone(),
        value: text(&property.value),
        wanted: wanted(&spec),
    };
    let value = glib::Value::deserialize_with_pspec(&text(&property.value), &spec).map_err(|_| bad())?;
    let flags = spec.flags();
    let settable =
        flags.contains(glib::ParamFlags::WRITABLE) && !flags.contains(glib::ParamFlags::CONSTRUCT_ONLY);
    if !settable || out_of_range(&spec, &value) {
        return Err(bad());
    }
    element.set_property_from_value(&property.name, &value);
    Ok(())
}

/// Setting a number outside of its range is a programming error to GObject, so it is looked at before.
fn out_of_range(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    macro_rules! check {
        ($($spec:ty => $number:ty),*) => {
            $(if let (Some(spec), Ok(value)) = (spec.downcast_ref::<$spec>(), value.get::<$number>()) {
                return value < spec.minimum() || value > spec.maximum();
            })*
        };
    }
    check!(
        glib::ParamSpecInt => i32, glib::ParamSpecUInt => u32, glib::ParamSpecInt64 => i64,
        glib::ParamSpecUInt64 => u64, glib::ParamSpecFloat => f32, glib::ParamSpecDouble => f64
    );
    false
}

/// A JSON value as GStreamer's own deserializer reads it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn wanted(spec: &glib::ParamSpec) -> String {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let nicks: Vec<String> = spec.enum_class().values().iter().map(|v| v.nick().to_owned()).collect();
        return format!("one of {}", nicks.join(", "));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        return format!("{} to {}", spec.minimum(), spec.maximum());
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        return format!("{} to {}", spec.minimum(), spec.maximum());
    }
    spec.value_type().name().to_owned()
}

fn no_link(from: &gst::Element, to: &gst::Element) -> Error {
    let name = |element: &gst::Element| element.factory().map_or_else(|| element.name(), |f| f.name());
    Error::NoLink { from: name(from).to_string(), to: name(to).to_string() }
}

/// The Debian package that ships an element that we know of.
fn cure(factory: &str) -> String {
    let package = match factory {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "openh264enc" | "h264parse" => "gstreamer1.0-plugins-bad",
        "ximagesrc" | "qtdemux" => "gstreamer1.0-plugins-good",
        "avdec_h264" => "gstreamer1.0-libav",
        "videoconvert" | "videotestsrc" | "appsrc" | "appsink" => "gstreamer1.0-plugins-base",
        _ => return String::new(),
    };
    format!(" (Debian: {package})")
}
