//! The meaning of the properties of encoder elements, by GStreamer's documentation: read without knowing how
//! the plugins express it. A property that is not set counts with its default.

use std::collections::BTreeMap;

use deskreel_contract::{EncodeRequest, Latency, Meaning, Rate};
use serde_json::Value;

use super::elements::Described;

/// An element with all of its properties.
pub struct Reading<'a> {
    pub element: &'a Described,
    pub set: &'a BTreeMap<String, Value>,
}

const MODES: [&str; 5] = ["rc-mode", "rate-control", "pass", "end-usage", "tier"];
const RATE_MODES: [&str; 7] = ["vbr", "cbr", "uvbr", "pcvbr", "abr", "bitrate", "default"];
const QUALITY_MODES: [&str; 8] = ["constqp", "cqp", "icq", "qual", "quant", "qvbr", "quality", "q"];
const BIT_RATES: [&str; 2] = ["bitrate", "target-bitrate"];
const CEILINGS: [&str; 2] = ["max-bitrate", "max-vbv-bitrate"];
/// Lower and upper bound of the quantizer, if the two may pin it.
const PINS: [(&str, &str); 2] = [("qp-min", "qp-max"), ("min-quantizer", "max-quantizer")];
const QUANTIZERS: [&str; 14] = [
    "qp-const-i",
    "qp-const-p",
    "qp-const-b",
    "qp-i",
    "qp-p",
    "qp-b",
    "qpi",
    "qpp",
    "qpb",
    "qp",
    "quantizer",
    "crf",
    "min-quantizer",
    "qp-min",
];
const FINEST_QUANTIZERS: [&str; 10] = [
    "qp-min-i",
    "qp-min-p",
    "qp-min-b",
    "min-qp-i",
    "min-qp-p",
    "min-qp-b",
    "min-qp",
    "min-quantizer",
    "qp-min",
    "quantizer",
];
const KEYFRAMES: [&str; 5] =
    ["gop-size", "key-int-max", "keyframe-max-dist", "max-keyframe-interval", "intra-period-length"];
/// Speed, content, and properties for MP4's sake or for the plugin's own settings.
const OTHERS: [&str; 22] = [
    "preset",
    "speed-preset",
    "target-usage",
    "quality-vs-speed",
    "cpu-used",
    "complexity",
    "usage-type",
    "tune",
    "usage",
    "usage-profile",
    "palette-mode",
    "allow-intrabc",
    "aud",
    "threads",
    "multi-thread",
    "slice-mode",
    "num-slices",
    "enable-frame-skip",
    "i-frames",
    "idr-interval",
    "pre-analysis",
    "parameters-string",
];

