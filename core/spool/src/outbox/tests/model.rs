//! A model of the outbox. Whatever it is asked, and at whatever step the machine or the disk fails, it keeps
//! its promises about delivering, removing and keeping. There are two sinks: one takes fragments, one does
//! not. The model is their content and that of the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use deskreel_contract::{Answer, RecordingAbout};
use proptest::prelude::*;

use super::super::journal_state::JournalState;
use super::world::{DIRECTORY, Spool, id, sink};
use super::{Fault, Item, Next, Outbox, Reply, Stage};
use crate::Error;
use crate::account::{fates, newest};

const SINKS: [&str; 2] = ["fragments", "whole"];

#[derive(Debug, Clone)]
enum Operation {
    Begin,
    /// The next file of a recording's newest part, or the header of a new part.
    Grow {
        recording: usize,
        new_part: bool,
    },
    /// Seals with this number of fragments that were not reported to the outbox.
    Seal {
        recording: usize,
        salvaged: u32,
    },
    Release {
        recording: usize,
    },
    Deliver {
        sink: usize,
        reply: SinkAnswer,
    },
    Wait {
        seconds: u64,
    },
    TakeOut {
        deletes: bool,
    },
    Evict {
        recording: usize,
    },
    /// After this many steps the machine goes down; the start after that may be cut off too.
    Crash {
        steps: u32,
        at_start: Option<u32>,
    },
    Error {
        steps: u32,
    },
    /// The process is killed between two calls.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum SinkAnswer {
    Acknowledged,
    Retry,
    Refused,
    Failed,
    /// The far end has it, and the process dies before the answer comes.
    LostAnswer,
}

#[derive(Default)]
struct Recording {
    /// Number of fragments in each part.
    parts: Vec<u32>,
    sealed: bool,
    released: bool,
    /// The outbox has confirmed that it wrote the release down.
    release_is_written: bool,
    evicted: bool,
}

/// A sink's part of a recording.
#[derive(Default)]
struct FarEnd {
    files: BTreeSet<(u32, u32)>,
    finished: bool,
    /// The outbox has confirmed that it wrote down the sink's last answer.
    is_written: bool,
}

struct World {
    spool: Spool,
    outbox: Option<Outbox>,
    now: Instant,
    recordings: BTreeMap<u32, Recording>,
    far: BTreeMap<(usize, u32), FarEnd>,
    at_start: Option<u32>,
    /// The disk has failed, so lines of the account may be in memory only when the process dies.
    account_failed: bool,
}

impl World {
    fn new() -> World {
        let mut world = World {
            spool: Spool::new(),
            outbox: None,
            now: Instant::now(),
            recordings: BTreeMap::new(),
            far: BTreeMap::new(),
            at_start: None,
            account_failed: false,
        };
        world.start();
        world
    }

    /// Starts as the daemon does: recovery seals what ran, then the outbox is opened.
    fn start(&mut self) {
        self.outbox = None;
        for (number, recording) in self.recordings.iter_mut().filter(|(_, recording)| !recording.sealed) {
            recording.sealed = true;
            self.spool.seal(*number, &recording.parts);
        }
        if let Some(steps) = self.at_start.take() {
            self.spool.disk.set_fault(Some(Fault::Crash(steps)));
        }
        let sinks = SINKS.map(sink);
        loop {
            let disk = Box::new(self.spool.disk.clone());
            match Outbox::open_with(disk, Path::new(DIRECTORY), &sinks, 1) {
                Ok((mut outbox, _)) if !self.spool.disk.is_down() => {
                    (outbox.small, outbox.rewrite_at) = (4, 4);
                    self.outbox = Some(outbox);
                    return;
                }
                _ => self.spool.disk.reboot(),
            }
        }
    }

    /// Calls the outbox. After a crash its answer is lost.
    fn call<T>(&mut self, call: impl FnOnce(&mut Outbox) -> Result<T, Error>) -> Option<T> {
        let outbox = self.outbox.as_mut().unwrap();
        let answer = call(outbox);
        if self.spool.disk.is_down() {
            self.spool.disk.reboot();
            self.start();
            return None;
        }
        answer.ok()
    }

    fn number(&self, index: usize) -> Option<u32> {
        let there: Vec<u32> =
            self.recordings.keys().copied().filter(|number| self.spool.has(*number)).collect();
        (!there.is_empty()).then(|| there[index % there.len()])
    }

