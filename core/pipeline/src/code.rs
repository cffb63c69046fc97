//! The codes of diagnostics. A code keeps its meaning forever: people search for it, and tools match on it.
//! docs/errors.md explains each; a test compares the two.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    Syntax = 1,
    DuplicateKey = 2,
    MissingVersion = 3,
    UnsupportedVersion = 4,
    UnknownSection = 5,
    UnknownKey = 6,
    WrongType = 7,
    MissingKey = 8,
    BadUnit = 9,
    OutOfRange = 10,
    NotAChoice = 11,
    BadName = 12,
    UnknownPlugin = 13,
    WrongKind = 14,
    EmptyList = 15,
    ListedTwice = 16,
    UnknownSource = 17,
    UnknownTrack = 18,
    Unused = 19,
    BadRate = 20,
    DenseKeyframes = 21,
    TimesClash = 22,
    UnknownSetting = 23,
    SettingType = 24,
    SettingValue = 25,
    MissingSetting = 26,
    SecretLiteral = 27,
    BrokenSchema = 28,
    BadGpu = 29,
    BadExpression = 30,
    BadPair = 31,
    ServerAndRecorder = 32,
    HardToPlay = 33,
}

impl Code {
    pub const ALL: [(Code, &str); 33] = [
        (Code::Syntax, "the text is not valid TOML"),
        (Code::DuplicateKey, "a key or table is defined twice"),
        (Code::MissingVersion, "the file does not say which version of the format it is written in"),
        (Code::UnsupportedVersion, "this program does not read that version of the format"),
        (Code::UnknownSection, "there is no such section"),
        (Code::UnknownKey, "there is no such key in this section"),
        (Code::WrongType, "the value has the wrong type"),
        (Code::MissingKey, "a required key or section is missing"),
        (Code::BadUnit, "a duration or bit rate is not written as a number with a unit"),
        (Code::OutOfRange, "the value is out of range"),
        (Code::NotAChoice, "the value is not one of the choices"),
        (Code::BadName, "a name has characters that are not allowed in names"),
        (Code::UnknownPlugin, "no plugin has this id"),
        (Code::WrongKind, "the plugin is of the wrong kind for the section"),
        (Code::EmptyList, "a list that needs an element is empty"),
        (Code::ListedTwice, "a list names the same thing twice"),
        (Code::UnknownSource, "`from` names a source that is not in the file"),
        (Code::UnknownTrack, "`tracks` names an encoder that is not in the file"),
        (Code::Unused, "a source or encoder takes no part in the recording"),
        (Code::BadRate, "the keys of `rate` contradict each other"),
        (Code::DenseKeyframes, "keyframes are more frequent than fragments"),
        (Code::TimesClash, "two durations contradict each other"),
        (Code::UnknownSetting, "the plugin has no such setting"),
        (Code::SettingType, "a setting has the wrong type"),
        (Code::SettingValue, "the plugin does not accept this value"),
        (Code::MissingSetting, "a setting that the plugin requires is missing"),
        (Code::SecretLiteral, "the file contains a secret"),
        (Code::BrokenSchema, "the plugin's own description of its settings is broken"),
        (Code::BadGpu, "`gpu` is not a name that means the same GPU after a reboot"),
        (Code::BadExpression, "an expression is invalid or uses an unknown name"),
        (Code::BadPair, "the value is not a key and a value with `=` between them"),
        (Code::ServerAndRecorder, "a section for recorders is in the file of a server"),
        (Code::HardToPlay, "not every browser plays what is uploaded"),
    ];

    /// Explains the code in one line, without a file at hand.
    pub fn meaning(self) -> &'static str {
        Code::ALL.iter().find(|(code, _)| *code == self).map_or("", |(_, meaning)| meaning)
    }
}

/// `P013`
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{:03}", *self as u16)
    }
}
