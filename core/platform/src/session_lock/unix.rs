//! systemd's logind, on the system bus.
//!
//! The session is that of the captured X display, or the active one of `seat0` if no session claims the
//! display. Its `LockedHint` decides, which desktops set whenever they lock the screen.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use zbus::message::Type;
use zbus::proxy::CacheProperties;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath};

use super::LockState;

const LOGIND: &str = "org.freedesktop.login1";
const OBJECTS: &str = "/org/freedesktop/login1";
/// logind answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause before logind is asked again after a failure.
const PAUSE: Duration = Duration::from_secs(5);

pub async fn follow(tell: &watch::Sender<LockState>) {
    let set = |lock: LockState| {
        tell.send_if_modified(|before| std::mem::replace(before, lock.clone()) != lock);
    };
    loop {
        if let Err(error) = listen(&|is_locked| set(LockState { is_locked, unknown: None })).await {
            tracing::warn!(%error, "cannot find out whether the session is locked");
            set(LockState { is_locked: false, unknown: Some(error.to_string()) });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reports the lock state until the connection to logind fails.
async fn listen(tell: &impl Fn(bool)) -> zbus::Result<()> {
    let system = zbus::conn::Builder::system().method_timeout(PATIENCE).build().await?;
    // Sessions come, go, become active and are locked: any signal leads to another look.
    let any = MatchRule::builder().msg_type(Type::Signal).sender(LOGIND).path_namespace(OBJECTS).build()?;
    let mut signals = MessageStream::for_match_rule(any, &system, None).await?;
    loop {
        tell(is_locked(&system).await?);
        signals.next().await.transpose()?.ok_or(zbus::Error::InterfaceNotFound)?;
    }
}

async fn is_locked(system: &Connection) -> zbus::Result<bool> {
    let display = std::env::var("DISPLAY").unwrap_or_default();
    let manager = LogindProxy::new(system).await?;
    for (.., path) in manager.list_sessions().await? {
        let session = session(system, path).await?;
        if !display.is_empty() && session.display().await? == display {
            return session.locked_hint().await;
        }
    }
    let seat = SeatProxy::builder(system).cache_properties(CacheProperties::No).build().await?;
    let (id, path) = seat.active_session().await?;
    match id.is_empty() {
        // No user is logged in.
        true => Ok(false),
        false => session(system, path).await?.locked_hint().await,
    }
}

async fn session(system: &Connection, path: OwnedObjectPath) -> zbus::Result<SessionProxy<'static>> {
    SessionProxy::builder(system).path(path).cache_properties(CacheProperties::No).build().await
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Logind {
    /// Id, user id, user name, seat, path.
    fn list_sessions(&self) -> zbus::Result<Vec<(String, u32, String, String, OwnedObjectPath)>>;
}

#[zbus::proxy(interface = "org.freedesktop.login1.Session", default_service = "org.freedesktop.login1")]
trait Session {
    #[zbus(property)]
    fn display(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn locked_hint(&self) -> zbus::Result<bool>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Seat",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1/seat/seat0"
)]
trait Seat {
    /// Id and path of the active session.
    #[zbus(property)]
    fn active_session(&self) -> zbus::Result<(String, OwnedObjectPath)>;
}
