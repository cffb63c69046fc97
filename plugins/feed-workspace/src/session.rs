//! One agent's session: logs in, listens, and starts again whenever it breaks.
//!
//! The feed reports the state of a session as `feed.state` with the agent. It is `catching_up` after the
//! log-in, while the session requests the current state and compares it with the known one; `live` while
//! polls bring news; `lost` from a failure until the next `catching_up`. If the server counts its messages, a
//! failed poll is repeated and loses none; otherwise the session starts again. Events between `lost` and the
//! next `catching_up` may be missing: a `feed.gap` says so, and all that is going on is reported again.
//!
//! A server may forget a client and keep the workspace: then a handshake suffices. It may forget the
//! workspace and still answer polls, without messages: so the session asks for its state from time to time
//! (`check.rs`).

mod check;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deskreel_sdk::prelude::*;
use serde_json::Value;
use tokio::sync::watch;

use crate::agent::Agent;
use crate::bayeux::{Bayeux, Line, PollOutcome};
use crate::http::{Cookies, Site, Trouble};
use crate::login::{self, RefusedToken};
use crate::users::User;

use check::Check;

/// Pauses before the first, second, ... try after a failure, in seconds; the last one repeats.
const PAUSES_S: [u64; 6] = [1, 2, 5, 10, 30, 60];
/// Pause before looking for a code again, which is valid for minutes.
const PAUSE_FOR_CODE: Duration = Duration::from_secs(1);
/// Times that a failed poll is repeated, one second apart, before the session is given up.
const POLL_RETRIES: u32 = 5;
/// After this time the session continues with a workspace that has not reported that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// A client that is forgotten sooner after the last one is not followed by another at once.
const HANDSHAKES_APART: Duration = Duration::from_secs(10);
/// Longest time between two looks whether the agent's desktop has a session.
const DESKTOP: Duration = Duration::from_secs(10);
/// A workspace that waits for the desktop is made again after this time: it may have been lost.
const WORKSPACE_LASTS: Duration = Duration::from_secs(60);

struct Session {
    user: User,
    agent: Agent,
    site: Arc<Site>,
    outlet: Arc<Outlet>,
    /// It was live before, so events may have been missed since.
    was_live: bool,
    failures: usize,
    line: Line,
    refused: Option<RefusedToken>,
    /// The last `lost` that was reported since the session was live.
    lost: Option<String>,
}

/// Why a session ended that had begun.
enum Ended {
    /// The server no longer knows the client; it may still know the workspace.
    Forgotten(String),
    Over(String),
}

pub async fn run(
    user: User,
    agent: Agent,
    site: Arc<Site>,
    outlet: Arc<Outlet>,
    mut stopped: watch::Receiver<bool>,
) {
    let line = Line::default();
    let (was_live, failures, refused, lost) = (false, 0, None, None);
    let mut session = Session { user, agent, site, outlet, was_live, failures, line, refused, lost };
    loop {
        let cookies = Cookies::default();
        let mut client = None;
        let trouble = tokio::select! {
            trouble = session.serve(&cookies, &mut client) => trouble,
            () = stop(&mut stopped) => {
                if let Some(mut bayeux) = client {
                    bayeux.disconnect(&session.site, &cookies).await;
                }
                return;
            }
        };
        let pause = session.report(&trouble);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop(&mut stopped) => return,
        }
    }
}

