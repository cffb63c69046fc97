//! A plugin without code: its descriptor has the answer, into which settings are filled. An encoder's may
//! instead be a table of its elements' abilities ([`EncoderRecipe`]).

use deskreel_contract::{EncodeRequest, Kind, Provides};
use deskreel_sdk::PluginError;
use deskreel_sdk::abi::{FrameStatus, RErr, RResult, RSliceMut, RStr, RString, RawError, RawInstance};
use serde_json::{Map, Value};

use crate::encoder_recipe::EncoderRecipe;

pub struct RecipeOnly {
    plugin: Provides,
    settings: Value,
}

impl RecipeOnly {
    pub fn new(plugin: &Provides, settings: &Value) -> Self {
        RecipeOnly { plugin: plugin.clone(), settings: settings.clone() }
    }

    fn answer(&self, method: &str, json: &str) -> Result<String, PluginError> {
        match (self.plugin.interface.kind, method) {
            (Kind::Source, "recipe") | (Kind::Encoder, "candidates") => {}
            (Kind::Source, "devices") => return Ok("[]".into()),
            _ => return Err(PluginError::unsupported(method)),
        }
        let recipe = self.plugin.recipe.as_ref().ok_or_else(|| PluginError::unsupported(method))?;
        if self.plugin.interface.kind == Kind::Encoder && recipe.is_object() {
            let (settings, schema) = (&self.settings, &self.plugin.settings);
            let recipe = EncoderRecipe::read(recipe, schema).map_err(PluginError::settings)?;
            let request: EncodeRequest = serde_json::from_str(json)?;
            return Ok(serde_json::to_string(&recipe.candidates(&request, settings, schema))?);
        }
        let request: Value = serde_json::from_str(json)?;
        let values = Values { settings: &self.settings, schema: &self.plugin.settings, request: &request };
        let filled = values.fill(recipe).ok_or_else(|| {
            PluginError::settings(
                "the recipe cannot be filled: a setting that it needs outside of properties is missing",
            )
        })?;
        Ok(filled.to_string())
    }
}

impl RawInstance for RecipeOnly {
    fn call(&mut self, method: RStr<'_>, json: RStr<'_>) -> RResult<RString, RawError> {
        self.answer(method.as_str(), json.as_str()).map(RString::from).map_err(RawError::from).into()
    }

    fn frame(&mut self, _: u64, _: u64, _: RSliceMut<'_, u8>) -> RResult<FrameStatus, RawError> {
        RErr(PluginError::unsupported("frame").into())
    }
}

/// The values of `"{name}"`: a setting, its default in the schema, or a field of the request
/// (`"{rate.quality}"`), in this order.
struct Values<'a> {
    settings: &'a Value,
    schema: &'a Option<Value>,
    request: &'a Value,
}

impl Values<'_> {
    /// Replaces every `"{name}"` by its value, keeping the type: a number stays a number. A property without
    /// a value is left out; a name without a value anywhere else makes the whole recipe unusable.
    fn fill(&self, value: &Value) -> Option<Value> {
        match value {
            Value::String(text) => match placeholder(text) {
                Some(name) => self.get(name).cloned(),
                None => Some(value.clone()),
            },
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| match self.fill(item) {
                    None if is_property(item) => None,
                    filled => Some(filled),
                });
                items.collect::<Option<Vec<_>>>().map(Value::Array)
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, field)| Some((name.clone(), self.fill(field)?)));
                fields.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            other => Some(other.clone()),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let default = || self.schema.as_ref()?.get("properties")?.get(name)?.get("default");
        let asked = || name.split('.').try_fold(self.request, |value, field| value.get(field));
        self.settings.get(name).or_else(default).or_else(asked)
    }
}

/// The name in `"{name}"`. Other braces are GStreamer's: `"{ NV12, I420 }"` is a list.
fn placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)).then_some(name)
}

fn is_property(item: &Value) -> bool {
    item.get("name").is_some() && item.get("value").is_some()
}
