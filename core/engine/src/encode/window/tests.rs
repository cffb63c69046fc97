use super::*;

const FRAME: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_secs(5);
const LIMITS: WindowLimits =
    WindowLimits { frame: FRAME, succession: Duration::from_secs(1), wait_bytes: 100 };
const SECOND: u64 = 1_000_000_000;

struct Scenario {
    start: Instant,
    window: Window<()>,
}

/// A window whose encoder has delivered the frame of time 0 at second 0.
fn running(holds: usize) -> Scenario {
    let start = Instant::now();
    let mut run = Scenario { start, window: Window::new(LIMITS, start) };
    run.window.begin(holds, FIRST, start);
    run.push(0, 0);
    let _ = run.window.next();
    run.window.take_unit(0, start);
    run
}

impl Scenario {
    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    /// Returns how many frames were dropped.
    fn push(&mut self, pts_ns: u64, second: u64) -> u64 {
        let captured_at = self.at(second);
        self.window.push(RawFrame { pts_ns, keyframe: false, size: 10, captured_at, picture: () })
    }

    /// Passes the encoder the frames that it may have; returns their times.
    fn give(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.window.next().map(|raw| raw.pts_ns)).collect()
    }

    fn hangs_at_second(&self) -> Option<u64> {
        self.window.hangs_at().map(|at| (at - self.start).as_secs())
    }
}

#[test]
fn an_encoder_gets_three_frames_more_than_it_holds() {
    let mut run = running(2);
    (1..10).for_each(|n| assert_eq!(run.push(n, 0), 0));
    assert_eq!(run.give(), [1, 2, 3, 4, 5]);
    run.window.take_unit(1, run.start);
    assert_eq!(run.give(), [6]);
}

#[test]
fn the_next_encoder_gets_what_the_last_one_did_not_deliver() {
    let mut run = running(0);
    (1..8).for_each(|n| assert_eq!(run.push(n, 0), 0));
    run.give();
    run.window.take_unit(1, run.start);
    assert_eq!(run.window.begin(4, FIRST, run.start), 0);
    assert_eq!(run.window.oldest_ns(), Some(2));
    assert_eq!(run.give(), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_frame_before_a_delivered_one_is_lost() {
    let mut run = running(2);
    (1..5).for_each(|n| assert_eq!(run.push(n, 0), 0));
    run.give();
    run.window.take_unit(3, run.start);
    assert_eq!(run.window.begin(0, FIRST, run.start), 2);
    assert_eq!(run.give(), [4]);
}

#[test]
fn times_may_be_rounded() {
    let mut run = running(0);
    (1..3).for_each(|n| assert_eq!(run.push(100 * n, 0), 0));
    run.give();
    run.window.take_unit(199, run.start);
    assert_eq!(run.window.oldest_ns(), Some(100));
}

#[test]
fn a_frame_that_never_comes_out_is_lost_in_the_end() {
    let mut run = running(0);
    let mut lost = 0;
    run.push(1, 0);
    run.give();
    for n in 2..20 {
        run.push(n, 0);
        run.give();
        lost += run.window.take_unit(n, run.start);
    }
    assert_eq!((lost, run.window.len()), (1, 0));
}

#[test]
fn frames_that_wait_too_long_are_dropped_and_a_requested_keyframe_is_not() {
    let mut run = running(0);
    let captured_at = run.start;
    run.window.push(RawFrame { pts_ns: 0, keyframe: true, size: 10, captured_at, picture: () });
    assert_eq!(run.push(SECOND, 0) + run.push(3 * SECOND, 0), 0);
    assert_eq!(run.push(3 * SECOND + 1, 0), 1);
    assert_eq!(run.window.next().map(|raw| (raw.pts_ns, raw.keyframe)), Some((SECOND, true)));
}

#[test]
fn frames_that_waited_for_a_slow_start_are_not_dropped_after_it() {
    let mut run = running(0);
    run.window.begin(0, FIRST, run.start);
    assert_eq!((1..7).map(|n| run.push(n * SECOND, 0)).sum::<u64>(), 0);
    assert_eq!(run.give(), [SECOND, 2 * SECOND, 3 * SECOND]);
    run.window.take_unit(SECOND, run.at(5));
    assert_eq!(run.push(10 * SECOND, 0), 0);
    run.window.take_unit(2 * SECOND, run.at(5));
    run.window.take_unit(3 * SECOND, run.at(5));
    run.give();
    // Then the ordinary limit applies.
    run.window.take_unit(4 * SECOND, run.at(5));
    run.give();
    run.push(11 * SECOND, 0);
    assert_eq!(run.push(14 * SECOND + 1, 0), 1);
}

#[test]
fn waiting_frames_are_bounded_in_bytes_too() {
    let mut run = running(0);
    let gone: Vec<u64> = (0..12).map(|n| run.push(n, 0)).collect();
    assert_eq!(gone, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn a_frame_that_does_not_come_out_is_a_hang() {
    let mut run = running(0);
    assert_eq!(run.hangs_at_second(), None);
    run.push(1, 10);
    run.give();
    assert_eq!(run.hangs_at_second(), Some(12));
    run.window.take_unit(1, run.at(11));
    assert_eq!(run.hangs_at_second(), None);
}

#[test]
fn an_encoder_that_holds_a_frame_back_on_a_still_screen_does_not_hang() {
    let mut run = running(1);
    run.push(1, 0);
    run.give();
    assert_eq!(run.hangs_at_second(), None);
    // The frame that pushes it out comes a minute later; from then on the first one is late.
    run.push(2, 60);
    assert_eq!(run.hangs_at_second(), Some(62));
}

#[test]
fn an_encoder_that_is_slow_does_not_hang() {
    let mut run = running(0);
    (1..5).for_each(|n| assert_eq!(run.push(n, 0), 0));
    run.give();
    run.window.take_unit(1, run.at(1));
    assert_eq!(run.hangs_at_second(), Some(3));
}

#[test]
fn an_excused_encoder_gets_its_time_again() {
    let mut run = running(0);
    run.push(1, 0);
    run.give();
    run.window.excuse(run.at(9));
    assert_eq!(run.hangs_at_second(), Some(11));
}

#[test]
fn an_encoder_that_does_not_start_hangs_after_the_limit_of_the_first_frame() {
    let mut run = running(0);
    run.push(1, 1);
    run.window.begin(0, FIRST, run.at(3));
    assert_eq!(run.hangs_at_second(), Some(8));
    run.give();
    assert_eq!(run.hangs_at_second(), Some(8));
    run.push(2, 4);
    run.give();
    run.window.take_unit(1, run.at(5));
    assert_eq!(run.hangs_at_second(), Some(7));
}
