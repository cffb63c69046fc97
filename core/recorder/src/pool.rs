//! Workers for the parts to come, and what is known of the encoders that they will use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::worker::{Job, PluginFile, Report, TrackJob, TrackSurvey};

use crate::ranking::{Extent, Tried, is_settled};
use crate::select::{Request, Selected, recall};
use crate::verdicts::Verdicts;
use crate::worker::{Worker, tell_refused};
use crate::{Error, kept};

/// For a worker to load what it needs. The first one on a machine waits for GStreamer to look at all its plugins.
const READY_LIMIT: Duration = Duration::from_secs(15);

/// With a spare worker, a start does not wait for GStreamer and the plugins to load. Where an earlier recording has
/// looked at the sources, it does not wait for that either.
pub struct Pool {
    program: PathBuf,
    plugins: Vec<PluginFile>,
    tracks: Vec<TrackJob>,
    /// What workers to come load ahead: the tracks, and what they fall back to.
    prepared: Vec<TrackJob>,
    keep_spare: bool,
    spare: Option<Worker>,
    /// This machine, once it was looked at.
    machine: Option<String>,
    verdicts: Verdicts,
    /// What the sources of these tracks showed.
    surveyed: Option<(Vec<TrackJob>, Vec<TrackSurvey>)>,
}

impl Pool {
    /// `job` is what the workers will be asked to do.
    pub fn new(program: PathBuf, plugins: Vec<PluginFile>, job: &Job, keep_spare: bool) -> Self {
        Pool {
            program,
            plugins,
            tracks: job.tracks.clone(),
            prepared: job.tracks.clone(),
            keep_spare,
            spare: None,
            machine: None,
            verdicts: Verdicts::open(kept::folder()),
            surveyed: None,
        }
    }

    /// Starts a worker ahead of its use.
    pub async fn warm(&mut self) -> Result<(), Error> {
        if self.spare.is_none() {
            self.spare = Some(Worker::spawn(&self.program, &self.plugins, &self.prepared).await?);
        }
        Ok(())
    }

    /// Waits until there is a spare that has loaded everything. A start then costs no more than its pipeline's.
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

    /// The spare if it lives, else a new one.
    pub async fn take(&mut self) -> Result<Worker, Error> {
        if let Some(mut spare) = self.spare.take()
            && spare.lives()
        {
            return Ok(spare);
        }
        Worker::spawn(&self.program, &self.plugins, &self.prepared).await
    }

    /// Workers to come do without this library.
    pub fn exclude(&mut self, path: &Path, reason: &str) {
        tracing::warn!(path = %path.display(), reason, "plugin not loaded");
        for plugin in self.plugins.iter_mut().filter(|plugin| plugin.path == path) {
            plugin.unusable = Some(reason.to_owned());
        }
        self.spare = None;
        self.surveyed = None;
    }

    /// Replaces the spare that was taken, if one is to be kept. Apart from `take`, so that it costs no start. Its time is
    /// also the time to see whether the machine is still the same.
    pub async fn refill(&mut self) -> Result<(), Error> {
        if !self.keep_spare {
            return Ok(());
        }
        self.machine = Some(kept::machine());
        self.warm().await
    }

    /// Workers to come load what these tracks need first, and what they need next.
    pub(crate) fn prepare_for(&mut self, tracks: &[TrackJob], fallback: Vec<TrackJob>) {
        self.prepared = tracks.iter().cloned().chain(fallback).collect();
    }

    /// What a selection goes by.
    pub(crate) fn request(&mut self, tracks: &[TrackJob], extent: Extent) -> Request {
        Request {
            program: self.program.clone(),
            plugins: self.plugins.clone(),
            tracks: tracks.to_vec(),
            machine: self.machine.get_or_insert_with(kept::machine).clone(),
            verdicts: self.verdicts.clone(),
            extent,
            barred: Vec::new(),
        }
    }

    /// The candidates of each track, if nothing need be looked at or tried to know them.
    pub(crate) fn recall(&mut self, tracks: &[TrackJob]) -> Option<Vec<Vec<Tried>>> {
        if self.tracks_surveyed() != Some(tracks) {
            return None;
        }
        let request = self.request(tracks, Extent::Enough);
        let (_, surveys) = self.surveyed.as_ref()?;
        let tried = surveys.iter().enumerate().map(|(index, survey)| recall(&request, index, survey));
        let tried: Vec<_> = tried.collect();
        let is_known =
            |tried: &Vec<Tried>| is_settled(tried, Extent::Enough) && tried.iter().any(Tried::works);
        tried.iter().all(is_known).then_some(tried)
    }

    fn tracks_surveyed(&self) -> Option<&[TrackJob]> {
        self.surveyed.as_ref().map(|(tracks, _)| tracks.as_slice())
    }

    /// Keeps what a selection has found out, and its worker.
    pub(crate) fn selected(&mut self, tracks: &[TrackJob], selected: Selected) -> Vec<Vec<Tried>> {
        let Selected { mut worker, surveys, tried, verdicts } = selected;
        // It has answered, and so has loaded everything.
        worker.is_ready = true;
        self.spare = Some(worker);
        self.verdicts = verdicts;
        self.surveyed = Some((tracks.to_vec(), surveys));
        tried
    }

    /// A source shows something else now, or may.
    pub(crate) fn forget_survey(&mut self) {
        self.surveyed = None;
    }

    /// Forgets what was seen of the source if a part's picture is not that. Encoders round odd sizes up.
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

    /// A candidate failed in use: the next recording tries it again before it uses it.
    pub(crate) fn strike(&mut self, plugin: &str, candidate: &str) {
        self.verdicts.strike(plugin, candidate);
        self.save();
    }

    /// Brings what was found out to disk.
    pub(crate) fn save(&mut self) {
        self.verdicts.save(Utc(jiff::Timestamp::now()));
    }

    /// The tracks that the workers will be asked for.
    pub(crate) fn tracks(&self) -> &[TrackJob] {
        &self.tracks
    }

    /// Knows nothing any more that was found out before.
    pub(crate) fn start_afresh(&mut self) {
        self.verdicts.strike_all();
        self.surveyed = None;
    }
}
