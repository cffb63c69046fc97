//! Loads a file that was found into a library that can make instances.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use deskreel_contract::{CONTRACT_MAJOR, Descriptor};
use deskreel_sdk::{ErrorKind, PluginError};

use crate::callbacks::{HostCallbacks, host_for};
use crate::descriptor::EntryPoint;
use crate::error::Refusal;
use crate::instance::{Code, Library};
use crate::open_library;
use crate::search::{FoundFile, sha256};

/// How long a library may take to load (ALL-02 of the contract); one usually takes a millisecond. Long,
/// because it may load a vendor's driver from a cold disk, and a false refusal costs more than a late start.
pub const LOAD_LIMIT: Duration = Duration::from_secs(5);

/// The library whose constructors did not return.
static HANGING: OnceLock<PathBuf> = OnceLock::new();

/// Loads a library and gives up after `limit`, abandoning the loading thread.
///
/// If the library hangs in code that we call, the process continues without it. If it hangs in its
/// constructors, the dynamic loader holds its lock forever: nothing can be loaded any more, `exit` does not
/// return, and a thread blocks when it first registers the destructor of a thread-local (glibc takes the same
/// lock for that). A worker should then report this and abort; the next worker does without the library.
pub fn load_with_deadline(found: &FoundFile, limit: Duration) -> Result<Library, Refusal> {
    if let Some(by) = HANGING.get()
        && found.entry != EntryPoint::None
    {
        return Err(Refusal::Blocked { by: by.clone() });
    }
    let loading = Arc::new(LoadReport::default());
    let (ours, theirs) = (found.clone(), loading.clone());
    std::thread::spawn(move || theirs.finish(load_and_mark(&ours, &theirs.is_open)));
    loading.wait(limit).unwrap_or_else(|| {
        if !loading.is_open.load(Ordering::Relaxed) {
            let _ = HANGING.set(found.path.clone());
        }
        Err(Refusal::NeverReturned { limit_ms: limit.as_millis() })
    })
}

/// The loading thread's report. Not a channel: waiting on one registers the destructor of a thread-local,
/// which a hanging constructor would block forever.
#[derive(Default)]
struct LoadReport {
    result: Mutex<Option<Result<Library, Refusal>>>,
    finished: Condvar,
    /// Set when the dynamic loader has returned.
    is_open: AtomicBool,
}

impl LoadReport {
    fn finish(&self, result: Result<Library, Refusal>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.finished.notify_one();
    }

    fn wait(&self, limit: Duration) -> Option<Result<Library, Refusal>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.finished.wait_timeout_while(result, limit, |result| result.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// Loads a library, if the file still has the bytes with which it was found.
pub fn load(found: &FoundFile) -> Result<Library, Refusal> {
    load_and_mark(found, &AtomicBool::new(false))
}

/// Sets `is_open` when the dynamic loader has returned.
fn load_and_mark(found: &FoundFile, is_open: &AtomicBool) -> Result<Library, Refusal> {
    let descriptor = found.descriptor.clone()?;
    let name = found.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let code = match found.entry {
        EntryPoint::None => Code::None,
        EntryPoint::Rust => Code::Rust(open_library::open_rust(&verified_bytes(found)?, &name)?),
        EntryPoint::C => Code::C(open_library::open_c(&verified_bytes(found)?, &name)?),
    };
    is_open.store(true, Ordering::Relaxed);
    // Outside of its instances, a library only logs.
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

fn verified_bytes(found: &FoundFile) -> Result<Vec<u8>, Refusal> {
    let bytes = fs::read(&found.path).map_err(|error| Refusal::Unreadable { reason: error.to_string() })?;
    let now = sha256(&bytes);
    if now != found.sha256 {
        return Err(Refusal::Changed { expected: found.sha256.clone(), found: now });
    }
    Ok(bytes)
}

/// The code must register what the descriptor promised, on which every earlier decision was based.
fn compare(
    descriptor: &Descriptor,
    major: u32,
    mut registered: Vec<(String, String)>,
) -> Result<(), Refusal> {
    if major != CONTRACT_MAJOR {
        let promised = format!("contract {}", descriptor.contract);
        return Err(Refusal::WrongRegistration { promised, registered: format!("contract {major}") });
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
    Err(Refusal::WrongRegistration { promised: list(&promised), registered: list(&registered) })
}

fn initialized(outcome: Result<(), PluginError>) -> Result<(), Refusal> {
    outcome.map_err(|error| match error.kind {
        ErrorKind::Panicked => Refusal::PanickedAtLoad {
            message: error.message.trim_start_matches("the plugin panicked: ").to_owned(),
        },
        _ => Refusal::FailedAtLoad { message: error.message },
    })
}
