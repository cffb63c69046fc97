//! Recordings on disk: what is written when, what a crash can leave, and how it is made whole.
//!
//! # Constraints
//!
//! - At any moment the process, the machine or the disk may go. What was complete before stays complete, and at
//!   most one fragment is lost.
//! - The worker writes footage, the supervisor writes the manifest. Neither waits for the other, so the manifest
//!   may be behind what lies in the folders; it is never ahead of it.
//! - Nothing here is believed without proof: a fragment counts if it parses and its size and hash agree.
//! - A recording is owned by one process, the one that holds the lock on its folder. The lock is an `flock` on the
//!   folder itself: it goes with its process and leaves no file behind.
//!
//! # Bytes
//!
//! The names are in [`deskreel_model::layout`], the boxes in [`deskreel_fmp4`], the manifest in
//! [`deskreel_model::manifest`]; docs/recording-format.md tells all of it for people.
//!
//! Whole files ([`write_atomic`]) are written beside their place as `*.tmp`, synced, renamed, and the folder is
//! synced. So a file with its own name is complete, and a `*.tmp` is rubbish. Only the tail grows in place, and
//! every record in it carries a checksum.
//!
//! # Recovery
//!
//! [`recover`] looks at every recording without an outcome that no living process owns:
//!
//! 1. `*.tmp` are removed.
//! 2. A fragment of the manifest that is not there, or has another size, leaves the manifest.
//! 3. A part that the manifest does not know is taken in if its header reads; a fragment, if it reads and does not
//!    begin before its predecessor ends. What cannot be read is set aside as `*.torn`.
//! 4. A tail whose number follows the last fragment becomes that fragment and begins no earlier than that one ends;
//!    any other tail is removed, and one that makes no fragment is set aside.
//! 5. Frame counts, gaps and an incident are written down, and the manifest is sealed with `recovered`.
//!
//! Only the last step names the recording sealed, and every step before it leads to the same place when it is done
//! twice. So a crash in the middle of recovery costs nothing but another recovery. An error there is told at the
//! end, when everything else has been taken in; the manifest is not sealed then.
//!
//! While a recording goes on, [`reconcile`] does the same for what the worker that died has left, and for that alone.
//!
//! # On its way out
//!
//! [`Outbox`] knows what each sink still has to get, and takes out of the spool what all of them have; [`room`] decides
//! what else may go, and [`account`] says what became of every recording that was wanted. All three are told in their
//! modules. The spool's own files lie beside the recordings:
//!
//! ```text
//! <directory>/outbox.journal     what is owed
//!             account.jsonl      what became of each, for people
//!             .deleting-<id>     a recording that has left and is being deleted
//! ```

pub mod account;
mod disk;
mod error;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fake;
mod files;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fixture;
mod folder;
mod journal;
pub mod outbox;
mod reconcile;
mod recover;
pub mod room;
mod salvage;
mod timeline;
mod verify;

pub use disk::write_atomic;
pub use error::Error;
pub use folder::{RecordingDir, load, sha256_hex};
pub use outbox::Outbox;
pub use reconcile::reconcile;
pub use recover::{Recovered, Summary, gaps, recover};
pub use timeline::{Jump, is_jump, jumps};
pub use verify::{Finding, Report, verify_bytes};
