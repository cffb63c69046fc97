//! `source.gst`: captures with the elements that the pipeline file names. For capture on other systems
//! (`d3d11screencapturesrc`, `pipewiresrc`, `avfvideosrc`), and for measurements (`videotestsrc`).

use deskreel_sdk::prelude::*;
use serde_json::Map;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// May be empty, so that the plugin can be asked for its devices; then there is nothing to capture.
    #[serde(default)]
    elements: Vec<ElementSettings>,
    #[serde(default)]
    caps: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ElementSettings {
    factory: String,
    /// Sorted by name; no property should depend on an order.
    #[serde(default)]
    properties: Map<String, Value>,
}

export_plugin! { descriptor: "plugin.toml", source "source.gst" => Gst }

struct Gst(Settings);

impl Source for Gst {
    type Settings = Settings;

    fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(Gst(settings))
    }

    /// Leaves it to the pipeline file whether frames that look the same are skipped: it may be a camera.
    fn recipe(&mut self, _request: &SourceRequest) -> Result<SourceRecipe> {
        self.0.check()?;
        let elements = self.0.elements.iter().map(ElementSettings::element);
        Ok(SourceRecipe { caps: self.0.caps.clone(), ..SourceRecipe::elements(elements) })
    }
}

impl ElementSettings {
    fn element(&self) -> Element {
        let element = Element::new(self.factory.as_str());
        self.properties
            .iter()
            .fold(element, |element, (name, value)| element.set(name.as_str(), value.clone()))
    }
}

impl Settings {
    /// Checks the schema's rules, for hosts that do not check the schema.
    fn check(&self) -> Result<()> {
        if self.elements.is_empty() {
            return Err(PluginError::settings("`elements` is empty; name at least one"));
        }
        if !self.caps.is_empty() && !self.caps.starts_with("video/x-raw") {
            let caps = &self.caps;
            return Err(PluginError::settings(format!(
                "`caps` is `{caps}`; expected video/x-raw with fields"
            )));
        }
        for element in &self.elements {
            name("factory", &element.factory)?;
            for (property, value) in &element.properties {
                name("property", property)?;
                if value.is_array() || value.is_object() || value.is_null() {
                    let message = format!("property `{property}` must be a number, a boolean or a text");
                    return Err(PluginError::settings(message));
                }
            }
        }
        Ok(())
    }
}

fn name(what: &str, text: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(allowed) {
        return Ok(());
    }
    Err(PluginError::settings(format!(
        "`{text}` is not the name of a {what}; expected letters, digits, `-`, `_`"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(json: Value) -> Settings {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn properties_keep_their_types() {
        let properties = json!({ "pattern": "ball", "is-live": true, "num-buffers": 9, "alpha": 0.5 });
        let settings =
            settings(json!({ "elements": [{ "factory": "videotestsrc", "properties": properties }] }));
        let element = settings.elements[0].element();
        assert_eq!(element.factory, "videotestsrc");
        let given: Map<String, Value> = element.properties.into_iter().map(|p| (p.name, p.value)).collect();
        assert_eq!(Value::from(given), properties);
    }

    #[test]
    fn names_cannot_smuggle_a_launch_line() {
        for (elements, mistake) in [
            (json!([]), "`elements` is empty; name at least one"),
            (
                json!([{ "factory": "fakesrc ! filesink" }]),
                "`fakesrc ! filesink` is not the name of a factory; expected letters, digits, `-`, `_`",
            ),
            (
                json!([{ "factory": "fakesrc", "properties": { "a=b": 1 } }]),
                "`a=b` is not the name of a property; expected letters, digits, `-`, `_`",
            ),
            (
                json!([{ "factory": "fakesrc", "properties": { "size": [1] } }]),
                "property `size` must be a number, a boolean or a text",
            ),
        ] {
            let error = settings(json!({ "elements": elements })).check().unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Settings, mistake));
        }
        let audio = settings(json!({ "elements": [{ "factory": "fakesrc" }], "caps": "audio/x-raw" }));
        assert!(audio.check().unwrap_err().message.starts_with("`caps` is `audio/x-raw`"));
    }
}
