//! Agents and their passwords: out of a file with a line each, `ann:$argon2id$v=19$...`; or, where the file of the recorder names
//! none and has a [link], by the word of the server.
//!
//! The file is read at each log-in: an agent that a deployer adds can log in at once. A name that is not there costs as much
//! time as one that is, and guessing is slowed down by name.

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
use super::brake::Brake;
use super::problem::{Code, Problem};
use super::secret;
use super::settings::Limits;

/// Verifications at a time. Each takes 19 MiB and a core for some 20 ms.
const AT_A_TIME: usize = 2;
/// And that wait for their turn.
const WAITING: usize = 16;
/// Names that have failed of late. More of them share one limit.
const NAMES: usize = 1024;
/// Bytes of a name or a password.
const LONGEST: usize = 1024;
/// Nobody's: its costs are those that `deskreel password` takes.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub struct Agents {
    judge: Judge,
    failures: u32,
    failure_wait: Duration,
    turn: Semaphore,
    queue: Semaphore,
    failed: Mutex<HashMap<Box<str>, Brake>>,
}

enum Judge {
    File(PathBuf),
    Server(LinkHandle),
    Nobody,
}

impl Agents {
    /// Looks at the file once, so that what is wrong with it is known at the start.
    pub fn new(file: Option<PathBuf>, server: Option<LinkHandle>, limits: &Limits) -> Result<Agents, Error> {
        let judge = match (file, server) {
            (Some(file), _) => {
                read(&file)?;
                Judge::File(file)
            }
            (None, Some(server)) => Judge::Server(server),
            (None, None) => Judge::Nobody,
        };
        Ok(Agents {
            judge,
            failures: limits.failures,
            failure_wait: limits.failure_wait,
            turn: Semaphore::new(AT_A_TIME),
            queue: Semaphore::new(AT_A_TIME + WAITING),
            failed: Mutex::default(),
        })
    }

    pub async fn verify(&self, name: &str, password: &str) -> Result<AgentId, Problem> {
        if let Judge::Nobody = self.judge {
            return Err(Problem::new(Code::WrongCredentials, "this recorder knows no passwords")
                .cure("set `agents_file` in [feed.desktop], and fill it by `deskreel password NAME`"));
        }
        // Nobody's, and no message of the link: the server would close the line.
        if [name, password].iter().any(|text| text.contains('\0') || text.len() > LONGEST) {
            return Err(wrong(name));
        }
        self.slow_down(name)?;
        let crowded =
            || Problem::new(Code::TooMany, "too many log-ins at a time").retry_after(Duration::from_secs(1));
        let _queue = self.queue.try_acquire().map_err(|_| crowded())?;
        let file = match &self.judge {
            Judge::File(file) => file.clone(),
            Judge::Server(server) => return self.by_server(server, name, password).await,
            Judge::Nobody => return Err(wrong(name)),
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
                tracing::error!(%error, "agents cannot log in");
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
                Err(Problem::new(Code::TooMany, "too many tries: the server says to wait")
                    .at("Authorization")
                    .retry_after(Duration::from_secs(seconds.into())))
            }
            Some(CredentialVerdict::CannotSay) | None => {
                self.give_back(name);
                Err(Problem::new(Code::ServerAway, "the server does not say whose password this is")
                    .cure("try again in a moment; the recorder's log says how the link stands")
                    .retry_after(Duration::from_secs(5)))
            }
        }
    }

    /// It was not judged: nobody has guessed anything.
    fn give_back(&self, name: &str) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(brake) = failed.get_mut(name) {
            brake.give_back();
        }
    }

    fn forgive(&self, name: &str) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Each try costs; a right password gives everything back.
    fn slow_down(&self, name: &str) -> Result<(), Problem> {
        let now = Instant::now();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= NAMES && !failed.contains_key(name) {
            failed.retain(|_, brake| !brake.is_full(now));
        }
        let name = if failed.len() >= NAMES && !failed.contains_key(name) { "" } else { name };
        let fresh = || Brake::new(self.failures, self.failure_wait * self.failures, now);
        failed.entry(name.into()).or_insert_with(fresh).take(now).map_err(|wait| {
            Problem::new(Code::TooMany, "too many failed log-ins under this name")
                .at("Authorization")
                .retry_after(wait)
        })
    }
}

/// One text for all: who asks is not told which names there are.
fn wrong(name: &str) -> Problem {
    tracing::info!(agent = name, "a log-in failed");
    Problem::new(Code::WrongCredentials, "name or password is wrong").at("Authorization")
}

fn is_right(file: &Path, name: &str, password: &str) -> Result<bool, Error> {
    let agents = read(file)?;
    let hash = agents.get(name);
    let parsed = PasswordHash::new(hash.map_or(DUMMY, String::as_str)).map_err(|error| Error::Content {
        path: file.to_owned(),
        line: None,
        what: format!("the hash of `{name}`: {error}"),
    })?;
    let agrees = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    Ok(agrees && hash.is_some())
}

fn read(path: &Path) -> Result<HashMap<String, String>, Error> {
    let text = secret::read(path)?;
    let mut agents = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: String| Error::Content { path: path.to_owned(), line: Some(index + 1), what };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cure = "write each as `deskreel password NAME` prints it";
        let (name, hash) =
            line.split_once(':').ok_or_else(|| wrong(format!("no agent and password; {cure}")))?;
        if !hash.starts_with("$argon2id$") || PasswordHash::new(hash).is_err() {
            return Err(wrong(format!("the password of `{name}` is no Argon2id hash; {cure}")));
        }
        if agents.insert(name.to_owned(), hash.to_owned()).is_some() {
            return Err(wrong(format!("`{name}` is here twice")));
        }
    }
    Ok(agents)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::agents_file_line;

    fn agents(text: &str) -> (tempfile::TempDir, Result<Agents, Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agents");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let agents = Agents::new(Some(path), None, &Limits { failures: 2, ..Limits::default() });
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
    fn a_line_that_is_no_agent_is_shown_with_its_number() {
        for text in ["# agents\nann\n", "# agents\nann:plain\n"] {
            let Err(error) = agents(text).1 else { panic!("{text}") };
            assert!(error.to_string().contains(":2: "), "{error}");
        }
    }

    #[test]
    fn nobody_is_verified_at_the_price_of_somebody() {
        let line = agents_file_line("ann", "right").unwrap();
        let costs = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(costs(DUMMY), costs(line.split_once(':').unwrap().1));
    }
}
