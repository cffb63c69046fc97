//! Parses text to a [`Document`], reading past as many syntax errors as possible.

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Label};
use crate::document::{Data, Document, KeyValue, Span, Table, Value};

/// How often the line after which the parser stops is blanked and the rest read again. A text with more such
/// lines is hardly a pipeline file.
const ROUNDS: usize = 32;

/// Message of the one error after which toml 1.2 reads no further lines: its parser returns at a key without
/// `=`.
///
/// Rationale: `toml::de::Error` has a message and a span, but no kind, so the text is all there is to decide
/// on. The tests below fail if a new version of toml words this or [`DUPLICATE_KEY`] differently.
const KEY_WITHOUT_VALUE: &str = "key with no value";

const DUPLICATE_KEY: &str = "duplicate key";

pub fn parse(text: &str) -> (Document, Vec<Diagnostic>) {
    let mut readable = text.to_owned();
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for _ in 0..ROUNDS {
        let (_, errors) = DeTable::parse_recoverable(&readable);
        let Some(error) = errors.iter().find(|error| stops_the_parser(error)) else { break };
        diagnostics.push(syntax(text, error));
        blank_line(&mut readable, error.span().unwrap_or_default().start);
    }
    let (table, errors) = DeTable::parse_recoverable(&readable);
    diagnostics.extend(errors.iter().map(|error| syntax(text, error)));
    // A second error on a line is mostly a consequence of the first.
    diagnostics.sort_by_key(|diagnostic| diagnostic.span().start);
    diagnostics.dedup_by_key(|diagnostic| line_at(text, diagnostic.span().start));

    let mut root = walk_table(table.into_inner(), &mut diagnostics);
    // The root has no header: a key that it lacks is reported at the beginning of the file.
    root.span = root.entries.first().map_or(0..0, |first| first.key_span.clone());
    for duplicate in diagnostics.iter_mut().filter(|diagnostic| diagnostic.code == Code::DuplicateKey) {
        let span = duplicate.span();
        let key = text.get(span.clone()).unwrap_or_default();
        if let Some(first) = last_before(&root, key, span.start) {
            duplicate.labels.push(Label { span: first.clone(), text: "first here".to_owned() });
        }
    }
    (Document { root }, diagnostics)
}

/// The last occurrence of a key before `place`. The parser does not say which one a duplicate clashes with.
fn last_before<'t>(table: &'t Table, key: &str, place: usize) -> Option<&'t Span> {
    let earlier = table.entries.iter().filter(|entry| entry.key_span.start < place);
    let found = earlier.filter_map(|entry| {
        let inside = entry.table().and_then(|table| last_before(table, key, place));
        inside.or((entry.key == key).then_some(&entry.key_span))
    });
    found.max_by_key(|span| span.start)
}

/// The line that contains a byte, without its line break.
pub(crate) fn line_at(text: &str, at: usize) -> Span {
    let (before, after) = text.as_bytes().split_at(at.min(text.len()));
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = after.iter().position(|byte| *byte == b'\n').map_or(text.len(), |newline| at + newline);
    start..end
}

fn stops_the_parser(error: &Error) -> bool {
    error.message().starts_with(KEY_WITHOUT_VALUE)
}

/// Overwrites a line with spaces, so that every other byte keeps its place.
fn blank_line(text: &mut String, at: usize) {
    let line = line_at(text, at);
    let blank = " ".repeat(line.len());
    text.replace_range(line, &blank);
}

fn syntax(text: &str, error: &Error) -> Diagnostic {
    let span = error.span().unwrap_or_default();
    let span = span.start.min(text.len())..span.end.min(text.len());
    let found = text.get(span.clone()).unwrap_or_default();
    if error.message() == DUPLICATE_KEY {
        return Diagnostic::error(Code::DuplicateKey, &span, format!("`{found}` is defined twice"));
    }
    let is_value = text.get(..span.start).is_some_and(|before| before.trim_end().ends_with(['=', ',', '[']));
    if is_value && found.trim().is_empty() {
        return Diagnostic::error(Code::Syntax, &span, "the value is missing");
    }
    if is_value && found.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let problem = Diagnostic::error(Code::Syntax, &span, format!("`{found}` is not a value"));
        return problem.help(format!("put strings in quotes: \"{found}\""));
    }
    Diagnostic::error(Code::Syntax, &span, error.message())
}

fn walk_table(table: DeTable<'_>, diagnostics: &mut Vec<Diagnostic>) -> Table {
    let mut entries: Vec<KeyValue> = table
        .into_iter()
        .map(|(key, value)| KeyValue {
            key_span: key.span(),
            key: key.into_inner().into_owned(),
            value: walk_value(value, diagnostics),
        })
        .collect();
    // The parser sorts by name.
    entries.sort_by_key(|entry| entry.key_span.start);
    Table { span: 0..0, entries }
}

fn walk_value(value: Spanned<DeValue<'_>>, diagnostics: &mut Vec<Diagnostic>) -> Value {
    let span = value.span();
    let data = match value.into_inner() {
        DeValue::String(text) => Data::Text(text.into_owned()),
        DeValue::Integer(number) => {
            Data::Integer(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_else(|_| {
                diagnostics.push(Diagnostic::error(
                    Code::Syntax,
                    &span,
                    "this integer does not fit into 64 bits",
                ));
                0
            }))
        }
        // The parser has checked the form; if Rust cannot read it all the same, it is not a number.
        DeValue::Float(number) => Data::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Data::Boolean(yes),
        DeValue::Datetime(date) => Data::Date(date.to_string()),
        DeValue::Array(list) => {
            Data::List(list.into_iter().map(|value| walk_value(value, diagnostics)).collect())
        }
        DeValue::Table(table) => Data::Table(Table { span: span.clone(), ..walk_table(table, diagnostics) }),
    };
    Value { span, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> (Vec<Code>, Vec<String>) {
        let (document, diagnostics) = parse(text);
        let keys = document.root.entries.into_iter().map(|entry| entry.key).collect();
        (diagnostics.iter().map(|diagnostic| diagnostic.code).collect(), keys)
    }

    #[test]
    fn lines_after_a_key_without_value_are_read() {
        let (codes, keys) = codes("a = 1\nb\nc = 2\nd e\nf = 3\n");
        assert_eq!(codes, [Code::Syntax, Code::Syntax]);
        assert_eq!(keys, ["a", "c", "f"]);
    }

    #[test]
    fn duplicate_key_has_its_own_code() {
        let (codes, keys) = codes("a = 1\na = 2\n");
        assert_eq!(codes, [Code::DuplicateKey]);
        assert_eq!(keys, ["a"]);
    }
}
