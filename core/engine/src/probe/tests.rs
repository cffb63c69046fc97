//! Our own encoders pass the probe, and chains with one fault each are refused for that fault.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use deskreel_contract::{Candidate, Element, Latency, Memory, Rate, Tier};
use deskreel_model::worker::PluginFile;
use serde_json::json;
use std::time::Duration;

use super::*;

fn plugins() -> Plugins {
    gst::init().unwrap();
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins"));
    let file = |name: &str| {
        let found = deskreel_host::examine(&folder.join(name).join("plugin.toml"));
        PluginFile { path: found.path, sha256: found.sha256, unusable: None }
    };
    let names = ["x264", "openh264", "x265", "av1"];
    let loaded =
        Plugins::load(&names.map(|name| file(&format!("encoder-{name}")))).map_err(|_| "hangs").unwrap();
    assert_eq!(loaded.refused(), []);
    loaded
}

fn settings(plugin: &str) -> PluginSettings {
    PluginSettings { plugin: plugin.into(), settings: json!({}) }
}

fn picture(width: u32, height: u32) -> Picture {
    Picture { format: "BGRx".into(), width, height, fps: 10 }
}

/// Probes the first candidate of one of our plugins.
fn prove_plugin(plugin: &str, request: EncodeRequest, picture: &Picture) -> Result<Proof, String> {
    let plugins = plugins();
    let job = TrackJob::new("screen", settings("none"), vec![settings(plugin)], request);
    let (_, offered) =
        candidates::offered(&settings(plugin), &candidates::request(&job, picture.fps), &plugins).unwrap();
    candidate(&job, &settings(plugin), &offered[0].id, picture, &plugins)
}

/// A chain of these elements and x264, for faults that no real encoder has.
fn chain(before: &[Element], key_int_max: u64) -> FittedCandidate {
    let x264 = Element::new("x264enc")
        .set("tune", "zerolatency")
        .set("speed-preset", "ultrafast")
        .set("key-int-max", key_int_max)
        .set("pass", "quant")
        .set("quantizer", 23);
    let candidate = Candidate {
        id: "x264enc".into(),
        tier: Tier::Software,
        memory: Memory::System,
        formats: vec!["I420".into()],
        elements: before.iter().cloned().chain([x264]).collect(),
        needs: Vec::new(),
        siblings: None,
    };
    candidates::fitted(&candidate).unwrap()
}

fn refusal(before: &[Element]) -> String {
    gst::init().unwrap();
    let request = EncodeRequest::new(Codec::H264);
    super::prove(&request, true, &chain(before, 40), &chain(before, INTERVAL), &picture(640, 360))
        .unwrap_err()
}

#[test]
fn our_encoders_pass_at_odd_and_tiny_sizes_and_in_both_latencies() {
    for (plugin, codec) in
        [("encoder.x264", Codec::H264), ("encoder.openh264", Codec::H264), ("encoder.x265", Codec::H265)]
    {
        for (width, height) in [(640, 360), (319, 241), (64, 48)] {
            for latency in [Latency::Low, Latency::Normal] {
                let request = EncodeRequest { latency, ..EncodeRequest::new(codec) };
                let proof = prove_plugin(plugin, request, &picture(width, height)).unwrap();
                assert!(proof.picture_error < 10.0, "{plugin} {width}x{height} {proof:?}");
                assert!(proof.holds_frames == 0 || latency == Latency::Normal, "{plugin} {proof:?}");
            }
        }
    }
}

#[test]
fn every_format_of_a_source_is_encoded_as_the_same_picture() {
    gst::init().unwrap();
    let request = EncodeRequest::new(Codec::H264);
    for format in ["BGRx", "I420", "NV12", "YUY2", "RGB"] {
        let picture = Picture { format: format.into(), ..picture(640, 360) };
        let proof = super::prove(&request, true, &chain(&[], 40), &chain(&[], INTERVAL), &picture);
        assert!(proof.unwrap().picture_error < 10.0, "{format}");
    }
}

