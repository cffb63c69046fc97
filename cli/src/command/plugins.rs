//! `deskreel plugins`: lists the installed plugins, from their descriptors alone.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use deskreel_contract::{Descriptor, Provides};
use deskreel_deployment::installed_plugins;
use deskreel_host::{Catalog, FoundFile};
use serde_json::{Value, json};

pub fn list(as_json: bool) -> Result<ExitCode> {
    let catalog = installed_plugins();
    if as_json {
        let plugins: Vec<Value> =
            catalog.plugins().map(|(found, library, plugin)| row(found, library, plugin)).collect();
        let refused =
            catalog.refused.iter().map(|(path, why)| json!({ "path": path, "reason": why.to_string() }));
        let duplicates = catalog.duplicates.iter();
        let duplicates = duplicates.map(|d| json!({ "id": d.id, "used": d.used, "ignored": d.ignored }));
        println!(
            "{:#}",
            json!({
                "plugins": plugins,
                "refused": refused.collect::<Vec<_>>(),
                "duplicates": duplicates.collect::<Vec<_>>(),
            })
        );
    } else {
        table(&catalog);
    }
    Ok(ExitCode::SUCCESS)
}

fn table(catalog: &Catalog) {
    let width = catalog.plugins().map(|(_, _, plugin)| plugin.id.len()).max().unwrap_or(0);
    for (_, library, plugin) in catalog.plugins() {
        println!("{:width$}  {:7}  {}", plugin.id, library.version, plugin.about);
    }
    for (path, reason) in &catalog.refused {
        eprintln!("not used: {}: {reason}", path.display());
    }
    for duplicate in &catalog.duplicates {
        let (used, ignored) = (duplicate.used.display(), duplicate.ignored.display());
        eprintln!("not used: `{}` of {ignored}: {used} comes first", duplicate.id);
    }
    if catalog.libraries.is_empty() {
        eprintln!("no plugins were found; set DESKREEL_PLUGIN_PATH to their folder");
    }
}

fn row(found: &FoundFile, library: &Descriptor, plugin: &Provides) -> Value {
    json!({
        "id": plugin.id,
        "interface": plugin.interface,
        "about": plugin.about,
        "package": library.name,
        "version": library.version,
        "license": library.license,
        "contract": library.contract,
        "path": found.path,
        "sha256": found.sha256,
    })
}

/// Shows a plugin by its id, or by a file. The file need not be in a plugin folder or allowed, since none of
/// its code runs.
pub fn show(wanted: &str, as_json: bool) -> Result<ExitCode> {
    let path = Path::new(wanted);
    let found = if path.is_file() { vec![examine(path)?] } else { installed_plugins().libraries };
    let described = found.iter().filter_map(|found| Some((found, found.descriptor.as_ref().ok()?)));
    let plugins =
        described.flat_map(|(found, library)| library.provides.iter().map(move |p| (found, library, p)));
    let mut shown = 0;
    for (found, library, plugin) in plugins.filter(|(_, _, plugin)| path.is_file() || plugin.id == wanted) {
        show_one(found, library, plugin, as_json);
        shown += 1;
    }
    if shown == 0 {
        bail!("there is no plugin `{wanted}`; `deskreel plugins list` shows the installed ones");
    }
    Ok(ExitCode::SUCCESS)
}

fn examine(path: &Path) -> Result<FoundFile> {
    let found = deskreel_host::examine(path);
    match &found.descriptor {
        Ok(_) => Ok(found),
        Err(refused) => Err(anyhow::Error::from(refused.clone()).context(path.display().to_string())),
    }
}

fn show_one(found: &FoundFile, library: &Descriptor, plugin: &Provides, as_json: bool) {
    if as_json {
        let mut row = row(found, library, plugin);
        row["settings"] = plugin.settings.clone().unwrap_or_default();
        println!("{row:#}");
        return;
    }
    println!("{}  {}", plugin.id, plugin.about);
    println!("  package   {} {}", library.name, library.version);
    println!("  license   {}", library.license);
    println!("  interface {}, contract {}", plugin.interface, library.contract);
    println!("  file      {}", found.path.display());
    println!("  sha256    {}", found.sha256);
    let settings = plugin.settings.as_ref().and_then(|settings| settings["properties"].as_object());
    for (name, schema) in settings.into_iter().flatten() {
        let about = schema["description"].as_str().unwrap_or_default();
        println!("  {name}: {}  {about}", kind(schema));
    }
}

/// The kind of a setting, such as `integer, 1 to 60, default 10`.
fn kind(schema: &Value) -> String {
    let mut parts = vec![match &schema["enum"] {
        Value::Array(values) => values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or "),
        _ => schema["format"].as_str().or(schema["type"].as_str()).unwrap_or("any").to_owned(),
    }];
    if let (Some(minimum), Some(maximum)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        parts.push(format!("{minimum} to {maximum}"));
    }
    if !schema["default"].is_null() {
        parts.push(format!("default {}", schema["default"]));
    }
    parts.join(", ")
}
