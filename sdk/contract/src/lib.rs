//! The messages between Deskreel and its plugins, as JSON.
//!
//! Everything slow or complex crosses the plugin boundary as JSON text, and these are its types. New fields
//! may be added without breaking a reader: it ignores fields that it does not know. Nothing here runs code,
//! touches a file or knows how a library is loaded: that is in `deskreel-sdk` (the plugin's side) and
//! `deskreel-host` (ours).
//!
//! | a plugin of kind | answers the methods | with |
//! |---|---|---|
//! | source | `recipe`, `devices` | a [`SourceRecipe`] for a [`SourceRequest`], `Vec<`[`Device`]`>`; it may emit a [`Notice`] |
//! | encoder | `candidates` | `Vec<`[`Candidate`]`>` for an [`EncodeRequest`] |
//! | sink | `fragment`, `finish` | an [`Answer`] to a [`FragmentDelivery`] or a [`FinishedRecording`] |
//! | policy | `decide` | a [`PolicyAnswer`] for a [`Fact`] |
//! | feed | `start`, `stop` | nothing; it emits [`Event`]s through the host |

mod delivery;
mod descriptor;
mod encoder;
mod event;
mod lazy;
mod notice;
mod object;
mod policy;
mod recipe;

pub use delivery::{Answer, FinishedRecording, FragmentDelivery, RecordingAbout};
pub use descriptor::{
    CONTRACT_MAJOR, CONTRACT_MINOR, CONTRACT_VERSION, Descriptor, Interface, Kind, Provides,
};
pub use encoder::{
    Candidate, Chroma, Codec, Content, EncodeRequest, Latency, Meaning, Memory, Need, Rate, Speed, Tier, Wish,
};
pub use event::Event;
pub use lazy::Lazy;
pub use notice::Notice;
pub use object::Object;
pub use policy::{
    AgentFacts, CallFacts, CaptureMode, ConnectionState, Decision, Fact, InteractionFacts, Media, MediaFacts,
    PolicyAnswer, RecordingFacts, Role, Voice,
};
pub use recipe::{
    Device, Element, FrameFormat, PixelFormat, Producer, Property, SourceRecipe, SourceRequest,
};
