//! Raw frames on their way through an encoder, held until they are encoded. Pure: callers pass the time in.
//!
//! Every captured frame is held here until its access unit comes out, so that an encoder may die at any
//! moment: the next one gets what the last one still had. Frames enter in the order of their time and are
//! given to the encoder in that order, few at once: a frame that the encoder does not have yet cannot hang in
//! it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames that an encoder gets beyond those that it holds anyway: one that it works on, and two that wait, so
/// that it never has to wait.
const AHEAD: usize = 3;

/// A captured frame.
#[derive(Debug)]
pub struct RawFrame<P> {
    pub pts_ns: u64,
    /// The encoder is to make a keyframe of it.
    pub keyframe: bool,
    /// Bytes.
    pub size: usize,
    /// When it was captured.
    pub captured_at: Instant,
    pub picture: P,
}

#[derive(Debug, Clone, Copy)]
pub struct WindowLimits {
    /// How long an encoder may keep a frame that it does not need to hold.
    pub frame: Duration,
    /// Frames may wait for this much longer, for the next encoder to start. Older ones are dropped.
    pub succession: Duration,
    /// Bytes that may wait.
    pub wait_bytes: usize,
}

/// The frames in flight, which the encoder has, and those that wait for it.
#[derive(Debug)]
pub struct Window<P> {
    limits: WindowLimits,
    /// Frames that the current encoder keeps before it delivers the first one.
    holds: usize,
    /// The limit that applies now: an encoder's first frame may take longer.
    limit: Duration,
    /// The longest of these limits since frames began to wait.
    patience: Duration,
    /// When the encoder began or delivered its newest frame.
    progress: Instant,
    /// The latest presentation time among the current encoder's access units.
    latest_out_ns: Option<u64>,
    in_flight: VecDeque<FrameInFlight<P>>,
    waiting: VecDeque<RawFrame<P>>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct FrameInFlight<P> {
    raw: RawFrame<P>,
    /// Number of later frames that have come out before it.
    overtaken: usize,
}

impl<P> Window<P> {
    pub fn new(limits: WindowLimits, now: Instant) -> Self {
        Window {
            limits,
            holds: 0,
            limit: limits.frame,
            patience: limits.frame,
            progress: now,
            latest_out_ns: None,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Takes a frame. If too many wait, drops the oldest; returns how many.
    pub fn push(&mut self, raw: RawFrame<P>) -> u64 {
        let newest = raw.pts_ns;
        if self.waiting.is_empty() {
            self.patience = self.limit;
        }
        let longest = (self.patience + self.limits.succession).as_nanos();
        self.waiting_bytes += raw.size;
        self.waiting.push_back(raw);
        let mut dropped = 0;
        while self.waiting.len() > 1
            && let Some(oldest) = self.waiting.front()
            && (u128::from(newest.saturating_sub(oldest.pts_ns)) > longest
                || self.waiting_bytes > self.limits.wait_bytes)
        {
            let keyframe = self.pop().is_some_and(|raw| raw.keyframe);
            // If it was to be a keyframe, the next one is to be one.
            if let Some(next) = self.waiting.front_mut() {
                next.keyframe |= keyframe;
            }
            dropped += 1;
        }
        dropped
    }

    /// Returns the next frame for the encoder if it may have another.
    pub fn next(&mut self) -> Option<&RawFrame<P>> {
        if self.in_flight.len() >= self.holds + AHEAD {
            return None;
        }
        let raw = self.pop()?;
        self.in_flight.push_back(FrameInFlight { raw, overtaken: 0 });
        self.in_flight.back().map(|flying| &flying.raw)
    }

    /// Notes an access unit that came out. Returns how many frames the encoder must have dropped: those that
    /// more frames have overtaken than it ever keeps.
    ///
    /// The unit belongs to the frame that is nearest in time, since some encoders round times.
    pub fn take_unit(&mut self, pts_ns: u64, now: Instant) -> u64 {
        (self.progress, self.limit) = (now, self.limits.frame);
        self.latest_out_ns = self.latest_out_ns.max(Some(pts_ns));
        let nearest = self.in_flight.iter().enumerate().min_by_key(|(_, f)| f.raw.pts_ns.abs_diff(pts_ns));
        let Some(at) = nearest.map(|(at, _)| at) else { return 0 };
        self.in_flight.remove(at);
        self.in_flight.iter_mut().take(at).for_each(|flying| flying.overtaken += 1);
        let (before, most) = (self.in_flight.len(), self.holds + AHEAD);
        self.in_flight.retain(|flying| flying.overtaken <= most);
        (before - self.in_flight.len()) as u64
    }

    /// Another encoder begins, with every frame that the previous one has not delivered. Returns how many
    /// frames are lost: those before a frame that the previous one has already delivered, since it encodes
    /// out of order.
    pub fn begin(&mut self, holds: usize, first_limit: Duration, now: Instant) -> u64 {
        let latest_out_ns = self.latest_out_ns.take();
        let mut lost = 0;
        while let Some(FrameInFlight { raw, .. }) = self.in_flight.pop_back() {
            if latest_out_ns.is_some_and(|latest| raw.pts_ns < latest) {
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

    /// When the encoder counts as hung if nothing comes out until then. `None` while it has no more frames
    /// than it may hold.
    pub fn hangs_at(&self) -> Option<Instant> {
        let in_flight = self.in_flight.iter().map(|flying| &flying.raw);
        let pushing_out = in_flight.chain(&self.waiting).nth(self.holds)?;
        Some(pushing_out.captured_at.max(self.progress) + self.limit)
    }

    /// Starts the encoder's time over: it was not at fault.
    pub fn excuse(&mut self, now: Instant) {
        self.progress = now;
    }

    /// Number of frames that are held.
    pub fn len(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    /// No frame waits: the encoder has been given all of them.
    pub fn is_passed_on(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Presentation time of the oldest frame that is held.
    pub fn oldest_ns(&self) -> Option<u64> {
        let in_flight = self.in_flight.iter().map(|flying| &flying.raw);
        in_flight.chain(&self.waiting).map(|raw| raw.pts_ns).next()
    }

    /// Drops everything; returns how many frames that were.
    pub fn clear(&mut self) -> u64 {
        let held = self.len() as u64;
        self.in_flight.clear();
        self.waiting.clear();
        self.waiting_bytes = 0;
        held
    }

    fn pop(&mut self) -> Option<RawFrame<P>> {
        let raw = self.waiting.pop_front()?;
        self.waiting_bytes -= raw.size;
        Some(raw)
    }
}

#[cfg(test)]
mod tests;
