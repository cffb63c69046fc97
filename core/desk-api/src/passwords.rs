//! Checks agents' passwords: with the agents' file, or with the server if the pipeline file names no
//! `agents_file` and has a `[link]`.
//!
//! The file is read at each log-in, so that an agent whom a deployer adds can log in at once. A name that is
//! not in it takes as much time as one that is, and guessing is slowed down per name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use deskreel_link::LinkHandle;
use deskreel_model::AgentId;
use deskreel_model::link::CredentialVerdict;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Error;
use super::agents_file::read_agents_file;
use super::problem::{Code, Problem};
use super::settings::Limits;
use super::token_bucket::TokenBucket;

/// Passwords verified at once. Each takes 19 MiB and a core for some 20 ms.
const AT_A_TIME: usize = 2;
/// Further log-ins that wait for their turn.
const WAITING: usize = 16;
/// Names with recent failures. Further names share one limit.
const NAMES: usize = 1024;
/// Most bytes of a name or a password.
const LONGEST: usize = 1024;
/// A hash of no password, verified for unknown names. Its costs are those of `deskreel password`.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub struct PasswordChecker {
    source: PasswordSource,
    failures: u32,
    failure_wait: Duration,
    turn: Semaphore,
    queue: Semaphore,
    attempts: Mutex<HashMap<Box<str>, TokenBucket>>,
}

enum PasswordSource {
    File(PathBuf),
    Server(LinkHandle),
    Unset,
}

impl PasswordChecker {
    /// Reads the file once, so that a mistake in it is reported at the start.
    pub fn new(
        file: Option<PathBuf>,
        server: Option<LinkHandle>,
        limits: &Limits,
    ) -> Result<PasswordChecker, Error> {
        let source = match (file, server) {
            (Some(file), _) => {
                read_agents_file(&file)?;
                PasswordSource::File(file)
            }
            (None, Some(server)) => PasswordSource::Server(server),
            (None, None) => PasswordSource::Unset,
        };
        Ok(PasswordChecker {
            source,
            failures: limits.failures,
            failure_wait: limits.failure_wait,
            turn: Semaphore::new(AT_A_TIME),
            queue: Semaphore::new(AT_A_TIME + WAITING),
            attempts: Mutex::default(),
        })
    }

    pub async fn verify(&self, name: &str, password: &str) -> Result<AgentId, Problem> {
        if let PasswordSource::Unset = self.source {
            return Err(Problem::new(Code::WrongCredentials, "this recorder has no passwords")
                .cure("set `agents_file` in [feed.desktop], and add agents with `deskreel password NAME`"));
        }
        // Nobody has such a name or password, and the server would close the link if it were sent.
        if [name, password].iter().any(|text| text.contains('\0') || text.len() > LONGEST) {
            return Err(wrong(name));
        }
        self.take_attempt(name)?;
        let crowded =
            || Problem::new(Code::TooMany, "too many log-ins at once").retry_after(Duration::from_secs(1));
        let _queue = self.queue.try_acquire().map_err(|_| crowded())?;
        let file = match &self.source {
            PasswordSource::File(file) => file.clone(),
            PasswordSource::Server(server) => return self.by_server(server, name, password).await,
            PasswordSource::Unset => return Err(wrong(name)),
        };
        let _turn = self.turn.acquire().await.map_err(|_| crowded())?;
        let (asked, password) = (name.to_owned(), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || is_right(&file, &asked, &password)).await;
        match verified {
            Ok(Ok(true)) => {
                self.forgive(name);
                Ok(name.into())
            }
            Ok(Ok(false)) => Err(wrong(name)),
            Ok(Err(error)) => {
                tracing::error!(%error, "could not read the agents' file: agents cannot log in");
                Err(Problem::new(Code::Failed, "the agents' file cannot be used")
                    .cure("see the recorder's log"))
            }
            Err(error) => Err(Problem::new(Code::Failed, error.to_string())),
        }
    }

