//! Standard folders of this user or service.

use std::path::PathBuf;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// The variables that name the state folder, for messages.
pub const STATE_VARIABLES: &str = native::STATE_VARIABLES;

/// Deskreel's folder for files that can be made again. `None` if the system names none: a folder that others
/// can write to will not do.
pub fn disposable() -> Option<PathBuf> {
    native::disposable()
}

/// Deskreel's folder for state that outlives a restart: the service's own, or else the user's.
pub fn state() -> Option<PathBuf> {
    native::state()
}

/// A path as one file name: two paths get two names.
pub fn path_as_name(path: &std::path::Path) -> String {
    path.display().to_string().chars().map(|c| if native::is_separator(c) { '-' } else { c }).collect()
}
