//! Quota and low-disk guard: whether a recording may begin, whether one that runs must end, and what goes for their
//! sake. Pure.
//!
//! # What goes, in this order
//!
//! 1. What every sink has and is only not removed yet, oldest first.
//! 2. What has no footage, oldest first.
//! 3. With [`WhenFull::DropOldest`] only: sealed recordings that a sink has not got, oldest first. The account names
//!    each with who had not got it.
//!
//! A running recording never goes, and with [`WhenFull::Stop`] nothing that is owed does: recording stops instead.
//! Nothing goes that need not: the list ends where there is room enough. And what is owed does not go in vain: where
//! all of it would not make room enough, since somebody else fills the disk, it stays.
//!
//! # Where the limits are
//!
//! The spool holds at most `quota` bytes, and leaves `min_free` bytes of the disk to others. Whoever runs may go up to
//! them; whoever begins must find a twentieth of each limit below them, so that it is not ended within a minute.

use deskreel_model::RecordingId;

/// What a start wants to find free is a limit by this.
const MARGIN: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all recordings together.
    pub quota: Option<u64>,
    /// Bytes of the disk.
    pub min_free: u64,
    pub when_full: WhenFull,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing begins, and what runs is ended.
    #[default]
    Stop,
    DropOldest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lying {
    pub recording: RecordingId,
    pub bytes: u64,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    /// Every sink has it.
    Delivered,
    /// Sealed without footage.
    Empty,
    /// Sealed, and a sink has not got it or has refused it.
    Undelivered,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("{} are left on the disk, {} must be", megabytes(*.free), megabytes(*.wanted))]
    Disk { free: u64, wanted: u64 },
    #[error("the spool holds {}, and may hold {}", megabytes(*.used), megabytes(*.allowed))]
    Quota { used: u64, allowed: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What has to go, in this order.
    pub evict: Vec<RecordingId>,
    /// Why that is not enough: nothing begins, or what runs has to end. None: there is room.
    pub full: Option<Full>,
}

/// Before a recording begins. `free` is what the disk has left.
pub fn to_start(limits: &Limits, free: u64, lying: &[Lying]) -> Verdict {
    let allowed = limits.quota.map(|quota| quota - quota / MARGIN);
    judge(limits, allowed, limits.min_free.saturating_add(limits.min_free / MARGIN), free, lying)
}

/// While recordings run, now and then.
pub fn to_go_on(limits: &Limits, free: u64, lying: &[Lying]) -> Verdict {
    judge(limits, limits.quota, limits.min_free, free, lying)
}