impl Reading<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.element.spec.properties.get(name)?;
        self.set.get(name).or_else(|| self.element.defaults.get(name))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.value(name)?.as_f64()
    }

    /// The option of that name in a text of `name=value:...`.
    fn option(&self, name: &str) -> Option<f64> {
        let text = self.value("option-string")?.as_str()?;
        text.split(':').find_map(|option| option.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    fn mode(&self) -> Option<&str> {
        MODES.iter().find_map(|name| self.value(name)?.as_str())
    }

    /// Bits per second, by the unit in the description.
    fn bits(&self, name: &str) -> Option<f64> {
        let number = self.number(name)?;
        Some(match self.element.units.get(name)?.as_str() {
            "kbit/s" => number * 1000.0,
            "bit/s" => number,
            unit => panic!("{name} is in {unit}"),
        })
    }

    fn bit_rate(&self) -> f64 {
        BIT_RATES.iter().find_map(|name| self.bits(name)).unwrap_or(0.0)
    }

    /// Most bits in a second, if anything bounds them; otherwise 0.
    fn ceiling(&self) -> f64 {
        let bit_rate = self.bit_rate();
        if self.mode() == Some("cbr") && !["pass", "end-usage"].iter().any(|name| self.value(name).is_some())
        {
            return bit_rate;
        }
        let direct = CEILINGS.iter().find_map(|name| self.bits(name)).filter(|ceiling| *ceiling > 0.0);
        let buffer = ["vbv-buf-capacity", "buf-sz"].iter().find_map(|name| self.number(name));
        let buffer = buffer.filter(|ms| *ms > 0.0).map(|ms| bit_rate * (1000.0 + ms) / 1000.0);
        let percent = self.number("target-percentage").map(|percent| bit_rate * 100.0 / percent);
        let limits = self.value("data-rate-limits").and_then(|limits| {
            let (kilobits, seconds) = limits.as_str()?.split_once(',')?;
            Some(kilobits.parse::<f64>().ok()? * 1000.0 / seconds.parse::<f64>().ok()?.max(1.0))
        });
        let option = self.option("vbv-maxrate").map(|kilobits| kilobits * 1000.0);
        direct.or(percent).or(buffer).or(limits).or(option).unwrap_or(0.0)
    }

    /// Every property that sets how fine the quantizer is to be, on the scale of 0 to 51.
    fn qualities(&self, names: &[&str]) -> Vec<(String, f64)> {
        let quantizers = names.iter().filter(|name| self.set.contains_key(**name));
        let on_our_scale =
            |name: &&&str| ((**name).to_owned(), self.number(name).unwrap() * 51.0 / self.worst());
        let mut qualities: Vec<_> = quantizers.map(|name| on_our_scale(&name)).collect();
        if let Some(quality) = self.set.get("quality").and_then(Value::as_f64) {
            // Apple's ranges from 0 to 1, Microsoft's to 100; best is last.
            let best = if quality <= 1.0 { 1.0 } else { 100.0 };
            qualities.push(("quality".to_owned(), 51.0 * (best - quality) / best));
        }
        qualities.extend(self.option("crf").map(|crf| ("crf".to_owned(), crf)));
        qualities
    }

    /// The coarsest quantizer: 51 up to H.265, in AV1 255 in hardware and 63 in software.
    fn worst(&self) -> f64 {
        match self.element.spec.factory.as_str() {
            "av1enc" | "svtav1enc" => 63.0,
            factory if factory.contains("av1") => 255.0,
            _ => 51.0,
        }
    }

    /// The mistakes for this request; settings in `cannot` are not judged.
    pub fn complaints(&self, request: &EncodeRequest, cannot: &[Meaning]) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut check =
            |is_right: bool, what: String| (!is_right).then(|| complaints.push(what)).map_or((), drop);
        let near = |value: f64, wanted: f64| (value - wanted).abs() <= 0.6;
        let mode = self.mode().unwrap_or("none");
        let (rate, ceiling) = (self.bit_rate(), self.ceiling());
        match request.rate {
            Rate::Quality { quality } => {
                // Apple's is neither: if the bit rate is 0, the quality counts.
                let is_apples = mode == "abr" && rate == 0.0;
                check(
                    mode == "none" || is_apples || QUALITY_MODES.contains(&mode),
                    format!("{mode} is no constant quality"),
                );
                let qualities = self.qualities(&QUANTIZERS);
                check(!qualities.is_empty(), "nothing says the quality".to_owned());
                for (name, said) in qualities {
                    check(near(said, f64::from(quality)), format!("{name} is a quality of {said}"));
                }
                for (low, high) in PINS.iter().filter(|(low, _)| self.set.contains_key(*low)) {
                    check(self.number(low) == self.number(high), format!("{low} and {high} do not pin"));
                }
                let is_bound = match self.element.spec.factory.as_str() {
                    "x264enc" => self.number("vbv-buf-capacity") != Some(0.0),
                    "x265enc" => self.option("crf").is_none() || self.option("vbv-maxrate").is_some(),
                    "svtav1enc" => rate != 0.0 || self.number("crf") < Some(1.0),
                    vt if vt.starts_with("vtenc") => rate != 0.0 || ceiling != 0.0,
                    _ => false,
                };
                check(!is_bound, "a bit rate bounds the quality".to_owned());
            }
            Rate::Bitrate { bitrate, max } => {
                check(mode == "none" || RATE_MODES.contains(&mode), format!("{mode} is no bit rate"));
                check(rate == bitrate as f64, format!("the bit rate is {rate}"));
                check(self.option("crf").is_none(), "crf takes the place of the bit rate".to_owned());
                check(
                    self.number("qp").is_none_or(|qp| self.element.spec.factory != "x265enc" || qp < 0.0),
                    "qp".into(),
                );
                for (low, high) in PINS.iter().filter(|(low, _)| self.set.contains_key(*low)) {
                    check(self.number(low) < self.number(high), format!("{low} and {high} pin"));
                }
                match max {
                    Some(max) => {
                        check(ceiling > 0.0 && ceiling <= max as f64, format!("the ceiling is {ceiling}"))
                    }
                    // The lowest ceiling of an element is at twice the bit rate; `cbr` has no other.
                    None => check(
                        ceiling == 0.0 || mode == "cbr" || ceiling >= 2.0 * rate,
                        format!("there is a ceiling of {ceiling}"),
                    ),
                }
            }
            Rate::Constrained { quality, max } => {
                let qualities = self.qualities(&FINEST_QUANTIZERS);
                check(!qualities.is_empty(), "nothing says the quality".to_owned());
                for (name, said) in qualities {
                    check(near(said, f64::from(quality)), format!("{name} is a quality of {said}"));
                }
                // A buffer provides half a second's room for a keyframe, as it does for a bit rate.
                let room =
                    if self.value("buf-sz").or(self.value("vbv-buf-capacity")).is_some() { 1.5 } else { 1.0 };
                check(ceiling > 0.0 && ceiling <= max as f64 * room, format!("the ceiling is {ceiling}"));
            }
        }

        let frames = request.keyframe_distance() as f64;
        let counted: Vec<_> =
            KEYFRAMES.iter().filter_map(|name| Some((name, self.set.get(*name)?.as_f64()?))).collect();
        check(!counted.is_empty(), "nothing says the keyframe interval".to_owned());
        for (name, distance) in counted {
            // SVT-AV1 counts those between two keyframes.
            let distance = if *name == "intra-period-length" { distance + 1.0 } else { distance };
            check(distance == frames, format!("{name} makes {distance} frames"));
        }
        if let Some(ns) = self.set.get("max-keyframe-interval-duration").and_then(Value::as_f64) {
            check(ns == request.keyframe_interval_ms as f64 * 1e6, format!("a keyframe each {ns} ns"));
        }

        let reorders =
            ["bframes", "b-frames"].iter().any(|name| self.number(name).is_some_and(|count| count != 0.0));
        check(!reorders, "there are B-frames".to_owned());
        check(
            self.value("allow-frame-reordering") != Some(&Value::Bool(true)),
            "frames are reordered".to_owned(),
        );
        if request.latency == Latency::Low && !cannot.contains(&Meaning::Latency) {
            let looks_ahead = match self.element.spec.factory.as_str() {
                // The property's default is overruled by the tuning.
                "x264enc" => self.value("tune") != Some(&"zerolatency".into()),
                "x265enc" => self.value("tune") != Some(&"zerolatency".into()),
                nv if nv.starts_with("nv") => self.number("rc-lookahead").is_some_and(|frames| frames != 0.0),
                _ => self.number("lag-in-frames").is_some_and(|frames| frames != 0.0),
            };
            check(!looks_ahead, "it looks ahead".to_owned());
            for name in ["zerolatency", "zero-reorder-delay", "low-latency", "realtime"] {
                check(self.value(name) != Some(&Value::Bool(false)), format!("{name} is off"));
            }
        }

        for name in self.set.keys() {
            let known =
                MODES.iter().chain(&BIT_RATES).chain(&CEILINGS).chain(&QUANTIZERS).chain(&FINEST_QUANTIZERS);
            let more =
                ["quality", "qp-max", "max-quantizer", "target-percentage", "vbv-buf-capacity", "buf-sz"];
            let rest = [
                "data-rate-limits",
                "option-string",
                "max-keyframe-interval-duration",
                "bframes",
                "b-frames",
                "allow-frame-reordering",
                "rc-lookahead",
                "lag-in-frames",
                "zerolatency",
                "zero-reorder-delay",
                "low-latency",
                "realtime",
                "async-depth",
                "gf-group-size",
            ];
            let mut known = known.chain(&KEYFRAMES).chain(&OTHERS).chain(&more).chain(&rest);
            check(known.any(|known| known == name), format!("this table lacks the meaning of {name}"));
        }
        complaints
    }
}