#[test]
fn the_worst_quality_is_still_the_picture() {
    for plugin in ["encoder.x264", "encoder.openh264"] {
        for rate in [Rate::Quality { quality: 51 }, Rate::Bitrate { bitrate: 100_000, max: None }] {
            for (width, height) in [(64, 48), (1280, 720)] {
                let request = EncodeRequest { rate, ..EncodeRequest::new(Codec::H264) };
                prove_plugin(plugin, request, &picture(width, height)).unwrap();
            }
        }
    }
}

#[test]
fn pictures_that_go_wrong_are_refused() {
    let balance = |name: &str, value: f64| Element::new("videobalance").set(name, value);
    let wrong = [
        vec![balance("brightness", -1.0), balance("contrast", 0.0)],
        vec![balance("contrast", 0.0)],
        vec![balance("hue", 1.0)],
        vec![balance("saturation", 0.0)],
    ];
    for before in wrong {
        let reason = refusal(&before);
        assert!(reason.starts_with("it encodes another picture: frame 0 is off by"), "{reason}");
    }
    let small = [
        Element::new("videoscale"),
        Element::new("capsfilter").set("caps", "video/x-raw,width=320,height=180"),
    ];
    assert_eq!(refusal(&small), "it produces pictures of 320x180, not of 640x360");
}

#[test]
fn frames_that_get_lost_are_refused() {
    let every_other = Element::new("videorate").set("drop-only", true).set("max-rate", 5);
    assert_eq!(refusal(&[every_other]), "16 frames went in and 8 came out");
    let reason = refusal(&[Element::new("identity").set("drop-probability", 1.0)]);
    assert_eq!(reason, "it keeps more than 80 frames before it produces the first one");
}

#[test]
fn an_error_in_the_chain_is_reported_in_its_own_words() {
    let reason = refusal(&[Element::new("identity").set("error-after", 6)]);
    assert!(reason.starts_with("identity: "), "{reason}");
}

#[test]
fn keyframes_come_when_asked_for_and_not_otherwise() {
    gst::init().unwrap();
    let request = EncodeRequest::new(Codec::H264);
    let run = |asked, often| super::prove(&request, true, &asked, &often, &picture(320, 180)).unwrap_err();
    assert_eq!(run(chain(&[], 1), chain(&[], INTERVAL)), "it makes every frame a keyframe");
    assert_eq!(
        run(chain(&[], 40), chain(&[], 40)),
        "asked for a keyframe every 8 frames, it produces none for 16"
    );
}

/// `av1enc` of GStreamer 1.22 ignores requests for keyframes.
#[test]
fn an_encoder_that_ignores_requests_for_keyframes_records_no_still_screens() {
    let plugins = plugins();
    let prove = |changes_only| {
        let mut job = TrackJob::new(
            "screen",
            settings("none"),
            vec![settings("encoder.av1")],
            EncodeRequest::new(Codec::Av1),
        );
        job.changes_only = changes_only;
        candidate(&job, &settings("encoder.av1"), "av1enc", &picture(320, 180), &plugins)
    };
    let reason = prove(None).unwrap_err();
    assert!(reason.starts_with("it produces no keyframe when it is asked for one"), "{reason}");
    assert!(prove(Some(false)).unwrap().picture_error < 10.0);
}

#[test]
fn an_encoder_that_hangs_is_refused_after_its_limit() {
    gst::init().unwrap();
    let pattern = Pattern::new(320, 180);
    let picture = picture(320, 180);
    let frames = TrialFrames::new(&pattern, &picture).unwrap();
    let limit = Duration::from_millis(300);
    // Each frame takes a second.
    let slow = chain(&[Element::new("identity").set("sleep-time", 1_000_000)], 40);
    let limits = trial::TrialLimits { first_frame: limit, frame: limit };
    let plan =
        TrialPlan { codec: Codec::H264, fitted: &slow, frames: &frames, count: FRAMES, forced: None, limits };
    let reason = trial::run(&plan).map(|_| ()).unwrap_err();
    assert_eq!(reason, "it hangs or is far too slow: frame 0 is not taken within 300ms");
}
