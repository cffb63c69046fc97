//! Everything that differs between operating systems, behind one face.
//!
//! Each module says in its own file what it promises; `unix.rs` in the folder of that name keeps the promise
//! on Linux. A second system is a second file beside it. `#[cfg(unix)]` and the like stand in this crate
//! alone, which `tests/tidy/platform.rs` checks, so no other crate may ask which system it runs on.
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
