//! One agent's session: logged in, listened to, and begun again whenever it broke.
//!
//! A session goes through these states, which the feed tells as `feed.state` with the agent: `catching_up` once it is logged in, while how
//! things stand is asked for and compared with what was known; `live`, while each poll brings what happens; `lost`, from whatever
//! fails until the next `catching_up`. A poll that fails is repeated: where the server counts its messages, none is lost; else it is as if the session
//! was begun anew. Between `lost` and the next `catching_up` there may be events that nobody tells: a `feed.gap` says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deskreel_sdk::prelude::*;
use serde_json::Value;
use tokio::sync::watch;

use crate::bayeux::{Bayeux, Polled};
use crate::http::{Cookies, Site, Trouble};
use crate::login;
use crate::outlet::Outlet;
use crate::seat::Seat;
use crate::users::User;

/// Before the first, second, ... try after a failure, in seconds; the last repeats.
const PAUSES_S: [u64; 6] = [1, 2, 5, 10, 30, 60];
/// A poll that fails is tried again so often, a second apart, before the session is given up.
const POLLS: u32 = 5;
/// A workspace that is not ready by then is looked at as it is.
const READY_LIMIT: Duration = Duration::from_secs(30);

struct Session {
    user: User,
    seat: Seat,
    site: Arc<Site>,
    outlet: Arc<Outlet>,
    /// It was live before, so that what happened meanwhile is missed.
    was_live: bool,
    failures: usize,
}

pub async fn run(
    user: User,
    seat: Seat,
    site: Arc<Site>,
    outlet: Arc<Outlet>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut session = Session { user, seat, site, outlet, was_live: false, failures: 0 };
    loop {
        let mut cookies = Cookies::default();
        let mut line = None;
        session.seat.log_in();
        let ended = tokio::select! {
            ended = session.serve(&mut cookies, &mut line) => ended,
            () = stop(&mut stopped) => {
                if let Some(mut bayeux) = line {
                    bayeux.disconnect(&session.site, &mut cookies).await;
                }
                return;
            }
        };
        let pause = PAUSES_S[session.failures.min(PAUSES_S.len() - 1)];
        session.failures += 1;
        tracing::warn!(user = session.user.name, "no session: {ended}; next try in {pause} s");
        session.state("lost", Some(&ended.to_string()));
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
    /// Until it breaks.
    async fn serve(&mut self, cookies: &mut Cookies, line: &mut Option<Bayeux>) -> Trouble {
        match self.listen(cookies, line).await {
            Ok(reason) => Trouble::LoggedOut(reason),
            Err(trouble) => trouble,
        }
    }

    async fn listen(&mut self, cookies: &mut Cookies, line: &mut Option<Bayeux>) -> Result<String, Trouble> {
        let site = self.site.clone();
        login::log_in(&site, &self.user, cookies).await?;
        let bayeux = line.insert(Bayeux::handshake(&site, cookies).await?);
        bayeux.subscribe(&site, cookies).await?;
        let first = bayeux.poll(&site, cookies, true).await?;
        self.state("catching_up", None);
        if self.was_live {
            let gap = Event::new("feed.gap", now()).with("reason", "the session was lost for some time");
            self.outlet.emit(&gap.with("agent", self.seat.agent()));
        }
        let mut polled = Ok(first);
        let waited = Instant::now();
        // The workspace is made after we have asked for it, and says when it is.
        while !self.seat.is_ready() {
            match polled {
                Ok(Polled::Messages(messages)) => self.take_all(&messages),
                Ok(Polled::Forgotten(reason)) => return Ok(reason),
                Err(trouble) => return Err(trouble),
            }
            if let Some(reason) = self.seat.failure() {
                return Ok(reason);
            }
            if self.seat.is_ready() || waited.elapsed() > READY_LIMIT {
                polled = Ok(Polled::Messages(Vec::new()));
                break;
            }
            polled = bayeux.poll(&site, cookies, false).await;
        }
        let user = login::current(&site, cookies).await?;
        let events = self.seat.catch_up(&user, &now());
        events.iter().for_each(|event| self.outlet.emit(event));
        self.state("live", None);
        self.was_live = true;
        self.failures = 0;
        let mut failed = 0;
        loop {
            match polled {
                Ok(Polled::Messages(messages)) => {
                    failed = 0;
                    self.take_all(&messages);
                }
                Ok(Polled::Forgotten(reason)) => return Ok(reason),
                Err(Trouble::Failed(reason)) if bayeux.is_counted() && failed < POLLS => {
                    tracing::info!(user = self.user.name, reason, "a poll failed, and is repeated");
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
            let events = self.seat.take(data, &now());
            events.iter().for_each(|event| self.outlet.emit(event));
        }
    }

    fn state(&self, state: &str, reason: Option<&str>) {
        let event = Event::new("feed.state", now()).with("state", state).with("agent", self.seat.agent());
        self.outlet.emit(&match reason {
            Some(reason) => event.with("reason", reason),
            None => event,
        });
    }
}

/// The API says no times, so events have those at which they came.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
