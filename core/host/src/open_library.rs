//! Loads a library's code. All unsafe code of loading is here and in [`crate::c_adapter`].

#![allow(unsafe_code)]

use std::fs;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError, RootModuleError};
use deskreel_platform::library::{self, Library};
use deskreel_sdk::abi::{PluginRoot_Ref, RUST_ENTRY};
use deskreel_sdk::c::{C_ENTRY, Entry};

use crate::c_adapter::CLibrary;
use crate::error::Refusal;

/// Loads exactly these bytes.
fn open(bytes: &[u8], name: &str) -> Result<&'static Library, Refusal> {
    // SAFETY: the library's constructors run here. It is on the allow-list; nothing more can be known about
    // it.
    let library = unsafe { library::load(bytes, name) };
    library.map_err(|error| Refusal::CannotOpen { reason: error.to_string() })
}

/// Opens a Rust plugin and returns its root, after comparing its layout with ours.
pub fn open_rust(bytes: &[u8], name: &str) -> Result<PluginRoot_Ref, Refusal> {
    let library = open(bytes, name)?;
    // SAFETY: by its name the symbol is an abi_stable header; `upgrade` checks its magic before anything
    // else. The symbol's address is the reference, so that is the requested type.
    let header = unsafe { library.get::<AbiHeaderRef>(RUST_ENTRY.as_bytes()) };
    let header = *header.map_err(|_| Refusal::NoEntry)?;
    let header = header.upgrade().map_err(|error| layout(&error.to_string(), name))?;
    check_layout(header, name)?;
    // SAFETY: `check_layout` has compared the type with ours.
    let root = unsafe { header.unchecked_layout::<PluginRoot_Ref>() };
    root.map_err(|error| match error {
        RootModuleError::Unwound => Refusal::PanickedAtLoad { message: "in its entry function".into() },
        other => Refusal::FailedAtLoad { message: other.to_string() },
    })
}

/// abi_stable's check works one way, from an older program to a newer library: it treats every missing
/// optional field as a mistake. A plugin that is older than this host rightly lacks such fields; then its
/// layout must be contained in ours.
fn check_layout(header: &'static LibHeader, name: &str) -> Result<(), Refusal> {
    let theirs = header.layout().ok_or(Refusal::NoLayout)?;
    match header.ensure_layout::<PluginRoot_Ref>() {
        Ok(()) => Ok(()),
        Err(LibraryError::AbiInstability(report)) => {
            match check_layout_compatibility(theirs, <PluginRoot_Ref as StableAbi>::LAYOUT) {
                Ok(()) => Ok(()),
                Err(_) => Err(layout(&report.to_string(), name)),
            }
        }
        Err(other) => Err(layout(&other.to_string(), name)),
    }
}

/// Opens a C plugin and returns its table, after comparing its size with ours.
pub fn open_c(bytes: &[u8], name: &str) -> Result<CLibrary, Refusal> {
    let library = open(bytes, name)?;
    // SAFETY: only the symbol's address is taken here.
    let entry = unsafe { library.get::<*const Entry>(C_ENTRY.as_bytes()) };
    // SAFETY: by its name the symbol is a `deskreel_entry`, and the library is never unloaded.
    unsafe { CLibrary::new(*entry.map_err(|_| Refusal::NoEntry)?) }
}

/// abi_stable's report has up to 50 KB: one line of it is shown, and all of it goes to a file.
fn layout(report: &str, name: &str) -> Refusal {
    let file = format!("deskreel-layout-{name}-{}.txt", std::process::id());
    let path = std::env::temp_dir().join(file);
    let written = fs::write(&path, report).is_ok();
    Refusal::Layout { summary: summary(report), report: written.then_some(path) }
}

/// The first error of the report and its field: `contract_minor: mismatched type, expected u32, found u64`.
fn summary(report: &str) -> String {
    let Some((before, error)) = report.split_once("\nError:") else {
        return report.lines().next().unwrap_or("unknown").to_owned();
    };
    // The report has the path to the field, outermost first, then the two types in full, then the error.
    let (_, way) = before.rsplit_once("error(s)inside:").unwrap_or_default();
    let (way, _) = way.split_once("Layout of expected type").unwrap_or((way, ""));
    let field = way.rsplit_once("field_name:").and_then(|(_, rest)| rest.lines().next());
    let mut lines = error.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or("changed").to_lowercase();
    let mut after = |label: &str| lines.find(|line| *line == label).and_then(|_| lines.next());
    let types = match (after("Expected:"), after("Found:")) {
        (Some(expected), Some(found)) => format!(", expected {expected}, found {found}"),
        _ => String::new(),
    };
    let field = field.map_or_else(String::new, |field| format!("{field}: "));
    format!("{field}{what}{types}")
}
