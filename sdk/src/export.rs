//! `export_plugin!` and the functions that it calls.

use deskreel_contract::{CONTRACT_MAJOR, CONTRACT_MINOR};

use crate::abi::{
    HostArc, InstanceBox, PluginRoot, PluginRoot_Ref, RResult, RSlice, RStr, RawError, RawProvides,
};
use crate::error::{PluginError, Result};
use crate::guard::{contained, open};
use crate::{encoder, feed, log, policy, sink, source};

/// Exports the plugins of this library. Use it once in a crate:
///
/// ```text
/// export_plugin! {
///     descriptor: "plugin.toml",              // beside Cargo.toml; embedded in the library
///     init: register_elements,                // optional: fn() -> Result<()>, called once after loading
///     source "acme.source.grabber" => Grabber,
///     encoder "acme.encoder.card" => Card,
/// }
/// ```
///
/// The ids must be those of the descriptor; the host refuses the library otherwise.
#[macro_export]
macro_rules! export_plugin {
    (descriptor: $descriptor:literal, init: $init:path, $($kind:ident $id:literal => $plugin:ty),+ $(,)?) => {
        $crate::export_plugin!(@export $descriptor, $init, $($kind $id => $plugin),+);
    };
    (descriptor: $descriptor:literal, $($kind:ident $id:literal => $plugin:ty),+ $(,)?) => {
        $crate::export_plugin!(@export $descriptor, $crate::export::no_init, $($kind $id => $plugin),+);
    };
    (@export $descriptor:literal, $init:path, $($kind:ident $id:literal => $plugin:ty),+) => {
        const _: () = {
            // The prefixes keep these names from hiding the vendor's, which are visible here.
            const DESKREEL_LENGTH: usize =
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $descriptor)).len();

            // Both attributes, so that neither linkers nor `strip` drop it.
            #[used]
            #[unsafe(no_mangle)]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".deskreelmeta"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__deskreelmeta"))]
            pub static DESKREEL_DESCRIPTOR: [u8; DESKREEL_LENGTH] =
                *include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $descriptor));

            static DESKREEL_PROVIDES: &[$crate::abi::RawProvides] = &[$($crate::abi::RawProvides {
                kind: $crate::abi::RStr::from_str(stringify!($kind)),
                id: $crate::abi::RStr::from_str($id),
            }),+];

            extern "C" fn deskreel_init(
                host: $crate::abi::HostArc,
            ) -> $crate::abi::RResult<(), $crate::abi::RawError> {
                $crate::export::init(host, $init)
            }

            extern "C" fn deskreel_create(
                id: $crate::abi::RStr<'_>,
                settings: $crate::abi::RStr<'_>,
                host: $crate::abi::HostArc,
            ) -> $crate::abi::RResult<$crate::abi::InstanceBox, $crate::abi::RawError> {
                $crate::export::create(|| match id.as_str() {
                    $($id => $crate::export::$kind::<$plugin>(settings.as_str(), host),)+
                    other => $crate::export::unknown(other),
                })
            }

            fn deskreel_root() -> $crate::abi::PluginRoot_Ref {
                $crate::export::root(DESKREEL_PROVIDES, cfg!(panic = "unwind"), deskreel_init, deskreel_create)
            }

            extern "C" fn deskreel_load() -> $crate::abi::RootModuleResult {
                $crate::abi::__call_root_module_loader(deskreel_root)
            }

            // SAFETY: `deskreel_load` returns the type named here; the host checks its layout.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static DESKREEL_HEADER: $crate::abi::LibHeader = unsafe {
                $crate::abi::LibHeader::from_constructor::<$crate::abi::PluginRoot_Ref>(
                    deskreel_load,
                    $crate::abi::CheckTypeLayout::Yes,
                )
            };
        };
    };
}

pub fn root(
    provides: &'static [RawProvides],
    contains_panics: bool,
    init: extern "C" fn(HostArc) -> RResult<(), RawError>,
    create: extern "C" fn(RStr<'_>, RStr<'_>, HostArc) -> RResult<InstanceBox, RawError>,
) -> PluginRoot_Ref {
    use abi_stable::prefix_type::PrefixTypeTrait;
    PluginRoot {
        contract_major: CONTRACT_MAJOR,
        contract_minor: CONTRACT_MINOR,
        contains_panics,
        provides: RSlice::from_slice(provides),
        init,
        create,
    }
    .leak_into_prefix()
}

pub fn init(host: HostArc, vendor: impl FnOnce() -> Result<()>) -> RResult<(), RawError> {
    contained(|| {
        log::bridge(host);
        vendor()
    })
}

pub fn no_init() -> Result<()> {
    Ok(())
}

pub fn create(open: impl FnOnce() -> Result<InstanceBox>) -> RResult<InstanceBox, RawError> {
    contained(open)
}

pub fn unknown(id: &str) -> Result<InstanceBox> {
    Err(PluginError::failed(format!("this library has no plugin `{id}`")))
}

pub fn source<P: source::Source>(settings: &str, host: HostArc) -> Result<InstanceBox> {
    open::<source::SourceInstance<P>>(settings, host)
}

pub fn encoder<P: encoder::Encoder>(settings: &str, host: HostArc) -> Result<InstanceBox> {
    open::<encoder::EncoderInstance<P>>(settings, host)
}

pub fn sink<P: sink::Sink>(settings: &str, host: HostArc) -> Result<InstanceBox> {
    open::<sink::SinkInstance<P>>(settings, host)
}

pub fn policy<P: policy::Policy>(settings: &str, host: HostArc) -> Result<InstanceBox> {
    open::<policy::PolicyInstance<P>>(settings, host)
}

pub fn feed<P: feed::Feed>(settings: &str, host: HostArc) -> Result<InstanceBox> {
    open::<feed::FeedInstance<P>>(settings, host)
}
