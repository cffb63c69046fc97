#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;

fn request(rate: Rate) -> EncodeRequest {
    EncodeRequest { rate, ..EncodeRequest::new(Codec::H264) }
}

/// The text with its names replaced.
fn fill(text: &str, rate: Rate) -> Option<Value> {
    let schema = Some(json!({ "properties": { "threads": { "default": 2 }, "preset": {} } }));
    let settings = json!({ "complexity": "high" });
    Values { request: &request(rate), settings: &settings, schema: &schema }.fill(&text.into())
}

#[test]
fn quality_keeps_its_ends_and_its_direction_on_every_scale() {
    let on = |scale: &str| {
        [0, 23, 51, 60].map(|quality| fill(scale, Rate::Quality { quality }).unwrap().as_f64().unwrap())
    };
    assert_eq!(on("{quality}"), [0.0, 23.0, 51.0, 51.0]);
    assert_eq!(on("{quality.of63}"), [0.0, 28.0, 63.0, 63.0]);
    assert_eq!(on("{quality.of255}"), [0.0, 115.0, 255.0, 255.0]);
    assert_eq!(on("{quality.percent}"), [100.0, 55.0, 1.0, 1.0]);
    assert_eq!(on("{quality.unit}"), [1.0, 0.55, 0.0, 0.0]);
}

#[test]
fn bit_rates_have_either_unit_and_are_never_zero() {
    let rate = Rate::Bitrate { bitrate: 800_000, max: Some(2_000_000) };
    let names = ["{bitrate.bps}", "{bitrate.kbps}", "{max.bps}", "{max.kbps}"];
    assert_eq!(names.map(|name| fill(name, rate).unwrap()), [800_000, 800, 2_000_000, 2_000]);
    assert_eq!(fill("{bitrate.kbps}", Rate::Bitrate { bitrate: 300, max: None }), Some(json!(1)));
    assert_eq!(fill("{max.kbps}", Rate::Constrained { quality: 1, max: 9_000 }), Some(json!(9)));
}

#[test]
fn rounding_does_not_exceed_the_ceiling() {
    let percent = |bitrate, max| fill("{bitrate.percent_of_max}", Rate::Bitrate { bitrate, max: Some(max) });
    assert_eq!(percent(1_000_000, 1_500_000), Some(json!(67)), "66 would be a ceiling of 1.515 Mbit/s");
    assert_eq!(percent(1_000_000, 1_000_000), Some(json!(100)));
    assert_eq!(percent(1, 0), Some(json!(100)));
}

#[test]
fn buffer_covers_the_ceiling_above_the_bit_rate_for_a_second() {
    let buffer = |max| fill("{buffer.ms}", Rate::Bitrate { bitrate: 800_000, max: Some(max) });
    assert_eq!(buffer(2_000_000), Some(json!(1500)));
    assert_eq!(buffer(800_000), Some(json!(500)), "a keyframe needs room");
    assert_eq!(buffer(800_000_000), Some(json!(10_000)));
}

#[test]
fn keyframes_are_counted_in_frames_or_time() {
    let rate = Rate::Quality { quality: 23 };
    let names = ["{keyframe.frames}", "{keyframe.between}", "{keyframe.ms}", "{keyframe.ns}"];
    let values = names.map(|name| fill(name, rate).unwrap().as_u64().unwrap());
    assert_eq!(values, [40, 39, 4000, 4_000_000_000]);
}

#[test]
fn names_without_a_value_yield_none_and_texts_may_contain_names() {
    let rate = Rate::Quality { quality: 23 };
    assert_eq!(fill("{bitrate.kbps}", rate), None);
    assert_eq!(fill("{settings.preset}", rate), None);
    assert_eq!(fill("crf={quality}:vbv={max.kbps}", rate), None);
    assert_eq!(fill("crf={quality}:threads={settings.threads}", rate), Some(json!("crf=23:threads=2")));
    assert_eq!(fill("{settings.complexity}", rate), Some(json!("high")));
    assert_eq!(
        fill("video/x-raw,format={ NV12, I420 }", rate),
        Some(json!("video/x-raw,format={ NV12, I420 }"))
    );
}

fn recipe() -> Value {
    json!({
        "tier": "hardware",
        "needs": [{ "library": "libacme.so.1", "otherwise": "no ACME driver" }],
        "maps": {
            "acme": {
                "always": { "aud": false },
                "rate": {
                    "quality": [{ "mode": "cq", "qp": { "value": "{quality}", "at_least": 12, "at_most": true } }],
                    "bitrate": [{ "bitrate": "{bitrate.kbps}" }],
                },
                "speed": { "fast": [{ "preset": "{settings.preset}" }, { "preset": "p1" }] },
                "keyframe_interval": [{ "gop": "{keyframe.frames}" }],
            },
            "newer": { "speed": { "fast": [{ "preset": { "value": "p2", "if_present": true } }] } },
        },
        "paths": {
            "cuda": {
                "memory": "cuda",
                "formats": ["BGRx"],
                "before": ["cudaupload", { "element": "capsfilter", "caps": "video/x-raw,format={format}" }],
                "first_gpu_only": true,
            },
        },
        "candidates": [
            {
                "element": "acmeh264enc", "codec": "h264", "map": ["acme", "newer"], "formats": ["NV12"],
                "formats_444": ["Y444"], "paths": ["cuda", "system"], "siblings": "acmeh264device*enc",
            },
            { "element": "acmeoldenc", "codec": "h264", "map": ["acme"], "formats": ["I420"] },
            { "element": "acmeh265enc", "codec": "h265", "map": ["acme"], "formats": ["NV12"] },
        ],
    })
}

