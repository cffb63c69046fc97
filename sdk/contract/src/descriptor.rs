//! A plugin library's description of itself, which is read before any of its code runs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of the plugin contract: `major.minor`. A host loads only plugins of its own major version. Minor
/// versions may differ in both directions, because the contract grows only by optional items.
pub const CONTRACT_VERSION: &str = "1.0";
pub const CONTRACT_MAJOR: u32 = 1;
pub const CONTRACT_MINOR: u32 = 0;

/// The content of `plugin.toml`, embedded in the library's `.deskreelmeta` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Version of this format; 1.
    pub schema: u32,
    /// Name of the package that ships the plugin, as users know it: `deskreel-source-x11`.
    pub name: String,
    pub version: String,
    /// SPDX expression for the plugin together with everything it links.
    pub license: String,
    pub about: String,
    /// The contract version that it was built for, in the form of [`CONTRACT_VERSION`].
    pub contract: String,
    /// The plugins in this library; at least one.
    pub provides: Vec<Provides>,
}

/// One plugin of a library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provides {
    /// `<kind>.<what>`, with a vendor's name in front: `acme.source.grabber`.
    pub id: String,
    pub interface: Interface,
    pub about: String,
    /// JSON Schema of the settings table, written as TOML. Without it, the plugin has no settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
    /// Types of events that a policy is asked about, such as `call.*`. Without it, all of them. Its timers
    /// always come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// The answer of a plugin without code to `recipe` (source) or `candidates` (encoder). A property's value
    /// that is just `"{name}"` is replaced by the setting of that name. An encoder may have a table instead,
    /// with its elements and their way to express each setting (docs/encoders.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<serde_json::Value>,
}

/// The five kinds of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Source,
    Encoder,
    Sink,
    Policy,
    Feed,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Source, Kind::Encoder, Kind::Sink, Kind::Policy, Kind::Feed];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Encoder => "encoder",
            Kind::Sink => "sink",
            Kind::Policy => "policy",
            Kind::Feed => "feed",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A kind and the revision of its methods, written `encoder/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interface {
    pub kind: Kind,
    pub revision: u32,
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.revision)
    }
}

impl From<Interface> for String {
    fn from(interface: Interface) -> String {
        interface.to_string()
    }
}

impl TryFrom<String> for Interface {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = text.split_once('/').and_then(|(kind, revision)| {
            let kind = Kind::ALL.into_iter().find(|k| k.name() == kind)?;
            Some(Interface { kind, revision: revision.parse().ok()? })
        });
        parsed.ok_or_else(|| {
            format!("`{text}` is not an interface; expected a kind and a revision, as in `source/1`")
        })
    }
}
