//! Both ends against each other, over a line that breaks, loses, repeats and reorders messages, and with a
//! server that restarts or cannot store. Each event is stored once and in order; each command is done at most
//! once, in time, and answered.

#![allow(clippy::unwrap_used)]

mod world;

use deskreel_model::link::{CommandRefusal, CommandResult};
use proptest::prelude::*;

use world::{Faults, World};

#[derive(Debug, Clone)]
enum Op {
    SendEvent {
        events: u64,
    },
    Command {
        deadline_ms: u64,
        /// Time that the recorder needs to do it.
        takes_ms: u64,
    },
    /// The server sends the last command again.
    CommandAgain,
    Wait {
        ms: u64,
    },
    Cut,
    /// The server does not notice it before the recorder connects again.
    CutUnseen,
    ServerRestarts,
    DiskFails,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..100u64).prop_map(|events| Op::SendEvent { events }),
        4 => (0..20_000u64, 0..8_000u64).prop_map(|(deadline_ms, takes_ms)| Op::Command { deadline_ms, takes_ms }),
        1 => Just(Op::CommandAgain),
        4 => (1..15_000u64).prop_map(|ms| Op::Wait { ms }),
        2 => Just(Op::Cut),
        2 => Just(Op::CutUnseen),
        1 => Just(Op::ServerRestarts),
        1 => Just(Op::DiskFails),
    ]
}

fn faults() -> impl Strategy<Value = Faults> {
    (0..40u64, 0..30u64, 1..400u64, 0..3u64, any::<u64>()).prop_map(
        |(lost, repeated, delay_ms, cut, seed)| Faults { lost, repeated, delay_ms, cut, disk_ms: 1500, seed },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn events_arrive_once_and_commands_are_done_once_whatever_the_line_does(
        faults in faults(),
        ahead_ms in -100_000_000..100_000_000i64,
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let mut world = World::new(faults, ahead_ms);
        for op in ops {
            match op {
                Op::SendEvent { events } => (0..events).for_each(|_| world.send_event()),
                Op::Command { deadline_ms, takes_ms } => world.command(deadline_ms, takes_ms),
                Op::CommandAgain => world.command_again(),
                Op::Wait { ms } => world.run(ms),
                Op::Cut => world.cut(),
                Op::CutUnseen => world.cut_unseen(),
                Op::ServerRestarts => world.restart_server(),
                Op::DiskFails => world.fail_to_store(),
            }
        }
        world.heal();
        world.run(90_000);

        prop_assert_eq!(&world.durable, &(1..=world.events_sent).collect::<Vec<_>>());
        prop_assert_eq!(world.waiting(), 0);
        for command in world.commands.values() {
            prop_assert!(command.done <= 1, "{:?}", command);
            prop_assert!(command.done_late_ms <= 400, "later than the line explains: {:?}", command);
            prop_assert_eq!(command.results.len(), 1, "one answer, the same each time: {:?}", command);
            prop_assert_eq!(command.answered, 1, "{:?}", command);
            match &command.results[0] {
                CommandResult::Done => prop_assert_eq!(command.done, 1),
                CommandResult::Refused { refusal, .. } => {
                    prop_assert_eq!(*refusal, CommandRefusal::Late);
                    prop_assert_eq!(command.done, 0);
                }
                CommandResult::Failed { .. } => prop_assert!(false, "no command fails here"),
            }
        }
    }
}

#[test]
fn a_line_without_faults_carries_each_message_once() {
    let mut world = World::new(Faults::none(), 5000);
    world.run(3000);
    (0..10).for_each(|_| world.send_event());
    world.command(5000, 100);
    world.run(1000);
    assert_eq!(world.durable, (1..=10).collect::<Vec<_>>());
    assert_eq!((world.sent_events, world.sent_commands), (10, 1));
    let (offset, uncertainty) = world.offset_ms().unwrap();
    assert!((offset - 5000).unsigned_abs() <= uncertainty, "{offset} ± {uncertainty}");
}

/// Otherwise a desktop's events from an hour ago would be sent again, or dropped events would go unnoticed.
#[test]
fn a_recorder_that_restarts_numbers_its_events_anew_and_the_server_knows_what_it_dropped() {
    let mut world = World::new(Faults::none(), 0);
    world.run(1000);
    (0..3).for_each(|_| world.send_event());
    world.run(1000);
    world.restart_recorder();
    world.cut();
    (0..10_002).for_each(|_| world.send_event());
    world.run(60_000);
    assert_eq!(world.lost, [(1, 2)]);
    assert_eq!(world.durable.len(), 3 + 10_000);
    assert_eq!(&world.durable[3..5], [3, 4]);
}

#[test]
fn a_command_that_nobody_answers_is_overdue_at_its_deadline_and_the_answer_still_counts() {
    let mut world = World::new(Faults::none(), 0);
    world.run(1000);
    world.command(2000, 8000);
    world.run(3000);
    assert_eq!(world.overdue.len(), 1);
    world.run(20_000);
    let command = world.commands.values().next().unwrap();
    assert_eq!((command.done, command.answered, world.overdue.len()), (1, 1, 1));
}

/// A connection may be dead without having been closed.
#[test]
fn each_end_notices_that_the_other_has_fallen_silent() {
    let mut world = World::new(Faults::none(), 0);
    world.run(1000);
    world.fall_silent();
    world.run(70_000);
    assert_eq!(
        world.closed,
        ["the recorder: the server has fallen silent", "the server: the recorder has fallen silent"]
    );
}

/// Even if the server takes the old connection for open and has sent the command there.
#[test]
fn a_recorder_that_connects_again_is_commanded_at_once() {
    let mut world = World::new(Faults::none(), 0);
    world.run(1000);
    world.cut_unseen();
    world.command(10_000, 0);
    world.run(3500);
    let command = world.commands.values().next().unwrap();
    assert_eq!((command.done, command.answered), (1, 1));
}
