//! Rules that the host of policies applies itself: the keys of `[policy]` and `[recording]` that belong to no
//! plugin.

use std::time::Duration;

use deskreel_contract::CaptureMode;

#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRules {
    /// Greatest lateness at which an event still takes its place among earlier ones.
    pub late: Duration,
    pub pause: Pause,
    /// The capture during a pause: nothing, or a slate.
    pub pause_as: CaptureMode,
    /// Longest pause; capture then resumes by itself.
    pub pause_limit: Option<Duration>,
    /// A key and value of attached data; capture is paused while a call has them.
    pub pause_attached: Option<(String, String)>,
    /// Longest footage. It ends then, and new footage begins if it is still wanted.
    pub max_duration: Option<Duration>,
    /// The places at which an agent with two log-ins is recorded.
    pub two_seats: TwoSeats,
    /// Longest connection to a call; beyond that, its end was lost.
    pub longest_call: Duration,
}

/// The pauses that the footage follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The voice recorder's pauses and those requested for the screen.
    Follow,
    /// Only those requested for the screen.
    Screen,
    Ignore,
}

/// The places at which an agent with two log-ins is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwoSeats {
    /// The agent sits where the newest log-in says.
    Newest,
    /// Both screens are recorded.
    All,
}

/// The rules of an empty `[policy]`.
impl Default for PolicyRules {
    fn default() -> Self {
        PolicyRules {
            late: Duration::from_secs(10),
            pause: Pause::Follow,
            pause_as: CaptureMode::Paused,
            pause_limit: None,
            pause_attached: None,
            max_duration: None,
            two_seats: TwoSeats::Newest,
            longest_call: Duration::from_secs(12 * 3600),
        }
    }
}
