//! A mistake, its place and its cure.

use std::fmt;

use crate::Span;
use crate::code::Code;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// The mistake, in lower case without a full stop.
    pub message: String,
    /// The first label marks the mistake itself, the others the values that it clashes with. Never empty.
    pub labels: Vec<Label>,
    /// The likely cure.
    pub help: Option<String>,
}

/// A place in the file, with a remark that may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is recorded from a file with an error.
    Error,
    /// The file runs, but hardly as intended.
    Warning,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Diagnostic {
    pub fn error(code: Code, span: &Span, message: impl Into<String>) -> Self {
        let labels = vec![Label { span: span.clone(), text: String::new() }];
        Diagnostic { code, severity: Severity::Error, message: message.into(), labels, help: None }
    }

    pub fn warning(code: Code, span: &Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// Adds a remark on another place.
    pub fn label(mut self, span: &Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span: span.clone(), text: text.into() });
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// The span of the mistake itself.
    pub fn span(&self) -> Span {
        self.labels.first().map_or(0..0, |label| label.span.clone())
    }
}

/// ``did you mean `screen`?``, if one of the candidates is close enough to be a typo.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(written, candidates).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// The most similar candidate, if at most a third of the letters differ, which is rustc's rule for names. In
/// a plugin id only the letters after the kind count: sharing `encoder.` means nothing.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tail = written.rsplit('.').next().unwrap_or(written);
    let limit = (tail.chars().count() / 3).max(1);
    let measured = candidates.into_iter().map(|c| (strsim::osa_distance(written, c), c));
    let best = measured.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance);
    best.map(|(_, candidate)| candidate)
}

/// `` `a`, `b` `` for a message.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
