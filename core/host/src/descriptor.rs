//! Reads what a library says of itself, without running any of its code.

use deskreel_contract::{Descriptor, Kind};
use deskreel_sdk::abi::RUST_ENTRY;
use deskreel_sdk::c::C_ENTRY;
use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{Architecture, ObjectKind};
use serde::Deserialize;

use crate::encoder_recipe::EncoderRecipe;
use crate::error::{Refused, toml_reason};
use crate::negotiate;

/// How a library is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Through abi_stable, as `export_plugin!` writes it.
    Rust,
    /// Through the table of `deskreel.h`.
    C,
    /// Not at all: a `plugin.toml` with recipes.
    None,
}

/// The descriptor in a shared library, and how its code is entered.
pub fn of_library(bytes: &[u8]) -> Result<(Descriptor, Entry), Refused> {
    let not_a_library = |reason: String| Refused::NotALibrary { reason };
    let file = object::File::parse(bytes).map_err(|_| not_a_library("not an ELF file".into()))?;
    if file.kind() != ObjectKind::Dynamic {
        return Err(not_a_library(format!("an ELF file, but {:?}", file.kind()).to_lowercase()));
    }
    if Some(file.architecture()) != our_architecture() {
        let theirs = format!("{:?}", file.architecture()).to_lowercase();
        return Err(Refused::Architecture { theirs, ours: std::env::consts::ARCH });
    }
    let section = file.section_by_name(".deskreelmeta").ok_or(Refused::NoDescriptor)?;
    let text = section.data().map_err(|error| Refused::BadDescriptor { reason: error.to_string() })?;
    // C compilers end a string with a zero, and linkers fill a section up with them.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let descriptor = of_text(text)?;

    let exported =
        |name: &str| file.dynamic_symbols().any(|symbol| symbol.is_definition() && symbol.name() == Ok(name));
    let entry = match (exported(RUST_ENTRY), exported(C_ENTRY)) {
        (true, _) => Entry::Rust,
        (false, true) => Entry::C,
        (false, false) => return Err(Refused::NoEntry),
    };
    Ok((descriptor, entry))
}

/// A descriptor's text, checked against what this host understands.
fn of_text(text: &[u8]) -> Result<Descriptor, Refused> {
    let bad = |reason: String| Refused::BadDescriptor { reason };
    let text = str::from_utf8(text).map_err(|_| bad("not UTF-8".into()))?;
    // Versions first: everything else may look different in another version.
    let versions: Versions = toml::from_str(text).map_err(|error| bad(toml_reason(text, &error)))?;
    negotiate::versions(&versions.name, versions.schema, &versions.contract)?;
    let descriptor: Descriptor = toml::from_str(text).map_err(|error| bad(toml_reason(text, &error)))?;
    if descriptor.provides.is_empty() {
        return Err(bad("it provides no plugin".into()));
    }
    negotiate::interfaces(&descriptor)?;
    Ok(descriptor)
}

/// The feed that the recorder itself serves.
const BUILT_IN: &str = "feed.desktop";

/// The descriptor in a `plugin.toml` that stands for itself: every plugin in it needs a recipe.
pub fn of_recipes(text: &[u8]) -> Result<Descriptor, Refused> {
    let descriptor = of_text(text)?;
    for plugin in &descriptor.provides {
        let kind = plugin.interface.kind;
        let reason = match (&plugin.recipe, kind) {
            (Some(recipe), Kind::Encoder) if recipe.is_object() => {
                match EncoderRecipe::read(recipe, &plugin.settings) {
                    Ok(_) => continue,
                    Err(reason) => format!("the recipe of `{}`: {reason}", plugin.id),
                }
            }
            (Some(_), Kind::Source | Kind::Encoder) => continue,
            // The host serves it; the descriptor is there for its settings.
            (None, Kind::Feed) if plugin.id == BUILT_IN => continue,
            (Some(_), _) => format!("`{}` has a recipe, but a {kind} needs code", plugin.id),
            (None, _) => format!("`{}` has neither code nor a recipe", plugin.id),
        };
        return Err(Refused::BadDescriptor { reason });
    }
    Ok(descriptor)
}

#[derive(Deserialize)]
struct Versions {
    schema: u32,
    name: String,
    contract: String,
}

/// None on a machine for which nobody has built Deskreel yet.
fn our_architecture() -> Option<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Aarch64),
        "arm" => Some(Architecture::Arm),
        "riscv64" => Some(Architecture::Riscv64),
        _ => None,
    }
}
