//! Looks up plugin ids in the catalog, and passes each plugin its share of the settings in its table.

use deskreel_contract::Kind;
use deskreel_model::worker::PluginSettings;

use crate::catalog::{Catalog, ListedPlugin};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::document::{KeyValue, Span};
use crate::fields::{Fields, belongs_elsewhere};
use crate::keys::Section;
use crate::settings;
use crate::value::Word;

/// The most plugins to list in a help: longer lists do not help.
const SHOWN: usize = 8;

/// The plugins of one table, in the order in which it names them. If there are several, each gets the
/// settings that it takes, and at least one of them must take a setting.
pub(crate) fn resolve(
    section: Section,
    fields: &Fields<'_>,
    catalog: &Catalog,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<PluginSettings>> {
    let kind = section.kind()?;
    let words = fields.words("plugin");
    let found: Vec<_> = words.iter().map(|id| lookup(kind, *id, catalog, diagnostics)).collect();
    let listed: Option<Vec<&ListedPlugin>> = found.iter().copied().collect();

    // A setting that none of them takes may be meant for the plugin that was not found.
    if let Some(listed) = listed.as_ref().filter(|listed| !listed.is_empty()) {
        for entry in fields.rest.iter().filter(|entry| !listed.iter().any(|plugin| plugin.takes(&entry.key)))
        {
            diagnostics.push(unknown_setting(section, listed, entry));
        }
    }
    let checked = found.iter().zip(&words).map(|(plugin, id)| {
        let plugin = (*plugin)?;
        let settings = settings_of(plugin, id.span, fields, diagnostics);
        Some(PluginSettings { plugin: plugin.id.clone(), settings })
    });
    checked.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().filter(|plugins| !plugins.is_empty())
}

fn settings_of(
    plugin: &ListedPlugin,
    id_span: &Span,
    fields: &Fields<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> serde_json::Value {
    let own: Vec<&KeyValue> = fields.rest.iter().copied().filter(|entry| plugin.takes(&entry.key)).collect();
    settings::check(plugin, id_span, fields.header, &own, diagnostics)
}

fn lookup<'c>(
    kind: Kind,
    id: Word<'_>,
    catalog: &'c Catalog,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'c ListedPlugin> {
    let ids: Vec<_> = catalog.of_kind(kind).map(|plugin| plugin.id.as_str()).collect();
    let problem = match catalog.get(id.text) {
        Some(plugin) if plugin.kind == kind => return Some(plugin),
        Some(plugin) => {
            let message = format!("`{}` is {}, not {}", id.text, article(plugin.kind), article(kind));
            let problem = Diagnostic::error(Code::WrongKind, id.span, message);
            problem.help(format!("the {kind} plugins are {}", quoted(ids)))
        }
        None => {
            let problem = Diagnostic::error(
                Code::UnknownPlugin,
                id.span,
                format!("no plugin has the id `{}`", id.text),
            );
            let prefixed = format!("{kind}.{}", id.text);
            let help = did_you_mean(id.text, ids.iter().copied())
                .or_else(|| did_you_mean(&prefixed, ids.iter().copied()));
            problem.help(help.unwrap_or_else(|| match ids.len() {
                0 => format!("no {kind} plugin was found: check `paths` in `[plugins]`"),
                1..=SHOWN => format!("the {kind} plugins are {}", quoted(ids)),
                _ => "run `deskreel plugins list` to see the plugins of this machine".to_owned(),
            }))
        }
    };
    diagnostics.push(problem);
    None
}

fn unknown_setting(section: Section, plugins: &[&ListedPlugin], entry: &KeyValue) -> Diagnostic {
    let settings: Vec<_> =
        plugins.iter().flat_map(|plugin| plugin.properties()).map(|(name, _)| name).collect();
    let host_keys = section.keys().map(|key| key.name);
    let message = match plugins {
        [plugin] => format!("`{}` has no setting `{}`", plugin.id, entry.key),
        _ => format!("none of these plugins has a setting `{}`", entry.key),
    };
    let help = did_you_mean(&entry.key, settings.iter().copied().chain(host_keys))
        .or_else(|| belongs_elsewhere(section, &entry.key))
        .unwrap_or_else(|| match settings.is_empty() {
            true => "it has no settings".to_owned(),
            false => format!("the settings are {}", quoted(settings)),
        });
    Diagnostic::error(Code::UnknownSetting, &entry.key_span, message).help(help)
}

fn article(kind: Kind) -> String {
    match kind {
        Kind::Encoder => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}
