//! The binary interface between a Rust plugin and the host. Vendors never see it.
//!
//! Each library has one root, and all five kinds of plugin share one instance type: everything slow or
//! complex is a method call with JSON (deskreel-contract has the types), and only frames have a function of
//! their own. Rules for changes:
//!
//! - The root and the traits grow after `last_prefix_field`, by optional fields and default bodies.
//! - Plain structs and enums never change. A new meaning needs a new method or a new interface revision.
//! - The version of this crate is the version of this module. It starts at 1.0, because abi_stable refuses
//!   any other minor version of a 0.x crate. Versions form one line, without forks.
//!
//! A call may come from any thread, but never two at once on one instance. Nothing unwinds through here: the
//! plugin's side catches every panic ([`crate::guard`]).

// Needed by the code that abi_stable's macros generate; nothing in this file is unsafe by hand.
#![allow(unsafe_code, non_camel_case_types, non_local_definitions, unused_braces)]

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
pub use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::package_version_strings;
use abi_stable::sabi_trait;
pub use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::sabi_types::VersionStrings;
pub use abi_stable::std_types::{RArc, RBox, RErr, ROk, RResult, RSlice, RSliceMut, RStr, RString};

/// The symbol under which the root is exported, spelled by abi_stable.
pub const RUST_ENTRY: &str = abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// The one item that a library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRoot_Ref)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    /// The contract version that the library was compiled against.
    pub contract_major: u32,
    pub contract_minor: u32,
    /// False if the library was built with `panic = "abort"`: then a panic in the plugin ends the process.
    pub contains_panics: bool,
    /// The plugins that [`create`](Self::create) can make.
    pub provides: RSlice<'static, RawProvides>,
    /// Called once, after loading and before everything else. This host receives what the library logs
    /// outside of any instance.
    pub init: extern "C" fn(host: HostArc) -> RResult<(), RawError>,
    #[sabi(last_prefix_field)]
    pub create:
        extern "C" fn(id: RStr<'_>, settings_json: RStr<'_>, host: HostArc) -> RResult<InstanceBox, RawError>,
}

impl RootModule for PluginRoot_Ref {
    abi_stable::declare_root_module_statics! {PluginRoot_Ref}
    const BASE_NAME: &'static str = "deskreel_plugin";
    const NAME: &'static str = "deskreel_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// A plugin of this library: its kind (`source`) and its id (`source.x11`).
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawProvides {
    pub kind: RStr<'static>,
    pub id: RStr<'static>,
}

/// Why a call failed. `kind` is the number of a [`crate::ErrorKind`]; an unknown number means `Failed`.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RawError {
    pub kind: u32,
    pub message: RString,
}

/// The outcome of painting a frame.
#[repr(u8)]
#[derive(StableAbi, Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameStatus {
    Painted,
    /// There are no more frames, and this one was not painted.
    End,
}

/// One instance of a plugin, with its settings.
#[sabi_trait]
pub trait RawInstance: Send {
    /// Calls a method of the plugin's kind. Argument and answer are JSON.
    fn call(&mut self, method: RStr<'_>, json: RStr<'_>) -> RResult<RString, RawError>;

    /// Paints one frame of a source whose recipe says `frames`. `out` has the size of the frame format.
    #[sabi(last_prefix_field)]
    fn frame(&mut self, number: u64, time_ns: u64, out: RSliceMut<'_, u8>) -> RResult<FrameStatus, RawError>;
}

pub type InstanceBox = RawInstance_TO<'static, RBox<()>>;

/// The host's services for a plugin. Callable from any thread, at any time, even after the instance is
/// dropped.
#[sabi_trait]
pub trait RawHost: Send + Sync + Clone {
    /// `level` is 1 (error) to 5 (trace).
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>);

    /// The highest level that the host writes; asked before a message is formatted.
    fn max_level(&self) -> u8;

    /// Emits an event of a feed or a notice of a source.
    #[sabi(last_prefix_field)]
    fn emit(&self, json: RStr<'_>);

    /// Emits events of a feed, a JSON list, and returns once the host has stored them: a JSON list with null
    /// for each stored event, and with a text for each that it does not take. After an error, none may be
    /// stored. Older hosts do not have this.
    fn submit(&self, _json: RStr<'_>) -> RResult<RString, RawError> {
        // `ErrorKind::Unsupported`; this file names nothing outside of it, so that a test can copy it.
        let kind = 5;
        RErr(RawError { kind, message: RString::from("the host has no method `submit`") })
    }
}

pub type HostArc = RawHost_TO<'static, RArc<()>>;
