//! Names of agents as feeds write them: other ids of the same agent (aliases), and devices.
//!
//! Names compare without case and, if the exact name is unknown, by looser forms ([`loosened`]): without a
//! scheme, a prefix or a domain. A looser form counts only if it names one agent. Two names that are both
//! qualified, each in its own way, never mean the same agent: `ann@x` is not `ann@y`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::AgentId;

/// Prefixes that say how to reach a device, not which one it is.
const SCHEMES: [&str; 3] = ["sip:", "sips:", "tel:"];

/// The agents of the directory with their other names. Built once for each change of the directory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identities {
    ids: HashSet<AgentId>,
    agents: Names,
    devices: Names,
    conflicts: Vec<Conflict>,
}

/// Whether a name is an agent's or a device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameKind {
    Agent,
    Device,
}

impl NameKind {
    pub fn as_str(self) -> &'static str {
        match self {
            NameKind::Agent => "agent",
            NameKind::Device => "device",
        }
    }
}

/// A name that several agents have. It resolves to none of them, unless it is the id of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub kind: NameKind,
    /// In lower case, without its scheme.
    pub name: Box<str>,
    pub agents: Vec<AgentId>,
}

/// Names of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
struct Names {
    /// By the whole name, without its scheme.
    whole: HashMap<Box<str>, Owner>,
    /// By each looser form.
    loose: HashMap<Box<str>, Owner>,
}

#[derive(Debug, Clone, PartialEq)]
enum Owner {
    One(AgentId),
    Several,
}

impl Identities {
    /// Each entry is an agent with their aliases and devices.
    pub fn new(entries: impl IntoIterator<Item = (AgentId, Vec<String>, Vec<String>)>) -> Identities {
        let (mut ids, mut aliases, mut devices) = (Claims::default(), Claims::default(), Claims::default());
        let mut exact = HashSet::new();
        for (agent, own_aliases, own_devices) in entries {
            ids.add(agent.as_str(), &agent);
            own_aliases.iter().for_each(|alias| aliases.add(alias, &agent));
            own_devices.iter().for_each(|device| devices.add(device, &agent));
            exact.insert(agent);
        }
        let mut conflicts = Vec::new();
        let mut agents = Names::default();
        for (name, claimants) in &ids.0 {
            // An alias of another agent does not take an agent's own id away.
            let others = aliases.0.remove(name).unwrap_or_default();
            agents.claim(name, claimants);
            conflicts.extend(Conflict::new(NameKind::Agent, name, claimants.union(&others)));
        }
        let mut device_names = Names::default();
        let both = [(NameKind::Agent, aliases, &mut agents), (NameKind::Device, devices, &mut device_names)];
        for (kind, claims, names) in both {
            for (name, claimants) in &claims.0 {
                names.claim(name, claimants);
                conflicts.extend(Conflict::new(kind, name, claimants.iter()));
            }
        }
        conflicts.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Identities { ids: exact, agents, devices: device_names, conflicts }
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The agent with this id or alias.
    pub fn agent(&self, name: &str) -> Option<&AgentId> {
        self.ids.get(name).or_else(|| self.agents.find(name))
    }

    /// The agent with this device.
    pub fn device(&self, device: &str) -> Option<&AgentId> {
        self.devices.find(device)
    }

    pub fn find(&self, kind: NameKind, name: &str) -> Option<&AgentId> {
        match kind {
            NameKind::Agent => self.agent(name),
            NameKind::Device => self.device(name),
        }
    }

    /// Names that several agents have, sorted.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }
}

/// The forms of a name from the exact to the loosest, in lower case: `sip:PJSIP/4711@pbx` is also
/// `pjsip/4711@pbx`, `4711@pbx`, `pjsip/4711` and `4711`.
pub fn loosened(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    Forms::new(name).all.into_iter()
}

/// Returns whether two names may mean the same agent or device: they are equal without case and scheme, or
/// one is a looser form of the other.
pub fn are_alike(one: &str, other: &str) -> bool {
    let (one, other) = (Forms::new(one), Forms::new(other));
    one.all[one.whole..].contains(other.whole()) || other.all[other.whole..].contains(one.whole())
}

/// The forms of a name, from the exact to the loosest.
struct Forms<'a> {
    all: Vec<Cow<'a, str>>,
    /// Index of the whole name without its scheme; the forms after it are looser.
    whole: usize,
}

impl Forms<'_> {
    fn new(name: &str) -> Forms<'_> {
        let name = name.trim();
        let lower = match name.chars().any(char::is_uppercase) {
            true => Cow::Owned(name.to_lowercase()),
            false => Cow::Borrowed(name),
        };
        let (ranges, whole) = ranges(&lower);
        let all = match &lower {
            Cow::Borrowed(text) => ranges.into_iter().map(|range| Cow::Borrowed(&text[range])).collect(),
            Cow::Owned(text) => ranges.into_iter().map(|range| Cow::Owned(text[range].to_owned())).collect(),
        };
        Forms { all, whole }
    }

    fn whole(&self) -> &Cow<'_, str> {
        &self.all[self.whole]
    }

    fn looser(&self) -> &[Cow<'_, str>] {
        &self.all[self.whole + 1..]
    }
}

