//! What the host of policies decides by itself: the keys of `[policy]` and `[recording]` that belong to no plugin.

use std::time::Duration;

use deskreel_contract::CaptureMode;

#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRules {
    /// How late an event may be and still be put where it belongs.
    pub late: Duration,
    pub pause: Pause,
    /// What is captured meanwhile: nothing, or a slate.
    pub pause_as: CaptureMode,
    /// Capture goes on by itself after this.
    pub pause_limit: Option<Duration>,
    /// A key and value of attached data that pause while the call has them.
    pub pause_attached: Option<(String, String)>,
    /// Footage that runs longer ends, and other footage begins where it is still wanted.
    pub max_duration: Option<Duration>,
    /// Nobody is in a call for longer: its end was lost.
    pub longest_call: Duration,
}

/// Whose pauses the footage follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The voice recorder's, and those that are asked for.
    Follow,
    /// Only those that are asked for the screen.
    Screen,
    Ignore,
}

/// As an empty `[policy]` has them.
impl Default for PolicyRules {
    fn default() -> Self {
        PolicyRules {
            late: Duration::from_secs(10),
            pause: Pause::Follow,
            pause_as: CaptureMode::Paused,
            pause_limit: None,
            pause_attached: None,
            max_duration: None,
            longest_call: Duration::from_secs(12 * 3600),
        }
    }
}