fn candidates(request: &EncodeRequest) -> Vec<Candidate> {
    let schema = Some(json!({ "properties": { "preset": {} } }));
    EncoderRecipe::read(&recipe(), &schema).unwrap().candidates(request, &json!({}), &schema)
}

/// The ways of the last element for this, written short.
fn ways(candidate: &Candidate, means: Meaning) -> Vec<String> {
    let wish = candidate.elements.last().unwrap().wishes.iter().find(|wish| wish.means == means).unwrap();
    let said = |p: &Property| {
        let marks = [(p.if_present, "?"), (p.at_most, "<")];
        let marks: String = marks.iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| *mark).collect();
        format!("{}{marks}={}", p.name, p.value)
    };
    wish.ways.iter().map(|way| way.iter().map(said).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn an_element_is_a_candidate_for_each_of_its_paths_and_for_its_codec() {
    let candidates = candidates(&request(Rate::Quality { quality: 23 }));
    let ids: Vec<_> = candidates.iter().map(|candidate| &*candidate.id).collect();
    assert_eq!(ids, ["acmeh264enc.cuda", "acmeh264enc", "acmeoldenc"]);
    let [cuda, system, old] = &candidates[..] else { panic!() };
    assert_eq!((cuda.memory, system.memory), (Memory::Cuda, Memory::System));
    assert_eq!((&*cuda.formats, &*system.formats), (&["BGRx".to_owned()][..], &["NV12".to_owned()][..]));
    let chain: Vec<_> = cuda.elements.iter().map(|element| &*element.factory).collect();
    assert_eq!(chain, ["cudaupload", "capsfilter", "acmeh264enc"]);
    assert_eq!(cuda.elements[1].properties[0].value, "video/x-raw,format=NV12");
    assert_eq!((&cuda.siblings, system.siblings.as_deref()), (&None, Some("acmeh264device*enc")));
    assert_eq!(old.needs[0].otherwise, "no ACME driver");
}

#[test]
fn later_map_overrides_the_settings_that_it_has() {
    let candidates = candidates(&request(Rate::Quality { quality: 5 }));
    assert_eq!(ways(&candidates[1], Meaning::Speed), [r#"preset?="p2""#]);
    assert_eq!(ways(&candidates[1], Meaning::Rate), [r#"mode="cq" qp<=12"#]);
    assert_eq!(ways(&candidates[2], Meaning::Speed), [r#"preset="p1""#], "no preset was set");
    let always = &candidates[1].elements[0].properties[0];
    assert!(always.name == "aud" && always.if_present);
}

#[test]
fn setting_that_no_map_has_is_a_wish_without_ways() {
    let ceiling = request(Rate::Bitrate { bitrate: 800_000, max: Some(900_000) });
    assert!(ways(&candidates(&ceiling)[1], Meaning::Rate).is_empty());
    assert!(ways(&candidates(&ceiling)[1], Meaning::Latency).is_empty());
    let full_color = EncodeRequest { chroma: Chroma::Yuv444, ..ceiling };
    let candidates = candidates(&full_color);
    assert_eq!(candidates[1].formats, ["Y444"]);
    assert_eq!(candidates[0].elements[1].properties[0].value, "video/x-raw,format=Y444");
    assert!(ways(&candidates[2], Meaning::Chroma).is_empty());
}

#[test]
fn a_mistake_in_a_recipe_is_found_before_it_is_used() {
    let refusal = |pointer: &str, value: Value| {
        let mut recipe = recipe();
        *recipe.pointer_mut(pointer).unwrap() = value;
        EncoderRecipe::read(&recipe, &None).unwrap_err()
    };
    assert_eq!(
        refusal("/candidates/1/map", json!(["acne"])),
        "`acmeoldenc` names the map `acne`, which does not exist"
    );
    assert_eq!(
        refusal("/candidates/0/paths", json!(["va"])),
        "`acmeh264enc` names the path `va`, which does not exist"
    );
    assert_eq!(
        refusal("/maps/acme/always/aud", json!("{settings.preset}")),
        "the map `acme` uses `{settings.preset}`, which has no value"
    );
    assert!(refusal("/maps/newer", json!({ "sped": {} })).starts_with("unknown field `sped`"));
}
