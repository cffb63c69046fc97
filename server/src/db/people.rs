//! Who may look: users with passwords and sessions, programs with tokens.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::api::{Person, Role};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::secret;
use crate::time::now_ms;

/// A session that nobody uses ends after this, and each after a working day.
const IDLE_MS: i64 = 2 * 3600 * 1000;
const LIFE_MS: i64 = 12 * 3600 * 1000;

/// Verified against where there is no such user, so that a name that is missing takes as long as a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Row = (String, String, String, Option<String>);

fn person((name, role, groups, agent): Row) -> Result<Person> {
    let role = Role::named(&role).ok_or_else(|| Error::Corrupt(format!("`{name}` has the role `{role}`")))?;
    let groups = serde_json::from_str(&groups)
        .map_err(|error| Error::Corrupt(format!("the groups of `{name}` cannot be read: {error}")))?;
    Ok(Person { name, role, groups, agent, csrf: None })
}

/// Argon2id with 19 MiB and two passes, as OWASP asks at least. Takes some 20 ms.
pub fn hash_password(password: &str) -> Result<String> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| Error::Corrupt(format!("the password cannot be hashed: {error}")))?;
    Ok(hash.to_string())
}

impl Db {
    /// False: there is one of this name.
    pub async fn add_user(&self, person: &Person, password: &str) -> Result<bool> {
        let hash = hash_password(password)?;
        let done = sqlx::query(
            "INSERT INTO users (name, password, role, groups, agent, created) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(&person.name)
        .bind(hash)
        .bind(person.role.name())
        .bind(serde_json::json!(person.groups).to_string())
        .bind(person.agent.as_deref())
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// With every session of theirs.
    pub async fn remove_user(&self, name: &str) -> Result<bool> {
        sqlx::query("DELETE FROM sessions WHERE name = $1").bind(name).execute(&self.pool).await?;
        let done = sqlx::query("DELETE FROM users WHERE name = $1").bind(name).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn users(&self) -> Result<Vec<Person>> {
        let rows: Vec<Row> = sqlx::query_as("SELECT name, role, groups, agent FROM users ORDER BY name")
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(person).collect()
    }

    /// The user, if that is the password.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<Option<Person>> {
        let row: Option<(String, String, String, Option<String>)> =
            sqlx::query_as("SELECT password, role, groups, agent FROM users WHERE name = $1")
                .bind(name)
                .fetch_optional(&self.pool)
                .await?;
        let hash = row.as_ref().map_or(NOBODY, |(hash, ..)| hash).to_owned();
        let password = password.to_owned();
        let verify = move || {
            let parsed = PasswordHash::new(&hash).ok()?;
            Argon2::default().verify_password(password.as_bytes(), &parsed).ok()
        };
        let agrees = tokio::task::spawn_blocking(verify).await.ok().flatten().is_some();
        match row.filter(|_| agrees) {
            Some((_, role, groups, agent)) => Ok(Some(person((name.to_owned(), role, groups, agent))?)),
            None => Ok(None),
        }
    }

    /// The session's token, and its CSRF token.
    pub async fn begin_session(&self, name: &str) -> Result<(String, String)> {
        let random = |made: Result<String, getrandom::Error>| {
            made.map_err(|error| Error::Corrupt(format!("the system has no randomness: {error}")))
        };
        let (token, csrf) = (random(secret::token())?, random(secret::token())?);
        let now = now_ms();
        sqlx::query("DELETE FROM sessions WHERE used < $1 OR created < $2")
            .bind(now - IDLE_MS)
            .bind(now - LIFE_MS)
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO sessions (token_sha256, name, csrf, created, used) VALUES ($1, $2, $3, $4, $4)",
        )
        .bind(secret::sha256(&token))
        .bind(name)
        .bind(&csrf)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok((token, csrf))
    }

    pub async fn session(&self, token: &str) -> Result<Option<Person>> {
        let sha256 = secret::sha256(token);
        let now = now_ms();
        let row: Option<(String, String, i64, String, String, Option<String>)> = sqlx::query_as(
            "SELECT users.name, csrf, used, role, groups, agent FROM sessions JOIN users ON users.name = sessions.name \
             WHERE token_sha256 = $1 AND used >= $2 AND sessions.created >= $3",
        )
        .bind(&sha256)
        .bind(now - IDLE_MS)
        .bind(now - LIFE_MS)
        .fetch_optional(&self.pool)
        .await?;
        let Some((name, csrf, used, role, groups, agent)) = row else { return Ok(None) };
        // Once a minute is exact enough, and a write less for most requests.
        if now - used > 60_000 {
            sqlx::query("UPDATE sessions SET used = $1 WHERE token_sha256 = $2")
                .bind(now)
                .bind(sha256)
                .execute(&self.pool)
                .await?;
        }
        Ok(Some(Person { csrf: Some(csrf), ..person((name, role, groups, agent))? }))
    }

    pub async fn end_session(&self, token: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE token_sha256 = $1")
            .bind(secret::sha256(token))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// For a program; its id and the token.
    pub async fn add_token(&self, person: &Person) -> Result<(String, String)> {
        let random = |made: Result<String, getrandom::Error>| {
            made.map_err(|error| Error::Corrupt(format!("the system has no randomness: {error}")))
        };
        let (id, token) = (random(secret::id())?, random(secret::token())?);
        sqlx::query(
            "INSERT INTO tokens (id, token_sha256, name, role, groups, agent, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&id)
        .bind(secret::sha256(&token))
        .bind(&person.name)
        .bind(person.role.name())
        .bind(serde_json::json!(person.groups).to_string())
        .bind(person.agent.as_deref())
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok((id, token))
    }

    pub async fn program(&self, token: &str) -> Result<Option<Person>> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT name, role, groups, agent FROM tokens WHERE token_sha256 = $1 AND revoked IS NULL",
        )
        .bind(secret::sha256(token))
        .fetch_optional(&self.pool)
        .await?;
        row.map(person).transpose()
    }

    pub async fn revoke_token(&self, id: &str) -> Result<bool> {
        let done = sqlx::query("UPDATE tokens SET revoked = $1 WHERE id = $2 AND revoked IS NULL")
            .bind(now_ms())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
