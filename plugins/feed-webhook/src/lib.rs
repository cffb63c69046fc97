//! `feed.webhook`: events that other systems post.
//!
//! `serve.rs` has the connections, on a thread and a runtime of its own; `sender.rs` decides who may post
//! (pure); `intake.rs` takes the events out of a body and waits until they are stored; `seen_ids.rs`
//! remembers those that were taken before.

mod answer;
mod intake;
mod seen_ids;
mod sender;
mod serve;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deskreel_sdk::durations;
use deskreel_sdk::prelude::*;

use serve::Server;

export_plugin! { descriptor: "plugin.toml", feed "feed.webhook" => WebhookFeed }

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: String,
    #[serde(default = "default_path")]
    path: String,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    #[serde(default = "default_window", deserialize_with = "durations::duration")]
    window: Duration,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    plain_http: bool,
    #[serde(default = "default_body")]
    max_body: usize,
}

fn default_path() -> String {
    "/events".to_owned()
}

fn default_window() -> Duration {
    Duration::from_secs(300)
}

fn default_body() -> usize {
    1 << 20
}

struct WebhookFeed {
    config: serve::EndpointConfig,
    outlet: Arc<Outlet>,
    server: Option<Server>,
}

impl Feed for WebhookFeed {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        let listen = address(&settings.listen)?;
        let tls = match (settings.certificate, settings.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(PluginError::settings("set both `certificate` and `key`, or neither")),
        };
        if tls.is_none() && !listen.ip().is_loopback() && !settings.plain_http {
            let cure =
                "set `certificate` and `key`, listen on 127.0.0.1, or allow it with `plain_http = true`";
            return Err(PluginError::settings(format!(
                "`listen`: {listen} would serve other machines over plain HTTP; {cure}"
            )));
        }
        let secret = Secret::from_settings("secret", settings.secret_file, settings.secret_env)?;
        let token = Secret::from_settings("token", settings.token_file, settings.token_env)?;
        if secret.is_none() && token.is_none() {
            return Err(PluginError::settings(
                "set `secret_file`, `secret_env`, `token_file` or `token_env`",
            ));
        }
        let config = serve::EndpointConfig {
            listen,
            path: settings.path,
            secret,
            token,
            window: settings.window,
            tls,
            max_body: settings.max_body,
        };
        Ok(WebhookFeed { config, outlet: Arc::new(Outlet::new(host)), server: None })
    }

    fn start(&mut self) -> Result<()> {
        self.outlet.open();
        self.server = Some(serve::start(self.config.clone(), self.outlet.clone())?);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.server = None;
        self.outlet.close();
        Ok(())
    }
}

fn address(listen: &str) -> Result<SocketAddr> {
    let wrong = || {
        PluginError::settings(format!(
            "`listen`: `{listen}` is not an address with a port, as in `127.0.0.1:8480`"
        ))
    };
    listen.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)
}
