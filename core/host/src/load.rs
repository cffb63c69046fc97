//! From a file that was found to a library that can make instances.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use deskreel_contract::{CONTRACT_MAJOR, Descriptor};
use deskreel_sdk::{ErrorKind, PluginError};

use crate::callbacks::{HostCallbacks, host_for};
use crate::descriptor::Entry;
use crate::error::Refused;
use crate::instance::{Code, Library};
use crate::open;
use crate::search::{Found, sha256};

/// The library whose constructors have not returned. The dynamic loader holds its lock meanwhile, so nothing
/// else can be loaded in this process.
static HANGING: OnceLock<PathBuf> = OnceLock::new();

/// Loads a library and gives up on it after `limit`. The thread that loads it is left behind then: the process
/// still works, but where it can (a worker), it should end and do without that plugin.
pub fn load_with_deadline(found: &Found, limit: Duration) -> Result<Library, Refused> {
    if let Some(by) = HANGING.get()
        && found.entry != Entry::None
    {
        return Err(Refused::Blocked { by: by.clone() });
    }
    let is_open = Arc::new(AtomicBool::new(false));
    let (sender, result) = mpsc::sync_channel(1);
    let (ours, open_now) = (found.clone(), is_open.clone());
    std::thread::spawn(move || {
        // Nobody listens any more if it took too long.
        let _ = sender.send(load_noting(&ours, &open_now));
    });
    result.recv_timeout(limit).unwrap_or_else(|_| {
        if !is_open.load(Ordering::Relaxed) {
            let _ = HANGING.set(found.path.clone());
        }
        Err(Refused::NeverReturned { limit_ms: limit.as_millis() })
    })
}

/// Loads a library: the bytes that `found` was found with, or none.
pub fn load(found: &Found) -> Result<Library, Refused> {
    load_noting(found, &AtomicBool::new(false))
}

/// Sets `is_open` when the dynamic loader has returned.
fn load_noting(found: &Found, is_open: &AtomicBool) -> Result<Library, Refused> {
    let descriptor = found.what.clone()?;
    let name = found.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let code = match found.entry {
        Entry::None => Code::None,
        Entry::Rust => Code::Rust(open::rust(&verified_bytes(found)?, &name)?),
        Entry::C => Code::C(open::c(&verified_bytes(found)?, &name)?),
    };
    is_open.store(true, Ordering::Relaxed);
    let host = || host_for(&descriptor.name, HostCallbacks::default());
    match &code {
        Code::None => {}
        Code::Rust(root) => {
            let provides = root.provides();
            let registered = provides.iter().map(|plugin| (plugin.kind.to_string(), plugin.id.to_string()));
            compare(&descriptor, root.contract_major(), registered.collect())?;
            if !root.contains_panics() {
                tracing::warn!(
                    plugin = descriptor.name,
                    "built with panic = \"abort\": a panic ends this process"
                );
            }
            initialized(root.init()(host()).into_result().map_err(PluginError::from))?;
        }
        Code::C(library) => {
            compare(&descriptor, library.contract_major(), library.provides())?;
            initialized(library.init(host()))?;
        }
    }
    Ok(Library { path: found.path.clone(), descriptor: Arc::new(descriptor), code })
}

fn verified_bytes(found: &Found) -> Result<Vec<u8>, Refused> {
    let bytes = fs::read(&found.path).map_err(|error| Refused::Unreadable { reason: error.to_string() })?;
    let now = sha256(&bytes);
    if now != found.sha256 {
        return Err(Refused::Changed { expected: found.sha256.clone(), found: now });
    }
    Ok(bytes)
}

/// What the code registers must be what the descriptor promised: everything else was decided by the latter.
fn compare(
    descriptor: &Descriptor,
    major: u32,
    mut registered: Vec<(String, String)>,
) -> Result<(), Refused> {
    if major != CONTRACT_MAJOR {
        let promised = format!("contract {}", descriptor.contract);
        return Err(Refused::Lies { promised, registered: format!("contract {major}") });
    }
    let promised = descriptor.provides.iter().map(|p| (p.interface.kind.to_string(), p.id.clone()));
    let mut promised: Vec<_> = promised.collect();
    promised.sort();
    registered.sort();
    if promised == registered {
        return Ok(());
    }
    let list = |plugins: &[(String, String)]| {
        let named: Vec<_> = plugins.iter().map(|(kind, id)| format!("{kind} `{id}`")).collect();
        if named.is_empty() { "nothing".to_owned() } else { named.join(", ") }
    };
    Err(Refused::Lies { promised: list(&promised), registered: list(&registered) })
}

fn initialized(outcome: Result<(), PluginError>) -> Result<(), Refused> {
    outcome.map_err(|error| match error.kind {
        ErrorKind::Panicked => Refused::PanickedAtLoad {
            message: error.message.trim_start_matches("the plugin panicked: ").to_owned(),
        },
        _ => Refused::FailedAtLoad { message: error.message },
    })
}
