//! The sessions of this API: which agents are logged in, and until when.
//!
//! A session belongs to one agent and to the page (or program) that logged in. It has three secrets: the
//! *token*, which pages and programs send as a bearer; the *cookie*, for desktops that cannot; and the *CSRF
//! token*, which is needed beside the cookie. They differ so that a stolen cookie, which any server on this
//! PC's loopback can get, cannot command the recorder.
//!
//! A session is over when it has been silent for too long, when its agent logs out, or when another agent
//! logs in. When the last session of an agent is over, the agent is logged out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deskreel_model::{AgentId, Place, Utc};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::Error;
use super::operations::Operations;
use super::secret::{self, Digest};
use super::settings::Limits;
use super::token_bucket::TokenBucket;

/// Sessions of one agent. A reloaded page leaves its previous session behind until that expires. When there
/// are too many, the one that has been silent for longest ends.
const MOST: usize = 32;

pub struct Sessions {
    /// How long a session may be silent.
    silence: Duration,
    limits: Limits,
    live: Mutex<Vec<Arc<Session>>>,
    /// Wakes the expiry: a new session may expire first.
    pub started: Notify,
}

pub struct Session {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub since: Utc,
    /// The page that logged in; `None` for a program.
    pub origin: Option<Box<str>>,
    token: Digest,
    cookie: Digest,
    csrf: Option<Digest>,
    /// Digest of name and password, for desktops that send them with each ping.
    proof: Option<Digest>,
    last_request: Mutex<Instant>,
    pub bucket: Mutex<TokenBucket>,
    pub operations: Operations,
    pub streams: Arc<Semaphore>,
    over: watch::Sender<bool>,
}

/// The secrets of a session, shown once to the client that logs in.
pub struct SessionSecrets {
    pub token: String,
    pub cookie: String,
    pub csrf: Option<String>,
}

/// The log-in from which a session begins.
pub struct NewSession {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub origin: Option<Box<str>>,
    pub proof: Option<Digest>,
    /// Whether to make a CSRF token. Without one, the cookie cannot command.
    pub csrf: bool,
}

impl Sessions {
    pub fn new(silence: Duration, limits: Limits) -> Sessions {
        Sessions { silence, limits, live: Mutex::default(), started: Notify::new() }
    }

    /// Begins a session, and ends those of all other agents: there is one seat.
    pub fn begin(
        &self,
        log_in: NewSession,
        at: Utc,
        now: Instant,
    ) -> Result<(Arc<Session>, SessionSecrets), Error> {
        let secrets = SessionSecrets {
            token: secret::random()?,
            cookie: secret::random()?,
            csrf: log_in.csrf.then(secret::random).transpose()?,
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
            last_request: Mutex::new(now),
            bucket: Mutex::new(TokenBucket::new(self.limits.rate, Duration::from_secs(1), now)),
            operations: Operations::new(self.limits.keys, self.limits.key_kept),
            streams: Arc::new(Semaphore::new(self.limits.streams)),
            over: watch::Sender::new(false),
        });
        let mut live = self.live();
        end_matching(&mut live, |other| other.agent != session.agent);
        if live.len() >= MOST
            && let Some(quietest) = live.iter().min_by_key(|session| session.last_request()).cloned()
        {
            end_matching(&mut live, |other| Arc::ptr_eq(other, &quietest));
        }
        live.push(session.clone());
        drop(live);
        self.started.notify_one();
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

    /// The newest match. A session that has been silent for too long does not match, even before
    /// [`Self::expire`] ends it.
    fn find(&self, matches: impl Fn(&Session) -> bool) -> Option<Arc<Session>> {
        let now = Instant::now();
        let live = self.live();
        live.iter()
            .rev()
            .find(|session| matches(session) && session.last_request() + self.silence > now)
            .cloned()
    }

    /// Ends a session. Returns whether it was the last one of its agent.
    pub fn end(&self, session: &Arc<Session>) -> bool {
        let mut live = self.live();
        end_matching(&mut live, |other| Arc::ptr_eq(other, session));
        !live.iter().any(|other| other.agent == session.agent)
    }

    pub fn end_all_of(&self, agent: &AgentId) {
        end_matching(&mut self.live(), |session| session.agent == *agent);
    }

    /// Ends those that have been silent for too long. Returns the agents without a session left, and when to
    /// look again.
    pub fn expire(&self, now: Instant) -> (Vec<AgentId>, Option<Instant>) {
        let mut live = self.live();
        let ended = end_matching(&mut live, |session| session.last_request() + self.silence <= now);
        let mut gone: HashMap<AgentId, ()> =
            ended.iter().map(|session| (session.agent.clone(), ())).collect();
        for session in live.iter() {
            gone.remove(&session.agent);
        }
        let next = live.iter().map(|session| session.last_request() + self.silence).min();
        (gone.into_keys().collect(), next)
    }

    fn live(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_matching(live: &mut Vec<Arc<Session>>, ends: impl Fn(&Arc<Session>) -> bool) -> Vec<Arc<Session>> {
    let ended: Vec<Arc<Session>> = live.extract_if(.., |session| ends(session)).collect();
    for session in &ended {
        session.over.send_replace(true);
    }
    ended
}

impl Session {
    /// Notes that its desktop has sent something.
    pub fn touch(&self, now: Instant) {
        *self.last_request.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn last_request(&self) -> Instant {
        *self.last_request.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn has_csrf(&self, token: &str) -> bool {
        self.csrf == Some(Digest::of(token.as_bytes()))
    }

    /// Waits until the session is over.
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

    fn log_in(agent: &str) -> NewSession {
        NewSession { agent: agent.into(), place: None, origin: None, proof: None, csrf: true }
    }

    fn sessions() -> Sessions {
        Sessions::new(SILENCE, Limits::default())
    }

    #[test]
    fn a_session_with_requests_lives_and_a_silent_one_expires() {
        let (sessions, start) = (sessions(), Instant::now());
        let (session, secrets) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        session.touch(start + SILENCE / 2);
        assert_eq!(sessions.expire(start + SILENCE), (vec![], Some(start + SILENCE * 3 / 2)));
        assert!(sessions.by_token(&secrets.token).is_some());
        assert_eq!(sessions.expire(start + SILENCE * 3 / 2), (vec!["ann".into()], None));
        assert!(sessions.by_token(&secrets.token).is_none() && session.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_due_is_over_before_it_is_ended() {
        let sessions = sessions();
        let (_, secrets) = sessions.begin(log_in("ann"), Utc::MIN, Instant::now()).unwrap();
        tokio::time::advance(SILENCE - Duration::from_millis(1)).await;
        assert!(sessions.by_token(&secrets.token).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(sessions.by_token(&secrets.token).is_none());
    }

    #[test]
    fn an_agent_is_logged_out_with_the_last_session() {
        let (sessions, start) = (sessions(), Instant::now());
        let (first, _) = sessions.begin(log_in("ann"), Utc::MIN, start).unwrap();
        let (second, _) = sessions.begin(log_in("ann"), Utc::MIN, start + SILENCE / 2).unwrap();
        assert_eq!(sessions.expire(start + SILENCE).0, []);
        assert!(first.is_over() && !second.is_over());
        assert!(sessions.end(&second));
    }

    #[test]
    fn another_agent_ends_the_sessions_of_the_previous_one() {
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
