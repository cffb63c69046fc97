//! Who is logged in by this API, and until when.
//!
//! A session belongs to one agent and to the page that logged in (or to a program). It has three secrets: the *token*,
//! which pages and programs send as a bearer; the *cookie*, for desktops that cannot; and the *CSRF token*, which is needed
//! beside the cookie. They differ so that whoever gets hold of a cookie, as any server on this PC's loopback may, has
//! nothing that commands the recorder.
//!
//! A session is over when it has been silent for too long, when its agent logs out, or when another agent logs in. The
//! agent is logged out with the last of their sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deskreel_model::{AgentId, Place, Utc};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::Error;
use super::brake::Brake;
use super::operation::Operations;
use super::secret::{self, Digest};
use super::settings::Limits;

/// Sessions of one agent. A page that is loaded anew leaves its last one behind until that expires; the one that was
/// silent for longest makes room.
const MOST: usize = 32;

pub struct Sessions {
    /// How long one may be silent.
    silence: Duration,
    limits: Limits,
    live: Mutex<Vec<Arc<Session>>>,
    /// Somebody logged in: the next expiry may be sooner.
    pub more: Notify,
}

pub struct Session {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub since: Utc,
    /// The page that logged in; none of a program.
    pub origin: Option<Box<str>>,
    token: Digest,
    cookie: Digest,
    csrf: Option<Digest>,
    /// Name and password, for desktops that send them with each ping.
    proof: Option<Digest>,
    heard: Mutex<Instant>,
    pub brake: Mutex<Brake>,
    pub operations: Operations,
    pub streams: Arc<Semaphore>,
    over: watch::Sender<bool>,
}

/// What only the one who logs in gets to see.
pub struct Secrets {
    pub token: String,
    pub cookie: String,
    pub csrf: Option<String>,
}

/// What is known of who logs in.
pub struct LogIn {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub origin: Option<Box<str>>,
    pub proof: Option<Digest>,
    /// Whether to make a CSRF token. Without one, the cookie commands nothing.
    pub csrf: bool,
}

impl Sessions {
    pub fn new(silence: Duration, limits: Limits) -> Sessions {
        Sessions { silence, limits, live: Mutex::default(), more: Notify::new() }
    }

    /// Ends the sessions of every other agent: there is one seat.
    pub fn begin(&self, log_in: LogIn, at: Utc, now: Instant) -> Result<(Arc<Session>, Secrets), Error> {
        let secrets = Secrets {
            token: secret::fresh()?,
            cookie: secret::fresh()?,
            csrf: log_in.csrf.then(secret::fresh).transpose()?,
        };
        let session = Arc::new(Session {
            agent: log_in.agent,
            place: log_in.place,
            since: at,
            origin: log_in.origin,
            token: Digest::of(secrets.token.as_bytes()),
            cookie: Digest::of(secrets.cookie.as_bytes()),
            csrf: secrets.csrf.as_ref().map(|csrf| Digest::of(csrf.as_bytes())),
            proof: log_in.proof,
            heard: Mutex::new(now),
            brake: Mutex::new(Brake::new(self.limits.rate, Duration::from_secs(1), now)),
            operations: Operations::new(self.limits.keys, self.limits.key_kept),
            streams: Arc::new(Semaphore::new(self.limits.streams)),
            over: watch::Sender::new(false),
        });
        let mut live = self.live();
        end_those(&mut live, |other| other.agent != session.agent);
        if live.len() >= MOST
            && let Some(quietest) = live.iter().min_by_key(|session| session.heard()).cloned()
        {
            end_those(&mut live, |other| Arc::ptr_eq(other, &quietest));
        }
        live.push(session.clone());
        drop(live);
        self.more.notify_one();
        Ok((session, secrets))
    }

    pub fn by_token(&self, token: &str) -> Option<Arc<Session>> {
        let token = Digest::of(token.as_bytes());
        self.find(|session| session.token == token)
    }

    pub fn by_cookie(&self, cookie: &str) -> Option<Arc<Session>> {
        let cookie = Digest::of(cookie.as_bytes());
        self.find(|session| session.cookie == cookie)
    }

    pub fn by_proof(&self, proof: Digest) -> Option<Arc<Session>> {
        self.find(|session| session.proof == Some(proof))
    }

    /// The youngest. One that was silent for too long is over, also where nobody has come to end it yet.
    fn find(&self, is_it: impl Fn(&Session) -> bool) -> Option<Arc<Session>> {
        let now = Instant::now();
        let live = self.live();
        live.iter().rev().find(|session| is_it(session) && session.heard() + self.silence > now).cloned()
    }

