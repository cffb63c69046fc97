//! Logs the sink in to the server.

use deskreel_sdk::prelude::*;

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
                    "set `user` with `password_file` or `password_env`, or `token_file` or `token_env`";
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
    fn a_login_is_complete_and_the_only_one() {
        let secret = || Some(Secret::File("/run/secret".into()));
        let user = || Some("me".to_owned());
        assert!(matches!(Login::new(None, None, None), Ok(Login::Nobody)));
        assert!(matches!(Login::new(user(), secret(), None), Ok(Login::User(..))));
        assert!(matches!(Login::new(None, None, secret()), Ok(Login::Token(_))));
        let wrong = [(user(), None, None), (None, secret(), None), (user(), secret(), secret())];
        for (user, password, token) in wrong {
            assert_eq!(Login::new(user, password, token).err().unwrap().kind, ErrorKind::Settings);
        }
    }
}
