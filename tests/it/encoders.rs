//! The shipped encoder plugins: the properties that each neutral setting becomes in every element of
//! GStreamer 1.20 to 1.28.
//!
//! The elements are those of `tests/data/gst-elements`, read from GStreamer's sources, so that no GPU, no
//! Windows and no other version is needed. A request takes the real way: plugin, candidates, `fit`. The
//! result is read back by a table of its own (`meaning.rs`), which shares nothing with the plugins, and is
//! written down in docs/encoders.md. `media.rs` encodes with the software elements of this machine.

use std::path::PathBuf;

use deskreel_contract::{Candidate, Chroma, Codec, Content, EncodeRequest, Latency, Meaning, Rate, Speed};
use deskreel_host::{HostCallbacks, Library, Plugin, examine, load};
use deskreel_test_support::paths::root;
use serde_json::json;

mod document;
mod elements;
mod launch;
mod mapping;
mod meaning;
mod media;

/// The encoder plugins that come with Deskreel, in the order in which a pipeline file would name them.
const PLUGINS: [&str; 11] =
    ["nvenc", "qsv", "va", "amf", "mf", "vt", "x264", "openh264", "x265", "svtav1", "av1"];

fn library(plugin: &str) -> Library {
    let found = examine(&root().join(format!("plugins/encoder-{plugin}/plugin.toml")));
    load(&found).unwrap_or_else(|refused| panic!("encoder.{plugin}: {refused}"))
}

fn open(plugin: &str, settings: serde_json::Value) -> Plugin {
    let created = library(plugin).create(&format!("encoder.{plugin}"), &settings, HostCallbacks::default());
    created.unwrap_or_else(|failure| panic!("{failure}"))
}

fn candidates(plugin: &str, request: &EncodeRequest) -> Vec<Candidate> {
    open(plugin, json!({})).candidates(request).unwrap_or_else(|failure| panic!("{failure}"))
}

const CODECS: [Codec; 3] = [Codec::H264, Codec::H265, Codec::Av1];

const RATES: [Rate; 4] = [
    Rate::Quality { quality: 23 },
    Rate::Bitrate { bitrate: 800_000, max: None },
    Rate::Bitrate { bitrate: 800_000, max: Some(1_200_000) },
    Rate::Constrained { quality: 23, max: 1_200_000 },
];

/// Every request that differs in a neutral setting.
fn requests(codec: Codec) -> Vec<EncodeRequest> {
    let mut requests = Vec::new();
    for rate in RATES {
        for speed in [Speed::Fast, Speed::Balanced, Speed::Small] {
            for latency in [Latency::Low, Latency::Normal] {
                for content in [Content::Screen, Content::Camera] {
                    for chroma in [Chroma::Yuv420, Chroma::Yuv444] {
                        let base = EncodeRequest::new(codec);
                        requests.push(EncodeRequest { rate, speed, latency, content, chroma, ..base });
                    }
                }
            }
        }
    }
    requests
}

#[test]
fn every_encoder_plugin_of_this_tree_is_tested() {
    let entries = std::fs::read_dir(root().join("plugins")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut encoders: Vec<String> =
        names.filter_map(|name| Some(name.strip_prefix("encoder-")?.to_owned())).collect();
    encoders.sort();
    let mut listed = PLUGINS.map(str::to_owned);
    listed.sort();
    assert_eq!(encoders, listed);
}

fn data(file: &str) -> PathBuf {
    root().join("tests/data/gst-elements").join(file)
}
