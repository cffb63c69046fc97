//! Notifications to the service manager that has started this process, if one has.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// The service is up.
pub fn notify_ready() {
    native::notify_ready();
}

/// The service has begun to end.
pub fn notify_stopping() {
    native::notify_stopping();
}
