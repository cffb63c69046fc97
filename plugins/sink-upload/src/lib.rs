//! `sink.upload`: delivers fragments and recordings to a recording server (docs/server-api.md).

mod answer;
mod client;
mod digest;
mod footage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use deskreel_http::{Connection, Trouble, url};
use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

use answer::SOON;
use client::{Client, Closing};
use footage::{Footage, Name, Piece};

export_plugin! { descriptor: "plugin.toml", sink "sink.upload" => UploadSink }

/// Number of times, within one `finish`, that the server may name missing fragments and have them sent.
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
    /// Limit for an answer, without the time that a body takes.
    #[serde(default = "default_timeout", deserialize_with = "durations::duration")]
    timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    /// Each fragment as soon as it is on disk.
    #[default]
    Running,
    /// All fragments once the recording is sealed.
    After,
}

struct UploadSink {
    client: Client,
    when: When,
}

impl Sink for UploadSink {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let token = Secret::from_settings("token", settings.token_file, settings.token_env)?
            .ok_or_else(|| PluginError::settings("set `token_file` or `token_env`"))?;
        let server = url::check("server", &settings.server, settings.plain_http, "token")?;
        let connection = Connection::new(server, settings.ca_file, settings.timeout);
        Ok(UploadSink { client: Client::new(connection, token), when: settings.when })
    }

    fn fragment(&mut self, delivery: &FragmentDelivery) -> Result<Answer> {
        if self.when == When::After {
            return Err(PluginError::unsupported("fragment"));
        }
        let piece = Piece::of(delivery);
        let sent = self.client.send_if_not_held(&delivery.recording, &piece);
        Ok(answer(sent.map(|()| self.client.place(&delivery.recording))))
    }

    fn check(&mut self) -> Result<()> {
        Ok(self.client.check()?)
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
            let holdings = self.client.holdings(&recording.id)?;
            for piece in footage.pieces.iter().filter(|piece| !holdings.has(piece)) {
                self.client.send(&recording.id, piece)?;
            }
        }
        self.client.put_about(&recording.id, &recording.about)?;
        for _ in 0..ROUNDS {
            let missing = match self.client.close(&recording.id, &footage.manifest)? {
                // Only the server's list counts: after this the footage may be deleted here.
                Closing::Closed => {
                    let holdings = self.client.holdings(&recording.id)?;
                    let missing = footage.pieces.iter().filter(|piece| !holdings.has(piece));
                    let missing: Vec<Name> = missing.map(|piece| piece.name.clone()).collect();
                    if holdings.is_closed && missing.is_empty() {
                        return Ok(());
                    }
                    missing
                }
                Closing::Missing(missing) => missing,
            };
            tracing::info!(
                recording = recording.id,
                missing = missing.len(),
                "the server is missing fragments"
            );
            let pieces: BTreeMap<&Name, &Piece> =
                footage.pieces.iter().map(|piece| (&piece.name, piece)).collect();
            for name in &missing {
                let unknown = || {
                    Trouble::never(format!("the server is missing {name}, which the manifest does not name"))
                };
                self.client.send(&recording.id, pieces.get(name).ok_or_else(unknown)?)?;
            }
        }
        Err(Trouble::later(SOON, "the server is still missing fragments that it had reported as stored"))
    }
}

fn answer(outcome: Result<String, Trouble>) -> Answer {
    match outcome {
        Ok(place) => Answer::Acknowledged { place },
        Err(trouble) => trouble.into(),
    }
}
