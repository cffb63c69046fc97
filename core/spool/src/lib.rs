//! Recordings on disk: the order of writes, the possible remains of a crash, and their recovery.
//!
//! # Constraints
//!
//! - The process, the machine or the disk may fail at any moment. Complete data stays complete, and at most
//!   one fragment is lost.
//! - The worker writes footage, the supervisor writes the manifest. Neither waits for the other, so the
//!   manifest may lag behind the files in the folders; it is never ahead of them.
//! - Nothing counts without proof: a fragment counts if it parses, and its size and hash agree.
//! - A recording is owned by one process, the one that holds the lock on its folder. The lock is an `flock`
//!   on the folder itself: it ends with its process and leaves no file.
//!
//! # Bytes
//!
//! The names are in [`deskreel_model::layout`], the boxes in [`deskreel_fmp4`], the manifest in
//! [`deskreel_model::manifest`]. docs/recording-format.md describes all of it.
//!
//! Whole files ([`write_atomic`]) are written beside their place as `*.tmp`, synced, renamed, and the folder
//! is synced. So a file with its final name is complete, and a `*.tmp` is garbage. Only the tail grows in
//! place, and every record in it carries a checksum.
//!
//! # Recovery
//!
//! [`recover`] looks at every recording without an outcome that no living process owns:
//!
//! 1. `*.tmp` files are removed.
//! 2. A fragment of the manifest whose file is missing or has another size leaves the manifest.
//! 3. A part that the manifest does not name is taken in if its header can be read; a fragment, if it can be
//!    read and does not begin before its predecessor ends. Unreadable files are set aside as `*.torn`.
//! 4. A tail whose number follows the last fragment becomes the next fragment, and begins no earlier than the
//!    last one ends. Any other tail is removed, and one that makes no fragment is set aside.
//! 5. Frame counts, gaps and an incident are written down, and the manifest is sealed with `recovered`.
//!
//! Only the last step seals the recording, and each step before it has the same result when it is repeated.
//! So a crash in the middle of recovery costs only another recovery. An error is returned at the end, when
//! everything else has been taken in; the manifest is not sealed then.
//!
//! While a recording continues, [`reconcile`] does the same for the remains of a dead worker only.
//!
//! # Out of the spool
//!
//! [`Outbox`] knows what each sink is still owed, and removes recordings from the spool once all sinks have
//! them. [`capacity`] decides what else may be evicted, and [`account`] records the fate of every recording
//! that was wanted. Their modules describe them. The spool's own files lie beside the recordings:
//!
//! ```text
//! <directory>/outbox.journal     the deliveries that are owed
//!             account.jsonl      the fate of each recording, for people
//!             .deleting-<id>     a recording that has left the spool and is being deleted
//! ```

mod disk;
mod error;
mod recording_dir;

mod recover;

mod reconcile;
mod salvage;

mod jumps;
mod verify;

pub mod outbox;

mod files;
mod journal;

pub mod account;
pub mod capacity;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fake_disk;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fixture;

pub use disk::write_atomic;
pub use error::Error;
pub use jumps::{Jump, is_jump, jumps};
pub use outbox::Outbox;
pub use reconcile::reconcile;
pub use recording_dir::{RecordingDir, load, sha256_hex};
pub use recover::{RecoveredFolder, RecoverySummary, gaps, recover};
pub use verify::{Finding, VerificationReport, verify_bytes};