fn judge(limits: &Limits, allowed: Option<u64>, wanted: u64, mut free: u64, lying: &[Lying]) -> Verdict {
    let mut used: u64 = lying.iter().map(|one| one.bytes).sum();
    let full = |used: u64, free: u64| match allowed {
        _ if free < wanted => Some(Full::Disk { free, wanted }),
        Some(allowed) if used > allowed => Some(Full::Quota { used, allowed }),
        _ => None,
    };
    let mut evict = Vec::new();
    let free_up = |state: State, used: &mut u64, free: &mut u64| {
        let mut oldest: Vec<&Lying> = lying.iter().filter(|one| one.state == state).collect();
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
    for state in [State::Delivered, State::Empty] {
        evict.extend(free_up(state, &mut used, &mut free));
    }
    if limits.when_full == WhenFull::DropOldest {
        let (mut used_then, mut free_then) = (used, free);
        let owed = free_up(State::Undelivered, &mut used_then, &mut free_then);
        if full(used_then, free_then).is_none() {
            evict.extend(owed);
            (used, free) = (used_then, free_then);
        }
    }
    Verdict { evict, full: full(used, free) }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn lying(number: usize, bytes: u64, state: State) -> Lying {
        Lying { recording: serde_json::from_value(format!("{number:03}").into()).unwrap(), bytes, state }
    }

    fn evicted(verdict: &Verdict) -> Vec<&str> {
        verdict.evict.iter().map(RecordingId::as_str).collect()
    }

    const LIMITS: Limits = Limits { quota: Some(1000), min_free: 200, when_full: WhenFull::Stop };
    const DROPS: Limits = Limits { when_full: WhenFull::DropOldest, ..LIMITS };

    #[test]
    fn what_is_delivered_goes_first_then_what_is_empty_then_what_is_owed_if_that_may_go() {
        let spool = [
            lying(1, 300, State::Undelivered),
            lying(2, 10, State::Empty),
            lying(3, 100, State::Delivered),
            lying(4, 100, State::Delivered),
            lying(5, 700, State::Running),
            lying(6, 100, State::Undelivered),
        ];
        let verdict = to_go_on(&LIMITS, 5000, &spool);
        assert_eq!(
            (evicted(&verdict), verdict.full),
            (vec!["003", "004", "002"], Some(Full::Quota { used: 1100, allowed: 1000 }))
        );
        let verdict = to_go_on(&DROPS, 5000, &spool);
        assert_eq!((evicted(&verdict), verdict.full), (vec!["003", "004", "002", "001"], None));
    }

    #[test]
    fn what_is_owed_does_not_go_in_vain() {
        let spool = [lying(1, 100, State::Undelivered), lying(2, 10, State::Delivered)];
        let verdict = to_go_on(&DROPS, 50, &spool);
        assert_eq!(
            (evicted(&verdict), verdict.full),
            (vec!["002"], Some(Full::Disk { free: 60, wanted: 200 }))
        );
    }

    #[test]
    fn nothing_goes_while_there_is_room() {
        let spool = [lying(1, 500, State::Delivered), lying(2, 400, State::Undelivered)];
        assert_eq!(to_go_on(&DROPS, 200, &spool), Verdict { evict: vec![], full: None });
    }

    #[test]
    fn a_start_needs_more_room_than_going_on() {
        let spool = [lying(1, 951, State::Undelivered)];
        assert_eq!(to_go_on(&LIMITS, 5000, &spool).full, None);
        assert_eq!(to_start(&LIMITS, 5000, &spool).full, Some(Full::Quota { used: 951, allowed: 950 }));
        assert_eq!(to_go_on(&LIMITS, 200, &[]).full, None);
        let full = to_start(&LIMITS, 209, &[]).full.unwrap();
        assert_eq!(full, Full::Disk { free: 209, wanted: 210 });
    }

    #[test]
    fn a_full_disk_is_told_in_words() {
        let full = Full::Disk { free: 12_300_000, wanted: 500_000_000 };
        assert_eq!(full.to_string(), "12.3 MB are left on the disk, 500.0 MB must be");
    }

    proptest! {
        #[test]
        fn what_runs_never_goes_and_what_is_owed_only_by_leave(
            spool in prop::collection::vec((0u64..400, 0usize..4), 0..12),
            free in 0u64..600,
            drops: bool,
        ) {
            let states = [State::Running, State::Delivered, State::Empty, State::Undelivered];
            let spool: Vec<Lying> =
                spool.iter().enumerate().map(|(number, (bytes, state))| lying(number, *bytes, states[*state])).collect();
            let limits = if drops { DROPS } else { LIMITS };
            let verdict = to_go_on(&limits, free, &spool);
            let gone: Vec<&Lying> = verdict.evict.iter()
                .map(|id| spool.iter().find(|one| one.recording == *id).unwrap()).collect();
            prop_assert!(gone.iter().all(|one| one.state != State::Running));
            prop_assert!(drops || gone.iter().all(|one| one.state != State::Undelivered));
            // If there is no room, all went that nobody wants and nothing that somebody does.
            let unwanted = spool.iter().filter(|one| matches!(one.state, State::Delivered | State::Empty)).count();
            let owed = gone.iter().filter(|one| one.state == State::Undelivered).count();
            prop_assert!(verdict.full.is_none() || (gone.len() == unwanted && owed == 0));
            // Without the last one that goes there would be no room.
            if let Some((last, before)) = gone.split_last() {
                let freed: u64 = before.iter().map(|one| one.bytes).sum();
                let used: u64 = spool.iter().map(|one| one.bytes).sum();
                prop_assert!(free + freed < 200 || used - freed > 1000, "{} need not go", last.recording);
            }
        }
    }
}