    /// Ends one. The answer says whether its agent has no other.
    pub fn end(&self, session: &Arc<Session>) -> bool {
        let mut live = self.live();
        end_those(&mut live, |other| Arc::ptr_eq(other, session));
        !live.iter().any(|other| other.agent == session.agent)
    }

    pub fn end_of(&self, agent: &AgentId) {
        end_those(&mut self.live(), |session| session.agent == *agent);
    }

    /// Ends those that were silent for too long. Gives the agents who have none left, and when to look again.
    pub fn expire(&self, now: Instant) -> (Vec<AgentId>, Option<Instant>) {
        let mut live = self.live();
        let ended = end_those(&mut live, |session| session.heard() + self.silence <= now);
        let mut gone: HashMap<AgentId, ()> =
            ended.iter().map(|session| (session.agent.clone(), ())).collect();
        for session in live.iter() {
            gone.remove(&session.agent);
        }
        let next = live.iter().map(|session| session.heard() + self.silence).min();
        (gone.into_keys().collect(), next)
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_those(live: &mut Vec<Arc<Session>>, ends: impl Fn(&Arc<Session>) -> bool) -> Vec<Arc<Session>> {
    let ended: Vec<Arc<Session>> = live.extract_if(.., |session| ends(session)).collect();
    for session in &ended {
        session.over.send_replace(true);
    }
    ended
}

impl Session {
    /// Its desktop has said something.
    pub fn touch(&self, now: Instant) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn heard(&self) -> Instant {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has_csrf(&self, token: &str) -> bool {
        self.csrf == Some(Digest::of(token.as_bytes()))
    }

    /// Waits until it is over.
    pub async fn ended(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    #[cfg(test)]
    fn is_over(&self) -> bool {
        *self.over.borrow()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    fn log_in(agent: &str) -> LogIn {
        LogIn { agent: agent.into(), place: None, origin: None, proof: None, csrf: true }
    }

    fn sessions() -> Sessions {
        Sessions::new(SILENCE, Limits::default())
    }

    #[test]
    fn one_that_is_heard_of_lives_and_one_that_is_not_expires() {
        let (sessions, start) = (sessions(), Instant::now());
        let (session, secrets) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        session.touch(start + SILENCE / 2);
        assert_eq!(sessions.expire(start + SILENCE), (vec![], Some(start + SILENCE * 3 / 2)));
        assert!(sessions.by_token(&secrets.token).is_some());
        assert_eq!(sessions.expire(start + SILENCE * 3 / 2), (vec!["ann".into()], None));
        assert!(sessions.by_token(&secrets.token).is_none() && session.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_due_is_over_before_anybody_ends_it() {
        let sessions = sessions();
        let (_, secrets) = sessions.begin(log_in("ann"), Utc::MIN, Instant::now()).unwrap();
        tokio::time::advance(SILENCE - Duration::from_millis(1)).await;
        assert!(sessions.by_token(&secrets.token).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(sessions.by_token(&secrets.token).is_none());
    }

    #[test]
    fn an_agent_is_gone_with_the_last_session() {
        let (sessions, start) = (sessions(), Instant::now());
        let (first, _) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        let (second, _) = sessions.begin(log_in("ann"), Utc::MIN, start + SILENCE / 2).unwrap();
        assert_eq!(sessions.expire(start + SILENCE).0, []);
        assert!(first.is_over() && !second.is_over());
        assert!(sessions.end(&second));
    }

    #[test]
    fn another_agent_ends_the_sessions_of_the_one_before() {
        let (sessions, start) = (sessions(), Instant::now());
        let (ann, _) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        sessions.begin(log_in("bob"), Utc::MIN, start).unwrap();
        assert!(ann.is_over());
    }

    #[test]
    fn the_cookie_is_not_the_token() {
        let sessions = sessions();
        let (session, secrets) = sessions.begin(log_in("ann"), Utc::MIN, Instant::now()).unwrap();
        assert!(sessions.by_token(&secrets.cookie).is_none() && sessions.by_cookie(&secrets.token).is_none());
        assert!(sessions.by_cookie(&secrets.cookie).is_some());
        assert!(session.has_csrf(&secrets.csrf.unwrap()) && !session.has_csrf(&secrets.cookie));
    }

    #[test]
    fn the_quietest_makes_room() {
        let (sessions, start) = (sessions(), Instant::now());
        let (first, _) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        let (second, _) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        first.touch(start + SILENCE / 2);
        for _ in 2..=MOST {
            sessions.begin(log_in("ann"), Utc::MIN, start + SILENCE / 2).unwrap();
        }
        assert!(second.is_over() && !first.is_over());
    }
}
