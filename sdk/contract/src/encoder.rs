//! The encoding that the host wants, and the ways in which an encoder plugin offers to do it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Element, Property};

/// The encoding that the host asks an encoder plugin for, in terms that do not depend on any element.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodeRequest {
    pub codec: Codec,
    pub rate: Rate,
    /// Maximum time from one keyframe to the next, in milliseconds.
    pub keyframe_interval_ms: u64,
    /// Maximum number of frames per second.
    pub max_fps: u32,
    #[serde(default)]
    pub speed: Speed,
    #[serde(default)]
    pub latency: Latency,
    #[serde(default)]
    pub content: Content,
    #[serde(default)]
    pub chroma: Chroma,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    H264,
    H265,
    Av1,
}

/// Rate control.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Rate {
    /// Constant quality on H.264's quantizer scale, 0 (lossless) to 51 (worst), whatever the codec.
    Quality { quality: u32 },
    /// An average, and optionally a ceiling, in bits per second.
    Bitrate { bitrate: u64, max: Option<u64> },
    /// Constant quality, but never more than `max` bits per second.
    Constrained { quality: u32, max: u64 },
}

/// The amount of work to spend on a smaller file of the same quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speed {
    /// The least possible work.
    #[default]
    Fast,
    Balanced,
    /// The smallest possible file.
    Small,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latency {
    /// Each frame comes out as soon as it goes in: no reordering, no lookahead.
    #[default]
    Low,
    /// The encoder may hold frames back if that makes the file smaller.
    Normal,
}

/// The kind of pictures: many encoders have tools for text and sharp edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    #[default]
    Screen,
    Camera,
}

/// Resolution of color relative to that of brightness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chroma {
    /// Half, in both directions: every player takes it.
    #[default]
    #[serde(rename = "4:2:0")]
    Yuv420,
    /// Full: colored text stays sharp.
    #[serde(rename = "4:4:4")]
    Yuv444,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::H264 => "h264",
            Codec::H265 => "h265",
            Codec::Av1 => "av1",
        })
    }
}

impl EncodeRequest {
    /// Quality 23 at 10 frames per second, with a keyframe every four seconds.
    pub fn new(codec: Codec) -> Self {
        EncodeRequest {
            codec,
            rate: Rate::Quality { quality: 23 },
            keyframe_interval_ms: 4000,
            max_fps: 10,
            speed: Speed::default(),
            latency: Latency::default(),
            content: Content::default(),
            chroma: Chroma::default(),
        }
    }

    /// Maximum number of frames from one keyframe to the next, the unit of encoders. At least 1.
    pub fn keyframe_distance(&self) -> u64 {
        (self.keyframe_interval_ms.saturating_mul(u64::from(self.max_fps)) / 1000).max(1)
    }
}

/// One way to encode: a chain of elements from raw video to the codec. Its elements need not work on this
/// machine, or even exist: the host tries a candidate out before it uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Unique within the plugin and the same in all versions: manifests contain it.
    pub id: String,
    pub tier: Tier,
    /// The memory in which the encoder takes its pictures.
    #[serde(default)]
    pub memory: Memory,
    /// Raw formats that the first element takes, by GStreamer's names, best first.
    pub formats: Vec<String>,
    /// The chain, which begins with raw video in system memory; the last element encodes.
    pub elements: Vec<Element>,
    /// Conditions for the elements to exist. Used only to explain why they are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// The same element for a machine's other GPUs: a factory name with one `*`, as in `varender*h264enc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siblings: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Hardware,
    Software,
}

/// The memory of an encoder's pictures. The elements that bring them there are part of the candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    #[default]
    System,
    Cuda,
    Va,
    D3d11,
}

/// Something that comes with a driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// A library by its name, as in `libcuda.so.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// A path whose last part may have one `*`, as in `/dev/dri/renderD*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The consequence of its absence, for people: `no NVIDIA driver`.
    pub otherwise: String,
}

/// One wish about an element, and the ways to express it in the properties of the element's versions. The
/// host takes the first way that fits the installed element: every property exists and takes its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    pub means: Meaning,
    /// Best first. An empty way means that nothing needs to be set; no ways at all, that the element cannot
    /// do it.
    pub ways: Vec<Vec<Property>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    Rate,
    KeyframeInterval,
    Speed,
    Latency,
    Content,
    Chroma,
}

impl Meaning {
    /// Returns whether the candidate is refused if the element cannot do this. Otherwise the host reports it
    /// and continues without.
    pub fn is_required(self) -> bool {
        matches!(self, Meaning::Rate | Meaning::KeyframeInterval | Meaning::Chroma)
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Meaning::Rate => "rate",
            Meaning::KeyframeInterval => "keyframe interval",
            Meaning::Speed => "speed",
            Meaning::Latency => "latency",
            Meaning::Content => "content",
            Meaning::Chroma => "chroma",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_come_at_least_once_an_interval() {
        let distance = |keyframe_interval_ms, max_fps| {
            EncodeRequest { keyframe_interval_ms, max_fps, ..EncodeRequest::new(Codec::H264) }
                .keyframe_distance()
        };
        assert_eq!([distance(4000, 10), distance(1500, 25), distance(10, 1)], [40, 37, 1]);
    }
}
