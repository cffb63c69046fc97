//! From a file that was found to a library that can make instances.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use deskreel_contract::{CONTRACT_MAJOR, Descriptor};
use deskreel_sdk::{ErrorKind, PluginError};

use crate::callbacks::{HostCallbacks, host_for};
use crate::descriptor::Entry;
use crate::error::Refused;
use crate::instance::{Code, Library};
use crate::open;
use crate::search::{Found, sha256};

/// How long a library may take to load (ALL-02 of the contract); one loads in a millisecond. Long, because a vendor's
/// driver may come along from a cold disk, and a false refusal costs more than a late start.
pub const LOAD_LIMIT: Duration = Duration::from_secs(5);

/// The library whose constructors have not returned.
static HANGING: OnceLock<PathBuf> = OnceLock::new();

/// Loads a library and gives up on it after `limit`; the thread that loads it is left behind then.
///
/// If it hangs in code that we call, the process goes on without it. If it hangs in its constructors, the dynamic
/// loader holds its lock for ever: nothing can be loaded any more, `exit` does not end, and a thread stops where it
/// first registers a destructor of a thread-local (glibc takes the same lock for that). Then a worker should say
/// so and abort; the next one does without that library.
pub fn load_with_deadline(found: &Found, limit: Duration) -> Result<Library, Refused> {
    if let Some(by) = HANGING.get()
        && found.entry != Entry::None
    {
        return Err(Refused::Blocked { by: by.clone() });
    }
    let loading = Arc::new(Loading::default());
    let (ours, theirs) = (found.clone(), loading.clone());
    std::thread::spawn(move || theirs.finish(load_noting(&ours, &theirs.is_open)));
    loading.wait(limit).unwrap_or_else(|| {
        if !loading.is_open.load(Ordering::Relaxed) {
            let _ = HANGING.set(found.path.clone());
        }
        Err(Refused::NeverReturned { limit_ms: limit.as_millis() })
    })
}

/// What the loading thread tells. Not a channel: waiting on one registers the destructor of a thread-local, which
/// a hanging constructor would block for ever.
#[derive(Default)]
struct Loading {
    result: Mutex<Option<Result<Library, Refused>>>,
    finished: Condvar,
    /// The dynamic loader has returned.
    is_open: AtomicBool,
}

impl Loading {
    fn finish(&self, result: Result<Library, Refused>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.finished.notify_one();
    }

    fn wait(&self, limit: Duration) -> Option<Result<Library, Refused>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.finished.wait_timeout_while(result, limit, |result| result.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
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
    // Nobody listens to a library outside of its instances; it only logs.
    let host = || host_for(&descriptor.name, HostCallbacks::default()).0;
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
