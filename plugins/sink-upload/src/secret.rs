//! A secret, which never stands in the pipeline file.

use std::path::PathBuf;

use deskreel_sdk::prelude::*;

pub enum Secret {
    File(PathBuf),
    Variable(String),
}

impl Secret {
    pub fn new(file: Option<PathBuf>, variable: Option<String>) -> Result<Secret> {
        match (file, variable) {
            (Some(file), None) => Ok(Secret::File(file)),
            (None, Some(variable)) => Ok(Secret::Variable(variable)),
            _ => Err(PluginError::settings("give either `token_file` or `token_env`")),
        }
    }

    /// Read each time, so that a token that was renewed is used at once. The error is a sentence for people.
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_place_holds_the_secret() {
        let (file, variable) = (Some(PathBuf::from("/run/token")), Some("TOKEN".to_owned()));
        assert!(Secret::new(file.clone(), None).is_ok());
        assert!(Secret::new(None, variable.clone()).is_ok());
        for (file, variable) in [(None, None), (file, variable)] {
            assert_eq!(Secret::new(file, variable).err().unwrap().kind, ErrorKind::Settings);
        }
    }

    #[test]
    fn a_secret_is_read_without_the_line_end_and_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let secret = Secret::File(file.clone());
        assert!(secret.read().unwrap_err().contains("token: No such file"));
        for token in ["old", "new"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            assert_eq!(secret.read().unwrap(), token);
        }
        std::fs::write(&file, " \n").unwrap();
        assert!(secret.read().unwrap_err().ends_with("token is empty"));
    }
}
