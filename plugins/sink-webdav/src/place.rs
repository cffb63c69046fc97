//! The folder of a recording below `url`.

use deskreel_sdk::prelude::*;

const NAMES: [&str; 3] = ["recording", "agent", "date"];

/// Folder names with placeholders, the outermost first.
#[derive(Debug)]
pub struct Template(Vec<String>);

impl Template {
    pub fn parse(path: &str) -> Result<Template> {
        let wrong = |what: String| PluginError::settings(format!("`path`: {what}"));
        let folders: Vec<String> = path.trim_matches('/').split('/').map(str::to_owned).collect();
        if folders.iter().any(|folder| matches!(folder.as_str(), "" | "." | "..")) {
            return Err(wrong(format!("`{path}` has a folder that is empty, `.` or `..`")));
        }
        let opened = path.split('{').skip(1).map(|rest| rest.split_once('}').map(|(name, _)| name));
        for name in opened {
            match name {
                Some(name) if NAMES.contains(&name) => {}
                Some(name) => {
                    return Err(wrong(format!(
                        "there is no placeholder `{{{name}}}`; use {{recording}}, {{agent}} or {{date}}"
                    )));
                }
                None => return Err(wrong("a `{` is not closed".to_owned())),
            }
        }
        if !path.contains("{recording}") {
            return Err(wrong("without `{recording}` all recordings would share one folder".to_owned()));
        }
        Ok(Template(folders))
    }

    pub fn fill(&self, recording: &FinishedRecording) -> Vec<String> {
        let agent = recording.about.agent.as_deref().unwrap_or("unknown");
        let date = date(recording).unwrap_or_else(|| "undated".to_owned());
        let fill = |folder: &String| {
            folder
                .replace("{date}", &plain(&date))
                .replace("{agent}", &plain(agent))
                .replace("{recording}", &plain(&recording.id))
        };
        self.0.iter().map(fill).collect()
    }
}

/// The day on which it began, in UTC; taken from its id if nothing else is known.
fn date(recording: &FinishedRecording) -> Option<String> {
    match &recording.about.from {
        Some(from) => from.get(..10).map(str::to_owned),
        None => {
            let digits = recording.id.get(..8).filter(|day| day.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some(format!("{}-{}-{}", digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?))
        }
    }
}

/// Keeps a value from naming another folder, and from containing a placeholder that would be filled next.
fn plain(value: &str) -> String {
    let value: String = value
        .chars()
        .map(|char| if matches!(char, '/' | '\\' | '{' | '}') || char.is_control() { '_' } else { char })
        .collect();
    match value.as_str() {
        "" | "." | ".." => "_".to_owned(),
        _ => value,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn recording(about: Value) -> FinishedRecording {
        FinishedRecording {
            id: "20261123T071002Z-4f2a91".into(),
            directory: "/spool".into(),
            about: serde_json::from_value(about).unwrap(),
        }
    }

    fn fill(path: &str, about: Value) -> String {
        Template::parse(path).unwrap().fill(&recording(about)).join("|")
    }

    #[test]
    fn placeholders_are_filled_with_the_recordings_facts() {
        let about = json!({ "agent": "ann", "from": "2026-11-22T23:59:59.900Z" });
        assert_eq!(fill("/a {agent}/{date}/{recording}/", about), "a ann|2026-11-22|20261123T071002Z-4f2a91");
        assert_eq!(
            fill("{agent}-{date}-{recording}", json!({})),
            "unknown-2026-11-23-20261123T071002Z-4f2a91"
        );
    }

    #[test]
    fn a_name_makes_no_folder() {
        for (agent, folder) in
            [("../x", ".._x"), ("..", "_"), ("", "_"), ("a\\b\n", "a_b_"), ("{recording}", "_recording_")]
        {
            let filled = fill("{agent}/{recording}", json!({ "agent": agent }));
            assert_eq!(filled, format!("{folder}|20261123T071002Z-4f2a91"), "{agent:?}");
        }
    }

    #[test]
    fn a_path_that_makes_no_sense_is_a_settings_error() {
        for path in
            ["", "/", "a//{recording}", "../{recording}", "{recoding}", "{recording", "all", "{agent}"]
        {
            let error = Template::parse(path).unwrap_err();
            assert!(error.kind == ErrorKind::Settings && error.message.starts_with("`path`: "), "{path}");
        }
    }
}
