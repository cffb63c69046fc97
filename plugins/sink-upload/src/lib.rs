//! `sink.upload`: fragments and recordings to a recording server, as docs/server-api.md has it.

mod answer;
mod client;
mod digest;
mod footage;
mod secret;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use deskreel_sdk::units;

use answer::{SLOWLY, Trouble};
use client::{Client, Closing};
use footage::{Footage, Name, Piece};
use secret::Secret;

export_plugin! { descriptor: "plugin.toml", sink "sink.upload" => UploadSink }

/// How often the server may name missing fragments, be sent them, and name some again, within one `finish`.
const ROUNDS: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    server: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    plain_http: bool,
    #[serde(default)]
    when: When,
    /// For an answer, without the time that a body takes.
    #[serde(default = "default_timeout", deserialize_with = "units::duration")]
    timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    /// Each fragment once it is on disk.
    #[default]
    Running,
    /// All of them once the recording is sealed.
    After,
}

struct UploadSink {
    client: Client,
    when: When,
}

impl Sink for UploadSink {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let token = Secret::new(settings.token_file, settings.token_env)?;
        let mut client = Client::new(&settings.server, settings.plain_http, token, settings.timeout)?;
        client.trust(settings.ca_file);
        Ok(UploadSink { client, when: settings.when })
    }

    fn fragment(&mut self, delivery: &FragmentDelivery) -> Result<Answer> {
        if self.when == When::After {
            return Err(PluginError::unsupported("fragment"));
        }
        let piece = Piece::of(delivery);
        let sent = self.client.send_if_not_held(&delivery.recording, &piece);
        Ok(answer(sent.map(|()| self.client.place(&delivery.recording))))
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer> {
        let closed = self.hand_over(recording);
        Ok(answer(closed.map(|()| self.client.place(&recording.id))))
    }
}

impl UploadSink {
    fn hand_over(&mut self, recording: &FinishedRecording) -> Result<(), Trouble> {
        let footage = Footage::load(&recording.directory)?;
        if self.when == When::After {
            let held = self.client.held(&recording.id)?;
            for piece in footage.pieces.iter().filter(|piece| !held.has(piece)) {
                self.client.send(&recording.id, piece)?;
            }
        }
        self.client.tell_about(&recording.id, &recording.about)?;
        for _ in 0..ROUNDS {
            let missing = match self.client.close(&recording.id, &footage.manifest)? {
                // What it says that it has is the last word: after this it is deleted here.
                Closing::Closed => {
                    let held = self.client.held(&recording.id)?;
                    let missing = footage.pieces.iter().filter(|piece| !held.has(piece));
                    let missing: Vec<Name> = missing.map(|piece| piece.name.clone()).collect();
                    if held.is_closed && missing.is_empty() {
                        return Ok(());
                    }
                    missing
                }
                Closing::Missing(missing) => missing,
            };
            tracing::info!(recording = recording.id, missing = missing.len(), "the server misses fragments");
            let pieces: BTreeMap<&Name, &Piece> =
                footage.pieces.iter().map(|piece| (&piece.name, piece)).collect();
            for name in &missing {
                let unknown =
                    || Trouble::never(format!("the server misses {name}, which the manifest does not name"));
                self.client.send(&recording.id, pieces.get(name).ok_or_else(unknown)?)?;
            }
        }
        Err(Trouble::later(SLOWLY, "the server still misses what it said it has stored"))
    }
}

fn answer(outcome: Result<String, Trouble>) -> Answer {
    match outcome {
        Ok(place) => Answer::Acknowledged { place },
        Err(Trouble::Later { seconds, reason }) => Answer::RetryAfter { seconds, reason },
        Err(Trouble::Never { reason }) => Answer::Refused { reason },
    }
}
