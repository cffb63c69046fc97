//! The values of the names in an encoder's recipe. Units and scales are converted here and nowhere else.

use deskreel_contract::{EncodeRequest, Rate};
use serde_json::Value;

/// Minimum milliseconds of the bit rate that a ceiling may hold back or bring forward. With less, the first
/// keyframe of a screen full of text has no room and is a smear for seconds.
const LEAST_BUFFER_MS: u64 = 500;
/// The maximum of x264enc's `vbv-buf-capacity`, in milliseconds.
const MOST_BUFFER_MS: u64 = 10_000;
/// The worst quality on the scale of H.264's quantizer, which deployers use for every codec.
const WORST: u32 = 51;

pub struct Values<'a> {
    pub request: &'a EncodeRequest,
    pub settings: &'a Value,
    /// The settings' schema, for their defaults.
    pub schema: &'a Option<Value>,
}

type ReadValue = fn(&EncodeRequest) -> Option<Value>;

/// The names and their values; `None` if the request does not have the value.
const NAMES: [(&str, ReadValue); 16] = [
    // Quality from 0 (best) to 51, and on the scales of other codecs, which are assumed to be linear: 0 is 0,
    // the worst is the worst.
    ("quality", |request| Some(quality(request)?.into())),
    ("quality.of63", |request| Some(scaled(quality(request)?, 63).into())),
    ("quality.of255", |request| Some(scaled(quality(request)?, 255).into())),
    // From 100 (best) to 1.
    ("quality.percent", |request| Some((100 - scaled(quality(request)?, 99)).into())),
    // From 1.0 (best) to 0.0, in hundredths.
    ("quality.unit", |request| Some((f64::from(100 - scaled(quality(request)?, 100)) / 100.0).into())),
    ("bitrate.bps", |request| Some(bitrate(request)?.into())),
    ("bitrate.kbps", |request| Some(kilobits(bitrate(request)?).into())),
    ("max.bps", |request| Some(max(request)?.into())),
    ("max.kbps", |request| Some(kilobits(max(request)?).into())),
    // The bit rate as a percentage of its ceiling, rounded so that the ceiling is not exceeded.
    ("bitrate.percent_of_max", |request| {
        let (bitrate, max) = (bitrate(request)?, max(request)?.max(1));
        Some(bitrate.saturating_mul(100).div_ceil(max).min(100).into())
    }),
    // A buffer of this length at the bit rate: a second has at most the bits of both together, which is the
    // ceiling, within the bounds above.
    ("buffer.ms", |request| {
        let (bitrate, max) = (bitrate(request)?.max(1), max(request)?);
        let beyond = max.saturating_sub(bitrate).saturating_mul(1000) / bitrate;
        Some(beyond.clamp(LEAST_BUFFER_MS, MOST_BUFFER_MS).into())
    }),
    ("keyframe.frames", |request| Some(request.keyframe_distance().into())),
    // Frames between two keyframes: one fewer than the distance.
    ("keyframe.between", |request| Some((request.keyframe_distance() - 1).into())),
    ("keyframe.ms", |request| Some(request.keyframe_interval_ms.into())),
    ("keyframe.ns", |request| Some(request.keyframe_interval_ms.saturating_mul(1_000_000).into())),
    ("fps", |request| Some(request.max_fps.into())),
];

fn quality(request: &EncodeRequest) -> Option<u32> {
    match request.rate {
        Rate::Quality { quality } | Rate::Constrained { quality, .. } => Some(quality.min(WORST)),
        Rate::Bitrate { .. } => None,
    }
}

/// Bits per second.
fn bitrate(request: &EncodeRequest) -> Option<u64> {
    match request.rate {
        Rate::Bitrate { bitrate, .. } => Some(bitrate),
        Rate::Quality { .. } | Rate::Constrained { .. } => None,
    }
}

/// Bits per second.
fn max(request: &EncodeRequest) -> Option<u64> {
    match request.rate {
        Rate::Bitrate { max, .. } => max,
        Rate::Constrained { max, .. } => Some(max),
        Rate::Quality { .. } => None,
    }
}

/// Rounded to the nearest.
fn scaled(quality: u32, worst: u32) -> u32 {
    (quality * worst + WORST / 2) / WORST
}

fn kilobits(bits: u64) -> u64 {
    (bits / 1000).max(1)
}

impl Values<'_> {
    /// Replaces the names in a value: keeps the type if a name stands alone, and becomes text within a longer
    /// text. `None` if one of them has no value.
    pub fn fill(&self, value: &Value) -> Option<Value> {
        let Value::String(text) = value else { return Some(value.clone()) };
        if let Some(name) = alone(text) {
            return self.get(name);
        }
        let mut filled = text.clone();
        for name in names(text) {
            let value = self.get(name)?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            filled = filled.replace(&format!("{{{name}}}"), &value);
        }
        Some(filled.into())
    }

    fn get(&self, name: &str) -> Option<Value> {
        match name.strip_prefix("settings.") {
            Some(setting) => {
                let default = || self.schema.as_ref()?.get("properties")?.get(setting)?.get("default");
                self.settings.get(setting).or_else(default).cloned()
            }
            None => NAMES.iter().find(|(known, _)| *known == name)?.1(self.request),
        }
    }
}

/// The first name in the value that does not exist.
pub fn first_unknown<'a>(value: &'a Value, schema: &Option<Value>) -> Option<&'a str> {
    let has_setting = |name: &str| schema.as_ref()?.get("properties")?.get(name);
    let is_known = |name: &str| match name.strip_prefix("settings.") {
        Some(setting) => has_setting(setting).is_some(),
        None => NAMES.iter().any(|(known, _)| *known == name),
    };
    names(value.as_str()?).find(|name| !is_known(name))
}

fn alone(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

/// Every `{name}`. Other braces are GStreamer's: `{ NV12, I420 }` is a list.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let braces = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    braces.map(|(name, _)| name).filter(|name| is_name(name))
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
