//! Turns recipes into elements, with their properties, in the order in which they are linked.
//!
//! A track has two chains: one captures, and one encodes the captured frames. The worker asks for them, since
//! recipes come from plugins, but this is pure: the same recipes yield the same elements.

use deskreel_contract::{Candidate, Codec, Element, FrameFormat, Producer, SourceRecipe};

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub role: Role,
    pub element: Element,
}

/// The special role of an element in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// No special role.
    Plain,
    /// The `appsrc` that the frame callback feeds.
    Frames,
    /// Its output counts as captured: frames are counted there, and unchanged ones dropped.
    Capture,
}

/// The chain that captures: the source's own elements, in the order in which they are made and linked.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureChain {
    /// The last one has the role `Capture`.
    pub steps: Vec<Step>,
    /// Set if the host paints frames through the plugin's callback.
    pub frames: Option<FrameFormat>,
}

pub fn capture_chain(recipe: &SourceRecipe) -> CaptureChain {
    let frames = match recipe.producer {
        Producer::Frames(format) => Some(format),
        Producer::Elements(_) => None,
    };
    CaptureChain { steps: capture_steps(recipe), frames }
}

/// The most frames per second that a source produces.
pub fn fps(recipe: &SourceRecipe, max_fps: u32) -> u32 {
    let most = match recipe.producer {
        Producer::Frames(format) => format.fps.min(max_fps),
        Producer::Elements(_) => max_fps,
    };
    most.max(1)
}

/// The chain that encodes: raw pictures of this size in, access units for MP4 out.
pub fn encode_chain(codec: Codec, candidate: &Candidate, width: u32, height: u32) -> Vec<Element> {
    let mut elements = Vec::new();
    if width % 2 == 1 || height % 2 == 1 {
        elements.extend(even(width, height));
    }
    elements.push(Element::new("videoconvert"));
    elements.push(caps_filter(&raw_caps(&candidate.formats)));
    elements.extend(candidate.elements.iter().cloned());
    elements.extend(coded(codec));
    elements
}

/// Color at half resolution needs an even size: a black column to the right and a black row below make it
/// even. `videobox` takes fewer formats than `videoconvert`, which does nothing if the format is one of them.
fn even(width: u32, height: u32) -> [Element; 2] {
    let boxed =
        Element::new("videobox").set("right", -i64::from(width % 2)).set("bottom", -i64::from(height % 2));
    [Element::new("videoconvert"), boxed]
}

fn capture_steps(recipe: &SourceRecipe) -> Vec<Step> {
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

fn raw_caps(formats: &[String]) -> String {
    match formats {
        [] => "video/x-raw".to_owned(),
        formats => format!("video/x-raw,format={{ {} }}", formats.join(", ")),
    }
}

/// From the encoder's output to access units for MP4: length-prefixed, with parameter sets in the caps.
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
