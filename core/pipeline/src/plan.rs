//! Graph and recipes -> Plan: which elements, with which properties, linked in which order.
//!
//! A plan is one chain a track, from capture to coded access units. It is made in the worker, since recipes come
//! out of plugins, but making it is pure: same job and recipes, same plan.

use deskreel_contract::{Candidate, Codec, Element, FrameFormat, Producer, SourceRecipe};
use deskreel_model::worker::TrackJob;

/// Raw frames that wait for the encoder: at most this long, and then the oldest is let go and counted as lost.
/// Two seconds ride out an encoder's hiccup; the queue is empty in ordinary times and costs nothing then.
const RAW_QUEUE_NS: u64 = 2_000_000_000;
/// The same in bytes: a quarter of a gigabyte is 30 frames of 1080p BGRx.
const RAW_QUEUE_BYTES: u32 = 256 << 20;

/// One track's elements, in the order in which they are made and linked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub track: String,
    pub steps: Vec<Step>,
    /// Set where the host paints frames through the plugin's callback.
    pub frames: Option<FrameFormat>,
    pub changes_only: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub role: Role,
    pub element: Element,
}

/// What the engine does with an element beyond making it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Plain,
    /// The `appsrc` that the frame callback feeds.
    Frames,
    /// Its output is what was captured: frames are counted here, and unchanged ones dropped.
    Capture,
    /// Frames wait here for the encoder; what it lets go is counted as lost.
    Queue,
    /// Its properties come from the encoder plugin.
    Encoder,
    /// The `appsink` that gives access units to the fragment writer.
    Output,
}

impl Plan {
    pub fn new(job: &TrackJob, recipe: &SourceRecipe, candidate: &Candidate) -> Plan {
        let mut steps = capture(recipe);
        steps.push(Step { role: Role::Queue, element: raw_queue() });
        steps.push(Step { role: Role::Plain, element: Element::new("videoconvert") });
        steps.push(Step { role: Role::Plain, element: caps_filter(&raw_caps(&candidate.formats)) });
        let encoder = candidate.elements.iter().cloned();
        steps.extend(encoder.map(|element| Step { role: Role::Encoder, element }));
        steps.extend(coded(job.encode.codec).map(|element| Step { role: Role::Plain, element }));
        let output = Element::new("appsink").set("sync", false).set("async", false);
        steps.push(Step { role: Role::Output, element: output });
        Plan {
            track: job.track.clone(),
            steps,
            frames: match recipe.producer {
                Producer::Frames(format) => Some(format),
                Producer::Elements(_) => None,
            },
            changes_only: job.changes_only.unwrap_or(recipe.changes_only),
        }
    }
}

/// The source's own elements; the last one has the role `Capture`.
fn capture(recipe: &SourceRecipe) -> Vec<Step> {
    let mut steps: Vec<Step> = match &recipe.producer {
        Producer::Elements(elements) => {
            elements.iter().cloned().map(|element| Step { role: Role::Plain, element }).collect()
        }
        Producer::Frames(format) => vec![Step { role: Role::Frames, element: frame_source(format) }],
    };
    if !recipe.caps.is_empty() || matches!(recipe.producer, Producer::Frames(_)) {
        let caps = if recipe.caps.is_empty() { "video/x-raw" } else { &recipe.caps };
        steps.push(Step { role: Role::Plain, element: caps_filter(caps) });
    }
    if let Some(last) = steps.last_mut() {
        last.role = Role::Capture;
    }
    steps
}

fn frame_source(format: &FrameFormat) -> Element {
    let FrameFormat { format, width, height, fps } = *format;
    let caps =
        format!("video/x-raw,format={},width={width},height={height},framerate={fps}/1", format.name());
    Element::new("appsrc").set("caps", caps).set("format", "time").set("is-live", true)
}

fn raw_queue() -> Element {
    Element::new("queue")
        .set("leaky", "downstream")
        .set("max-size-buffers", 0)
        .set("max-size-bytes", RAW_QUEUE_BYTES)
        .set("max-size-time", RAW_QUEUE_NS)
}

fn raw_caps(formats: &[String]) -> String {
    match formats {
        [] => "video/x-raw".to_owned(),
        formats => format!("video/x-raw,format={{ {} }}", formats.join(", ")),
    }
}

/// From the encoder's output to access units as MP4 wants them: length-prefixed, parameter sets in the caps.
fn coded(codec: Codec) -> impl Iterator<Item = Element> {
    let (parser, caps) = match codec {
        Codec::H264 => ("h264parse", "video/x-h264,stream-format=avc,alignment=au"),
        Codec::H265 => ("h265parse", "video/x-h265,stream-format=hvc1,alignment=au"),
        Codec::Av1 => ("av1parse", "video/x-av1,stream-format=obu-stream,alignment=tu"),
    };
    [Element::new(parser), caps_filter(caps)].into_iter()
}

fn caps_filter(caps: &str) -> Element {
    Element::new("capsfilter").set("caps", caps)
}
