//! A secret, which never stands in the pipeline file.

use std::path::PathBuf;

use deskreel_sdk::prelude::*;

pub enum Secret {
    File(PathBuf),
    Variable(String),
}

impl Secret {
    /// Of the settings `<what>_file` and `<what>_env`.
    pub fn new(what: &str, file: Option<PathBuf>, variable: Option<String>) -> Result<Option<Secret>> {
        match (file, variable) {
            (Some(file), None) => Ok(Some(Secret::File(file))),
            (None, Some(variable)) => Ok(Some(Secret::Variable(variable))),
            (None, None) => Ok(None),
            _ => Err(PluginError::settings(format!("give either `{what}_file` or `{what}_env`"))),
        }
    }

    /// Read each time, so that one that was renewed is used at once. The error is a sentence for people.
    pub fn read(&self) -> Result<String, String> {
        let text = match self {
            Secret::File(file) => {
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
            }
            Secret::Variable(name) => {
                std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?
            }
        };
        match text.trim() {
            "" => Err(format!("{} is empty", self.name())),
            secret => Ok(secret.to_owned()),
        }
    }

    pub fn name(&self) -> String {
        match self {
            Secret::File(file) => file.display().to_string(),
            Secret::Variable(name) => format!("the variable {name}"),
        }
    }
}

/// Who we are to the server.
pub enum Login {
    Nobody,
    User(String, Secret),
    Token(Secret),
}

impl Login {
    pub fn new(user: Option<String>, password: Option<Secret>, token: Option<Secret>) -> Result<Login> {
        match (user, password, token) {
            (None, None, None) => Ok(Login::Nobody),
            (Some(user), Some(password), None) => Ok(Login::User(user, password)),
            (None, None, Some(token)) => Ok(Login::Token(token)),
            _ => {
                let message =
                    "give `user` with `password_file` or `password_env`, or `token_file` or `token_env`";
                Err(PluginError::settings(message))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_login_is_whole_and_no_other_beside_it() {
        let secret = || Secret::new("x", Some(PathBuf::from("/run/secret")), None).unwrap();
        let user = || Some("me".to_owned());
        assert!(matches!(Login::new(None, None, None), Ok(Login::Nobody)));
        assert!(matches!(Login::new(user(), secret(), None), Ok(Login::User(..))));
        assert!(matches!(Login::new(None, None, secret()), Ok(Login::Token(_))));
        let wrong = [(user(), None, None), (None, secret(), None), (user(), secret(), secret())];
        for (user, password, token) in wrong {
            assert_eq!(Login::new(user, password, token).err().unwrap().kind, ErrorKind::Settings);
        }
        let both = Secret::new("token", Some(PathBuf::from("/run/secret")), user());
        assert_eq!(both.err().unwrap().message, "give either `token_file` or `token_env`");
    }

    #[test]
    fn a_secret_is_read_without_the_line_end_and_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let secret = Secret::File(file.clone());
        assert!(secret.read().unwrap_err().contains("password: No such file"));
        for password in ["old", "new"] {
            std::fs::write(&file, format!("{password}\n")).unwrap();
            assert_eq!(secret.read().unwrap(), password);
        }
        std::fs::write(&file, " \n").unwrap();
        assert!(secret.read().unwrap_err().ends_with("password is empty"));
    }
}
