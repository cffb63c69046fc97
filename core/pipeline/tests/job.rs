//! The keys of an encoder in a pipeline file reach the worker.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use deskreel_contract::{Chroma, Codec, Content, Descriptor, EncodeRequest, Latency, Rate, Speed};
use deskreel_model::worker::{GpuChoice, MissingGpu, TrackJob};
use deskreel_pipeline::{Catalog, Choice, Deployment, Section, Takes, check};

#[test]
fn every_key_of_an_encoder_is_in_its_job() {
    let jobs = jobs(&fs::read_to_string(fixtures().join("good-all-keys.toml")).unwrap());
    let [video, small, capped] = &jobs[..] else { panic!("{jobs:#?}") };

    let encode = EncodeRequest {
        codec: Codec::H264,
        rate: Rate::Quality { quality: 23 },
        keyframe_interval_ms: 4000,
        max_fps: 10,
        speed: Speed::Balanced,
        latency: Latency::Normal,
        content: Content::Camera,
        // A file that uploads is warned of another one; the test below has them all.
        chroma: Chroma::Yuv420,
    };
    assert_eq!(video.encode, encode);
    assert_eq!(video.gpu, Some(GpuChoice { gpu: "0000:65:00.0".to_owned(), if_missing: MissingGpu::None }));
    assert_eq!(video.frame_deadline_ms, 500);

    let rate = Rate::Bitrate { bitrate: 800_000, max: Some(2_000_000) };
    assert_eq!(small.encode, EncodeRequest { rate, ..EncodeRequest::new(Codec::H264) });
    assert_eq!((&small.gpu, small.frame_deadline_ms), (&None, TrackJob::FRAME_DEADLINE_MS));

    let rate = Rate::Constrained { quality: 20, max: 2_000_000 };
    assert_eq!(capped.encode, EncodeRequest { rate, ..EncodeRequest::new(Codec::Av1) });
    assert_eq!(capped.gpu.as_ref().unwrap().if_missing, MissingGpu::Any);
}

#[test]
fn words_of_a_choice_give_different_jobs() {
    for key in Section::Encoder.keys() {
        let Takes::Choice(words) = key.takes else { continue };
        let with = |(word, _): &(&str, Choice)| {
            let file = format!(
                "version = 1\nname = \"desk\"\n[source.screen]\nplugin = \"source.x11\"\n[encoder.video]\nfrom = \
                 \"screen\"\nplugin = \"encoder.x264\"\ngpu = \"65:00.0\"\n{} = \"{word}\"\n[recording]\ntracks = \
                 [\"video\"]\n",
                key.name
            );
            jobs(&file)
        };
        let jobs: Vec<_> = words.iter().map(with).collect();
        for (place, job) in jobs.iter().enumerate() {
            assert!(!jobs[..place].contains(job), "{} = {} changes nothing", key.name, words[place].0);
        }
    }
}

fn jobs(text: &str) -> Vec<TrackJob> {
    let descriptor: Descriptor =
        toml::from_str(&fs::read_to_string(fixtures().join("catalog/plugins.toml")).unwrap()).unwrap();
    let (deployment, diagnostics) = check(text, &Catalog::new([descriptor]));
    let Some(Deployment::Recorder(graph)) = deployment else { panic!("{text}\n{diagnostics:#?}") };
    graph.recording.tracks.iter().map(|track| track.job()).collect()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config")
}
