//! Secrets, which never stand in the pipeline file.

use std::path::PathBuf;

use deskreel_sdk::prelude::*;

#[derive(Debug, Clone)]
pub enum Secret {
    File(PathBuf),
    Variable(String),
}

impl Secret {
    /// None where neither is given. `name` is that of the settings.
    pub fn new(name: &str, file: Option<PathBuf>, variable: Option<String>) -> Result<Option<Secret>> {
        match (file, variable) {
            (Some(file), None) => Ok(Some(Secret::File(file))),
            (None, Some(variable)) => Ok(Some(Secret::Variable(variable))),
            (None, None) => Ok(None),
            _ => Err(PluginError::settings(format!("give `{name}_file` or `{name}_env`, not both"))),
        }
    }

    /// Read each time, so that one that was renewed is used at once. The error is a sentence for people.
    pub fn read(&self) -> Result<String, String> {
        let (text, name) = match self {
            Secret::File(file) => {
                (std::fs::read_to_string(file).map_err(|error| error.to_string()), file.display().to_string())
            }
            Secret::Variable(name) => {
                (std::env::var(name).map_err(|error| error.to_string()), format!("the variable {name}"))
            }
        };
        match text.map_err(|error| format!("{name}: {error}"))?.trim() {
            "" => Err(format!("{name} is empty")),
            secret => Ok(secret.to_owned()),
        }
    }
}
