//! The seat's recordings on disk: whether there is room for another, and what is owed to which sink.

use std::path::Path;

use deskreel_contract::RecordingAbout;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, RecordingId, layout};
use deskreel_recorder::{Error, Finished, Notice};

use super::status::SpoolStatus;

pub struct Stock {}

impl Stock {
    /// Brings the row of the segment table to the recording, and lets it go to the sinks.
    pub fn settle(&mut self, recording: &RecordingId, folder: &Path, footage: &Footage) {
        let written = serde_json::to_vec_pretty(footage)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(deskreel_spool::write_atomic(&folder.join(layout::FOOTAGE), &bytes)?));
        if let Err(error) = written {
            tracing::warn!(%recording, %error, "its segments are not written beside it");
        }
        self.release(recording, Some(about(footage)));
    }

    /// Nothing more is going to be known of what it belongs to.
    pub fn release(&mut self, recording: &RecordingId, about: Option<RecordingAbout>) {
        let _ = (recording, about);
    }

    /// Whether a recording may begin; if not, why.
    pub fn admit(&mut self, _: &RecordingId, _: &AgentId, _: &str, _: &SpoolStatus) -> Result<(), String> {
        Ok(())
    }

    /// Why the recording that runs has to end, if it does.
    pub fn must_end(&self, _: &SpoolStatus) -> Option<String> {
        None
    }

    pub fn notice(&mut self, _: &RecordingId, _: &Notice) {}

    pub fn ended(&mut self, _: &RecordingId, _: &Result<Finished, Error>) {}

    pub fn refresh(&mut self, _: &mut SpoolStatus) {}
}

/// What sinks are told of a recording.
fn about(footage: &Footage) -> RecordingAbout {
    let mut about = RecordingAbout {
        agent: Some(footage.agent.to_string()),
        place: footage.place.as_ref().map(ToString::to_string),
        from: Some(footage.from.to_string()),
        to: footage.to.map(|to| to.to_string()),
        tags: footage.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect(),
        ..RecordingAbout::default()
    };
    for segment in &footage.segments {
        let call = segment.call.as_ref().map(ToString::to_string);
        let call = call.filter(|call| !about.calls.contains(call));
        about.calls.extend(call);
        let interaction = segment.interaction.to_string();
        if !about.interactions.contains(&interaction) {
            about.interactions.push(interaction);
        }
    }
    about
}
