use std::time::Duration;

use sd_notify::NotifyState;

// Without systemd there is no socket to notify, which is not an error.

pub fn notify_ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

pub fn notify_stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

pub fn notify_alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}
