use deskreel_sdk::prelude::*;

/// Milliseconds of the bit rate that a ceiling may hold back or bring forward, at least. With less, the first
/// keyframe of a screen full of text has no room and is a smear for seconds.
const LEAST_BUFFER_MS: u64 = 500;
/// `vbv-buf-capacity` takes no more.
const MOST_BUFFER_MS: u64 = 10_000;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    preset: String,
    /// 0 lets x264 decide.
    threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { preset: "veryfast".to_owned(), threads: 0 }
    }
}

pub struct X264(Settings);

impl Encoder for X264 {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(X264(settings))
    }

    fn candidates(&mut self, request: &EncodeRequest) -> Result<Vec<Candidate>> {
        Ok(match request.codec {
            Codec::H264 => vec![candidate(&self.0, request)],
            Codec::H265 | Codec::Av1 => vec![],
        })
    }
}

fn candidate(settings: &Settings, request: &EncodeRequest) -> Candidate {
    // zerolatency: no lookahead and no B-frames. The lookahead alone costs 220 MiB at 1080p.
    let x264enc = Element::new("x264enc")
        .set("tune", "zerolatency")
        .set("speed-preset", settings.preset.as_str())
        .set("threads", settings.threads)
        .set("bframes", 0)
        .set("key-int-max", request.keyframe_distance())
        // MP4 has no use for access unit delimiters.
        .set("aud", false);
    Candidate {
        id: "x264enc".to_owned(),
        tier: Tier::Software,
        memory: Memory::System,
        formats: vec!["I420".to_owned(), "NV12".to_owned()],
        elements: vec![rated(x264enc, request.rate)],
        needs: vec![],
        siblings: None,
    }
}

fn rated(x264enc: Element, rate: Rate) -> Element {
    match rate {
        // Without `vbv-buf-capacity=0`, `bitrate` (2048 kbit/s if nobody sets it) is a ceiling here too.
        Rate::Quality { quality } | Rate::Constrained { quality, .. } => {
            x264enc.set("pass", "qual").set("quantizer", quality.min(50)).set("vbv-buf-capacity", 0)
        }
        // `pass=cbr` without a buffer is an average bit rate.
        Rate::Bitrate { bitrate, max } => {
            let buffer_ms = max.map_or(0, |max| buffer_ms(bitrate, max));
            x264enc.set("pass", "cbr").set("bitrate", kilobits(bitrate)).set("vbv-buf-capacity", buffer_ms)
        }
    }
}

/// `x264enc` has no ceiling besides the bit rate itself, but a buffer: no second has more bits than the bit rate
/// and the buffer hold together.
fn buffer_ms(bitrate: u64, max: u64) -> u64 {
    (max.saturating_sub(bitrate).saturating_mul(1000) / bitrate.max(1)).clamp(LEAST_BUFFER_MS, MOST_BUFFER_MS)
}

/// The element counts in thousands of bits per second.
fn kilobits(bitrate: u64) -> u64 {
    (bitrate / 1000).clamp(1, 2_048_000)
}

#[cfg(test)]
#[path = "../../../tests/support/launch.rs"]
mod launch;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(rate: Rate) -> EncodeRequest {
        EncodeRequest { rate, keyframe_interval_ms: 1500, max_fps: 20, ..EncodeRequest::new(Codec::H264) }
    }

    fn elements(rate: Rate) -> Vec<Element> {
        candidate(&Settings::default(), &request(rate)).elements
    }

    fn properties(rate: Rate) -> Value {
        let element = elements(rate).remove(0);
        element.properties.into_iter().map(|p| (p.name, p.value)).collect::<serde_json::Map<_, _>>().into()
    }

    #[test]
    fn rates_become_the_elements_units() {
        let quality = properties(Rate::Quality { quality: 23 });
        assert_eq!((&quality["pass"], &quality["quantizer"]), (&json!("qual"), &json!(23)));
        let average = properties(Rate::Bitrate { bitrate: 800_000, max: None });
        assert_eq!((&average["bitrate"], &average["vbv-buf-capacity"]), (&json!(800), &json!(0)));
        let bounded = properties(Rate::Bitrate { bitrate: 800_000, max: Some(2_000_000) });
        assert_eq!((&bounded["bitrate"], &bounded["vbv-buf-capacity"]), (&json!(800), &json!(1500)));
    }

    #[test]
    fn every_frame_comes_out_and_keyframes_where_asked() {
        let coded = launch::encode(&elements(Rate::Quality { quality: 23 }), "ball", 90, 20);
        assert_eq!((coded.frames, coded.keyframes), (90, vec![0, 30, 60]));
    }

    #[test]
    fn quality_is_not_capped_by_a_bit_rate() {
        let coded = launch::encode(&elements(Rate::Quality { quality: 30 }), "snow", 20, 20);
        assert!(coded.bits_per_second > 5_000_000, "{coded:?}");
    }

    #[test]
    fn bit_rate_is_kept() {
        let rate = Rate::Bitrate { bitrate: 1_000_000, max: Some(1_500_000) };
        let coded = launch::encode(&elements(rate), "snow", 100, 20);
        assert!((700_000..1_300_000).contains(&coded.bits_per_second), "{coded:?}");
    }
}
