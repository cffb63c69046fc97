//! The encoders that a recording uses, and those that it continues with when one fails. Pure.

use deskreel_model::manifest::Refusal;
use deskreel_model::worker::TrackJob;
use deskreel_model::{Failure, Fault};

use crate::ranking::{KnownCandidate, Standing, rank};

#[derive(Debug, Default)]
pub(crate) struct EncoderChoice {
    tracks: Vec<TrackChoice>,
}

#[derive(Debug)]
struct TrackChoice {
    track: String,
    /// Candidates, in the order of preference.
    candidates: Vec<KnownCandidate>,
    /// Plugin and candidate in use now.
    in_use: Option<(String, String)>,
    /// Candidates that have failed in this recording. None of them is used again while another one works.
    failed: Vec<Refusal>,
}

impl EncoderChoice {
    pub fn new(tracks: &[TrackJob]) -> Self {
        let track = |job: &TrackJob| TrackChoice {
            track: job.track.clone(),
            candidates: Vec::new(),
            in_use: None,
            failed: Vec::new(),
        };
        EncoderChoice { tracks: tracks.iter().map(track).collect() }
    }

    /// Fails if no encoder works for some track.
    pub fn select(&mut self, tried: Vec<Vec<KnownCandidate>>) -> Result<(), Failure> {
        for (track, tried) in self.tracks.iter_mut().zip(tried) {
            if !tried.iter().any(KnownCandidate::works) {
                return Err(none_works(&track.track, &tried));
            }
            track.candidates = tried;
        }
        Ok(())
    }

    /// Fills in the encoders of a job's tracks.
    pub fn fill(&mut self, jobs: &mut [TrackJob]) {
        for job in jobs {
            let Some(track) = self.tracks.iter_mut().find(|track| track.track == job.track) else { continue };
            (job.ranking, job.refused) = rank(&track.candidates);
            track.in_use =
                job.ranking.first().map(|first| (first.plugin.plugin.clone(), first.candidate.clone()));
        }
    }

    /// The tracks for a worker that takes over when this one's encoders die: without the best candidate of
    /// each.
    pub fn fallback(&self, jobs: &[TrackJob]) -> Vec<TrackJob> {
        let next = |job: &TrackJob| TrackJob {
            ranking: job.ranking.iter().skip(1).cloned().collect(),
            ..job.clone()
        };
        jobs.iter().map(next).filter(|job| !job.ranking.is_empty()).collect()
    }

    /// A part was opened with this candidate.
    pub fn uses(&mut self, track: &str, plugin: &str, candidate: &str) {
        if let Some(track) = self.tracks.iter_mut().find(|known| known.track == track) {
            track.in_use = Some((plugin.to_owned(), candidate.to_owned()));
        }
    }

    /// The worker died or was killed, and one of its encoders may be why. Counts all of them as failed and
    /// returns them: plugin and candidate.
    pub fn worker_died(&mut self, reason: &str) -> Vec<(String, String)> {
        let in_use = |track: &TrackChoice| {
            let (plugin, candidate) = track.in_use.clone()?;
            Some((track.track.clone(), plugin, candidate))
        };
        let suspects: Vec<_> = self.tracks.iter().filter_map(in_use).collect();
        for (track, plugin, candidate) in &suspects {
            self.encoder_failed(track, plugin, candidate, reason);
        }
        suspects.into_iter().map(|(_, plugin, candidate)| (plugin, candidate)).collect()
    }

    /// Refuses a candidate while another one works; the last one stays.
    pub fn encoder_failed(&mut self, track: &str, plugin: &str, candidate: &str, reason: &str) {
        let Some(track) = self.tracks.iter_mut().find(|known| known.track == track) else { return };
        if track.candidates.iter().filter(|one| one.works()).count() < 2 {
            return;
        }
        let reason = format!("failed in this recording: {reason}");
        let failed = track.candidates.iter_mut().find(|one| one.is(plugin, candidate) && one.works());
        if let Some(failed) = failed {
            failed.standing = Standing::Refused { reason: reason.clone(), at: None };
            let (plugin, candidate) = (plugin.to_owned(), Some(candidate.to_owned()));
            track.failed.push(Refusal { plugin, candidate, reason });
        }
    }

