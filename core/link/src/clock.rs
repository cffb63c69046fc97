//! The offset between the server's clock and ours, measured as in NTP.
//!
//! A probe leaves at `sent`, the server says when it received and when it answered it, and the answer arrives
//! at `back`. If both ways take equally long, the server's clock is ahead of ours by the mean of both
//! differences. Otherwise that is wrong by at most half of the round-trip time. So the fastest of the last
//! few probes counts.
//!
//! Our clock is the monotonic one: setting the wall clock while the recorder runs moves no deadline.

use std::collections::VecDeque;
use std::time::Duration;

use deskreel_model::Utc;

use crate::ClockReading;

/// Number of samples that are kept. 8, one every 20 s, span 3 minutes, in which a quartz drifts by at most
/// 10 ms.
const SAMPLES: usize = 8;
/// More than clocks drift between two samples; a larger difference means that a clock was set.
const JUMP_NS: i128 = 100_000_000;

#[derive(Debug, Default)]
pub struct ServerClock {
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The server's UTC minus our monotonic clock.
    ahead_ns: i128,
    /// Round-trip time, without the server's share.
    way_ns: i128,
}

impl ServerClock {
    /// Adds the answer to a probe. Ignores impossible times.
    pub fn sample(&mut self, sent: Duration, received: Utc, answered: Utc, back: Duration) {
        let (received, answered) = (received.0.as_nanosecond(), answered.0.as_nanosecond());
        let (sent, back) = (sent.as_nanos() as i128, back.as_nanos() as i128);
        let way_ns = (back - sent) - (answered - received);
        if answered < received || way_ns < 0 {
            return;
        }
        let sample = Sample { ahead_ns: ((received - sent) + (answered - back)) / 2, way_ns };
        let disagrees = |best: &Sample| {
            (best.ahead_ns - sample.ahead_ns).abs() > (best.way_ns + sample.way_ns) / 2 + JUMP_NS
        };
        if self.best().is_some_and(|best| disagrees(&best)) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    fn best(&self) -> Option<Sample> {
        self.samples.iter().min_by_key(|sample| sample.way_ns).copied()
    }

    /// The server's time at a moment of our clock.
    pub fn server(&self, monotonic: Duration) -> Option<Utc> {
        let ns = monotonic.as_nanos() as i128 + self.best()?.ahead_ns;
        jiff::Timestamp::from_nanosecond(ns).ok().map(Utc)
    }

    /// Milliseconds by which our wall clock is behind the server's, and the greatest error of that.
    pub fn offset_ms(&self, now: ClockReading) -> Option<(i64, u64)> {
        let best = self.best()?;
        let own = now.utc.0.as_nanosecond() - now.monotonic.as_nanos() as i128;
        let behind = (best.ahead_ns - own) / 1_000_000;
        let uncertainty = best.way_ns / 2_000_000 + 1;
        Some((i64::try_from(behind).ok()?, u64::try_from(uncertainty).ok()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const START: i64 = 1_767_603_600_000;

    fn utc(ms: i64) -> Utc {
        Utc(jiff::Timestamp::from_millisecond(START + ms).unwrap())
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A probe at `at` to a server that is `ahead` ms ahead; it takes `there` and `back` ms on the way.
    fn probe(clock: &mut ServerClock, at: u64, ahead: i64, there: u64, back: u64) {
        let arrives = utc((at + there) as i64 + ahead);
        clock.sample(ms(at), arrives, arrives, ms(at + there + back));
    }

    fn offset(clock: &ServerClock, at: u64) -> (i64, u64) {
        clock.offset_ms(ClockReading { monotonic: ms(at), utc: utc(at as i64) }).unwrap()
    }

    #[test]
    fn the_fastest_probe_says_the_offset_and_how_wrong_it_may_be() {
        let mut clock = ServerClock::default();
        probe(&mut clock, 0, 5000, 190, 10);
        assert_eq!(offset(&clock, 300), (5090, 101), "off by 90 of at most 100 ms");
        probe(&mut clock, 1000, 5000, 2, 2);
        probe(&mut clock, 2000, 5000, 10, 300);
        assert_eq!(offset(&clock, 3000), (5000, 3));
        assert_eq!(clock.server(ms(3000)), Some(utc(8000)));
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_no_deadline() {
        let mut clock = ServerClock::default();
        probe(&mut clock, 0, 0, 1, 1);
        let set = ClockReading { monotonic: ms(1000), utc: utc(3_601_000) };
        assert_eq!(clock.offset_ms(set), Some((-3_600_000, 2)));
        assert_eq!(clock.server(ms(1000)), Some(utc(1000)));
    }

    #[test]
    fn a_server_whose_clock_was_set_is_believed_at_once() {
        let mut clock = ServerClock::default();
        probe(&mut clock, 0, 0, 1, 1);
        probe(&mut clock, 1000, -60_000, 30, 40);
        assert_eq!(offset(&clock, 2000).0, -60_005);
    }

    #[test]
    fn old_samples_go_and_impossible_ones_do_not_count() {
        let mut clock = ServerClock::default();
        probe(&mut clock, 0, 0, 0, 0);
        clock.sample(ms(10), utc(10), utc(500), ms(20));
        clock.sample(ms(10), utc(500), utc(10), ms(20));
        assert_eq!(offset(&clock, 30), (0, 1));
        (1..=8).for_each(|n| probe(&mut clock, n * 1000, 0, 40, 40));
        assert_eq!(offset(&clock, 9000), (0, 41), "the fast one is too old");
    }
}
