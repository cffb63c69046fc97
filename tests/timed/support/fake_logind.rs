//! A system bus for one test, and on it a logind with one session. The bus is a real `dbus-daemon`; the
//! logind is a fake, since the real one has to be started by a machine's init.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::runtime::Runtime;
use zbus::{Connection, OwnedObjectPath, interface};

pub const DISPLAY: &str = ":77";
const SESSION: &str = "/org/freedesktop/login1/session/c1";
const SEAT: &str = "/org/freedesktop/login1/seat/seat0";
const MANAGER: &str = "/org/freedesktop/login1";

pub struct FakeLogind {
    /// The value of `DBUS_SYSTEM_BUS_ADDRESS`.
    pub address: String,
    bus: Child,
    runtime: Runtime,
    connection: Option<Connection>,
}

struct Logind;

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn list_sessions(&self) -> Vec<(String, u32, String, String, OwnedObjectPath)> {
        vec![("c1".into(), 1000, "ann".into(), "seat0".into(), SESSION.try_into().unwrap())]
    }
}

struct Seat;

#[interface(name = "org.freedesktop.login1.Seat")]
impl Seat {
    #[zbus(property)]
    fn active_session(&self) -> (String, OwnedObjectPath) {
        ("c1".into(), SESSION.try_into().unwrap())
    }
}

struct Session {
    display: &'static str,
    is_locked: bool,
}

#[interface(name = "org.freedesktop.login1.Session")]
impl Session {
    #[zbus(property)]
    fn display(&self) -> &str {
        self.display
    }

    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        self.is_locked
    }
}

impl FakeLogind {
    /// Starts a bus without a logind.
    pub fn start() -> FakeLogind {
        // The configuration of a session bus lets any client own any name.
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon runs (script/setup installs it)");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        FakeLogind { address: address.trim().to_owned(), bus, runtime, connection: None }
    }

    /// Starts logind with a session on `display`.
    pub fn appear(&mut self, display: &'static str, is_locked: bool) {
        let session = Session { display, is_locked };
        let connection = self.runtime.block_on(async {
            zbus::conn::Builder::address(self.address.as_str())
                .serve_at(MANAGER, Logind)
                .serve_at(SEAT, Seat)
                .serve_at(SESSION, session)
                .name("org.freedesktop.login1")
                .build()
                .await
                .unwrap()
        });
        self.connection = Some(connection);
    }

    /// Reports the session as locked or unlocked, as a desktop does.
    pub fn set_locked(&self, is_locked: bool) {
        let connection = self.connection.as_ref().unwrap();
        self.runtime.block_on(async {
            let session = connection.object_server().interface::<_, Session>(SESSION).await.unwrap();
            session.get_mut().await.is_locked = is_locked;
            session.get().await.locked_hint_changed(session.signal_emitter()).await.unwrap();
        });
    }
}

impl Drop for FakeLogind {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}
