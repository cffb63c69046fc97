//! Which encoders a part has: tried out before the first one, and again when one has failed.

use deskreel_model::manifest::Cause;

use super::Run;
use crate::notice::Notice;
use crate::ranking::Extent;
use crate::select::{NotSelected, Selected, Selection};
use crate::session::{Event, Phase};

impl<T: FnMut(Notice)> Run<'_, T> {
    pub(super) async fn start_selection(&mut self) {
        let mut request = self.pool.request(&self.tracks, Extent::Enough);
        request.barred = self.choice.barred();
        match self.pool.take().await {
            Ok(worker) => self.selection = Some(Selection::begin(worker, request)),
            Err(error) => Box::pin(self.event(Event::WorkerFailed(error.into()))).await,
        }
    }

    pub(super) async fn selected(&mut self, done: Result<Selected, NotSelected>) {
        self.selection = None;
        let event = match done {
            Ok(selected) => match self.choice.select(self.pool.selected(&self.tracks, selected)) {
                Ok(()) => Event::Selected,
                Err(failure) => Event::WorkerFailed(failure),
            },
            Err(NotSelected::Failed(failure)) => Event::WorkerFailed(failure),
            Err(NotSelected::Gone(how)) => Event::WorkerGone(how),
            Err(NotSelected::Silent(detail)) => Event::WorkerSilent(detail),
            Err(NotSelected::PluginHangs { path, reason }) => {
                self.pool.exclude(&path, &reason);
                Event::WorkerGone(format!("could not load {}", path.display()))
            }
        };
        self.event(event).await;
        // The part has been begun by now.
        self.pool.save();
    }

    /// A worker that nobody asked to end, and that said nothing of why, may have died of its encoder.
    pub(super) fn strike_suspects(&mut self, how: &str) {
        let unasked = matches!(
            self.state.phase,
            Phase::Preparing | Phase::Recording | Phase::Renewing(Cause::WorkerHung)
        );
        if std::mem::take(&mut self.suspect) && unasked {
            for (plugin, candidate) in self.choice.worker_died(&format!("the worker {how}")) {
                self.pool.strike(&plugin, &candidate);
            }
        }
    }
}