/// Where each form lies in a name of lower case, and which of them is the whole name without its scheme.
fn ranges(name: &str) -> (Vec<Range<usize>>, usize) {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    ranges.push(0..name.len());
    let scheme = SCHEMES.iter().find(|scheme| name.starts_with(**scheme)).map_or(0, |scheme| scheme.len());
    if (1..name.len()).contains(&scheme) {
        ranges.push(scheme..name.len());
    }
    let (whole, begin) = (ranges.len() - 1, ranges.last().map_or(0, |range| range.start));
    let domain = name[begin..].find('@').map(|at| begin + at);
    let local = &name[begin..domain.unwrap_or(name.len())];
    let separators: &[char] = if name.starts_with("arn:") { &['/', ':'] } else { &['/', '\\'] };
    let local_begin = local.rfind(separators).map_or(begin, |at| begin + at + 1);
    let has_local = local_begin < domain.unwrap_or(name.len());
    if has_local && local_begin > begin {
        ranges.push(local_begin..name.len());
        ranges.extend(domain.map(|domain| begin..domain));
    }
    if let Some(domain) = domain.filter(|_| has_local) {
        ranges.push(local_begin..domain);
    }
    // Asterisk names a channel by its device and eight hexadecimal digits.
    let local = &name[local_begin..domain.unwrap_or(name.len())];
    if let Some((device, channel)) = local.rsplit_once('-')
        && local_begin > begin
        && channel.len() == 8
        && channel.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !device.is_empty()
    {
        ranges.push(local_begin..local_begin + device.len());
    }
    (ranges, whole)
}

impl Names {
    fn claim(&mut self, name: &str, claimants: &BTreeSet<AgentId>) {
        let forms = Forms::new(name);
        for agent in claimants {
            add_owner(&mut self.whole, forms.whole(), agent);
            forms.looser().iter().for_each(|form| add_owner(&mut self.loose, form, agent));
        }
    }

    fn find(&self, name: &str) -> Option<&AgentId> {
        let forms = Forms::new(name);
        let whole: &str = forms.whole();
        // The known name may be the looser one or the more exact one, but not both.
        if let Some(owner) = self.whole.get(whole).or_else(|| self.loose.get(whole)) {
            return owner.one();
        }
        let looser: Option<&str> =
            forms.looser().iter().map(|form| &**form).find(|form| self.whole.contains_key(*form));
        let agent = self.whole.get(looser?)?.one()?;
        let is_alone = self.loose.get(looser?).is_none_or(|owner| owner.one() == Some(agent));
        is_alone.then_some(agent)
    }
}

impl Owner {
    fn one(&self) -> Option<&AgentId> {
        match self {
            Owner::One(agent) => Some(agent),
            Owner::Several => None,
        }
    }
}

fn add_owner(names: &mut HashMap<Box<str>, Owner>, name: &str, agent: &AgentId) {
    match names.get_mut(name) {
        Some(owner) if owner.one() != Some(agent) => *owner = Owner::Several,
        Some(_) => {}
        None => drop(names.insert(name.into(), Owner::One(agent.clone()))),
    }
}

/// The agents that claim each name, by its whole form.
#[derive(Default)]
struct Claims(BTreeMap<String, BTreeSet<AgentId>>);

impl Claims {
    fn add(&mut self, name: &str, agent: &AgentId) {
        let forms = Forms::new(name);
        if !forms.whole().is_empty() {
            self.0.entry(forms.whole().to_string()).or_default().insert(agent.clone());
        }
    }
}

