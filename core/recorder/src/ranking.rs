//! Decides which of a track's candidates are tried, and which of them a recording uses. Pure.

use deskreel_contract::Tier;
use deskreel_model::Utc;
use deskreel_model::manifest::Refusal;
use deskreel_model::worker::{Proof, RankedCandidate, SurveyedCandidate};

/// An encoder candidate and its standing.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownCandidate {
    pub candidate: SurveyedCandidate,
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    Unknown,
    /// It has encoded pictures of this kind on this machine, and a decoder has checked them.
    Works {
        proof: Proof,
        at: Utc,
    },
    /// `at` is when it was tried; `None` if it was refused untried.
    Refused {
        reason: String,
        at: Option<Utc>,
    },
}

/// The number of candidates to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// As many as a recording needs: the best one that works, and one to continue with if that one dies.
    Enough,
    All,
}

impl KnownCandidate {
    pub fn new(candidate: SurveyedCandidate) -> Self {
        let refused = candidate.refused.clone();
        let standing = refused.map_or(Standing::Unknown, |reason| Standing::Refused { reason, at: None });
        KnownCandidate { candidate, standing }
    }

    pub fn works(&self) -> bool {
        matches!(self.standing, Standing::Works { .. })
    }

    pub fn is(&self, plugin: &str, candidate: &str) -> bool {
        self.candidate.plugin.plugin == plugin && self.candidate.candidate == candidate
    }
}

/// Returns whether nothing more need be tried. For a recording, this holds once two work in the order of
/// preference, at least one of them in software: a failure of one GPU's encoder often affects all of them.
/// Candidates after those change nothing, so two starts on one machine have the same ranking.
pub fn is_enough(tried: &[KnownCandidate], extent: Extent) -> bool {
    let (mut working, mut software) = (0, false);
    for one in tried {
        match one.standing {
            Standing::Unknown => return false,
            Standing::Works { .. } => {
                working += 1;
                software |= one.candidate.tier == Tier::Software;
                if extent == Extent::Enough && working >= 2 && software {
                    return true;
                }
            }
            Standing::Refused { .. } => {}
        }
    }
    true
}

/// Returns the next candidate to try, beside those in `running`. Of a plugin's hardware candidates only one
/// is tried at once: drivers limit sessions, and one candidate must not fail because another holds the last
/// session.
pub fn next_to_try(tried: &[KnownCandidate], running: &[usize]) -> Option<usize> {
    let is_busy = |one: &KnownCandidate| {
        let plugin = &one.candidate.plugin.plugin;
        let same =
            |index: &usize| tried.get(*index).is_some_and(|other| &other.candidate.plugin.plugin == plugin);
        one.candidate.tier == Tier::Hardware && running.iter().any(same)
    };
    let waits = |(index, one): &(usize, &KnownCandidate)| {
        one.standing == Standing::Unknown && !running.contains(index) && !is_busy(one)
    };
    tried.iter().enumerate().find(waits).map(|(index, _)| index)
}

