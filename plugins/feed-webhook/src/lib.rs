//! `feed.webhook`: events that other systems post.
//!
//! `serve.rs` has the connections, on a thread and a runtime of its own; `sender.rs` decides who may post (pure), `intake.rs`
//! what of a body is taken, and `told.rs` what was taken before.

mod answer;
mod intake;
mod outlet;
mod secret;
mod sender;
mod serve;
mod told;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use deskreel_sdk::units;

use outlet::Outlet;
use secret::Secret;
use serve::Serving;

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
    #[serde(default = "default_window", deserialize_with = "units::duration")]
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
    settings: serve::Setup,
    outlet: Arc<Outlet>,
    serving: Option<Serving>,
}

impl Feed for WebhookFeed {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        let listen = address(&settings.listen)?;
        let tls = match (settings.certificate, settings.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(PluginError::settings("give both `certificate` and `key`, or neither")),
        };
        if tls.is_none() && !listen.ip().is_loopback() && !settings.plain_http {
            let cure =
                "give `certificate` and `key`, listen on 127.0.0.1, or allow it with `plain_http = true`";
            return Err(PluginError::settings(format!(
                "{listen} would speak http to other machines: {cure}"
            )));
        }
        let secret = Secret::new("secret", settings.secret_file, settings.secret_env)?;
        let token = Secret::new("token", settings.token_file, settings.token_env)?;
        if secret.is_none() && token.is_none() {
            return Err(PluginError::settings(
                "give `secret_file`, `secret_env`, `token_file` or `token_env`",
            ));
        }
        let setup = serve::Setup {
            listen,
            path: settings.path,
            secret,
            token,
            window: settings.window,
            tls,
            max_body: settings.max_body,
        };
        Ok(WebhookFeed { settings: setup, outlet: Arc::new(Outlet::new(host)), serving: None })
    }

    fn start(&mut self) -> Result<()> {
        self.outlet.open();
        self.serving = Some(serve::start(self.settings.clone(), self.outlet.clone())?);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.serving = None;
        self.outlet.close();
        Ok(())
    }
}

fn address(listen: &str) -> Result<SocketAddr> {
    let wrong = || PluginError::settings(format!("`listen`: `{listen}` is not an address and a port"));
    listen.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(wrong)
}
