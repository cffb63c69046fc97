//! `sink.webdav`: copies finished recordings to a WebDAV server (RFC 4918).

mod answer;
mod client;
mod copy;
mod footage;
mod login;
mod place;

use std::path::PathBuf;
use std::time::Duration;

use deskreel_http::{Connection, url};
use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

use client::Client;
use login::Login;
use place::Template;

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
    /// Limit for an answer, without the time that a file takes.
    #[serde(default = "default_timeout", deserialize_with = "durations::duration")]
    timeout: Duration,
}

fn default_path() -> String {
    "{recording}".to_owned()
}

fn default_timeout() -> Duration {
    Duration::from_secs(30)
}

/// The way in which the sink makes sure that the server has the right file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verify {
    /// Reads the file back and compares its hash.
    #[default]
    Hash,
    /// Compares the size, and trusts the server with the content.
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
        let password = Secret::from_settings("password", settings.password_file, settings.password_env)?;
        let token = Secret::from_settings("token", settings.token_file, settings.token_env)?;
        let login = Login::new(settings.user, password, token)?;
        let url = url::check("url", &settings.url, settings.plain_http, "password")?;
        let connection = Connection::new(url, settings.ca_file, settings.timeout);
        Ok(WebdavSink {
            client: Client::new(connection, login),
            path: Template::parse(&settings.path)?,
            verify: settings.verify,
        })
    }

    fn check(&mut self) -> Result<()> {
        Ok(self.client.check()?)
    }

    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer> {
        let folder = self.path.fill(recording);
        let copied = copy::copy(&mut self.client, &folder, &recording.directory, self.verify);
        Ok(match copied {
            Ok(()) => Answer::Acknowledged { place: self.client.url(&folder, true).to_string() },
            Err(trouble) => trouble.into(),
        })
    }
}
