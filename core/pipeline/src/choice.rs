//! The words that a key lets one choose from, each with the value that it means. A word is matched as text
//! here and nowhere else: everything after it works with the value.

use deskreel_contract::{CaptureMode, Chroma, Codec, Content, Latency, Speed};
use deskreel_model::worker::MissingGpu;
use deskreel_model::{Pause, TwoSeats};

/// The words of a key in the order of the documentation.
pub type Words = &'static [(&'static str, Choice)];

/// One [`Choice`] variant per type, and the way back from the choice to its type.
macro_rules! choices {
    ($($name:ident),+) => {
        /// The value of a word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Choice {
            $($name($name)),+
        }

        $(impl TryFrom<Choice> for $name {
            /// The choice, which belongs to another key.
            type Error = Choice;

            fn try_from(choice: Choice) -> Result<$name, Choice> {
                match choice {
                    Choice::$name(value) => Ok(value),
                    other => Err(other),
                }
            }
        })+
    };
}

choices!(
    Codec,
    RateMode,
    Speed,
    Latency,
    Content,
    Chroma,
    MissingGpu,
    Locked,
    WhenFull,
    Pause,
    TwoSeats,
    CaptureMode,
    Scheme
);

/// The form of an encoder's `rate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateMode {
    Quality,
    Bitrate,
    Constrained,
}

/// The capture while the agent's session is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    Record,
    Gap,
}

/// The reaction to a full spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    Refuse,
    DropOldest,
}

/// The protocol of the server's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
}

pub(crate) const CODEC: Words = &[
    ("h264", Choice::Codec(Codec::H264)),
    ("h265", Choice::Codec(Codec::H265)),
    ("av1", Choice::Codec(Codec::Av1)),
];

pub(crate) const RATE_MODE: Words = &[
    ("quality", Choice::RateMode(RateMode::Quality)),
    ("bitrate", Choice::RateMode(RateMode::Bitrate)),
    ("constrained", Choice::RateMode(RateMode::Constrained)),
];

pub(crate) const SPEED: Words = &[
    ("fast", Choice::Speed(Speed::Fast)),
    ("balanced", Choice::Speed(Speed::Balanced)),
    ("small", Choice::Speed(Speed::Small)),
];

pub(crate) const LATENCY: Words =
    &[("low", Choice::Latency(Latency::Low)), ("normal", Choice::Latency(Latency::Normal))];

pub(crate) const CONTENT: Words =
    &[("screen", Choice::Content(Content::Screen)), ("camera", Choice::Content(Content::Camera))];

pub(crate) const CHROMA: Words =
    &[("4:2:0", Choice::Chroma(Chroma::Yuv420)), ("4:4:4", Choice::Chroma(Chroma::Yuv444))];

pub(crate) const GPU_GONE: Words =
    &[("any", Choice::MissingGpu(MissingGpu::Any)), ("none", Choice::MissingGpu(MissingGpu::None))];

pub(crate) const LOCKED: Words =
    &[("record", Choice::Locked(Locked::Record)), ("gap", Choice::Locked(Locked::Gap))];

pub(crate) const WHEN_FULL: Words = &[
    ("refuse", Choice::WhenFull(WhenFull::Refuse)),
    ("drop_oldest", Choice::WhenFull(WhenFull::DropOldest)),
];

pub(crate) const PAUSE: Words = &[
    ("follow", Choice::Pause(Pause::Follow)),
    ("screen", Choice::Pause(Pause::Screen)),
    ("ignore", Choice::Pause(Pause::Ignore)),
];

pub(crate) const PAUSE_AS: Words = &[
    ("pause", Choice::CaptureMode(CaptureMode::Paused)),
    ("mask", Choice::CaptureMode(CaptureMode::Masked)),
];

pub(crate) const TWO_SEATS: Words =
    &[("newest", Choice::TwoSeats(TwoSeats::Newest)), ("all", Choice::TwoSeats(TwoSeats::All))];

pub(crate) const SCHEME: Words =
    &[("https", Choice::Scheme(Scheme::Https)), ("http", Choice::Scheme(Scheme::Http))];

/// The value of a word, if it is one of these.
pub(crate) fn value_of(words: Words, word: &str) -> Option<Choice> {
    words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;
    use crate::keys::{KEYS, Need, Takes};

    #[test]
    fn words_of_a_key_mean_different_values_of_one_type_and_include_the_default() {
        for key in KEYS {
            let Takes::Choice(words) = key.takes else { continue };
            for (index, (word, value)) in words.iter().enumerate() {
                assert_eq!(discriminant(value), discriminant(&words[0].1), "{}: {word}", key.name);
                let earlier = &words[..index];
                assert!(earlier.iter().all(|(w, v)| w != word && v != value), "{}: {word} twice", key.name);
            }
            if let Need::Default(word) = key.need {
                assert!(value_of(words, word).is_some(), "{}: the default {word}", key.name);
            }
        }
    }
}
