//! Quota and low-disk guard: decides whether a recording may begin, whether a running one must end, and what
//! is evicted to make room for them. Pure.
//!
//! # Order of eviction
//!
//! 1. Recordings that every sink has and that are only not removed yet, oldest first.
//! 2. Recordings without footage, oldest first.
//! 3. With [`WhenFull::DropOldest`] only: sealed recordings that are owed to a sink, oldest first. The
//!    account names each of them with the sinks that it was owed to.
//!
//! A running recording is never evicted, and with [`WhenFull::Stop`] nothing that is owed is: recording stops
//! instead. Nothing is evicted without need: the list ends when there is enough room. Nor is anything owed
//! evicted in vain: if evicting all of it would not make enough room, because something else fills the disk,
//! all of it stays.
//!
//! # The limits
//!
//! The spool holds at most `quota` bytes, and leaves `min_free` bytes of the disk to others. A running
//! recording may go up to these limits. To begin, a twentieth of each limit must be left in addition, so that
//! the recording is not ended within a minute.

use deskreel_model::RecordingId;

/// The fraction of each limit, one in this many, that must be free in addition for a recording to begin.
const MARGIN: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that all recordings together may take.
    pub quota: Option<u64>,
    /// Bytes of the disk that must stay free.
    pub min_free: u64,
    pub when_full: WhenFull,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// No recording begins, and running ones are ended.
    #[default]
    Stop,
    DropOldest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecording {
    pub recording: RecordingId,
    pub bytes: u64,
    pub state: StoredState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredState {
    Running,
    /// Sealed, and every sink has it.
    Delivered,
    /// Sealed without footage.
    Empty,
    /// Sealed, and some sink does not have it or has refused it.
    Undelivered,
}

/// The limit that is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("the disk has {} left and must keep {}", megabytes(*.free), megabytes(*.wanted))]
    Disk { free: u64, wanted: u64 },
    #[error("the spool holds {} of at most {}", megabytes(*.used), megabytes(*.allowed))]
    Quota { used: u64, allowed: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapacityPlan {
    /// The recordings to evict, in this order.
    pub evict: Vec<RecordingId>,
    /// The limit that is exceeded even then: nothing may begin, or running recordings have to end. `None` if
    /// there is room.
    pub full: Option<Full>,
}

/// Makes the plan before a recording begins. `free` is the number of bytes that the disk has left.
pub fn plan_start(limits: &Limits, free: u64, stored: &[StoredRecording]) -> CapacityPlan {
    let allowed = limits.quota.map(|quota| quota - quota / MARGIN);
    judge(limits, allowed, limits.min_free.saturating_add(limits.min_free / MARGIN), free, stored)
}

/// Makes the plan while recordings run; to be called now and then.
pub fn plan_running(limits: &Limits, free: u64, stored: &[StoredRecording]) -> CapacityPlan {
    judge(limits, limits.quota, limits.min_free, free, stored)
}

fn judge(
    limits: &Limits,
    allowed: Option<u64>,
    wanted: u64,
    mut free: u64,
    stored: &[StoredRecording],
) -> CapacityPlan {
    let mut used: u64 = stored.iter().map(|one| one.bytes).sum();
    let full = |used: u64, free: u64| match allowed {
        _ if free < wanted => Some(Full::Disk { free, wanted }),
        Some(allowed) if used > allowed => Some(Full::Quota { used, allowed }),
        _ => None,
    };
    let mut evict = Vec::new();
    let free_up = |state: StoredState, used: &mut u64, free: &mut u64| {
        let mut oldest: Vec<&StoredRecording> = stored.iter().filter(|one| one.state == state).collect();
        oldest.sort_by(|a, b| a.recording.cmp(&b.recording));
        let mut gone = Vec::new();
        for one in oldest {
            if full(*used, *free).is_none() {
                break;
            }
            *used -= one.bytes;
            *free = free.saturating_add(one.bytes);
            gone.push(one.recording.clone());
        }
        gone
    };
    for state in [StoredState::Delivered, StoredState::Empty] {
        evict.extend(free_up(state, &mut used, &mut free));
    }
    if limits.when_full == WhenFull::DropOldest {
        let (mut used_then, mut free_then) = (used, free);
        let owed = free_up(StoredState::Undelivered, &mut used_then, &mut free_then);
        if full(used_then, free_then).is_none() {
            evict.extend(owed);
            (used, free) = (used_then, free_then);
        }
    }
    CapacityPlan { evict, full: full(used, free) }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn stored(number: usize, bytes: u64, state: StoredState) -> StoredRecording {
        StoredRecording {
            recording: serde_json::from_value(format!("{number:03}").into()).unwrap(),
            bytes,
            state,
        }
    }

    fn evicted(plan: &CapacityPlan) -> Vec<&str> {
        plan.evict.iter().map(RecordingId::as_str).collect()
    }

    const LIMITS: Limits = Limits { quota: Some(1000), min_free: 200, when_full: WhenFull::Stop };
    const DROPS: Limits = Limits { when_full: WhenFull::DropOldest, ..LIMITS };

    #[test]
    fn delivered_recordings_are_evicted_first_then_empty_then_owed_ones_if_allowed() {
        let spool = [
            stored(1, 300, StoredState::Undelivered),
            stored(2, 10, StoredState::Empty),
            stored(3, 100, StoredState::Delivered),
            stored(4, 100, StoredState::Delivered),
            stored(5, 700, StoredState::Running),
            stored(6, 100, StoredState::Undelivered),
        ];
        let plan = plan_running(&LIMITS, 5000, &spool);
        assert_eq!(
            (evicted(&plan), plan.full),
            (vec!["003", "004", "002"], Some(Full::Quota { used: 1100, allowed: 1000 }))
        );
        let plan = plan_running(&DROPS, 5000, &spool);
        assert_eq!((evicted(&plan), plan.full), (vec!["003", "004", "002", "001"], None));
    }

    #[test]
    fn owed_recordings_are_not_evicted_in_vain() {
        let spool = [stored(1, 100, StoredState::Undelivered), stored(2, 10, StoredState::Delivered)];
        let plan = plan_running(&DROPS, 50, &spool);
        assert_eq!((evicted(&plan), plan.full), (vec!["002"], Some(Full::Disk { free: 60, wanted: 200 })));
    }

    #[test]
    fn nothing_is_evicted_while_there_is_room() {
        let spool = [stored(1, 500, StoredState::Delivered), stored(2, 400, StoredState::Undelivered)];
        assert_eq!(plan_running(&DROPS, 200, &spool), CapacityPlan { evict: vec![], full: None });
    }

    #[test]
    fn a_start_needs_more_room_than_going_on() {
        let spool = [stored(1, 951, StoredState::Undelivered)];
        assert_eq!(plan_running(&LIMITS, 5000, &spool).full, None);
        assert_eq!(plan_start(&LIMITS, 5000, &spool).full, Some(Full::Quota { used: 951, allowed: 950 }));
        assert_eq!(plan_running(&LIMITS, 200, &[]).full, None);
        let full = plan_start(&LIMITS, 209, &[]).full.unwrap();
        assert_eq!(full, Full::Disk { free: 209, wanted: 210 });
    }

    #[test]
    fn a_full_disk_is_described_in_megabytes() {
        let full = Full::Disk { free: 12_300_000, wanted: 500_000_000 };
        assert_eq!(full.to_string(), "the disk has 12.3 MB left and must keep 500.0 MB");
    }

    proptest! {
        #[test]
        fn what_runs_never_goes_and_what_is_owed_only_by_leave(
            spool in prop::collection::vec((0u64..400, 0usize..4), 0..12),
            free in 0u64..600,
            drops: bool,
        ) {
            let states =
                [StoredState::Running, StoredState::Delivered, StoredState::Empty, StoredState::Undelivered];
            let spool = spool.iter().enumerate();
            let spool: Vec<StoredRecording> =
                spool.map(|(number, (bytes, state))| stored(number, *bytes, states[*state])).collect();
            let limits = if drops { DROPS } else { LIMITS };
            let plan = plan_running(&limits, free, &spool);
            let gone: Vec<&StoredRecording> = plan.evict.iter()
                .map(|id| spool.iter().find(|one| one.recording == *id).unwrap()).collect();
            prop_assert!(gone.iter().all(|one| one.state != StoredState::Running));
            prop_assert!(drops || gone.iter().all(|one| one.state != StoredState::Undelivered));
            // If there is still no room, everything unwanted was evicted, and nothing that is owed.
            let is_unwanted = |one: &&StoredRecording| {
                matches!(one.state, StoredState::Delivered | StoredState::Empty)
            };
            let unwanted = spool.iter().filter(is_unwanted).count();
            let owed = gone.iter().filter(|one| one.state == StoredState::Undelivered).count();
            prop_assert!(plan.full.is_none() || (gone.len() == unwanted && owed == 0));
            // Without the last eviction there would be no room.
            if let Some((last, before)) = gone.split_last() {
                let freed: u64 = before.iter().map(|one| one.bytes).sum();
                let used: u64 = spool.iter().map(|one| one.bytes).sum();
                prop_assert!(free + freed < 200 || used - freed > 1000, "{} need not go", last.recording);
            }
        }
    }
}