    async fn by_server(&self, server: &LinkHandle, name: &str, password: &str) -> Result<AgentId, Problem> {
        match server.verify(name, password).await {
            Some(CredentialVerdict::Right { agent }) => {
                self.forgive(name);
                Ok(agent)
            }
            Some(CredentialVerdict::Wrong) => Err(wrong(name)),
            Some(CredentialVerdict::TooMany { seconds }) => {
                self.give_back(name);
                Err(Problem::new(Code::TooMany, "too many attempts: the server says to wait")
                    .at("Authorization")
                    .retry_after(Duration::from_secs(seconds.into())))
            }
            Some(CredentialVerdict::CannotSay) | None => {
                self.give_back(name);
                Err(Problem::new(Code::ServerAway, "the server could not check the password")
                    .cure("try again in a moment; the recorder's log has the state of the link")
                    .retry_after(Duration::from_secs(5)))
            }
        }
    }

    /// Returns the attempt: the password was not checked, so nothing was guessed.
    fn give_back(&self, name: &str) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = attempts.get_mut(name) {
            bucket.give_back();
        }
    }

    fn forgive(&self, name: &str) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Counts an attempt. A right password clears the count.
    fn take_attempt(&self, name: &str) -> Result<(), Problem> {
        let now = Instant::now();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= NAMES && !attempts.contains_key(name) {
            attempts.retain(|_, bucket| !bucket.is_full(now));
        }
        let name = if attempts.len() >= NAMES && !attempts.contains_key(name) { "" } else { name };
        let fresh = || TokenBucket::new(self.failures, self.failure_wait * self.failures, now);
        attempts.entry(name.into()).or_insert_with(fresh).take(now).map_err(|wait| {
            Problem::new(Code::TooMany, "too many failed log-ins under this name")
                .at("Authorization")
                .retry_after(wait)
        })
    }
}

/// One text for all cases, so that an answer does not reveal which names exist.
fn wrong(name: &str) -> Problem {
    tracing::info!(agent = name, "log-in refused: wrong name or password");
    Problem::new(Code::WrongCredentials, "name or password is wrong").at("Authorization")
}

fn is_right(file: &Path, name: &str, password: &str) -> Result<bool, Error> {
    let agents = read_agents_file(file)?;
    let hash = agents.get(name);
    let parsed = PasswordHash::new(hash.map_or(DUMMY, String::as_str)).map_err(|error| Error::Content {
        path: file.to_owned(),
        line: None,
        what: format!("the hash of `{name}`: {error}"),
    })?;
    let agrees = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    Ok(agrees && hash.is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::agents_file_line;

    fn agents(text: &str) -> (tempfile::TempDir, Result<PasswordChecker, Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let agents = PasswordChecker::new(Some(path), None, &Limits { failures: 2, ..Limits::default() });
        (folder, agents)
    }

    #[tokio::test]
    async fn the_right_password_logs_in_and_nothing_else_does() {
        let (_folder, agents) = agents(&agents_file_line("ann", "s3cret:pass").unwrap());
        let agents = agents.unwrap();
        assert_eq!(agents.verify("ann", "s3cret:pass").await, Ok("ann".into()));
        for (name, password) in [("ann", "s3cret"), ("ann", ""), ("bob", "s3cret:pass"), ("", "")] {
            assert_eq!(
                agents.verify(name, password).await.unwrap_err().code,
                Code::WrongCredentials,
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_by_name() {
        let (_folder, agents) = agents(&agents_file_line("ann", "right").unwrap());
        let agents = agents.unwrap();
        for _ in 0..2 {
            assert_eq!(agents.verify("ann", "wrong").await.unwrap_err().code, Code::WrongCredentials);
        }
        assert_eq!(agents.verify("ann", "right").await.unwrap_err().code, Code::TooMany);
        assert_eq!(agents.verify("bob", "wrong").await.unwrap_err().code, Code::WrongCredentials);
    }

    #[test]
    fn a_line_that_is_not_an_agent_is_reported_with_its_number() {
        for text in ["# agents\nann\n", "# agents\nann:plain\n"] {
            let Err(error) = agents(text).1 else { panic!("{text}") };
            assert!(error.to_string().contains(":2: "), "{error}");
        }
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_a_known_one() {
        let line = agents_file_line("ann", "right").unwrap();
        let costs = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(costs(DUMMY), costs(line.split_once(':').unwrap().1));
    }
}
