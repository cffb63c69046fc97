//! Verdicts of probes on this machine, kept so that a start need not wait for them again.
//!
//! A verdict's key is a hash of everything that it depends on. So nothing is compared here: under other
//! circumstances the key is another one. Losing the file only costs the probes once more. Two processes may
//! use it at once: a change is applied to the file's current content, under a lock.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::worker::{Picture, Proof, SurveyedCandidate, TrackJob};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::ranking::Standing;

/// Names in the cache folder.
const FILE: &str = "encoders.json";
const LOCK: &str = "encoders.lock";
/// A candidate that works is tried again after this: a month.
const WORKS_HOURS: i64 = 30 * 24;
/// One that was refused is tried again after this: its cure may be something that the key does not cover.
const REFUSED_HOURS: i64 = 24;
/// Another process has the lock for milliseconds. One that hangs must not hold up a recording.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Everything on which a verdict depends, hashed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct VerdictKey(String);

impl VerdictKey {
    /// `machine` is the fingerprint of the GPUs, their drivers and GStreamer; `plugins` has the hashes of all
    /// libraries that the worker loads.
    pub fn new(
        machine: &str,
        plugins: &str,
        track: &TrackJob,
        picture: &Picture,
        one: &SurveyedCandidate,
    ) -> VerdictKey {
        let SurveyedCandidate { plugin, version, candidate, recipe, on_demand, .. } = one;
        let element = (&plugin.plugin, version, candidate, recipe, on_demand);
        let facts = (machine, plugins, element, track.encode.codec, picture);
        VerdictKey(deskreel_spool::sha256_hex(serde_json::json!(facts).to_string().as_bytes()))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbeVerdict {
    pub plugin: String,
    pub candidate: String,
    /// The picture, for people who read the file.
    pub picture: Picture,
    pub result: Result<Proof, String>,
    pub at: Utc,
}

impl ProbeVerdict {
    pub fn standing(&self) -> Standing {
        match &self.result {
            Ok(proof) => Standing::Works { proof: proof.clone(), at: self.at },
            Err(reason) => Standing::Refused { reason: reason.clone(), at: Some(self.at) },
        }
    }

    /// A verdict from the future, after the clock was set back, is not current.
    fn is_current(&self, now: Utc) -> bool {
        let limit = if self.result.is_ok() { WORKS_HOURS } else { REFUSED_HOURS };
        let hours = now.0.since(self.at.0).map_or(i64::MAX, |age| age.get_seconds() / 3600);
        (0..limit).contains(&hours)
    }
}

#[derive(Debug, Clone)]
enum VerdictChange {
    Found(VerdictKey, ProbeVerdict),
    Struck { plugin: String, candidate: String },
    AllStruck,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ProbeVerdicts {
    folder: Option<PathBuf>,
    by_key: BTreeMap<VerdictKey, ProbeVerdict>,
    unsaved: Vec<VerdictChange>,
}

impl ProbeVerdicts {
    /// Reads the verdicts in this folder. Without one, verdicts last as long as this process.
    pub fn open(folder: Option<PathBuf>) -> Self {
        let by_key = folder.as_deref().map(read).unwrap_or_default();
        ProbeVerdicts { folder, by_key, unsaved: Vec::new() }
    }

    pub fn get(&self, key: &VerdictKey, now: Utc) -> Option<&ProbeVerdict> {
        self.by_key.get(key).filter(|verdict| verdict.is_current(now))
    }

    pub fn found(&mut self, key: VerdictKey, verdict: ProbeVerdict) {
        self.change(VerdictChange::Found(key, verdict));
    }

    /// Forgets every verdict on a candidate that has failed in use, whatever the picture.
    pub fn strike(&mut self, plugin: &str, candidate: &str) {
        self.change(VerdictChange::Struck { plugin: plugin.to_owned(), candidate: candidate.to_owned() });
    }

    pub fn strike_all(&mut self) {
        self.change(VerdictChange::AllStruck);
    }

    fn change(&mut self, change: VerdictChange) {
        apply(&mut self.by_key, &change);
        self.unsaved.push(change);
    }

    /// Writes the changes to disk. Apart from `change`, so that no start waits for a disk.
    pub fn save(&mut self, now: Utc) {
        let Some(folder) = self.folder.clone().filter(|_| !self.unsaved.is_empty()) else { return };
        match self.write(&folder, now) {
            Ok(()) => self.unsaved.clear(),
            Err(error) => tracing::warn!(
                error = error.with_causes(),
                "could not save the encoder verdicts; they are found out again at the next start"
            ),
        }
    }

    fn write(&mut self, folder: &Path, now: Utc) -> Result<(), Error> {
        let failed = |source| Error::Cache { path: folder.display().to_string(), source };
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        let mut tries = 0;
        while let Err(error) = lock.try_lock() {
            tries += 1;
            if tries >= LOCK_TRIES {
                return Err(failed(error.into()));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        let mut by_key = read(folder);
        by_key.retain(|_, verdict| verdict.is_current(now));
        self.unsaved.iter().for_each(|change| apply(&mut by_key, change));
        let bytes = serde_json::to_vec_pretty(&by_key).map_err(|error| failed(error.into()))?;
        deskreel_spool::write_atomic(&folder.join(FILE), &bytes)?;
        self.by_key = by_key;
        Ok(())
    }
}

fn apply(by_key: &mut BTreeMap<VerdictKey, ProbeVerdict>, change: &VerdictChange) {
    match change {
        VerdictChange::Found(key, verdict) => {
            by_key.insert(key.clone(), verdict.clone());
        }
        VerdictChange::Struck { plugin, candidate } => {
            by_key.retain(|_, verdict| (&verdict.plugin, &verdict.candidate) != (plugin, candidate));
        }
        VerdictChange::AllStruck => by_key.clear(),
    }
}

/// A missing or unreadable file counts as empty.
fn read(folder: &Path) -> BTreeMap<VerdictKey, ProbeVerdict> {
    let bytes = std::fs::read(folder.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use deskreel_contract::{Codec, EncodeRequest};
    use deskreel_model::worker::PluginSettings;

    use super::*;
    use crate::ranking::tests::{at, list};

    const HOUR: i64 = 3600;

    fn picture(width: u32) -> Picture {
        Picture { format: "BGRx".to_owned(), width, height: 1080, fps: 10 }
    }

    fn track() -> TrackJob {
        let source = PluginSettings { plugin: "source.x11".to_owned(), settings: serde_json::Value::Null };
        TrackJob::new("video", source, Vec::new(), EncodeRequest::new(Codec::H264))
    }

    fn key(candidate: &str) -> VerdictKey {
        VerdictKey::new(
            "machine",
            "plugins",
            &track(),
            &picture(1920),
            &list(&format!("{candidate}:?"))[0].candidate,
        )
    }

    fn verdict(candidate: &str, result: Result<Proof, String>) -> ProbeVerdict {
        let plugin = candidate.split('.').next().unwrap().to_owned();
        ProbeVerdict { plugin, candidate: candidate.to_owned(), picture: picture(1920), result, at: at(0) }
    }

    fn works(candidate: &str) -> (VerdictKey, ProbeVerdict) {
        (key(candidate), verdict(candidate, Ok(Proof::default())))
    }

    fn open(folder: &tempfile::TempDir) -> ProbeVerdicts {
        ProbeVerdicts::open(Some(folder.path().to_owned()))
    }

    #[test]
    fn a_verdict_holds_for_this_machine_these_libraries_this_picture_and_this_recipe() {
        let one = list("nv.a:?").remove(0).candidate;
        let other_recipe = SurveyedCandidate { recipe: "nvh264enc bitrate=0".to_owned(), ..one.clone() };
        let less_asked = SurveyedCandidate { on_demand: false, ..one.clone() };
        let h265 = TrackJob { encode: EncodeRequest::new(Codec::H265), ..track() };
        let keys = [
            VerdictKey::new("machine", "plugins", &track(), &picture(1920), &one),
            VerdictKey::new("other driver", "plugins", &track(), &picture(1920), &one),
            VerdictKey::new("machine", "other library", &track(), &picture(1920), &one),
            VerdictKey::new("machine", "plugins", &h265, &picture(1920), &one),
            VerdictKey::new("machine", "plugins", &track(), &picture(1280), &one),
            VerdictKey::new("machine", "plugins", &track(), &picture(1920), &other_recipe),
            VerdictKey::new("machine", "plugins", &track(), &picture(1920), &less_asked),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], VerdictKey::new("machine", "plugins", &track(), &picture(1920), &one));
    }

    #[test]
    fn working_candidates_are_tried_again_after_a_month_refused_ones_after_a_day() {
        let mut verdicts = ProbeVerdicts::default();
        verdicts.found(key("x264"), verdict("x264", Ok(Proof::default())));
        verdicts.found(key("nv.a"), verdict("nv.a", Err("green".to_owned())));
        let known = |hour: i64| {
            ["x264", "nv.a"].map(|candidate| verdicts.get(&key(candidate), at(hour * HOUR)).is_some())
        };
        assert_eq!(known(23), [true, true]);
        assert_eq!(known(25), [true, false]);
        assert_eq!(known(30 * 24 - 1), [true, false]);
        assert_eq!(known(30 * 24), [false, false]);
        assert_eq!(known(-2), [false, false], "the clock was set back");
    }

    #[test]
    fn another_process_uses_the_saved_verdicts() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (open(&folder), open(&folder));
        let ((x264, found_x264), (openh264, found_openh264)) = (works("x264"), works("openh264"));
        one.found(x264.clone(), found_x264.clone());
        one.save(at(0));
        other.found(openh264.clone(), found_openh264);
        other.save(at(0));
        assert_eq!(open(&folder).get(&x264, at(0)), Some(&found_x264));
        assert!(open(&folder).get(&openh264, at(0)).is_some());
    }

    #[test]
    fn a_failed_candidates_verdict_is_not_restored_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let (nv, found) = works("nv.a");
        let mut one = open(&folder);
        one.found(nv.clone(), found);
        one.save(at(0));
        let mut other = open(&folder);
        one.strike("nv", "nv.a");
        one.save(at(0));
        let (x264, found) = works("x264");
        other.found(x264, found);
        other.save(at(0));
        assert_eq!(open(&folder).get(&nv, at(0)), None);
        assert_eq!(other.get(&nv, at(0)), None);
    }

    #[test]
    fn a_broken_file_is_a_fresh_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"{ \"half").unwrap();
        let (x264, found) = works("x264");
        let mut verdicts = open(&folder);
        assert_eq!(verdicts.get(&x264, at(0)), None);
        verdicts.found(x264.clone(), found);
        verdicts.save(at(0));
        assert!(open(&folder).get(&x264, at(0)).is_some());
    }

    #[test]
    fn without_a_folder_verdicts_last_as_long_as_the_process() {
        let (x264, found) = works("x264");
        let mut verdicts = ProbeVerdicts::open(None);
        verdicts.found(x264.clone(), found);
        verdicts.save(at(0));
        assert!(verdicts.get(&x264, at(0)).is_some());
    }

    #[test]
    fn old_verdicts_leave_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (x264, found) = works("x264");
        let mut verdicts = open(&folder);
        verdicts.found(x264, found);
        verdicts.save(at(0));
        verdicts.strike("nv", "nv.a");
        verdicts.save(at(31 * 24 * HOUR));
        assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), "{}");
    }
}
