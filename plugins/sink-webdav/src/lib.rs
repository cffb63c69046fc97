//! `sink.webdav`: finished recordings to a WebDAV server (RFC 4918).

mod answer;
mod client;
mod copy;
mod footage;
mod place;
mod secret;

use std::path::PathBuf;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use deskreel_sdk::units;

use answer::Trouble;
use client::Client;
use place::Template;
use secret::{Login, Secret};

export_plugin! { descriptor: "plugin.toml", sink "sink.webdav" => WebdavSink }

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default = "default_path")]
    path: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    plain_http: bool,
    #[serde(default)]
    verify: Verify,
    /// For an answer, without the time that a file takes.
    #[serde(default = "default_timeout", deserialize_with = "units::duration")]
    timeout: Duration,
}

fn default_path() -> String {
    "{recording}".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

/// How a file that is there is known to be the right one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verify {
    /// It is read back.
    #[default]
    Hash,
    /// The server is believed that it kept what it took.
    Size,
}

struct WebdavSink {
    client: Client,
    path: Template,
    verify: Verify,
}

impl Sink for WebdavSink {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        let password = Secret::new("password", settings.password_file, settings.password_env)?;
        let token = Secret::new("token", settings.token_file, settings.token_env)?;
        let login = Login::new(settings.user, password, token)?;
        let client =
            Client::new(&settings.url, settings.plain_http, login, settings.ca_file, settings.timeout)?;
        Ok(WebdavSink { client, path: Template::parse(&settings.path)?, verify: settings.verify })
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer> {
        let folder = self.path.fill(recording);
        let copied = copy::copy(&mut self.client, &folder, &recording.directory, self.verify);
        Ok(match copied {
            Ok(()) => Answer::Acknowledged { place: self.client.url(&folder, true).to_string() },
            Err(Trouble::Later { seconds, reason }) => Answer::RetryAfter { seconds, reason },
            Err(Trouble::Never { reason }) => Answer::Refused { reason },
        })
    }
}
