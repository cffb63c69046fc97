//! Raw frames on their way through an encoder, held until they are coded. Pure: it is told the time.
//!
//! Every frame that was captured is held here until its access unit comes out, so that an encoder may die at any
//! moment: the next one gets what the last one kept. Frames go in in the order of their time and are given to the
//! encoder in that order, few at once: what an encoder has not been given cannot hang in it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames that an encoder is given beyond those that it holds anyway: one that it works on, and two that wait, so
/// that it never waits for us.
const AHEAD: usize = 3;

/// A frame that was captured. Times in nanoseconds.
#[derive(Debug)]
pub struct Raw<P> {
    pub pts: u64,
    /// The encoder is to make a keyframe of it.
    pub keyframe: bool,
    /// Bytes.
    pub size: usize,
    /// When it was captured.
    pub since: Instant,
    pub picture: P,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long an encoder may keep a frame that it need not hold.
    pub frame: Duration,
    /// Frames may wait for so much longer: for the next encoder to come up. More are let go.
    pub succession: Duration,
    /// Bytes that may wait.
    pub wait_bytes: usize,
}

/// Frames in flight and frames that wait.
#[derive(Debug)]
pub struct Window<P> {
    limits: Limits,
    /// Frames that the present encoder keeps before it gives the first one.
    holds: usize,
    /// The limit that counts now: an encoder's first frame may take longer.
    limit: Duration,
    /// The longest of these limits since something waits.
    patience: Duration,
    /// When the encoder began, or gave its newest frame.
    progress: Instant,
    /// The latest time among what the present encoder gave.
    given: Option<u64>,
    in_flight: VecDeque<Flying<P>>,
    waiting: VecDeque<Raw<P>>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Flying<P> {
    raw: Raw<P>,
    /// Later frames that have come out before it.
    overtaken: usize,
}

impl<P> Window<P> {
    pub fn new(limits: Limits, now: Instant) -> Self {
        Window {
            limits,
            holds: 0,
            limit: limits.frame,
            patience: limits.frame,
            progress: now,
            given: None,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Takes a frame in. Where too many wait, the oldest are let go; gives how many.
    pub fn push(&mut self, raw: Raw<P>) -> u64 {
        let newest = raw.pts;
        if self.waiting.is_empty() {
            self.patience = self.limit;
        }
        let longest = (self.patience + self.limits.succession).as_nanos();
        self.waiting_bytes += raw.size;
        self.waiting.push_back(raw);
        let mut gone = 0;
        while self.waiting.len() > 1
            && let Some(oldest) = self.waiting.front()
            && (u128::from(newest.saturating_sub(oldest.pts)) > longest
                || self.waiting_bytes > self.limits.wait_bytes)
        {
            let keyframe = self.pop().is_some_and(|raw| raw.keyframe);
            // What was wanted of it is wanted of the next one.
            if let Some(next) = self.waiting.front_mut() {
                next.keyframe |= keyframe;
            }
            gone += 1;
        }
        gone
    }

    /// The next frame for the encoder, if it may have another.
    pub fn next(&mut self) -> Option<&Raw<P>> {
        if self.in_flight.len() >= self.holds + AHEAD {
            return None;
        }
        let raw = self.pop()?;
        self.in_flight.push_back(Flying { raw, overtaken: 0 });
        self.in_flight.back().map(|flying| &flying.raw)
    }

    /// An access unit came out. Gives how many frames the encoder must have dropped: as many have come out after
    /// them as it never keeps.
    ///
    /// The frame is the one that is nearest in time, since some encoders round times.
    pub fn coded(&mut self, pts: u64, now: Instant) -> u64 {
        (self.progress, self.limit) = (now, self.limits.frame);
        self.given = self.given.max(Some(pts));
        let nearest = self.in_flight.iter().enumerate().min_by_key(|(_, f)| f.raw.pts.abs_diff(pts));
        let Some(at) = nearest.map(|(at, _)| at) else { return 0 };
        self.in_flight.remove(at);
        self.in_flight.iter_mut().take(at).for_each(|flying| flying.overtaken += 1);
        let (before, most) = (self.in_flight.len(), self.holds + AHEAD);
        self.in_flight.retain(|flying| flying.overtaken <= most);
        (before - self.in_flight.len()) as u64
    }

    /// Another encoder begins, with everything that the one before has not given. Gives how many frames are lost:
    /// those that lie before a frame which the one before gave already, since it does not code in order.
    pub fn begin(&mut self, holds: usize, first_limit: Duration, now: Instant) -> u64 {
        let given = self.given.take();
        let mut lost = 0;
        while let Some(Flying { raw, .. }) = self.in_flight.pop_back() {
            if given.is_some_and(|given| raw.pts < given) {
                lost += 1;
                continue;
            }
            self.waiting_bytes += raw.size;
            self.waiting.push_front(raw);
        }
        (self.holds, self.limit, self.progress) = (holds, first_limit, now);
        self.patience = self.patience.max(first_limit);
        lost
    }

    /// When the encoder will hang, if it gives nothing until then. `None` while it has no more than it may hold.
    pub fn hangs_at(&self) -> Option<Instant> {
        let in_flight = self.in_flight.iter().map(|flying| &flying.raw);
        let pushing_out = in_flight.chain(&self.waiting).nth(self.holds)?;
        Some(pushing_out.since.max(self.progress) + self.limit)
    }

    /// The encoder gets its time again: it was not at fault.
    pub fn excuse(&mut self, now: Instant) {
        self.progress = now;
    }

    /// Frames that are held.
    pub fn len(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    /// Nothing waits: the encoder has been given everything.
    pub fn is_passed_on(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Time of the oldest frame that is held.
    pub fn oldest(&self) -> Option<u64> {
        let in_flight = self.in_flight.iter().map(|flying| &flying.raw);
        in_flight.chain(&self.waiting).map(|raw| raw.pts).next()
    }

    /// Lets everything go; gives how many.
    pub fn clear(&mut self) -> u64 {
        let held = self.len() as u64;
        self.in_flight.clear();
        self.waiting.clear();
        self.waiting_bytes = 0;
        held
    }

    fn pop(&mut self) -> Option<Raw<P>> {
        let raw = self.waiting.pop_front()?;
        self.waiting_bytes -= raw.size;
        Some(raw)
    }
}

#[cfg(test)]
mod tests;
