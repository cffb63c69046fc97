//! Reads the descriptor of a library, without running any of its code.

use deskreel_contract::{Descriptor, Kind};
use deskreel_sdk::abi::RUST_ENTRY;
use deskreel_sdk::c::C_ENTRY;
use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{Architecture, ObjectKind};
use serde::Deserialize;

use crate::compatibility;
use crate::encoder_recipe::EncoderRecipe;
use crate::error::{Refusal, toml_reason};

/// The way in which the host calls a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryPoint {
    /// Through abi_stable, as `export_plugin!` writes it.
    Rust,
    /// Through the table of `deskreel.h`.
    C,
    /// Never: it is a `plugin.toml` with recipes.
    None,
}

/// Reads the descriptor in a shared library, and finds its entry point.
pub fn read_library(bytes: &[u8]) -> Result<(Descriptor, EntryPoint), Refusal> {
    let not_a_library = |reason: String| Refusal::NotALibrary { reason };
    let file = object::File::parse(bytes).map_err(|_| not_a_library("not an ELF file".into()))?;
    if file.kind() != ObjectKind::Dynamic {
        return Err(not_a_library(format!("an ELF file, but {:?}", file.kind()).to_lowercase()));
    }
    if Some(file.architecture()) != our_architecture() {
        let theirs = format!("{:?}", file.architecture()).to_lowercase();
        return Err(Refusal::Architecture { theirs, ours: std::env::consts::ARCH });
    }
    let section = file.section_by_name(".deskreelmeta").ok_or(Refusal::NoDescriptor)?;
    let text = section.data().map_err(|error| Refusal::BadDescriptor { reason: error.to_string() })?;
    // C compilers end a string with a zero, and linkers pad a section with zeros.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let descriptor = parse(text)?;

    let exported =
        |name: &str| file.dynamic_symbols().any(|symbol| symbol.is_definition() && symbol.name() == Ok(name));
    let entry = match (exported(RUST_ENTRY), exported(C_ENTRY)) {
        (true, _) => EntryPoint::Rust,
        (false, true) => EntryPoint::C,
        (false, false) => return Err(Refusal::NoEntry),
    };
    Ok((descriptor, entry))
}

/// Parses a descriptor and checks that this host understands it.
fn parse(text: &[u8]) -> Result<Descriptor, Refusal> {
    let bad = |reason: String| Refusal::BadDescriptor { reason };
    let text = str::from_utf8(text).map_err(|_| bad("not UTF-8".into()))?;
    // Versions first: everything else may differ in another version.
    let versions: Versions = toml::from_str(text).map_err(|error| bad(toml_reason(text, &error)))?;
    compatibility::check_versions(&versions.name, versions.schema, &versions.contract)?;
    let descriptor: Descriptor = toml::from_str(text).map_err(|error| bad(toml_reason(text, &error)))?;
    if descriptor.provides.is_empty() {
        return Err(bad("it provides no plugin".into()));
    }
    compatibility::check_interfaces(&descriptor)?;
    Ok(descriptor)
}

/// The feed that the recorder itself implements.
const BUILT_IN: &str = "feed.desktop";

/// Reads a `plugin.toml` that comes without a library: every plugin in it needs a recipe.
pub fn read_recipes(text: &[u8]) -> Result<Descriptor, Refusal> {
    let descriptor = parse(text)?;
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
            // The host implements it; the descriptor is there for its settings.
            (None, Kind::Feed) if plugin.id == BUILT_IN => continue,
            (Some(_), _) => format!("`{}` has a recipe, but a {kind} needs code", plugin.id),
            (None, _) => format!("`{}` has neither code nor a recipe", plugin.id),
        };
        return Err(Refusal::BadDescriptor { reason });
    }
    Ok(descriptor)
}

#[derive(Deserialize)]
struct Versions {
    schema: u32,
    name: String,
    contract: String,
}

/// `None` on an architecture for which Deskreel has not been built yet.
fn our_architecture() -> Option<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Aarch64),
        "arm" => Some(Architecture::Arm),
        "riscv64" => Some(Architecture::Riscv64),
        _ => None,
    }
}
