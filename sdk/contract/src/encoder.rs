//! What the host wants encoded, and the ways in which an encoder plugin offers to do it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Element;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    H264,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::H264 => "h264",
        })
    }
}

/// Neutral rate control: what the deployer means, in no element's units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Rate {
    /// Constant quality on H.264's quantiser scale, 0 (lossless) to 51 (worst).
    Quality { quality: u32 },
    /// An average, and optionally a ceiling; bits per second.
    Bitrate { bitrate: u64, max: Option<u64> },
}

/// What the host asks an encoder plugin for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodeRequest {
    pub codec: Codec,
    pub rate: Rate,
    /// Milliseconds from one keyframe to the next, at most.
    pub keyframe_interval_ms: u64,
    /// Frames per second, at most.
    pub max_fps: u32,
}

impl EncodeRequest {
    /// Frames from one keyframe to the next, at most: what encoders count in. At least 1.
    pub fn keyframe_distance(&self) -> u64 {
        (self.keyframe_interval_ms.saturating_mul(u64::from(self.max_fps)) / 1000).max(1)
    }
}

/// One way to encode: a chain of elements from raw video in system memory to the codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Unique within the plugin, stable over versions: it is written in manifests.
    pub id: String,
    pub tier: Tier,
    /// Raw formats that the first element takes, as GStreamer names them, best first.
    pub formats: Vec<String>,
    pub elements: Vec<Element>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Hardware,
    Software,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_come_at_least_once_an_interval() {
        let distance = |keyframe_interval_ms, max_fps| {
            let rate = Rate::Quality { quality: 23 };
            EncodeRequest { codec: Codec::H264, rate, keyframe_interval_ms, max_fps }.keyframe_distance()
        };
        assert_eq!([distance(4000, 10), distance(1500, 25), distance(10, 1)], [40, 37, 1]);
    }
}
