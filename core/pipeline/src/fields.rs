//! The keys of one table, read by the key table; what it does not know is left over for the plugin.

use std::time::Duration;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, did_you_mean, nearest, quoted};
use crate::document::{Entry, Span, Table};
use crate::keys::{KEYS, Key, Need, Section};
use crate::units;
use crate::value::{self, Typed, Word};

pub(crate) struct Fields<'d> {
    section: Section,
    /// The header, where missing keys are reported.
    pub header: &'d Span,
    /// Keys that are there, right or wrong.
    written: Vec<&'static Key>,
    found: Vec<Found<'d>>,
    /// Keys that the table of keys does not have. Empty unless the section belongs to a plugin.
    pub rest: Vec<&'d Entry>,
}

struct Found<'d> {
    key: &'static Key,
    span: &'d Span,
    typed: Typed<'d>,
}

impl<'d> Fields<'d> {
    pub fn read(section: Section, table: &'d Table, diagnostics: &mut Vec<Diagnostic>) -> Self {
        Self::read_entries(section, &table.span, table.entries.iter(), diagnostics)
    }

    /// Of a table that is not there: every key has its default.
    pub fn absent(section: Section, header: &'d Span) -> Self {
        Fields { section, header, written: Vec::new(), found: Vec::new(), rest: Vec::new() }
    }

    pub fn read_entries(
        section: Section,
        header: &'d Span,
        entries: impl Iterator<Item = &'d Entry>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut fields = Fields { section, header, written: Vec::new(), found: Vec::new(), rest: Vec::new() };
        for entry in entries {
            let Some(key) = section.key(&entry.key) else {
                fields.rest.push(entry);
                continue;
            };
            fields.written.push(key);
            if let Some(typed) = value::read(key, &entry.value, diagnostics) {
                fields.found.push(Found { key, span: &entry.value.span, typed });
            }
        }
        let required = section.keys().filter(|key| key.need == Need::Required);
        for key in required.filter(|key| !fields.written.contains(key)).collect::<Vec<_>>() {
            diagnostics.push(fields.missing(key));
        }
        if section.kind().is_none() {
            diagnostics.extend(fields.rest.drain(..).map(|entry| unknown(section, entry)));
        }
        fields
    }

    /// A slip of the fingers is reported as that, and not as a missing key as well.
    fn missing(&mut self, key: &'static Key) -> Diagnostic {
        let slip = self.rest.iter().position(|entry| nearest(&entry.key, [key.name]).is_some());
        if let Some(slip) = slip {
            return unknown(self.section, self.rest.remove(slip));
        }
        let code = if key.name == "version" { Code::MissingVersion } else { Code::MissingKey };
        let problem = Diagnostic::error(code, self.header, format!("`{}` is missing", key.name));
        problem.help(match key.name {
            "version" => "begin the file with `version = 1`".to_owned(),
            name => format!("add `{name} = ...`: {}", lower_first(key.about.trim_end_matches('.'))),
        })
    }

    fn find(&self, name: &str) -> Option<&Found<'d>> {
        self.found.iter().find(|found| found.key.name == name)
    }

    pub fn is_written(&self, name: &str) -> bool {
        self.written.iter().any(|key| key.name == name)
    }

    /// Where the value is written; `None` if it is not, or is wrong.
    pub fn span(&self, name: &str) -> Option<&'d Span> {
        self.find(name).map(|found| found.span)
    }

    pub fn word(&self, name: &str) -> Option<Word<'d>> {
        match self.find(name)?.typed {
            Typed::Text(word) => Some(word),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&'d str> {
        self.word(name).map(|word| word.text).or_else(|| self.default(name))
    }

    /// Empty if the key is absent. A key that takes one text gives a list of one.
    pub fn words(&self, name: &str) -> Vec<Word<'d>> {
        match self.find(name).map(|found| &found.typed) {
            Some(Typed::Words(words)) => words.clone(),
            Some(Typed::Text(word)) => vec![*word],
            _ => Vec::new(),
        }
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.find(name)?.typed {
            Typed::Boolean(yes) => Some(yes),
            _ => None,
        }
    }

    pub fn integer(&self, name: &str) -> Option<u32> {
        match self.find(name).map(|found| &found.typed) {
            Some(Typed::Integer(number)) => Some(*number),
            _ => self.default(name)?.parse().ok(),
        }
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.find(name).map(|found| &found.typed) {
            Some(Typed::Duration(duration)) => Some(*duration),
            _ => units::duration(self.default(name)?),
        }
    }

    /// Bits per second.
    pub fn bit_rate(&self, name: &str) -> Option<u64> {
        match self.find(name)?.typed {
            Typed::BitRate(rate) => Some(rate),
            _ => None,
        }
    }

    /// Bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        match self.find(name).map(|found| &found.typed) {
            Some(Typed::Size(size)) => Some(*size),
            _ => units::size(self.default(name)?),
        }
    }

    pub fn table(&self, name: &str) -> Option<&'d Table> {
        match self.find(name)?.typed {
            Typed::Table(table) => Some(table),
            _ => None,
        }
    }

    fn default(&self, name: &str) -> Option<&'static str> {
        match self.section.key(name)?.need {
            Need::Default(text) => Some(text),
            Need::Required | Need::Optional => None,
        }
    }
}

fn unknown(section: Section, entry: &Entry) -> Diagnostic {
    let names: Vec<_> = section.keys().map(|key| key.name).collect();
    let message = format!("there is no key `{}` {}", entry.key, section.place());
    let help = did_you_mean(&entry.key, names.iter().copied())
        .or_else(|| belongs_elsewhere(section, &entry.key))
        .unwrap_or_else(|| format!("its keys are {}", quoted(names)));
    Diagnostic::error(Code::UnknownKey, &entry.key_span, message).help(help)
}

/// A key that stands in the wrong section.
pub(crate) fn belongs_elsewhere(section: Section, name: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name && key.section != section)?;
    Some(format!("`{name}` belongs {}", key.section.place()))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
