//! Planned elements -> GStreamer elements. The only place that makes elements for a recording.

use deskreel_contract::{Element, Property};
use deskreel_pipeline::elements::{CaptureChain, Role};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use serde_json::Value;

use crate::error::Error;

/// The elements of a capture chain that its user needs.
pub struct CaptureElements {
    /// The last element: what leaves it counts as captured.
    pub capture: gst::Element,
    /// Present if the source paints its own frames.
    pub frames: Option<gstreamer_app::AppSrc>,
}

/// Makes the source's elements, adds them to the pipeline and links them in order.
pub fn capture_chain(
    pipeline: &gst::Pipeline,
    name: &str,
    plan: &CaptureChain,
) -> Result<CaptureElements, Error> {
    let elements: Vec<Element> = plan.steps.iter().map(|step| step.element.clone()).collect();
    let made = linked(pipeline, name, &elements)?;
    let find =
        |role| plan.steps.iter().position(|step| step.role == role).and_then(|at| made.get(at)).cloned();
    let incomplete = || Error::NoStart(format!("the source of track `{name}` names no element"));
    Ok(CaptureElements {
        capture: find(Role::Capture).ok_or_else(incomplete)?,
        frames: made
            .first()
            .filter(|_| plan.frames.is_some())
            .and_then(|first| first.clone().downcast().ok()),
    })
}

/// Makes the elements, adds them to the pipeline and links them in this order.
pub fn linked(pipeline: &gst::Pipeline, name: &str, wanted: &[Element]) -> Result<Vec<gst::Element>, Error> {
    let mut made: Vec<gst::Element> = Vec::with_capacity(wanted.len());
    for (index, wanted) in wanted.iter().enumerate() {
        let element = element(wanted, &format!("{name}-{index}-{}", wanted.factory))?;
        pipeline.add(&element).map_err(|error| Error::NoStart(error.to_string()))?;
        if let Some(before) = made.last() {
            before.link(&element).map_err(|_| no_link(before, &element))?;
        }
        made.push(element);
    }
    Ok(made)
}

/// Makes one element and sets its properties.
pub fn element(wanted: &Element, name: &str) -> Result<gst::Element, Error> {
    let element = make(&wanted.factory, name)?;
    for property in &wanted.properties {
        set(&element, &wanted.factory, property)?;
    }
    Ok(element)
}

/// Makes one element with its default properties.
pub fn make(factory: &str, name: &str) -> Result<gst::Element, Error> {
    let factory = gst::ElementFactory::find(factory).ok_or_else(|| not_installed(factory))?;
    factory.create().name(name).build().map_err(|error| Error::NoStart(error.to_string()))
}

pub fn not_installed(factory: &str) -> Error {
    Error::NoElement { factory: factory.to_owned(), cure: cure(factory) }
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

/// Checked first, since GObject treats setting a number outside its range as a programming error.
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

/// A JSON value as text for GStreamer's deserializer.
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

/// The Debian package of an element, if we know it.
fn cure(factory: &str) -> String {
    let package = match factory {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "openh264enc" | "openh264dec" | "libde265dec" | "av1dec" | "x265enc" | "av1enc" | "h264parse"
        | "h265parse" | "av1parse" => "gstreamer1.0-plugins-bad",
        "ximagesrc" | "qtdemux" | "videobox" => "gstreamer1.0-plugins-good",
        "avdec_h264" | "avdec_h265" => "gstreamer1.0-libav",
        "videoconvert" | "videotestsrc" | "appsrc" | "appsink" => "gstreamer1.0-plugins-base",
        _ => return String::new(),
    };
    format!(" (Debian: {package})")
}