    fn apply(&mut self, op: Operation) {
        match op {
            Operation::Begin if self.recordings.len() < 9 => {
                let number = self.recordings.len() as u32 + 1;
                self.recordings.insert(number, Recording::default());
                self.spool.publish(number);
                self.call(|outbox| {
                    outbox.commanded(&id(number), None, "a call".into());
                    outbox.entered(&id(number))
                });
            }
            Operation::Grow { recording, new_part } => self.grow(recording, new_part),
            Operation::Seal { recording, salvaged } => {
                let Some(number) = self.number(recording) else { return };
                let recording = self.recordings.get_mut(&number).unwrap();
                if recording.sealed {
                    return;
                }
                if let Some(last) = recording.parts.last_mut() {
                    *last += salvaged;
                }
                recording.sealed = true;
                self.spool.seal(number, &recording.parts);
                self.call(|outbox| outbox.sealed(&id(number)));
            }
            Operation::Release { recording } => {
                let Some(number) = self.number(recording) else { return };
                self.recordings.get_mut(&number).unwrap().released = true;
                let written = self.call(|outbox| outbox.released(&id(number), RecordingAbout::default()));
                self.recordings.get_mut(&number).unwrap().release_is_written |= written.is_some();
            }
            Operation::Deliver { sink, reply } => drop(self.deliver(sink, reply)),
            Operation::Wait { seconds } => self.now += Duration::from_secs(seconds),
            Operation::TakeOut { deletes } => self.take_out(deletes),
            Operation::Evict { recording } => {
                let Some(number) = self.number(recording) else { return };
                let recording = self.recordings.get_mut(&number).unwrap();
                recording.evicted |= recording.sealed;
                self.call(|outbox| outbox.evict(&id(number), "no room").map(drop));
            }
            Operation::Crash { steps, at_start } => {
                self.spool.disk.set_fault(Some(Fault::Crash(steps)));
                self.at_start = at_start;
            }
            Operation::Error { steps } => {
                self.account_failed = true;
                self.spool.disk.set_fault(Some(Fault::Error(steps)));
            }
            Operation::Begin => {}
            Operation::Kill => self.start(),
        }
    }

    fn grow(&mut self, index: usize, new_part: bool) {
        let Some(number) = self.number(index) else { return };
        let recording = self.recordings.get_mut(&number).unwrap();
        if recording.sealed {
            return;
        }
        let file = match recording.parts.last_mut() {
            Some(last) if !new_part => {
                *last += 1;
                *last
            }
            _ => {
                recording.parts.push(0);
                0
            }
        };
        let part = deskreel_model::PartNumber(recording.parts.len() as u32);
        let facts = super::world::file(file);
        self.call(|outbox| outbox.fragment(&id(number), super::world::TRACK, part, file, &facts));
    }

    /// Delivers one item. Returns whether there was one.
    fn deliver(&mut self, index: usize, said: SinkAnswer) -> bool {
        let (name, now) = (sink(SINKS[index]), self.now);
        let Some(Next::Deliver(item)) = self.call(|outbox| Ok(outbox.next(&name, now))) else { return false };
        let number = (1..10).find(|number| id(*number).as_str() == item.recording()).unwrap();
        self.check(index, number, &item);
        let is_whole = index == 1;
        let far = self.far.entry((index, number)).or_default();
        let reply = match said {
            _ if is_whole && matches!(item, Item::Fragment(_)) => Reply::TakesWhole,
            SinkAnswer::Retry => super::retry(3),
            SinkAnswer::Refused => super::refused(),
            SinkAnswer::Failed => Reply::Failed("no answer".into()),
            SinkAnswer::Acknowledged | SinkAnswer::LostAnswer => {
                match &item {
                    Item::Fragment(delivery) => drop(far.files.insert((delivery.part, delivery.number))),
                    Item::Finish(_) => far.finished = true,
                }
                super::acknowledged()
            }
        };
        if said == SinkAnswer::LostAnswer {
            self.start();
            return true;
        }
        let is_final = matches!(
            (&reply, &item),
            (Reply::Answered(Answer::Refused { .. }), _)
                | (Reply::Answered(Answer::Acknowledged { .. }), Item::Finish(_))
        );
        let is_written = self.call(|outbox| outbox.answered(&name, &item, reply, now)).is_some();
        self.far.entry((index, number)).or_default().is_written |= is_final && is_written;
        true
    }

    /// Checks that a sink may be given this item.
    fn check(&self, index: usize, number: u32, item: &Item) {
        let recording = &self.recordings[&number];
        let empty = FarEnd::default();
        let far = self.far.get(&(index, number)).unwrap_or(&empty);
        assert!(!far.is_written, "{item:?} after the sink's last answer");
        assert!(self.spool.has(number), "{item:?} of a recording that is gone");
        match item {
            Item::Fragment(delivery) => {
                let (part, fragment) = (delivery.part, delivery.number);
                assert!(fragment == 0 || far.files.contains(&(part, 0)), "{item:?} before its header");
                assert!(fragment <= recording.parts[part as usize - 1]);
                let has_all = (0..fragment).all(|before| far.files.contains(&(part, before)));
                assert!(!recording.sealed || has_all || index == 1, "{item:?} before its predecessors");
            }
            Item::Finish(_) => {
                assert!(recording.sealed && recording.released, "{item:?} too early");
                let files =
                    (1..).zip(&recording.parts).flat_map(|(part, last)| (0..=*last).map(move |n| (part, n)));
                let missing: Vec<_> = files.filter(|file| !far.files.contains(file)).collect();
                assert!(index == 1 || missing.is_empty(), "{item:?} without {missing:?}");
            }
        }
    }

