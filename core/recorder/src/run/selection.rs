//! Selects the encoders of a part: tried before the first part, and again when one has failed.

use super::RecordingRun;
use crate::notice::Notice;
use crate::ranking::Extent;
use crate::select::{Selection, SelectionError, SelectionResult};
use crate::session::Event;

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    pub(super) async fn start_selection(&mut self) {
        let mut request = self.pool.request(&self.settings.tracks, Extent::Enough);
        request.barred = self.choice.barred();
        match self.pool.take().await {
            Ok(worker) => self.selection = Some(Selection::begin(worker, request)),
            Err(error) => Box::pin(self.event(Event::WorkerFailed(error.into()))).await,
        }
    }

    pub(super) async fn selected(&mut self, done: Result<SelectionResult, SelectionError>) {
        self.selection = None;
        let event = match done {
            Ok(selected) => match self.choice.select(self.pool.selected(&self.settings.tracks, selected)) {
                Ok(()) => Event::Selected,
                Err(failure) => Event::WorkerFailed(failure),
            },
            Err(SelectionError::Failed(failure)) => Event::WorkerFailed(failure),
            Err(SelectionError::Gone(how)) => Event::WorkerGone(how),
            Err(SelectionError::Silent(detail)) => Event::WorkerSilent(detail),
            Err(SelectionError::PluginHangs { path, reason }) => {
                self.pool.exclude(&path, &reason);
                Event::WorkerGone(format!("could not load {}", path.display()))
            }
        };
        self.event(event).await;
        // After the event, which starts the part: a start does not wait for this write.
        self.pool.save();
    }
}
