use deskreel_sdk::prelude::*;

/// OpenH264 quantises no finer than this, whatever it is asked for.
const FINEST: u32 = 12;
const COARSEST: u32 = 51;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    complexity: String,
    threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { complexity: "medium".to_owned(), threads: 1 }
    }
}

pub struct OpenH264(Settings);

impl Encoder for OpenH264 {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(OpenH264(settings))
    }

    fn candidates(&mut self, request: &EncodeRequest) -> Result<Vec<Candidate>> {
        Ok(match request.codec {
            Codec::H264 => vec![candidate(&self.0, request)],
            Codec::H265 | Codec::Av1 => vec![],
        })
    }
}

fn candidate(settings: &Settings, request: &EncodeRequest) -> Candidate {
    let openh264enc = Element::new("openh264enc")
        .set("usage-type", "screen")
        .set("complexity", settings.complexity.as_str())
        .set("multi-thread", settings.threads)
        .set("slice-mode", "n-slices")
        .set("num-slices", settings.threads)
        .set("gop-size", request.keyframe_distance())
        // It would keep the bit rate by dropping frames: of 60 frames of noise at 800 kbit/s it left 2.
        .set("enable-frame-skip", false);
    Candidate {
        id: "openh264enc".to_owned(),
        tier: Tier::Software,
        memory: Memory::System,
        formats: vec!["I420".to_owned()],
        elements: vec![rated(openh264enc, request.rate)],
        needs: vec![],
        siblings: None,
    }
}

fn rated(openh264enc: Element, rate: Rate) -> Element {
    match rate {
        // Equal bounds pin the quantiser. `rate-control=off` looks right and is not: it ignores the bounds.
        Rate::Quality { quality } | Rate::Constrained { quality, .. } => {
            let quality = quality.clamp(FINEST, COARSEST);
            openh264enc.set("rate-control", "quality").set("qp-min", quality).set("qp-max", quality)
        }
        // Bits per second, not thousands. The bounds must be given: those that it has for screens end at 35, and
        // it then takes eight times the bits it was allowed.
        Rate::Bitrate { bitrate, max } => {
            let bits = |rate: u64| rate.min(u64::from(u32::MAX));
            let bounded = openh264enc
                .set("rate-control", "bitrate")
                .set("bitrate", bits(bitrate))
                .set("qp-min", FINEST)
                .set("qp-max", COARSEST);
            max.map_or(bounded.clone(), |max| bounded.set("max-bitrate", bits(max)))
        }
    }
}

#[cfg(test)]
#[path = "../../../tests/support/launch.rs"]
mod launch;

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(rate: Rate) -> Vec<Element> {
        let request = EncodeRequest {
            rate,
            keyframe_interval_ms: 1500,
            max_fps: 20,
            ..EncodeRequest::new(Codec::H264)
        };
        candidate(&Settings::default(), &request).elements
    }

    #[test]
    fn every_frame_comes_out_and_keyframes_where_asked() {
        let coded = launch::encode(&elements(Rate::Quality { quality: 23 }), "ball", 90, 20);
        assert_eq!((coded.frames, coded.keyframes), (90, vec![0, 30, 60]));
    }

    #[test]
    fn no_frame_vanishes_where_the_bit_rate_is_far_too_low() {
        let rate = Rate::Bitrate { bitrate: 50_000, max: Some(60_000) };
        let coded = launch::encode(&elements(rate), "snow", 60, 20);
        assert_eq!(coded.frames, 60);
    }

    #[test]
    fn quality_decides_the_size() {
        let size =
            |quality| launch::encode(&elements(Rate::Quality { quality }), "snow", 20, 20).bits_per_second;
        let (fine, middle, coarse) = (size(15), size(28), size(40));
        assert!(fine > middle * 3 / 2 && middle > coarse * 3 / 2, "{fine} {middle} {coarse}");
    }

    #[test]
    fn bit_rate_is_kept_in_bits() {
        for bitrate in [100_000, 1_000_000] {
            let elements = elements(Rate::Bitrate { bitrate, max: None });
            let coded = launch::encode(&elements, "zone-plate kx2=20 ky2=20 kt=1", 100, 20);
            let expected = bitrate as usize * 3 / 4..bitrate as usize * 5 / 4;
            assert!(expected.contains(&coded.bits_per_second), "{bitrate}: {coded:?}");
        }
    }
}
