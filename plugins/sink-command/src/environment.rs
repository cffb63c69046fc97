//! The environment of the program, with the facts about a recording.

use std::collections::BTreeMap;
use std::ffi::OsString;

use deskreel_sdk::prelude::*;

/// Variables that the program inherits from the recorder.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// The whole environment of the program that gets this recording.
pub fn for_recording(recording: &FinishedRecording) -> BTreeMap<String, OsString> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
    inherited.chain(facts(recording)).collect()
}

/// An unknown fact has no variable.
fn facts(recording: &FinishedRecording) -> impl Iterator<Item = (String, OsString)> {
    let FinishedRecording { id, directory, about } = recording;
    let paths = [
        ("DIRECTORY", directory.clone().into_os_string()),
        ("MANIFEST", directory.join("manifest.json").into_os_string()),
    ];
    // One a line: an id may contain spaces.
    let list = |ids: &[String]| (!ids.is_empty()).then(|| ids.join("\n"));
    let texts = [
        ("RECORDING", Some(id.clone())),
        ("AGENT", about.agent.clone()),
        ("PLACE", about.place.clone()),
        ("FROM", about.from.clone()),
        ("TO", about.to.clone()),
        ("CALLS", list(&about.calls)),
        ("INTERACTIONS", list(&about.interactions)),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    let tags = about.tags.iter().map(|(name, value)| (format!("TAG_{}", variable(name)), value.clone()));
    // A variable cannot contain a NUL.
    let texts = texts.chain(tags).map(|(name, text)| (name, OsString::from(text.replace('\0', ""))));
    let paths = paths.map(|(name, path)| (name.to_owned(), path));
    texts
        .chain(paths)
        .map(|(name, value)| (format!("DESKREEL_{name}"), value))
        .collect::<Vec<_>>()
        .into_iter()
}

/// `loan type` becomes `LOAN_TYPE`.
fn variable(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_known_fact_has_a_variable() {
        let about = json!({
            "agent": "ann", "from": "2026-01-05T09:00:00.000Z", "calls": ["77", "7 8"],
            "tags": { "loan-type": "a=b\nc", "nul": "x\0y" },
        });
        let recording = FinishedRecording {
            id: "R-1".into(),
            directory: "/spool/R-1".into(),
            about: serde_json::from_value(about).unwrap(),
        };
        let facts: BTreeMap<String, OsString> = facts(&recording).collect();
        let expected = [
            ("DESKREEL_AGENT", "ann"),
            ("DESKREEL_CALLS", "77\n7 8"),
            ("DESKREEL_DIRECTORY", "/spool/R-1"),
            ("DESKREEL_FROM", "2026-01-05T09:00:00.000Z"),
            ("DESKREEL_MANIFEST", "/spool/R-1/manifest.json"),
            ("DESKREEL_RECORDING", "R-1"),
            ("DESKREEL_TAG_LOAN_TYPE", "a=b\nc"),
            ("DESKREEL_TAG_NUL", "xy"),
        ];
        let found: Vec<(&str, &str)> =
            facts.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(found, expected);
    }
}
