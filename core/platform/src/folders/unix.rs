use std::env;
use std::path::PathBuf;

pub const STATE_VARIABLES: &str = "STATE_DIRECTORY or HOME";

pub fn disposable() -> Option<PathBuf> {
    Some(user("XDG_CACHE_HOME", ".cache")?.join("deskreel"))
}

/// systemd sets STATE_DIRECTORY for a unit with `StateDirectory=`.
pub fn state() -> Option<PathBuf> {
    variable("STATE_DIRECTORY").or_else(|| Some(user("XDG_STATE_HOME", ".local/state")?.join("deskreel")))
}

pub fn is_separator(c: char) -> bool {
    c == '/'
}

fn user(name: &str, default: &str) -> Option<PathBuf> {
    variable(name).or_else(|| Some(variable("HOME")?.join(default)))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
