//! Workers for future parts, and the knowledge about the encoders that they will use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::worker::{Job, PluginFile, Report, TrackJob, TrackSurvey};

use crate::probe_verdicts::ProbeVerdicts;
use crate::ranking::{Extent, KnownCandidate, is_enough};
use crate::select::{SelectionRequest, SelectionResult, recall};
use crate::worker::{Worker, tell_refused};
use crate::{Error, machine_dir};

/// Limit for a worker to load its plugins. The first one on a machine waits until GStreamer has scanned all
/// its plugins.
const READY_LIMIT: Duration = Duration::from_secs(15);

/// A spare worker, and the findings of earlier recordings. With a spare, a start does not wait for GStreamer
/// and the plugins to load. If an earlier recording has looked at the sources, it does not wait for that
/// either.
pub struct Pool {
    program: PathBuf,
    plugins: Vec<PluginFile>,
    tracks: Vec<TrackJob>,
    /// The tracks that future workers load ahead, and their fallbacks.
    prepared: Vec<TrackJob>,
    keep_spare: bool,
    spare: Option<Worker>,
    /// Fingerprint of this machine, once taken.
    machine: Option<String>,
    verdicts: ProbeVerdicts,
    /// The last survey of the sources, with its tracks.
    surveyed: Option<(Vec<TrackJob>, Vec<TrackSurvey>)>,
}

impl Pool {
    /// `job` has the tracks that the workers will record.
    pub fn new(program: PathBuf, plugins: Vec<PluginFile>, job: &Job, keep_spare: bool) -> Self {
        Pool {
            program,
            plugins,
            tracks: job.tracks.clone(),
            prepared: job.tracks.clone(),
            keep_spare,
            spare: None,
            machine: None,
            verdicts: ProbeVerdicts::open(machine_dir::folder()),
            surveyed: None,
        }
    }

    /// Starts a spare worker, unless there is one.
    pub async fn warm(&mut self) -> Result<(), Error> {
        if self.spare.is_none() {
            self.spare = Some(Worker::spawn(&self.program, &self.plugins, &self.prepared).await?);
        }
        Ok(())
    }

    /// Waits until there is a spare that has loaded everything. After that, a start costs only the start of
    /// its pipeline.
    pub async fn settle(&mut self) -> Result<(), Error> {
        loop {
            self.warm().await?;
            let Some(spare) = &mut self.spare else { return Err(Error::WorkerGone) };
            if spare.is_ready {
                return Ok(());
            }
            let report = tokio::time::timeout(READY_LIMIT, spare.next());
            match report.await.map_err(|_| Error::WorkerSilent)? {
                Some(Report::Ready { refused, .. }) => {
                    spare.is_ready = true;
                    tell_refused(&refused);
                }
                Some(Report::PluginHangs { path, reason }) => self.exclude(&path, &reason),
                Some(_) => {}
                None => return Err(Error::WorkerGone),
            }
        }
    }

    /// Returns the spare if it lives, else a new worker.
    pub async fn take(&mut self) -> Result<Worker, Error> {
        if let Some(mut spare) = self.spare.take()
            && spare.lives()
        {
            return Ok(spare);
        }
        Worker::spawn(&self.program, &self.plugins, &self.prepared).await
    }

    /// Keeps a worker that was taken and is still idle.
    pub(crate) fn put_back(&mut self, mut worker: Worker) {
        worker.is_ready = true;
        self.spare = Some(worker);
    }

    /// Future workers do not load this library.
    pub fn exclude(&mut self, path: &Path, reason: &str) {
        tracing::warn!(path = %path.display(), reason, "plugin not loaded");
        for plugin in self.plugins.iter_mut().filter(|plugin| plugin.path == path) {
            plugin.unusable = Some(reason.to_owned());
        }
        self.spare = None;
        self.surveyed = None;
    }

