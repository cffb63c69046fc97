//! One table of the file, read by the table of keys; unknown keys are left for the plugin.

use std::time::Duration;

use crate::choice::{self, Choice};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, did_you_mean, nearest, quoted};
use crate::document::{KeyValue, Span, Table};
use crate::keys::{KEYS, Key, Need, Section, Takes};
use crate::quantity;
use crate::value::{self, TypedValue, Word};

pub(crate) struct Fields<'d> {
    section: Section,
    /// The header, at which missing keys are reported.
    pub header: &'d Span,
    /// Keys that are in the file, with a right or a wrong value.
    written: Vec<&'static Key>,
    values: Vec<FieldValue<'d>>,
    /// Entries whose keys are not in the table of keys. Empty unless the section configures a plugin.
    pub rest: Vec<&'d KeyValue>,
}

struct FieldValue<'d> {
    key: &'static Key,
    span: &'d Span,
    typed: TypedValue<'d>,
}

impl<'d> Fields<'d> {
    pub fn read(section: Section, table: &'d Table, diagnostics: &mut Vec<Diagnostic>) -> Self {
        Self::read_entries(section, &table.span, table.entries.iter(), diagnostics)
    }

    /// The fields of an absent table: every key has its default.
    pub fn absent(section: Section, header: &'d Span) -> Self {
        Fields { section, header, written: Vec::new(), values: Vec::new(), rest: Vec::new() }
    }

    pub fn read_entries(
        section: Section,
        header: &'d Span,
        entries: impl Iterator<Item = &'d KeyValue>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut fields =
            Fields { section, header, written: Vec::new(), values: Vec::new(), rest: Vec::new() };
        for entry in entries {
            let Some(key) = section.key(&entry.key) else {
                fields.rest.push(entry);
                continue;
            };
            fields.written.push(key);
            if let Some(typed) = value::read(key, &entry.value, diagnostics) {
                fields.values.push(FieldValue { key, span: &entry.value.span, typed });
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

    /// A typo is reported as an unknown key, and not also as a missing one.
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

    fn find(&self, name: &str) -> Option<&FieldValue<'d>> {
        self.values.iter().find(|value| value.key.name == name)
    }

    pub fn is_written(&self, name: &str) -> bool {
        self.written.iter().any(|key| key.name == name)
    }

    /// The span of the value; `None` if it is absent or wrong.
    pub fn span(&self, name: &str) -> Option<&'d Span> {
        self.find(name).map(|found| found.span)
    }

    pub fn word(&self, name: &str) -> Option<Word<'d>> {
        match self.find(name)?.typed {
            TypedValue::Text(word) | TypedValue::Choice(word, _) => Some(word),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&'d str> {
        self.word(name).map(|word| word.text).or_else(|| self.default(name))
    }

    /// The value of the word in the file, or of the default.
    pub fn choice<T: TryFrom<Choice>>(&self, name: &str) -> Option<T> {
        let choice = match (self.find(name).map(|found| &found.typed), self.section.key(name)?.takes) {
            (Some(TypedValue::Choice(_, choice)), _) => *choice,
            (_, Takes::Choice(words)) => choice::value_of(words, self.default(name)?)?,
            _ => return None,
        };
        choice.try_into().ok()
    }

    /// Key and value of `card=entry`.
    pub fn pair(&self, name: &str) -> Option<(&'d str, &'d str)> {
        match self.find(name)?.typed {
            TypedValue::Pair(key, value) => Some((key, value)),
            _ => None,
        }
    }

    /// Empty if the key is absent. A key that takes one string yields a list of one.
    pub fn words(&self, name: &str) -> Vec<Word<'d>> {
        match self.find(name).map(|found| &found.typed) {
            Some(TypedValue::Words(words)) => words.clone(),
            Some(TypedValue::Text(word)) => vec![*word],
            _ => Vec::new(),
        }
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.find(name)?.typed {
            TypedValue::Boolean(yes) => Some(yes),
            _ => None,
        }
    }

    pub fn integer(&self, name: &str) -> Option<u32> {
        match self.find(name).map(|found| &found.typed) {
            Some(TypedValue::Integer(number)) => Some(*number),
            _ => self.default(name)?.parse().ok(),
        }
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.find(name).map(|found| &found.typed) {
            Some(TypedValue::Duration(duration)) => Some(*duration),
            _ => quantity::parse_duration(self.default(name)?),
        }
    }

    /// Bits per second.
    pub fn bit_rate(&self, name: &str) -> Option<u64> {
        match self.find(name)?.typed {
            TypedValue::BitRate(rate) => Some(rate),
            _ => None,
        }
    }

    /// Bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        match self.find(name).map(|found| &found.typed) {
            Some(TypedValue::Size(size)) => Some(*size),
            _ => quantity::parse_size(self.default(name)?),
        }
    }

    pub fn table(&self, name: &str) -> Option<&'d Table> {
        match self.find(name)?.typed {
            TypedValue::Table(table) => Some(table),
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

fn unknown(section: Section, entry: &KeyValue) -> Diagnostic {
    let names: Vec<_> = section.keys().map(|key| key.name).collect();
    let message = format!("there is no key `{}` {}", entry.key, section.place());
    let help = did_you_mean(&entry.key, names.iter().copied())
        .or_else(|| belongs_elsewhere(section, &entry.key))
        .unwrap_or_else(|| format!("its keys are {}", quoted(names)));
    Diagnostic::error(Code::UnknownKey, &entry.key_span, message).help(help)
}

/// The section of a key that is in the wrong one.
pub(crate) fn belongs_elsewhere(section: Section, name: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.name == name && key.section != section)?;
    Some(format!("`{name}` belongs {}", key.section.place()))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