impl Conflict {
    fn new<'a>(kind: NameKind, name: &str, claimants: impl Iterator<Item = &'a AgentId>) -> Option<Conflict> {
        let agents: Vec<AgentId> = claimants.cloned().collect();
        (agents.len() > 1).then(|| Conflict { kind, name: name.into(), agents })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NameKind::Agent => "name",
            NameKind::Device => "device",
        };
        let agents: Vec<&str> = self.agents.iter().map(AgentId::as_str).collect();
        write!(f, "the {kind} `{}` belongs to {}; leave it with one of them", self.name, agents.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn forms(name: &str) -> Vec<String> {
        loosened(name).map(Cow::into_owned).collect()
    }

    fn entry(agent: &str, aliases: &[&str], devices: &[&str]) -> (AgentId, Vec<String>, Vec<String>) {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        (agent.into(), list(aliases), list(devices))
    }

    #[test]
    fn a_name_is_loosened_step_by_step() {
        assert_eq!(forms("ann"), ["ann"]);
        assert_eq!(forms(" ANN "), ["ann"]);
        assert_eq!(forms("ann@x.com"), ["ann@x.com", "ann"]);
        assert_eq!(forms("CORP\\Ann"), ["corp\\ann", "ann"]);
        assert_eq!(forms("PJSIP/4711"), ["pjsip/4711", "4711"]);
        assert_eq!(forms("sip:4711@10.0.0.5"), ["sip:4711@10.0.0.5", "4711@10.0.0.5", "4711"]);
        let arn = "arn:aws:connect:eu:1:instance/i/agent/ann";
        assert_eq!(forms(arn), [arn, "ann"]);
        assert_eq!(forms("arn:aws:connect:eu:1:agent:ann"), ["arn:aws:connect:eu:1:agent:ann", "ann"]);
        assert_eq!(forms("Local/4711@office"), ["local/4711@office", "4711@office", "local/4711", "4711"]);
        assert_eq!(forms("ann@x/phone"), ["ann@x/phone", "ann"]);
        // Nothing is left without these.
        for whole in ["", "@x", "a/", "sip:", "\u{130}"] {
            assert_eq!(forms(whole).len(), 1, "{whole}");
        }
        assert_eq!(forms("a/@x"), ["a/@x"]);
    }

    #[test]
    fn a_name_resolves_in_any_form_that_means_one_agent() {
        let known = Identities::new([
            entry("ann", &["ann.lee@x.com", "arn:aws:connect:eu:1:agent/a-1"], &["4711"]),
            entry("bob@x.com", &[], &["PJSIP/4712"]),
        ]);
        let agent = |name: &str| known.agent(name).map_or("-", AgentId::as_str);
        assert_eq!(
            (agent("ann"), agent("ANN"), agent("ann@y.com"), agent("CORP\\ann")),
            ("ann", "ann", "ann", "ann")
        );
        assert_eq!((agent("Ann.Lee@X.com"), agent("ann.lee"), agent("ann.lee@y.com")), ("ann", "ann", "-"));
        assert_eq!(
            (agent("a-1"), agent("bob"), agent("bob@x.com"), agent("bob@y.com")),
            ("ann", "bob@x.com", "bob@x.com", "-")
        );
        let device = |name: &str| known.device(name).map_or("-", AgentId::as_str);
        assert_eq!(
            (device("4711"), device("PJSIP/4711"), device("sip:4711@pbx"), device("tel:4711")),
            ("ann", "ann", "ann", "ann")
        );
        assert_eq!(
            (device("4712"), device("pjsip/4712"), device("SIP/4712"), device("ann")),
            ("bob@x.com", "bob@x.com", "-", "-")
        );
        assert_eq!(known.conflicts(), []);
    }

    #[test]
    fn a_looser_form_of_two_agents_resolves_to_nobody() {
        let known =
            Identities::new([entry("ann@x", &[], &[]), entry("ann@y", &[], &[]), entry("bob", &[], &[])]);
        assert_eq!((known.agent("ann"), known.agent("ann@z")), (None, None));
        assert_eq!(known.agent("ann@y"), Some(&"ann@y".into()));
        let known = Identities::new([entry("ann", &[], &[]), entry("ann@x", &[], &[])]);
        assert_eq!(known.agent("ann"), Some(&"ann".into()));
        assert_eq!(known.agent("ann@y"), None, "both may be meant");
    }

    #[test]
    fn a_name_that_two_agents_claim_resolves_to_nobody_and_is_listed() {
        let known = Identities::new([
            entry("ann", &["a.lee", "bob"], &["4711"]),
            entry("bob", &["A.Lee"], &["tel:4711", "4712"]),
            entry("Bob", &[], &[]),
            entry("cid", &["cid", "CID"], &[]),
        ]);
        assert_eq!(
            (known.agent("a.lee"), known.device("4711"), known.device("sip:4711")),
            (None, None, None)
        );
        assert_eq!(known.device("4712"), Some(&"bob".into()));
        // An id belongs to its agent, however others call themselves.
        assert_eq!((known.agent("bob"), known.agent("Bob")), (Some(&"bob".into()), Some(&"Bob".into())));
        assert_eq!((known.agent("BOB"), known.agent("CID")), (None, Some(&"cid".into())));
        let told: Vec<String> = known.conflicts().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "the name `a.lee` belongs to ann and bob; leave it with one of them",
                "the name `bob` belongs to Bob and ann and bob; leave it with one of them",
                "the device `4711` belongs to ann and bob; leave it with one of them",
            ]
        );
    }

    #[test]
    fn names_are_alike_if_one_is_a_looser_form_of_the_other() {
        assert!(are_alike("ann", "ANN@x"));
        assert!(are_alike("sip:ann", "tel:ann"));
        assert!(are_alike("corp\\ann@x", "ann@x"));
        assert!(!are_alike("ann@x", "ann@y"));
        assert!(!are_alike("ann", "bob"));
    }
}
