//! Names of agents and devices, found again in the other forms in which systems write them.
//!
//! `ANN`, `ann@example.com`, `CORP\ann` and an ARN that ends in `/ann` are the agent `ann`; `PJSIP/4711` and
//! `sip:4711@pbx` are the device `4711`. Case never matters. A qualified name and a plain one may be the
//! same; two names that are qualified differently never are.

use std::borrow::Cow;

use deskreel_model::{AgentId, loosened};

use crate::hash::HashMap;

/// The agents whose names, or devices, are known. Several entries may share a plain form.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    by_plain_form: HashMap<Box<str>, Vec<NameEntry>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NameEntry {
    /// In lower case, as it was given.
    name: Box<str>,
    agent: AgentId,
}

/// The entries of a plain form before a change.
pub(crate) type SavedEntries = (Box<str>, Vec<NameEntry>);

impl NameIndex {
    /// The agent with this name: the same name, else the only one that may be meant.
    pub fn find(&self, name: &str) -> Option<&AgentId> {
        let name = name.trim().to_lowercase();
        let plain = plain_form(&name);
        let entries = self.by_plain_form.get(&*plain)?;
        if let Some(entry) = entries.iter().find(|entry| *entry.name == *name) {
            return Some(&entry.agent);
        }
        let mut meant = entries.iter().filter(|entry| *name == *plain || *entry.name == *plain);
        let first = &meant.next()?.agent;
        meant.all(|entry| entry.agent == *first).then_some(first)
    }

    /// Gives a name to an agent, and takes it from the previous one. Returns the entries before, if that
    /// changes anything.
    pub fn assign(&mut self, name: &str, agent: &AgentId) -> Option<SavedEntries> {
        let name = name.trim().to_lowercase();
        let plain = plain_form(&name);
        let entries = self.by_plain_form.entry(plain.as_ref().into()).or_default();
        let known = entries.iter().position(|entry| *entry.name == *name);
        if known.is_some_and(|known| entries[known].agent == *agent) {
            return None;
        }
        let before = entries.clone();
        match known {
            Some(known) => entries[known].agent = agent.clone(),
            None => entries.push(NameEntry { name: name.as_str().into(), agent: agent.clone() }),
        }
        Some((plain.as_ref().into(), before))
    }

    pub fn restore(&mut self, (plain, entries): SavedEntries) {
        match entries.is_empty() {
            true => drop(self.by_plain_form.remove(&plain)),
            false => drop(self.by_plain_form.insert(plain, entries)),
        }
    }
}

/// Returns whether an agent's two devices are the same, however they are qualified.
pub(crate) fn is_same_device(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || plain_form(one) == plain_form(other)
}

/// The name without scheme, domain and path, in lower case.
fn plain_form(name: &str) -> Cow<'_, str> {
    loosened(name).last().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &[(&str, &str)]) -> NameIndex {
        let mut index = NameIndex::default();
        for (name, agent) in entries {
            index.assign(name, &(*agent).into());
        }
        index
    }

    #[test]
    fn other_forms_of_a_name_find_its_agent() {
        let index = index(&[("ann", "ann"), ("4711", "ann"), ("bob@a.example", "bob")]);
        for name in
            ["ANN", "ann@example.com", r"CORP\Ann", "arn:aws:connect:eu:1:instance/7/agent/ann", " ann"]
        {
            assert_eq!(index.find(name), Some(&"ann".into()), "{name}");
        }
        for device in ["4711", "PJSIP/4711", "sip:4711@pbx.example", "tel:4711"] {
            assert_eq!(index.find(device), Some(&"ann".into()), "{device}");
        }
        assert_eq!(index.find("bob"), Some(&"bob".into()));
        assert_eq!(index.find("eve"), None);
    }

    #[test]
    fn a_name_that_may_mean_two_agents_finds_neither() {
        let index = index(&[("ann@a.example", "1"), ("ann@b.example", "2")]);
        assert_eq!(index.find("ann@A.example"), Some(&"1".into()));
        assert_eq!((index.find("ann"), index.find("ann@c.example")), (None, None));
    }

    #[test]
    fn an_assignment_can_be_undone() {
        let mut index = index(&[("4711", "ann")]);
        assert_eq!(index.assign("4711", &"ann".into()), None);
        let before = index.assign("4711", &"bob".into()).unwrap_or_else(|| panic!("it changes"));
        assert_eq!(index.find("4711"), Some(&"bob".into()));
        index.restore(before);
        assert_eq!(index.find("4711"), Some(&"ann".into()));
    }
}
