//! Everything that differs between operating systems, with one interface.
//!
//! Each module states its promises in its own file; `unix.rs` in the folder of that name keeps them on Linux.
//! A second system is a second file beside it. Only this crate contains `#[cfg(unix)]` and the like, which
//! `tests/tidy/platform.rs` checks, so no other crate may ask which system it runs on.
//!
//! Not here: the GPUs and drivers of a machine (`core/machine`), and capture sources, which are plugins.

pub mod clocks;
pub mod files;
pub mod folders;
pub mod library;
pub mod locks;
pub mod process;
pub mod secrets;
pub mod service;
pub mod session_lock;
pub mod signals;
pub mod system;
pub mod terminal;
