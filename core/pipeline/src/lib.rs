//! A pipeline file, from its text to its meaning.
//!
//! ```text
//! text --parse--> Document --resolve--> Deployment
//!                 as written, with      names resolved,
//!                 a span on everything  values typed
//! ```
//!
//! A [`Deployment`] is the graph of a recorder or of a server. The tracks of a recorder's graph become a
//! worker's [job](Track::job); the worker asks the plugins for recipes and turns those into [`elements`].
//!
//! Every step returns what it could read and a list of [`Diagnostic`]s; none stops at the first mistake, so
//! that a file with five mistakes shows five. Pure: no files, no clock, no plugin code; the same text and
//! catalog yield the same result on every machine.
//!
//! ```
//! use deskreel_pipeline::{Catalog, Code, check};
//!
//! let (deployment, diagnostics) = check("version = 1\nname = \"empty\"\n", &Catalog::default());
//! assert!(deployment.is_none());
//! assert_eq!(diagnostics[0].code, Code::MissingKey);
//! assert_eq!(diagnostics[0].message, "the section `[recording]` is missing");
//! ```

// The file as written.
mod document;
mod parse;

// One table of the file, read by the table of keys.
mod choice;
mod fields;
mod keys;
mod quantity;
mod value;

// The plugins that the file names, and their settings.
mod catalog;
mod expression;
mod plugins;
mod settings;

// The meaning of the file.
mod clash;
mod graph;
mod resolve;

// Recipes to GStreamer elements.
pub mod elements;
pub mod fit;

// Output for readers of the file.
mod code;
mod diagnostic;
mod dot;
mod schema;

pub use catalog::{Catalog, ListedPlugin};
pub use choice::{Choice, Locked, RateMode, Scheme, WhenFull, Words};
pub use code::Code;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use document::{Data, Document, KeyValue, PluginSearch, Span, Table, Value};
pub use dot::dot;
pub use graph::{
    Deciders, Deployment, EncoderNode, Link, Node, RecorderGraph, Recording, Server, ServerGraph, SourceNode,
    Spool, Track,
};
pub use keys::{FORMAT_VERSION, KEYS, Key, Need, SECTIONS, Section, Takes};
pub use parse::parse;
pub use quantity::parse_duration;
pub use resolve::resolve;
pub use schema::json_schema;

/// Parses and resolves, with all mistakes in file order.
pub fn check(text: &str, catalog: &Catalog) -> (Option<Deployment>, Vec<Diagnostic>) {
    let (document, syntax) = parse(text);
    check_document(text, &document, syntax, catalog)
}

/// Like `check`, for callers that need the [`Document`] first, to learn where its plugins are.
pub fn check_document(
    text: &str,
    document: &Document,
    syntax: Vec<Diagnostic>,
    catalog: &Catalog,
) -> (Option<Deployment>, Vec<Diagnostic>) {
    let (deployment, mut diagnostics) = resolve(document, catalog);
    let deployment = deployment.filter(|_| syntax.is_empty());
    diagnostics.retain(|diagnostic| !is_aftermath(text, &syntax, diagnostic));
    diagnostics.extend(syntax);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span().start, diagnostic.code));
    diagnostics.dedup();
    (deployment, diagnostics)
}

/// Returns whether a syntax error may be the reason for this diagnostic: it is on the same line, or misses
/// something that the broken line may have contained. After a broken header everything may be in the wrong
/// table.
fn is_aftermath(text: &str, syntax: &[Diagnostic], diagnostic: &Diagnostic) -> bool {
    let misses = matches!(
        diagnostic.code,
        Code::MissingVersion
            | Code::MissingKey
            | Code::MissingSetting
            | Code::UnknownSource
            | Code::UnknownTrack
            | Code::Unused
    );
    syntax.iter().filter(|error| error.code == Code::Syntax).any(|error| {
        let line = parse::line_at(text, error.span().start);
        let header = text[line.clone()].trim_start().starts_with('[');
        misses || header || (line.start..=line.end).contains(&diagnostic.span().start)
    })
}
