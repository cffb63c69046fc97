//! Diagnostics for people, drawn under the lines of the file, and for programs, as JSON. The only user of
//! annotate-snippets.

use std::borrow::Cow;
use std::io::IsTerminal;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use deskreel_pipeline::{Code, Diagnostic, Severity, Span};
use serde_json::{Value, json};

/// A pipeline file, as read.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Path as the user wrote it.
    pub path: String,
    pub text: String,
}

/// Returns whether to draw in color on this stream: it is a terminal and `NO_COLOR` is not set
/// (<https://no-color.org>).
pub fn wants_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Draws all diagnostics, with an empty line after each; empty if there are none.
pub(crate) fn draw(file: &SourceFile, diagnostics: &[Diagnostic], color: bool) -> String {
    let text = without_secrets(&file.text, diagnostics);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let drawn = diagnostics.iter().map(|diagnostic| {
        let report = [group(&file.path, &text, diagnostic)];
        renderer.render(&report) + "\n\n"
    });
    drawn.collect()
}

fn group<'a>(path: &'a str, text: &'a str, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let annotations = diagnostic.labels.iter().enumerate().map(|(index, label)| {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        let remark = Some(label.text.as_str()).filter(|text| !text.is_empty());
        kind.span(label.span.clone()).label(remark)
    });
    let snippet = Snippet::source(text).path(path).annotations(annotations);
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.to_string());
    let help = diagnostic.help.as_deref().map(|help| Level::HELP.message(help));
    title.element(snippet).elements(help)
}

/// Replaces secrets by stars: the drawing shows the line, and may end up in a log.
fn without_secrets<'a>(text: &'a str, diagnostics: &[Diagnostic]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::SecretLiteral) {
        let span = secret.span();
        let stars = "*".repeat(span.len());
        text.to_mut().replace_range(span, &stars);
    }
    text
}

/// The stable form that docs/errors.md describes. Lines and columns count from 1, columns in characters; the
/// end is the place after the last character.
pub(crate) fn to_json(file: &SourceFile, diagnostics: &[Diagnostic]) -> Value {
    let one = |diagnostic: &Diagnostic| {
        let Span { start, end } = diagnostic.span();
        let (line, column) = position(&file.text, start);
        let (end_line, end_column) = position(&file.text, end);
        json!({
            "file": file.path,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "code": diagnostic.code.to_string(),
            "severity": diagnostic.severity.name(),
            "message": diagnostic.message,
            "help": diagnostic.help,
        })
    };
    diagnostics.iter().map(one).collect()
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile { path: "pipelines/desk.toml".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn mistake_is_drawn_under_its_line() {
        let file = file("version = 1\nfrom = \"sceen\"\n");
        let problem = Diagnostic::error(Code::UnknownSource, &(19..26), "there is no source `sceen`")
            .help("did you mean `screen`?");
        let drawn = "\
error[P017]: there is no source `sceen`
 --> pipelines/desk.toml:2:8
  |
2 | from = \"sceen\"
  |        ^^^^^^^
  |
  = help: did you mean `screen`?

";
        assert_eq!(draw(&file, &[problem], false), drawn);
    }

    #[test]
    fn columns_count_characters_from_one() {
        let file = file("a = 1\n\"µm\" = 2\n");
        let problem = Diagnostic::warning(Code::Unused, &(6..10), "unused");
        let json = to_json(&file, &[problem]);
        assert_eq!(json[0]["line"], 2);
        assert_eq!(json[0]["column"], 1);
        assert_eq!(json[0]["end_column"], 4, "{json}");
    }

    #[test]
    fn secret_is_not_drawn() {
        let file = file("token = \"hunter2\"\n");
        let problem = Diagnostic::error(Code::SecretLiteral, &(8..17), "`token` is a secret");
        assert!(!draw(&file, &[problem], false).contains("hunter2"));
    }
}
