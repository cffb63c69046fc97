//! Credentials that the server is asked about on the current connection.

use std::collections::HashMap;

use deskreel_model::link::{CredentialVerdict, FromRecorder, Password};
use tokio::sync::oneshot;

#[derive(Default)]
pub struct PendingVerdicts {
    waiting: HashMap<u32, oneshot::Sender<CredentialVerdict>>,
    last_id: u32,
}

impl PendingVerdicts {
    /// Returns the question to send.
    pub fn ask(
        &mut self,
        name: String,
        password: Password,
        verdict: oneshot::Sender<CredentialVerdict>,
    ) -> FromRecorder {
        // Callers that have given up make room.
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.last_id = self.last_id.wrapping_add(1);
        self.waiting.insert(self.last_id, verdict);
        FromRecorder::Credentials { id: self.last_id, name, password }
    }

    pub fn answer(&mut self, id: u32, verdict: CredentialVerdict) {
        if let Some(waiting) = self.waiting.remove(&id) {
            let _ = waiting.send(verdict);
        }
    }

    /// Gives up on all questions: their connection is gone.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