async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Session {
    /// Reports that there is no session, and returns the time until the next try.
    fn report(&mut self, trouble: &Trouble) -> Duration {
        let reason = trouble.to_string();
        if let Trouble::NoProof(_) = trouble {
            // Looks often, but reports once.
            if self.lost.as_ref() != Some(&reason) {
                tracing::warn!(user = self.user.name, "no session: {reason}");
                self.emit_lost(reason);
            }
            return PAUSE_FOR_CODE;
        }
        let pause = PAUSES_S[self.failures.min(PAUSES_S.len() - 1)];
        self.failures += 1;
        tracing::warn!(user = self.user.name, "no session: {reason}; next try in {pause} s");
        self.emit_lost(reason);
        Duration::from_secs(pause)
    }

    /// Runs until there is no session and none can be had at once.
    async fn serve(&mut self, cookies: &Cookies, client: &mut Option<Bayeux>) -> Trouble {
        let mut last_handshake: Option<Instant> = None;
        let mut has_workspace = false;
        loop {
            if !has_workspace {
                self.agent.log_in();
                cookies.clear();
                if let Err(trouble) = self.get_workspace(cookies).await {
                    return trouble;
                }
            }
            let mut got_live = false;
            let ended = self.listen(cookies, client, &mut got_live).await;
            let is_early = last_handshake.is_some_and(|last| last.elapsed() < HANDSHAKES_APART);
            if let Some(bayeux) = client {
                self.line = bayeux.line();
            }
            match ended {
                Ok(Ended::Forgotten(reason)) if got_live && !is_early => {
                    tracing::info!(user = self.user.name, reason, "the server has forgotten the client");
                    self.emit_lost(reason);
                    last_handshake = Some(Instant::now());
                    has_workspace = true;
                }
                // The workspace is gone as well.
                Err(Trouble::LoggedOut(_)) if has_workspace && !got_live => has_workspace = false,
                Ok(Ended::Forgotten(reason) | Ended::Over(reason)) => return Trouble::LoggedOut(reason),
                Err(trouble) => return trouble,
            }
        }
    }

    async fn get_workspace(&mut self, cookies: &Cookies) -> Result<(), Trouble> {
        let site = self.site.clone();
        login::log_in(&site, &self.user, cookies, &mut self.refused).await?;
        let mut logged_in = Instant::now();
        while !self.has_desktop(cookies).await? {
            if logged_in.elapsed() > WORKSPACE_LASTS {
                cookies.clear();
                login::log_in(&site, &self.user, cookies, &mut self.refused).await?;
                logged_in = Instant::now();
            }
            tokio::time::sleep(DESKTOP.min(site.check)).await;
        }
        Ok(())
    }

    /// Returns whether the agent's desktop has a session, if the feed waits for one. Without it the agent is
    /// logged out.
    async fn has_desktop(&mut self, cookies: &Cookies) -> Result<bool, Trouble> {
        let site = self.site.clone();
        if !site.waits_for_desktop {
            return Ok(true);
        }
        let user = match login::current(&site, cookies).await {
            Ok(user) if user["activeSession"].is_object() => return Ok(true),
            Ok(user) => user,
            // The vendor's simulator says so. A workspace that is gone has the same answer.
            Err(Trouble::LoggedOut(_)) => Value::Null,
            Err(trouble) => return Err(trouble),
        };
        let events = self.agent.catch_up(&user, &now(), false);
        self.emit_all(&events);
        Ok(false)
    }

    async fn listen(
        &mut self,
        cookies: &Cookies,
        client: &mut Option<Bayeux>,
        got_live: &mut bool,
    ) -> Result<Ended, Trouble> {
        let site = self.site.clone();
        let bayeux = client.insert(Bayeux::handshake(&site, cookies, self.line).await?);
        bayeux.subscribe(&site, cookies).await?;
        let first = bayeux.poll(&site, cookies, true).await?;
        self.emit_state("catching_up", None);
        if self.was_live {
            let gap = Event::new("feed.gap", now()).with("reason", "the session was lost for some time");
            self.outlet.emit(&gap.with("agent", self.agent.id()));
        }
        // With what came with the answers so far.
        self.take_inbox(bayeux);
        if let Some(ended) = self.wait_for_workspace(bayeux, cookies, first).await? {
            return Ok(ended);
        }
        let user = login::current(&site, cookies).await?;
        let events = self.agent.catch_up(&user, &now(), self.was_live);
        self.emit_all(&events);
        self.emit_state("live", None);
        (self.was_live, self.failures, self.lost, *got_live) = (true, 0, None, true);
        self.poll_on(bayeux, cookies).await
    }

    /// Takes messages until the workspace, which is made after the log-in, reports that it is ready.
    async fn wait_for_workspace(
        &mut self,
        bayeux: &mut Bayeux,
        cookies: &Cookies,
        first: PollOutcome,
    ) -> Result<Option<Ended>, Trouble> {
        let site = self.site.clone();
        let mut polled = first;
        let waited = Instant::now();
        loop {
            if let PollOutcome::Forgotten(reason) = polled {
                return Ok(Some(Ended::Forgotten(reason)));
            }
            if let Some(reason) = self.agent.failure() {
                return Ok(Some(Ended::Over(reason)));
            }
            if self.agent.is_ready() || waited.elapsed() > READY_LIMIT {
                return Ok(None);
            }
            tokio::time::sleep(bayeux.pause()).await;
            let result = bayeux.poll(&site, cookies, false).await;
            self.take_inbox(bayeux);
            polled = result?;
        }
    }

    /// Emits events, poll after poll, and asks from time to time whether the session still exists.
    async fn poll_on(&mut self, bayeux: &mut Bayeux, cookies: &Cookies) -> Result<Ended, Trouble> {
        let site = self.site.clone();
        let mut failed = 0;
        let mut check = Check::new(site.check);
        let mut asked = Box::pin(check.ask(&site, cookies));
        loop {
            let polled = {
                let mut poll = std::pin::pin!(bayeux.poll(&site, cookies, false));
                loop {
                    tokio::select! {
                        biased;
                        polled = &mut poll => break polled,
                        answer = &mut asked => {
                            let is_different = |user: &Value| self.agent.differs_from(user);
                            if let Some(reason) = check.take(answer, is_different)? {
                                return Ok(Ended::Over(reason));
                            }
                            asked = Box::pin(check.ask(&site, cookies));
                        }
                    }
                }
            };
            if self.take_inbox(bayeux) {
                check.hear();
            }
            match polled {
                Ok(PollOutcome::Known) => failed = 0,
                Ok(PollOutcome::Forgotten(reason)) => return Ok(Ended::Forgotten(reason)),
                Err(Trouble::LoggedOut(reason)) => return Err(Trouble::LoggedOut(reason)),
                Err(trouble) if bayeux.is_counted() && failed < POLL_RETRIES => {
                    tracing::info!(user = self.user.name, "a poll failed and is repeated: {trouble}");
                    failed += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(trouble) => return Err(trouble),
            }
            tokio::time::sleep(bayeux.pause()).await;
        }
    }

    /// Returns whether there were messages.
    fn take_inbox(&mut self, bayeux: &mut Bayeux) -> bool {
        let messages = bayeux.take_inbox();
        for data in &messages {
            let events = self.agent.take(data, &now());
            self.emit_all(&events);
        }
        !messages.is_empty()
    }

    fn emit_all(&self, events: &[Event]) {
        for event in events {
            self.outlet.emit(event);
        }
    }

    fn emit_lost(&mut self, reason: String) {
        self.emit_state("lost", Some(&reason));
        self.lost = Some(reason);
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
