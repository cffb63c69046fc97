//! Identities, as types of their own.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Utc;

/// Names a recording and its folder: `20261123T071002Z-4f2a91`. Sorts by start time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(String);

impl RecordingId {
    /// `salt` tells apart recordings that start in the same second on the same machine.
    pub fn new(started: Utc, salt: u32) -> Self {
        let started = started.0.strftime("%Y%m%dT%H%M%S");
        RecordingId(format!("{started}Z-{:06x}", salt & 0xff_ffff))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Numbers the parts of a track from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartNumber(pub u32);

impl PartNumber {
    pub const FIRST: PartNumber = PartNumber(1);

    pub fn next(self) -> Self {
        PartNumber(self.0 + 1)
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}
