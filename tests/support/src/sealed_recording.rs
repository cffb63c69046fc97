//! Sealed recordings for sinks. Their fragments are noise, since sinks do not look into them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use deskreel_contract::{FinishedRecording, FragmentDelivery};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::random::Random;
use crate::upload_server::{Name, hex};

pub const ID: &str = "20261123T071002Z-4f2a91";

pub struct SealedRecording {
    _root: TempDir,
    pub id: String,
    pub folder: PathBuf,
    /// The deliveries, in the order in which a running recording hands them over.
    pub deliveries: Vec<FragmentDelivery>,
}

impl SealedRecording {
    /// A recording with two tracks, of which the first has two parts.
    pub fn new() -> SealedRecording {
        SealedRecording::called(ID)
    }

    pub fn called(id: &str) -> SealedRecording {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(id);
        let mut recording =
            SealedRecording { _root: root, id: id.to_owned(), folder, deliveries: Vec::new() };
        let random = Random::new();
        let parts = [recording.part("video", 1, 3, &random), recording.part("video", 2, 2, &random)];
        let camera = [recording.part("camera one", 1, 1, &random)];
        let manifest = json!({
            "schema": 1, "recording": id, "pipeline": "agent-desktop", "writer": "test", "ended": null, "anchors": [],
            "tracks": [
                { "name": "video", "parts": parts, "gaps": [] },
                { "name": "camera one", "parts": camera, "gaps": [] },
            ],
            "incidents": [], "outcome": { "result": "finished" },
        });
        fs::write(recording.folder.join("manifest.json"), manifest.to_string()).unwrap();
        recording
    }

    fn part(&mut self, track: &str, part: u32, fragments: u32, random: &Random) -> Value {
        let folder = format!("{track}/part-{part:04}");
        fs::create_dir_all(self.folder.join(&folder)).unwrap();
        let mut files = (0..=fragments).map(|number| {
            let name = if number == 0 { "init.mp4".to_owned() } else { format!("{number:06}.m4s") };
            // Up to a megabyte: more than a socket holds, so that a body can be cut.
            let length = if number == 0 { 900 } else { random.below(1 << 20) };
            let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            let (file, sha256) = (format!("{folder}/{name}"), hex(&bytes));
            let path = self.folder.join(&file);
            fs::write(&path, &bytes).unwrap();
            self.deliveries.push(FragmentDelivery {
                id: format!("{}/{track}/{part}/{number}", self.id),
                path,
                sha256: sha256.clone(),
                recording: self.id.clone(),
                track: track.to_owned(),
                part,
                number,
                size: length,
            });
            json!({ "number": number, "file": file, "size": length, "sha256": sha256 })
        });
        let init = files.next().unwrap();
        let fragments: Vec<Value> = files.collect();
        json!({ "number": part, "init": init, "fragments": fragments })
    }

    pub fn finished(&self) -> FinishedRecording {
        let about = json!({
            "agent": "ann", "place": "seat-12", "from": "2026-11-23T07:10:02.250Z", "to": "2026-11-23T07:10:08.000Z",
            "calls": ["77", "78"], "interactions": ["77"], "tags": { "product": "loan" },
        });
        FinishedRecording {
            id: self.id.clone(),
            directory: self.folder.clone(),
            about: serde_json::from_value(about).unwrap(),
        }
    }

    pub fn manifest(&self) -> Vec<u8> {
        fs::read(self.folder.join("manifest.json")).unwrap()
    }

    /// The bytes of every header and fragment on disk.
    pub fn bytes(&self) -> BTreeMap<Name, Vec<u8>> {
        let named = self.deliveries.iter();
        named.map(|one| ((one.track.clone(), one.part, one.number), fs::read(&one.path).unwrap())).collect()
    }

    /// Every file, by its name in the folder.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.deliveries.iter().map(|one| one.path.clone());
        let all = names.chain([self.folder.join("manifest.json")]);
        let name = |path: &PathBuf| path.strip_prefix(&self.folder).unwrap().to_str().unwrap().to_owned();
        all.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    }

    pub fn damage(&self, delivery: usize) {
        let path = &self.deliveries[delivery].path;
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
}