    /// Replaces the spare that was taken, if one is to be kept. Apart from `take`, so that it delays no
    /// start; for the same reason this is when the machine's fingerprint is taken again.
    pub async fn refill(&mut self) -> Result<(), Error> {
        if !self.keep_spare {
            return Ok(());
        }
        self.machine = Some(machine_dir::machine());
        self.warm().await
    }

    /// Makes future workers load first what these tracks need, and then their fallbacks.
    pub(crate) fn prepare_for(&mut self, tracks: &[TrackJob], fallback: Vec<TrackJob>) {
        self.prepared = tracks.iter().cloned().chain(fallback).collect();
    }

    /// Makes the request of a selection.
    pub(crate) fn request(&mut self, tracks: &[TrackJob], extent: Extent) -> SelectionRequest {
        SelectionRequest {
            program: self.program.clone(),
            plugins: self.plugins.clone(),
            tracks: tracks.to_vec(),
            machine: self.machine.get_or_insert_with(machine_dir::machine).clone(),
            verdicts: self.verdicts.clone(),
            extent,
            barred: Vec::new(),
        }
    }

    /// Returns the candidates of each track, if they are known without looking at a source or trying an
    /// encoder.
    pub(crate) fn recall(&mut self, tracks: &[TrackJob]) -> Option<Vec<Vec<KnownCandidate>>> {
        if self.tracks_surveyed() != Some(tracks) {
            return None;
        }
        let request = self.request(tracks, Extent::Enough);
        let (_, surveys) = self.surveyed.as_ref()?;
        let tried = surveys.iter().enumerate().map(|(index, survey)| recall(&request, index, survey));
        let tried: Vec<_> = tried.collect();
        let is_known = |tried: &Vec<KnownCandidate>| {
            is_enough(tried, Extent::Enough) && tried.iter().any(KnownCandidate::works)
        };
        tried.iter().all(is_known).then_some(tried)
    }

    fn tracks_surveyed(&self) -> Option<&[TrackJob]> {
        self.surveyed.as_ref().map(|(tracks, _)| tracks.as_slice())
    }

    /// Keeps the results of a selection and its worker.
    pub(crate) fn selected(
        &mut self,
        tracks: &[TrackJob],
        selected: SelectionResult,
    ) -> Vec<Vec<KnownCandidate>> {
        let SelectionResult { mut worker, surveys, candidates, verdicts } = selected;
        // The worker has answered, so it has loaded everything.
        worker.is_ready = true;
        self.spare = Some(worker);
        self.verdicts = verdicts;
        self.surveyed = Some((tracks.to_vec(), surveys));
        candidates
    }

    /// Forgets the survey: a source shows something else now, or may do so.
    pub(crate) fn forget_survey(&mut self) {
        self.surveyed = None;
    }

    /// Forgets what the sources showed if a part's picture has another size. Encoders round odd sizes up.
    pub(crate) fn part_opened(&mut self, track: &str, width: u32, height: u32) {
        let Some((tracks, surveys)) = &self.surveyed else { return };
        let survey = tracks.iter().zip(surveys).find(|(job, _)| job.track == track).map(|(_, survey)| survey);
        let even = |size: u32| size.next_multiple_of(2);
        let is_same = |survey: &TrackSurvey| {
            (even(survey.picture.width), even(survey.picture.height)) == (even(width), even(height))
        };
        if !survey.is_some_and(is_same) {
            self.surveyed = None;
        }
    }

    /// A candidate failed in use: the next recording tries it before using it.
    pub(crate) fn strike(&mut self, plugin: &str, candidate: &str) {
        self.verdicts.strike(plugin, candidate);
        self.save();
    }

    /// Writes the verdicts to disk.
    pub(crate) fn save(&mut self) {
        self.verdicts.save(Utc(jiff::Timestamp::now()));
    }

    /// The tracks that the workers will record.
    pub(crate) fn tracks(&self) -> &[TrackJob] {
        &self.tracks
    }

    /// Forgets all earlier findings.
    pub(crate) fn forget_all(&mut self) {
        self.verdicts.strike_all();
        self.surveyed = None;
    }
}