    /// Candidates that must not be selected again, each with its track.
    pub fn barred(&self) -> Vec<(String, Refusal)> {
        let of_track = |track: &TrackChoice| {
            let name = track.track.clone();
            track.failed.iter().cloned().map(move |refusal| (name.clone(), refusal)).collect::<Vec<_>>()
        };
        self.tracks.iter().flat_map(of_track).collect()
    }
}

/// The failure, with a reason for each candidate.
fn none_works(track: &str, tried: &[KnownCandidate]) -> Failure {
    let reasons = rank(tried).1.into_iter().map(|Refusal { plugin, candidate, reason }| match candidate {
        Some(candidate) => format!("{plugin} ({candidate}): {reason}"),
        None => format!("{plugin}: {reason}"),
    });
    let reasons: Vec<_> = reasons.collect();
    let reasons = if reasons.is_empty() { "no plugin offers one".to_owned() } else { reasons.join("; ") };
    Failure::new(Fault::Device, format!("track `{track}`: no encoder works here: {reasons}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use deskreel_contract::{Codec, EncodeRequest};
    use deskreel_model::worker::PluginSettings;

    use super::*;
    use crate::ranking::tests::list;

    fn jobs() -> Vec<TrackJob> {
        let source = PluginSettings { plugin: "source.x11".to_owned(), settings: serde_json::Value::Null };
        vec![TrackJob::new("video", source, Vec::new(), EncodeRequest::new(Codec::H264))]
    }

    fn choice(text: &str) -> EncoderChoice {
        let mut choice = EncoderChoice::new(&jobs());
        choice.select(vec![list(text)]).unwrap();
        choice
    }

    fn ranking(choice: &mut EncoderChoice) -> Vec<String> {
        let mut jobs = jobs();
        choice.fill(&mut jobs);
        jobs.remove(0).ranking.into_iter().map(|ranked| ranked.candidate).collect()
    }

    #[test]
    fn when_a_worker_dies_the_next_part_uses_another_encoder() {
        let mut choice = choice("nv.a:works x264:works");
        assert_eq!(ranking(&mut choice), ["nv.a", "x264"]);
        choice.worker_died("ended by signal 11");
        let mut jobs = jobs();
        choice.fill(&mut jobs);
        assert_eq!(jobs[0].ranking[0].candidate, "x264");
        assert_eq!(jobs[0].refused[0].reason, "failed in this recording: ended by signal 11");
    }

    #[test]
    fn a_death_is_blamed_on_the_encoder_that_took_over() {
        let mut choice = choice("nv.a:works x264:works openh264:works");
        ranking(&mut choice);
        choice.encoder_failed("video", "nv", "nv.a", "out of memory");
        choice.uses("video", "x264", "x264");
        assert_eq!(choice.worker_died("ended by signal 6"), [("x264".to_owned(), "x264".to_owned())]);
        assert_eq!(ranking(&mut choice), ["openh264"]);
    }

    #[test]
    fn the_last_encoder_is_kept_whatever_happens() {
        let mut choice = choice("nv.a:green x264:works");
        ranking(&mut choice);
        assert_eq!(choice.worker_died("ended by signal 9").len(), 1, "its verdict is forgotten all the same");
        assert_eq!(ranking(&mut choice), ["x264"]);
        assert!(choice.barred().is_empty());
    }

    #[test]
    fn failed_candidates_stay_barred_when_encoders_are_selected_again() {
        let mut choice = choice("nv.a:works x264:works");
        choice.encoder_failed("video", "nv", "nv.a", "gone");
        assert_eq!(choice.barred()[0].1.plugin, "nv");
        choice.select(vec![list("x264:works openh264:works")]).unwrap();
        assert_eq!(choice.barred().len(), 1);
    }

    #[test]
    fn if_none_works_every_reason_is_listed() {
        let mut choice = EncoderChoice::new(&jobs());
        let failure = choice.select(vec![list("nv.a:green x264:absent")]).unwrap_err();
        assert_eq!(
            failure.message,
            "track `video`: no encoder works here: nv (nv.a): green; x264 (x264): absent"
        );
    }
}
