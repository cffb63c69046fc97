//! One agent's session: logs in, listens, and starts again whenever it breaks.
//!
//! The feed reports the state of a session as `feed.state` with the agent. It is `catching_up` after the
//! log-in, while the session requests the current state and compares it with the known one; `live` while
//! polls bring news; `lost` from a failure until the next `catching_up`. If the server counts its messages, a
//! failed poll is repeated and loses none; otherwise the session starts again. Events between `lost` and the
//! next `catching_up` may be missing: a `feed.gap` says so, and all that is going on is reported again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deskreel_sdk::prelude::*;
use serde_json::Value;
use tokio::sync::watch;

use crate::agent::Agent;
use crate::bayeux::{Bayeux, PollOutcome};
use crate::http::{Cookies, Site, Trouble};
use crate::login;
use crate::users::User;

/// Pauses before the first, second, ... try after a failure, in seconds; the last one repeats.
const PAUSES_S: [u64; 6] = [1, 2, 5, 10, 30, 60];
/// Times that a failed poll is repeated, one second apart, before the session is given up.
const POLL_RETRIES: u32 = 5;
/// After this time the session continues with a workspace that has not reported that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

struct Session {
    user: User,
    agent: Agent,
    site: Arc<Site>,
    outlet: Arc<Outlet>,
    /// It was live before, so events may have been missed since.
    was_live: bool,
    failures: usize,
}

/// The outcome of waiting for the workspace.
enum WorkspaceWait {
    /// The outcome of the last poll is still to be handled.
    Next(Result<PollOutcome, Trouble>),
    Ended(String),
}

pub async fn run(
    user: User,
    agent: Agent,
    site: Arc<Site>,
    outlet: Arc<Outlet>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut session = Session { user, agent, site, outlet, was_live: false, failures: 0 };
    loop {
        let mut cookies = Cookies::default();
        let mut client = None;
        session.agent.log_in();
        let ended = tokio::select! {
            ended = session.serve(&mut cookies, &mut client) => ended,
            () = stop(&mut stopped) => {
                if let Some(mut bayeux) = client {
                    bayeux.disconnect(&session.site, &mut cookies).await;
                }
                return;
            }
        };
        let pause = PAUSES_S[session.failures.min(PAUSES_S.len() - 1)];
        session.failures += 1;
        tracing::warn!(user = session.user.name, "no session: {ended}; next try in {pause} s");
        session.emit_state("lost", Some(&ended.to_string()));
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(pause)) => {}
            () = stop(&mut stopped) => return,
        }
    }
}

async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Session {
    /// Runs until the session breaks.
    async fn serve(&mut self, cookies: &mut Cookies, client: &mut Option<Bayeux>) -> Trouble {
        match self.listen(cookies, client).await {
            Ok(reason) => Trouble::LoggedOut(reason),
            Err(trouble) => trouble,
        }
    }

    /// Returns the reason for which the session ended.
    async fn listen(
        &mut self,
        cookies: &mut Cookies,
        client: &mut Option<Bayeux>,
    ) -> Result<String, Trouble> {
        let site = self.site.clone();
        login::log_in(&site, &self.user, cookies).await?;
        let bayeux = client.insert(Bayeux::handshake(&site, cookies).await?);
        bayeux.subscribe(&site, cookies).await?;
        let first = bayeux.poll(&site, cookies, true).await?;
        self.emit_state("catching_up", None);
        if self.was_live {
            let gap = Event::new("feed.gap", now()).with("reason", "the session was lost for some time");
            self.outlet.emit(&gap.with("agent", self.agent.id()));
        }
        let polled = match self.wait_for_workspace(bayeux, cookies, first).await? {
            WorkspaceWait::Next(polled) => polled,
            WorkspaceWait::Ended(reason) => return Ok(reason),
        };
        let user = login::current(&site, cookies).await?;
        let events = self.agent.catch_up(&user, &now(), self.was_live);
        self.emit_all(&events);
        self.emit_state("live", None);
        self.was_live = true;
        self.failures = 0;
        self.poll_on(bayeux, cookies, polled).await
    }

    /// Takes messages until the workspace, which is made after the log-in, reports that it is ready.
    async fn wait_for_workspace(
        &mut self,
        bayeux: &mut Bayeux,
        cookies: &mut Cookies,
        first: PollOutcome,
    ) -> Result<WorkspaceWait, Trouble> {
        let site = self.site.clone();
        let mut polled = Ok(first);
        let waited = Instant::now();
        while !self.agent.is_ready() {
            match polled? {
                PollOutcome::Messages(messages) => self.take_all(&messages),
                PollOutcome::Forgotten(reason) => return Ok(WorkspaceWait::Ended(reason)),
            }
            if let Some(reason) = self.agent.failure() {
                return Ok(WorkspaceWait::Ended(reason));
            }
            if self.agent.is_ready() || waited.elapsed() > READY_LIMIT {
                return Ok(WorkspaceWait::Next(Ok(PollOutcome::Messages(Vec::new()))));
            }
            polled = bayeux.poll(&site, cookies, false).await;
        }
        Ok(WorkspaceWait::Next(polled))
    }

    /// Emits events, poll after poll. Returns the reason for which the session ended.
    async fn poll_on(
        &mut self,
        bayeux: &mut Bayeux,
        cookies: &mut Cookies,
        mut polled: Result<PollOutcome, Trouble>,
    ) -> Result<String, Trouble> {
        let site = self.site.clone();
        let mut failed = 0;
        loop {
            match polled {
                Ok(PollOutcome::Messages(messages)) => {
                    failed = 0;
                    self.take_all(&messages);
                }
                Ok(PollOutcome::Forgotten(reason)) => return Ok(reason),
                Err(Trouble::Failed(reason)) if bayeux.is_counted() && failed < POLL_RETRIES => {
                    tracing::info!(user = self.user.name, reason, "a poll failed and is repeated");
                    failed += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(trouble) => return Err(trouble),
            }
            tokio::time::sleep(bayeux.pause()).await;
            polled = bayeux.poll(&site, cookies, false).await;
        }
    }

    fn take_all(&mut self, messages: &[(String, Value)]) {
        for (_, data) in messages {
            let events = self.agent.take(data, &now());
            self.emit_all(&events);
        }
    }

    fn emit_all(&self, events: &[Event]) {
        for event in events {
            self.outlet.emit(event);
        }
    }

    fn emit_state(&self, state: &str, reason: Option<&str>) {
        let event = Event::feed_state(state, now(), reason);
        self.outlet.emit(&event.with("agent", self.agent.id()));
    }
}

/// The API sends no times, so an event has the time at which its message arrived.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
