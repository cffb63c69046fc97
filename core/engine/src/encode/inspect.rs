//! An element's properties and the values that they accept, in the form that `deskreel_pipeline::fit` takes.

use std::collections::BTreeMap;

use deskreel_pipeline::fit::{ElementSpec, PropertyKind, PropertySpec};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

/// Inspects the instance, not the class: some elements' ranges and nicks depend on the device.
pub fn spec(element: &gst::Element) -> ElementSpec {
    let factory = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
    let properties: BTreeMap<String, PropertySpec> =
        element.list_properties().iter().map(|spec| (spec.name().to_owned(), property(spec))).collect();
    ElementSpec { factory, properties }
}

fn property(spec: &glib::ParamSpec) -> PropertySpec {
    let flags = spec.flags();
    let writable =
        flags.contains(glib::ParamFlags::WRITABLE) && !flags.contains(glib::ParamFlags::CONSTRUCT_ONLY);
    PropertySpec { kind: kind(spec), writable }
}

fn kind(spec: &glib::ParamSpec) -> PropertyKind {
    macro_rules! number {
        ($kind:ident of $number:ty: $($spec:ty),*) => {
            $(if let Some(spec) = spec.downcast_ref::<$spec>() {
                return PropertyKind::$kind {
                    min: <$number>::from(spec.minimum()),
                    max: <$number>::from(spec.maximum()),
                };
            })*
        };
    }
    number!(Integer of i128:
        glib::ParamSpecInt, glib::ParamSpecUInt, glib::ParamSpecInt64, glib::ParamSpecUInt64,
        glib::ParamSpecLong, glib::ParamSpecULong, glib::ParamSpecChar, glib::ParamSpecUChar);
    number!(Float of f64: glib::ParamSpecFloat, glib::ParamSpecDouble);
    if spec.is::<glib::ParamSpecBoolean>() {
        return PropertyKind::Boolean;
    }
    if spec.is::<glib::ParamSpecString>() {
        return PropertyKind::Text;
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let nicks = spec.enum_class().values().iter().map(|value| value.nick().to_owned()).collect();
        return PropertyKind::Enum { nicks };
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecFlags>() {
        let nicks = spec.flags_class().values().iter().map(|value| value.nick().to_owned()).collect();
        return PropertyKind::Flags { nicks };
    }
    PropertyKind::Other(spec.value_type().name().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use deskreel_contract::Element;

    use super::*;

    fn kind_of(factory: &str, property: &str) -> PropertyKind {
        gst::init().unwrap();
        let element = crate::build::element(&Element::new(factory), factory).unwrap();
        spec(&element).properties.remove(property).unwrap().kind
    }

    #[test]
    fn every_kind_of_property_has_its_accepted_values() {
        assert_eq!(kind_of("x264enc", "bitrate"), PropertyKind::Integer { min: 1, max: 2_048_000 });
        assert_eq!(kind_of("x264enc", "ip-factor"), PropertyKind::Float { min: 0.0, max: 2.0 });
        assert_eq!(kind_of("x264enc", "dct8x8"), PropertyKind::Boolean);
        assert_eq!(kind_of("x264enc", "option-string"), PropertyKind::Text);
        assert_eq!(kind_of("capsfilter", "caps"), PropertyKind::Other("GstCaps".into()));
        let passes = ["cbr", "quant", "qual", "pass1", "pass2", "pass3"].map(str::to_owned);
        assert_eq!(kind_of("x264enc", "pass"), PropertyKind::Enum { nicks: passes.into() });
        match kind_of("x264enc", "tune") {
            PropertyKind::Flags { nicks } => assert!(nicks.contains(&"zerolatency".to_owned())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_read_only_property_is_not_writable() {
        gst::init().unwrap();
        let queue = crate::build::element(&Element::new("queue"), "queue").unwrap();
        let writable = |name| spec(&queue).properties.get(name).map(|property| property.writable);
        assert_eq!([writable("current-level-buffers"), writable("leaky")], [Some(false), Some(true)]);
    }
}