/// Returns the candidates that work, best first, and the refusals of those preferred to the last of them. If
/// none works, returns every refusal.
pub fn rank(tried: &[KnownCandidate]) -> (Vec<RankedCandidate>, Vec<Refusal>) {
    let last = tried.iter().rposition(KnownCandidate::works).unwrap_or(tried.len());
    let (mut ranked, mut refused) = (Vec::new(), Vec::new());
    for (index, KnownCandidate { candidate, standing }) in tried.iter().enumerate() {
        match standing {
            Standing::Works { proof, .. } => ranked.push(RankedCandidate {
                plugin: candidate.plugin.clone(),
                candidate: candidate.candidate.clone(),
                holds_frames: proof.holds_frames,
                refused_before: refused.len(),
            }),
            Standing::Refused { reason, .. } if index <= last => refused.push(Refusal {
                plugin: candidate.plugin.plugin.clone(),
                candidate: Some(candidate.candidate.clone()).filter(|id| !id.is_empty()),
                reason: reason.clone(),
            }),
            Standing::Refused { .. } | Standing::Unknown => {}
        }
    }
    (ranked, refused)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use deskreel_contract::Memory;
    use deskreel_model::worker::PluginSettings;

    use super::*;

    /// Reads `nv.a:works nv.b:? x264:refused`. A name with a dot is in hardware, of the plugin before the
    /// dot.
    pub(crate) fn list(text: &str) -> Vec<KnownCandidate> {
        let one = |word: &str| {
            let (name, standing) = word.split_once(':').unwrap();
            let (plugin, tier) = match name.split_once('.') {
                Some((plugin, _)) => (plugin, Tier::Hardware),
                None => (name, Tier::Software),
            };
            let plugin = PluginSettings { plugin: plugin.to_owned(), settings: serde_json::Value::Null };
            let candidate = SurveyedCandidate {
                plugin,
                version: "1".to_owned(),
                candidate: name.to_owned(),
                tier,
                memory: Memory::System,
                gpu: None,
                recipe: name.to_owned(),
                on_demand: true,
                cannot: Vec::new(),
                refused: None,
            };
            let standing = match standing {
                "works" => Standing::Works { proof: Proof::default(), at: at(0) },
                "?" => Standing::Unknown,
                reason => Standing::Refused { reason: reason.to_owned(), at: None },
            };
            KnownCandidate { candidate, standing }
        };
        text.split_whitespace().map(one).collect()
    }

    pub(crate) fn at(seconds: i64) -> Utc {
        Utc(jiff::Timestamp::from_second(seconds).unwrap())
    }

    fn enough(text: &str) -> bool {
        is_enough(&list(text), Extent::Enough)
    }

    #[test]
    fn no_candidate_is_used_before_the_preferred_ones_are_known() {
        assert!(!enough("nv.a:? x264:works openh264:works"));
        assert!(enough("nv.a:refused x264:works openh264:works"));
    }

    #[test]
    fn a_recording_needs_one_in_software_for_when_the_gpu_dies() {
        assert!(!enough("nv.a:works nv.b:works x264:?"));
        assert!(enough("nv.a:works x264:works openh264:?"));
        assert!(enough("x264:works openh264:works nv.a:?"));
        assert!(!enough("x264:works openh264:?"));
    }

    #[test]
    fn once_all_are_known_nothing_more_is_tried() {
        assert!(enough("nv.a:works"));
        assert!(enough("nv.a:refused"));
        assert!(enough(""));
        assert!(!is_enough(&list("nv.a:works x264:works openh264:?"), Extent::All));
    }

    #[test]
    fn they_are_tried_in_order_and_only_one_in_hardware_per_plugin_at_once() {
        let list = list("nv.a:? nv.b:? va.a:refused x264:? openh264:works x265:?");
        assert_eq!(next_to_try(&list, &[]), Some(0));
        assert_eq!(next_to_try(&list, &[0]), Some(3));
        assert_eq!(next_to_try(&list, &[0, 3]), Some(5));
        assert_eq!(next_to_try(&list, &[3, 5]), Some(0));
        assert_eq!(next_to_try(&list, &[0, 3, 5]), None);
    }

    #[test]
    fn refusals_before_the_last_working_candidate_are_listed() {
        let (ranked, refused) = rank(&list("nv.a:green x264:works va.a:absent openh264:works vt.a:absent"));
        let ids: Vec<_> = ranked.iter().map(|ranked| ranked.candidate.as_str()).collect();
        assert_eq!(ids, ["x264", "openh264"]);
        assert_eq!([ranked[0].refused_before, ranked[1].refused_before], [1, 2]);
        let reasons: Vec<_> = refused.iter().map(|refused| refused.reason.as_str()).collect();
        assert_eq!(reasons, ["green", "absent"]);
        assert_eq!(rank(&list("nv.a:green vt.a:absent")).1.len(), 2);
    }
}
