//! `include/deskreel.h` in Rust: the binary interface of C plugins, for the host's adapter.
//!
//! The header is the documentation; a test compares the two. Every struct that may grow begins with its size.

use std::ffi::c_void;

/// The one exported symbol of a C plugin: a constant [`Entry`].
pub const C_ENTRY: &str = "deskreel_entry";

/// Borrowed text, UTF-8, not terminated.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub ptr: *const u8,
    pub len: usize,
}

/// Receives bytes, in any number of calls.
#[repr(C)]
pub struct Out {
    pub ctx: *mut c_void,
    pub put: extern "C" fn(ctx: *mut c_void, ptr: *const u8, len: usize),
}

#[repr(C)]
pub struct Provides {
    pub kind: Str,
    pub id: Str,
}

#[repr(C)]
pub struct Host {
    /// Bytes of this struct.
    pub size: u32,
    pub ctx: *mut c_void,
    pub log: extern "C" fn(ctx: *mut c_void, level: i32, target: Str, message: Str),
    pub max_level: extern "C" fn(ctx: *mut c_void) -> i32,
    pub emit: extern "C" fn(ctx: *mut c_void, json: Str),
}

/// Zero, or a negated [`ErrorKind`](crate::ErrorKind).
pub type Status = i32;

/// A frame function's status for [`FrameStatus::End`](crate::abi::FrameStatus::End).
pub const END: Status = 1;

#[repr(C)]
pub struct Entry {
    /// Bytes of this struct, in the version that the plugin was compiled with.
    pub size: u32,
    pub contract_major: u32,
    pub contract_minor: u32,
    pub provides_len: u32,
    pub provides: *const Provides,
    pub init: Option<extern "C" fn(host: *const Host, error: *const Out) -> Status>,
    pub create: Option<
        extern "C" fn(
            id: Str,
            settings_json: Str,
            host: *const Host,
            instance: *mut *mut c_void,
            error: *const Out,
        ) -> Status,
    >,
    pub call: Option<
        extern "C" fn(instance: *mut c_void, method: Str, json: Str, answer_or_error: *const Out) -> Status,
    >,
    pub frame: Option<
        extern "C" fn(
            instance: *mut c_void,
            number: u64,
            time_ns: u64,
            pixels: *mut u8,
            len: usize,
            error: *const Out,
        ) -> Status,
    >,
    pub destroy: Option<extern "C" fn(instance: *mut c_void)>,
}
