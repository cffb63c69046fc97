//! What the tests of the system share.

pub mod counter;
pub mod recorder;
pub mod random;

use std::time::{Duration, Instant};

/// Looks until it holds or the limit is over; for what no event tells.
#[allow(dead_code)]
pub fn wait_until(limit: Duration, holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