    fn take_out(&mut self, deletes: bool) {
        let disk = self.spool.disk.clone();
        self.call(|outbox| {
            let mut leaving = outbox.take_out().into_iter().flatten();
            if deletes { leaving.try_for_each(|leaving| leaving.delete_with(&disk)) } else { Ok(()) }
        });
    }

    /// Checks which recordings may be gone, and that nothing is forgotten.
    fn nothing_is_lost(&self) {
        for (number, recording) in self.recordings.iter().filter(|(number, _)| !self.spool.has(**number)) {
            let has_footage = recording.parts.iter().any(|last| *last > 0);
            let finished =
                (0..2).all(|index| self.far.get(&(index, *number)).is_some_and(|far| far.finished));
            assert!(finished || recording.evicted || !has_footage, "{number} is gone");
        }
        let outbox = self.outbox.as_ref().unwrap();
        for (number, _) in self.recordings.iter().filter(|(_, recording)| recording.release_is_written) {
            assert!(!outbox.unreleased().contains(&id(*number)), "{number} was released before");
        }
        let mut folded = JournalState::default();
        outbox.state.entries().into_iter().for_each(|entry| folded.apply(entry));
        assert_eq!(folded, outbox.state, "a rewritten journal adds up to the same state");
    }

    /// Checks that everything arrives once everything works again.
    fn ends_well(mut self) {
        self.spool.disk.set_fault(None);
        self.at_start = None;
        self.start();
        for number in self.outbox.as_ref().unwrap().unreleased() {
            let number = (1..10).find(|known| id(*known) == number).unwrap();
            self.recordings.get_mut(&number).unwrap().released = true;
            self.call(|outbox| outbox.released(&id(number), RecordingAbout::default())).unwrap();
        }
        for (index, name) in SINKS.iter().enumerate() {
            while self.deliver(index, SinkAnswer::Acknowledged) {}
            let now = self.now;
            assert_eq!(self.call(|outbox| Ok(outbox.next(&sink(name), now))), Some(Next::Idle));
        }
        self.take_out(true);
        self.nothing_is_lost();

        let status = self.outbox.as_ref().unwrap().status(self.now);
        let lines = newest(&self.spool.disk, Path::new(DIRECTORY)).unwrap();
        let fates = fates(&lines);
        for number in self.recordings.keys() {
            let held = status.recordings.iter().find(|held| held.recording == id(*number));
            assert_eq!(held.is_some(), self.spool.has(*number), "{number} is forgotten, or imagined");
            // Only refused recordings stay, and they are not owed.
            if let Some(held) = held {
                assert_eq!(held.stage, Stage::Released);
                assert!(held.sinks.iter().any(|debt| matches!(debt.state, super::DebtState::Refused { .. })));
            }
            let is_told = fates.get(&id(*number)).map(|fate| fate.is_explained());
            let is_explained = held.is_some() || is_told == Some(true);
            assert!(
                is_explained || (is_told.is_none() && self.account_failed),
                "{number} is not accounted for: {lines:#?}"
            );
        }
        assert!(status.sinks.iter().all(|sink| sink.recordings == 0 && sink.bytes == 0));
    }
}

fn op() -> impl Strategy<Value = Operation> {
    let recording = || 0usize..9;
    let said = prop_oneof![
        12 => Just(SinkAnswer::Acknowledged),
        2 => Just(SinkAnswer::Retry),
        1 => Just(SinkAnswer::Refused),
        2 => Just(SinkAnswer::Failed),
        1 => Just(SinkAnswer::LostAnswer),
    ];
    prop_oneof![
        3 => Just(Operation::Begin),
        8 => (recording(), prop::bool::weighted(0.3))
            .prop_map(|(recording, new_part)| Operation::Grow { recording, new_part }),
        3 => (recording(), 0u32..2).prop_map(|(recording, salvaged)| Operation::Seal { recording, salvaged }),
        3 => recording().prop_map(|recording| Operation::Release { recording }),
        20 => (0usize..2, said).prop_map(|(sink, reply)| Operation::Deliver { sink, reply }),
        4 => (0u64..400).prop_map(|seconds| Operation::Wait { seconds }),
        4 => any::<bool>().prop_map(|deletes| Operation::TakeOut { deletes }),
        1 => recording().prop_map(|recording| Operation::Evict { recording }),
        3 => (0u32..20, prop::option::of(0u32..12))
            .prop_map(|(steps, at_start)| Operation::Crash { steps, at_start }),
        2 => (0u32..20).prop_map(|steps| Operation::Error { steps }),
        1 => Just(Operation::Kill),
    ]
}

proptest! {
    // Thousands of cases run in a second.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 10, ..ProptestConfig::default() })]

    #[test]
    fn nothing_leaves_before_every_sink_has_it_and_nothing_is_forgotten(
        ops in prop::collection::vec(op(), 1..80),
        seed: u64,
    ) {
        let mut world = World::new();
        world.spool.disk.seed(seed);
        for op in ops {
            world.apply(op);
            world.nothing_is_lost();
        }
        world.ends_well();
    }
}
