//! `feed.workspace`: the Genesys Workspace API, version 3.
//!
//! The API has one session for each user, so the feed has one for each agent (`session.rs`). A session logs
//! in (`login.rs`, with tokens of `token.rs` and `folder.rs`) and listens over CometD (`bayeux.rs`, whose
//! `client.rs` is pure); `agent.rs` makes events of its messages (pure). All sessions run on one thread with
//! a runtime of its own.

mod agent;
mod bayeux;
mod folder;
mod http;
mod login;
mod session;
mod token;
mod users;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use deskreel_sdk::prelude::*;
use tokio::sync::watch;
use tokio::task::JoinSet;

use agent::AgentName;
use http::Site;

export_plugin! { descriptor: "plugin.toml", feed "feed.workspace" => WorkspaceFeed }

/// Limit within which every session must disconnect.
const GOODBYE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    server: String,
    users_file: PathBuf,
    #[serde(default = "default_client")]
    client_id: String,
    client_secret_file: Option<PathBuf>,
    tokens_folder: Option<PathBuf>,
    #[serde(default = "default_redirect")]
    redirect_uri: String,
    #[serde(default)]
    code_use: login::CodeUse,
    api_key_file: Option<PathBuf>,
    #[serde(default)]
    agent: AgentName,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    plain_http: bool,
    #[serde(default = "default_check")]
    check_s: u64,
    #[serde(default)]
    wait_for_desktop: bool,
}

fn default_client() -> String {
    "deskreel".to_owned()
}

fn default_redirect() -> String {
    "http://localhost/".to_owned()
}

fn default_check() -> u64 {
    50
}

struct WorkspaceFeed {
    settings: Settings,
    outlet: Arc<Outlet>,
    running: Option<(watch::Sender<bool>, thread::JoinHandle<()>)>,
}

impl Feed for WorkspaceFeed {
    type Settings = Settings;

    fn open(settings: Settings, host: Host) -> Result<Self> {
        http::check(&settings.server, settings.plain_http)?;
        Ok(WorkspaceFeed { settings, outlet: Arc::new(Outlet::new(host)), running: None })
    }

    fn start(&mut self) -> Result<()> {
        let users = users::read(&self.settings.users_file, self.settings.tokens_folder.is_some());
        let users = users.map_err(PluginError::unavailable)?;
        let site = Arc::new(Site::new(&self.settings)?);
        let name = self.settings.agent;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let outlet = self.outlet.clone();
        outlet.open();
        let thread = thread::Builder::new().name("feed.workspace".to_owned()).spawn(move || {
            runtime.block_on(async {
                let devices = agent::Devices::default();
                let mut sessions = JoinSet::new();
                for user in users {
                    let agent = agent::Agent::new(&user.name, name, devices.clone());
                    sessions.spawn(session::run(user, agent, site.clone(), outlet.clone(), stopped.clone()));
                }
                sessions.join_all().await;
            });
        })?;
        self.running = Some((stop, thread));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        // First, so that nothing is emitted while the sessions disconnect.
        self.outlet.close();
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(true);
            let _ = thread.join();
        }
        Ok(())
    }
}
