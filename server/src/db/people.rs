//! Accounts: users with passwords and sessions, programs with tokens.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use deskreel_model::AgentId;

use crate::db::Db;
use crate::db::sql::{new_id, random, row};
use crate::error::{Error, Result};
use crate::names::PersonName;
use crate::people::{Person, Role};
use crate::secret;
use crate::time::now_ms;

/// Time after which an unused session ends.
const IDLE_MS: i64 = 2 * 3600 * 1000;
/// Time after which every session ends: a working day.
const LIFE_MS: i64 = 12 * 3600 * 1000;

/// Verified against if the user does not exist, so that an unknown name takes as long as a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A new program token.
pub struct NewToken {
    /// Names the token when it is to be revoked.
    pub id: String,
    pub token: String,
}

/// A new session.
pub struct NewSession {
    pub token: String,
    pub csrf: String,
}

row! {
    struct PersonRow {
        name: PersonName,
        role: String,
        groups: String,
        agent: Option<AgentId>,
    }
}

row! {
    struct PasswordRow {
        password: String,
        role: String,
        groups: String,
        agent: Option<AgentId>,
    }
}

row! {
    struct SessionRow {
        name: PersonName,
        csrf: String,
        used: i64,
        role: String,
        groups: String,
        agent: Option<AgentId>,
    }
}

impl TryFrom<PersonRow> for Person {
    type Error = Error;

    fn try_from(PersonRow { name, role, groups, agent }: PersonRow) -> Result<Person> {
        let role = Role::named(&role)
            .ok_or_else(|| Error::Corrupt(format!("`{name}` has the unknown role `{role}`")))?;
        let groups = serde_json::from_str(&groups)
            .map_err(|error| Error::Corrupt(format!("cannot read the groups of `{name}`: {error}")))?;
        Ok(Person { name, role, groups, agent, csrf: None })
    }
}

/// Argon2id with 19 MiB and two passes, the least that OWASP asks for. Takes about 20 ms.
pub fn hash_password(password: &str) -> Result<String> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| Error::Corrupt(format!("cannot hash the password: {error}")))?;
    Ok(hash.to_string())
}

impl Db {
    /// False: a user of this name exists.
    pub async fn add_user(&self, person: &Person, password: &str) -> Result<bool> {
        let hash = hash_password(password)?;
        let done = sqlx::query(
            "INSERT INTO users (name, password, role, groups, agent, created) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(person.name.as_str())
        .bind(hash)
        .bind(person.role.name())
        .bind(serde_json::json!(person.groups).to_string())
        .bind(person.agent.as_ref().map(AgentId::as_str))
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes the user and all of their sessions.
    pub async fn remove_user(&self, name: &PersonName) -> Result<bool> {
        sqlx::query("DELETE FROM sessions WHERE name = $1").bind(name.as_str()).execute(&self.pool).await?;
        let done =
            sqlx::query("DELETE FROM users WHERE name = $1").bind(name.as_str()).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn users(&self) -> Result<Vec<Person>> {
        let rows: Vec<PersonRow> =
            sqlx::query_as("SELECT name, role, groups, agent FROM users ORDER BY name")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter().map(Person::try_from).collect()
    }

    /// The user of this name, if the password is right.
    pub async fn log_in(&self, name: &PersonName, password: &str) -> Result<Option<Person>> {
        let row: Option<PasswordRow> =
            sqlx::query_as("SELECT password, role, groups, agent FROM users WHERE name = $1")
                .bind(name.as_str())
                .fetch_optional(&self.pool)
                .await?;
        let hash = row.as_ref().map_or(NOBODY, |row| &row.password).to_owned();
        let password = password.to_owned();
        let verify = move || {
            let parsed = PasswordHash::new(&hash).ok()?;
            Argon2::default().verify_password(password.as_bytes(), &parsed).ok()
        };
        let is_right = tokio::task::spawn_blocking(verify).await.ok().flatten().is_some();
        let person = |PasswordRow { role, groups, agent, .. }| {
            Person::try_from(PersonRow { name: name.clone(), role, groups, agent })
        };
        row.filter(|_| is_right).map(person).transpose()
    }

    pub async fn begin_session(&self, name: &PersonName) -> Result<NewSession> {
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
        .bind(name.as_str())
        .bind(&csrf)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(NewSession { token, csrf })
    }

    pub async fn session(&self, token: &str) -> Result<Option<Person>> {
        let sha256 = secret::sha256(token);
        let now = now_ms();
        let row: Option<SessionRow> = sqlx::query_as(
            "SELECT users.name, csrf, used, role, groups, agent FROM sessions JOIN users ON users.name = sessions.name \
             WHERE token_sha256 = $1 AND used >= $2 AND sessions.created >= $3",
        )
        .bind(&sha256)
        .bind(now - IDLE_MS)
        .bind(now - LIFE_MS)
        .fetch_optional(&self.pool)
        .await?;
        let Some(SessionRow { name, csrf, used, role, groups, agent }) = row else { return Ok(None) };
        // Once a minute is exact enough, and saves most requests a write.
        if now - used > 60_000 {
            sqlx::query("UPDATE sessions SET used = $1 WHERE token_sha256 = $2")
                .bind(now)
                .bind(sha256)
                .execute(&self.pool)
                .await?;
        }
        let person = Person::try_from(PersonRow { name, role, groups, agent })?;
        Ok(Some(Person { csrf: Some(csrf), ..person }))
    }

    pub async fn end_session(&self, token: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE token_sha256 = $1")
            .bind(secret::sha256(token))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub async fn add_token(&self, program: &Person) -> Result<NewToken> {
        let (id, token) = (new_id()?, random(secret::token())?);
        sqlx::query(
            "INSERT INTO tokens (id, token_sha256, name, role, groups, agent, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&id)
        .bind(secret::sha256(&token))
        .bind(program.name.as_str())
        .bind(program.role.name())
        .bind(serde_json::json!(program.groups).to_string())
        .bind(program.agent.as_ref().map(AgentId::as_str))
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(NewToken { id, token })
    }

    /// The program that a token belongs to.
    pub async fn program(&self, token: &str) -> Result<Option<Person>> {
        let row: Option<PersonRow> = sqlx::query_as(
            "SELECT name, role, groups, agent FROM tokens WHERE token_sha256 = $1 AND revoked IS NULL",
        )
        .bind(secret::sha256(token))
        .fetch_optional(&self.pool)
        .await?;
        row.map(Person::try_from).transpose()
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
