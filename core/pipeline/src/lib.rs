//! A pipeline file, from its text to what it means.
//!
//! ```text
//! text --parse--> Document --resolve--> Graph        (and in the worker, with the plugins' recipes: Plan)
//!                 as written, with      no names left to look up,
//!                 a span on everything  no texts left to read
//! ```
//!
//! Every step gives what it could read and a list of [`Diagnostic`]s; none stops at the first mistake, so that a
//! file with five mistakes shows five. Pure: no files, no clock, no plugin code; the same text and catalog give
//! the same result on every machine.
//!
//! ```
//! use deskreel_pipeline::{Catalog, Code, check};
//!
//! let (graph, diagnostics) = check("version = 1\nname = \"empty\"\n", &Catalog::default());
//! assert!(graph.is_none());
//! assert_eq!(diagnostics[0].code, Code::MissingKey);
//! assert_eq!(diagnostics[0].message, "the section `[recording]` is missing");
//! ```

// The file as written.
mod document;
mod parse;

// One table of it, by the table of keys.
mod fields;
mod keys;
mod units;
mod value;

// The plugins that it names, and their settings.
mod catalog;
mod expression;
mod plugins;
mod settings;

// What it means.
mod clash;
mod graph;
mod resolve;

pub mod plan;

// Which of its recipes' properties an element of this machine takes.
pub mod fit;

// What is told about it.
mod code;
mod diagnostic;
mod dot;
mod schema;

pub use catalog::{Catalog, Listed};
pub use code::Code;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use document::{Data, Document, Entry, PluginSearch, Span, Table, Value};
pub use dot::dot;
pub use graph::{EncoderNode, Graph, Link, Node, Recording, Server, SourceNode, Spool, Track};
pub use keys::{FORMAT_VERSION, KEYS, Key, Need, SECTIONS, Section, Takes};
pub use parse::parse;
pub use resolve::resolve;
pub use schema::json_schema;
pub use units::{duration, rate, size};

/// Both steps at once, with all mistakes in file order.
pub fn check(text: &str, catalog: &Catalog) -> (Option<Graph>, Vec<Diagnostic>) {
    let (document, syntax) = parse(text);
    check_document(text, &document, syntax, catalog)
}

/// For who needs the [`Document`] first, to find the plugins that it wants looked for.
pub fn check_document(
    text: &str,
    document: &Document,
    syntax: Vec<Diagnostic>,
    catalog: &Catalog,
) -> (Option<Graph>, Vec<Diagnostic>) {
    let (graph, mut diagnostics) = resolve(document, catalog);
    let graph = graph.filter(|_| syntax.is_empty());
    diagnostics.retain(|diagnostic| !is_aftermath(text, &syntax, diagnostic));
    diagnostics.extend(syntax);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span().start, diagnostic.code));
    diagnostics.dedup();
    (graph, diagnostics)
}

/// Whether a syntax error may be the reason for this diagnostic: it stands on the same line, or misses what a
/// broken line may have held. After a broken header everything may be in the wrong table.
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
