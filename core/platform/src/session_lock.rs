//! Watches whether the session of this user is locked.

use tokio::sync::watch;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockState {
    pub is_locked: bool,
    /// Why the lock state is unknown. The session then counts as unlocked.
    pub unknown: Option<String>,
}

/// Starts to watch, on the current `LocalSet`. Dropping the receiver ends it.
pub fn watch() -> watch::Receiver<LockState> {
    let (state, receiver) = watch::channel(LockState { is_locked: false, unknown: None });
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = state.closed() => {}
            () = native::follow(&state) => {}
        }
    });
    receiver
}
