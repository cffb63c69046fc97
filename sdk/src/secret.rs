//! Secrets, which a pipeline file does not contain but points to.

use std::env::VarError;
use std::path::PathBuf;

use crate::error::{PluginError, Result};

/// The place of a secret: a password, a token, a key. The deployer chooses it with one of the settings
/// `<name>_file` and `<name>_env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl Secret {
    /// The place from `<name>_file` or `<name>_env`; `None` if both are absent.
    pub fn from_settings(
        name: &str,
        file: Option<PathBuf>,
        variable: Option<String>,
    ) -> Result<Option<Self>> {
        match (file, variable) {
            (Some(file), None) => Ok(Some(Secret::File(file))),
            (None, Some(variable)) => Ok(Some(Secret::Variable(variable))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                Err(PluginError::settings(format!("give either `{name}_file` or `{name}_env`, not both")))
            }
        }
    }

    /// The secret, without white space around it. Read it each time you need it, so that a renewed one is
    /// used at once.
    pub fn read(&self) -> Result<String> {
        let text = match self {
            Secret::File(file) => std::fs::read_to_string(file)
                .map_err(|error| PluginError::unavailable(format!("{}: {error}", file.display())))?,
            Secret::Variable(name) => std::env::var(name).map_err(|error| {
                let what = match error {
                    VarError::NotPresent => "is not set",
                    VarError::NotUnicode(_) => "is not UTF-8",
                };
                PluginError::unavailable(format!("the variable {name} {what}"))
            })?,
        };
        match text.trim() {
            "" => Err(PluginError::unavailable(format!("{} is empty", self.place()))),
            secret => Ok(secret.to_owned()),
        }
    }

    /// The place, for messages: a path or `the variable X`.
    pub fn place(&self) -> String {
        match self {
            Secret::File(file) => file.display().to_string(),
            Secret::Variable(name) => format!("the variable {name}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn at_most_one_place_holds_the_secret() {
        let (file, variable) = (Some(PathBuf::from("/run/token")), Some("TOKEN".to_owned()));
        let from = |file, variable| Secret::from_settings("token", file, variable);
        assert_eq!(from(None, None), Ok(None));
        assert_eq!(from(file.clone(), None), Ok(file.clone().map(Secret::File)));
        assert_eq!(from(None, variable.clone()), Ok(variable.clone().map(Secret::Variable)));
        let both = from(file, variable).unwrap_err();
        assert_eq!(both, PluginError::settings("give either `token_file` or `token_env`, not both"));
    }

    #[test]
    fn a_secret_is_read_without_the_line_end_and_again_each_time() {
        let file = std::env::temp_dir().join(format!("deskreel-secret-{}", std::process::id()));
        let secret = Secret::File(file.clone());
        let missing = secret.read().unwrap_err();
        assert_eq!(missing.kind, ErrorKind::Unavailable);
        assert!(missing.message.contains(": No such file"), "{missing}");
        for password in ["old", "new"] {
            std::fs::write(&file, format!("{password}\n")).unwrap();
            assert_eq!(secret.read().unwrap(), password);
        }
        std::fs::write(&file, " \n").unwrap();
        assert_eq!(secret.read().unwrap_err().message, format!("{} is empty", file.display()));
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let secret = Secret::Variable("DESKREEL_NOT_SET".to_owned());
        let error = secret.read().unwrap_err();
        assert_eq!(error.message, "the variable DESKREEL_NOT_SET is not set");
    }
}
