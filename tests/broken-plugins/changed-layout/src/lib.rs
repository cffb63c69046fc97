//! A plugin built against a changed copy of the binary interface (see build.rs). Everything is written out
//! here, because `export_plugin!` knows only the true interface.

#![allow(unsafe_code)]

#[allow(non_camel_case_types, non_local_definitions, unused_braces, dead_code, unused_imports)]
mod abi {
    include!(concat!(env!("OUT_DIR"), "/abi.rs"));
}

use abi::*;
use abi_stable::prefix_type::PrefixTypeTrait;

const TEXT: &[u8] = include_bytes!("../plugin.toml");

#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".deskreelmeta")]
pub static DESKREEL_DESCRIPTOR: [u8; TEXT.len()] = {
    let mut text = [0; TEXT.len()];
    text.copy_from_slice(TEXT);
    text
};

static PROVIDES: &[RawProvides] =
    &[RawProvides { kind: RStr::from_str("source"), id: RStr::from_str("broken.source.changed-layout") }];

extern "C" fn init(_: HostArc) -> RResult<(), RawError> {
    ROk(())
}

extern "C" fn create(_: RStr<'_>, _: RStr<'_>, _: HostArc) -> RResult<InstanceBox, RawError> {
    RErr(RawError { kind: 3, message: "never reached".into() })
}

fn root() -> PluginRoot_Ref {
    let provides = RSlice::from_slice(PROVIDES);
    PluginRoot { contract_major: 1, contract_minor: 0, contains_panics: true, provides, init, create }
        .leak_into_prefix()
}

extern "C" fn load() -> RootModuleResult {
    __call_root_module_loader(root)
}

#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
pub static HEADER: LibHeader =
    // SAFETY: `load` returns the type that is named here.
    unsafe { LibHeader::from_constructor::<PluginRoot_Ref>(load, CheckTypeLayout::Yes) };
