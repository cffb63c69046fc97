//! Random numbers that can be repeated: the seed is printed, and `SEED` sets it.

use std::cell::Cell;

pub struct Random(Cell<u64>);

impl Random {
    pub fn new() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_nanos() as u64);
        let seed = given.unwrap_or(now);
        println!("SEED={seed}");
        Random(Cell::new(seed))
    }

    /// SplitMix64.
    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = self.0.get();
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn between(&self, from: i64, to: i64) -> i64 {
        from + (self.next() % to.abs_diff(from).max(1)) as i64
    }

    pub fn percent(&self, chance: i64) -> bool {
        self.between(0, 100) < chance
    }
}
