//! Decides from the descriptor alone whether this host and a plugin are compatible, and which of the two to
//! update.

use deskreel_contract::{CONTRACT_MAJOR, CONTRACT_VERSION, Descriptor, Interface, Kind};

use crate::error::Refusal;

/// The revision of each kind's methods that this host implements.
fn revision(kind: Kind) -> u32 {
    match kind {
        Kind::Source | Kind::Encoder | Kind::Sink | Kind::Policy | Kind::Feed => 1,
    }
}

/// Majors must be equal; minors may differ, because the contract only grows by optional things.
pub fn check_versions(name: &str, schema: u32, contract: &str) -> Result<(), Refusal> {
    if schema != 1 {
        return Err(Refusal::Schema { name: name.into(), theirs: schema });
    }
    let major = contract.split_once('.').and_then(|(major, minor)| {
        minor.parse::<u32>().ok()?;
        major.parse::<u32>().ok()
    });
    let Some(major) = major else {
        let reason = format!("contract `{contract}` is not a version such as `{CONTRACT_VERSION}`");
        return Err(Refusal::BadDescriptor { reason });
    };
    if major != CONTRACT_MAJOR {
        let older = if major > CONTRACT_MAJOR { "Deskreel" } else { name };
        return Err(Refusal::Contract { name: name.into(), theirs: contract.into(), older: older.into() });
    }
    Ok(())
}

pub fn check_interfaces(descriptor: &Descriptor) -> Result<(), Refusal> {
    for plugin in &descriptor.provides {
        let theirs = plugin.interface;
        let ours = Interface { kind: theirs.kind, revision: revision(theirs.kind) };
        if theirs != ours {
            let (name, id) = (descriptor.name.clone(), plugin.id.clone());
            return Err(Refusal::Interface { name, id, theirs, ours });
        }
        if !plugin.id.split('.').any(|word| word == theirs.kind.name()) {
            let reason = format!("the id `{}` does not name its kind, `{}`", plugin.id, theirs.kind);
            return Err(Refusal::BadDescriptor { reason });
        }
    }
    Ok(())
}
