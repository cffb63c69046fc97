#![allow(clippy::unwrap_used)]
use super::*;

const FACTORY: &str = "enc";

/// An element with a bit rate from 1 to 1000 and a property `mode` that takes `modes`; no modes, no property.
fn element(modes: &[&str]) -> ElementSpec {
    let mut properties = BTreeMap::new();
    let mut has = |name: &str, kind| {
        properties.insert(name.to_owned(), PropertySpec { kind, writable: name != "frames" });
    };
    has("bitrate", PropertyKind::Integer { min: 1, max: 1000 });
    has("frames", PropertyKind::Integer { min: 0, max: i128::from(u64::MAX) });
    has("quality", PropertyKind::Float { min: 0.0, max: 1.0 });
    has("low-latency", PropertyKind::Boolean);
    has("tune", PropertyKind::Flags { nicks: vec!["fast".into(), "still".into()] });
    if !modes.is_empty() {
        has("mode", PropertyKind::Enum { nicks: modes.iter().map(|mode| mode.to_string()).collect() });
    }
    ElementSpec { factory: FACTORY.to_owned(), properties }
}

fn set(name: &str, value: impl Into<Value>) -> Vec<Property> {
    vec![Property::new(name, value)]
}

fn fitted(wanted: Element) -> String {
    match fit(&wanted, &element(&["cbr", "vbr"])) {
        Ok(FittedElement { element, cannot }) => {
            assert!(element.wishes.is_empty());
            let properties = element.properties.iter().map(|p| {
                assert!(!p.if_present && !p.at_most);
                format!("{}={}", p.name, p.value)
            });
            let cannot = cannot.iter().map(|meaning| format!("no {meaning}"));
            properties.chain(cannot).collect::<Vec<_>>().join(" ")
        }
        Err(misfit) => misfit.to_string(),
    }
}

fn enc() -> Element {
    Element::new(FACTORY)
}

#[test]
fn the_first_way_that_the_element_takes_is_chosen() {
    let ways = [set("rate-control", "vbr"), set("mode", "icq"), set("mode", "vbr"), set("mode", "cbr")];
    assert_eq!(fitted(enc().wish(Meaning::Rate, ways)), r#"mode="vbr""#);
}

#[test]
fn a_way_is_taken_whole_or_not_at_all() {
    let half = [Property::new("mode", "cbr"), Property::new("ceiling", 5)].to_vec();
    assert_eq!(fitted(enc().wish(Meaning::Rate, [half, set("bitrate", 7)])), "bitrate=7");
}

#[test]
fn an_empty_way_sets_nothing_and_fits() {
    assert_eq!(fitted(enc().wish(Meaning::Latency, [set("b-frames", 0), vec![]])), "");
}

#[test]
fn required_wish_without_a_way_is_a_misfit_that_names_the_properties() {
    assert_eq!(
        fitted(enc().wish(Meaning::Rate, [set("rc-mode", "vbr")])),
        "the element `enc` has no property `rc-mode`, which sets the rate"
    );
    assert_eq!(
        fitted(enc().wish(Meaning::Rate, [set("rc-mode", "vbr"), set("mode", "icq"), set("frames", 1)])),
        "the element `enc` has no property `rc-mode`, and does not take `icq` for its property `mode` (cbr, vbr), \
         and does not allow its property `frames` to be set, which sets the rate"
    );
    assert_eq!(fitted(enc().wish(Meaning::Chroma, [])), "the element `enc` cannot do the requested chroma");
}

#[test]
fn a_misfit_names_the_ways_that_came_closest() {
    let far = [Property::new("a", 1), Property::new("b", 1)].to_vec();
    let near = [Property::new("mode", "cbr"), Property::new("rc-mode", 1)].to_vec();
    assert_eq!(
        fitted(enc().wish(Meaning::Rate, [far, near.clone(), near])),
        "the element `enc` has no property `rc-mode`, which sets the rate"
    );
}

#[test]
fn optional_wish_without_a_way_is_dropped_and_reported() {
    let wanted = enc().wish(Meaning::Speed, [set("preset", 1)]).wish(Meaning::Rate, [set("bitrate", 5)]);
    assert_eq!(fitted(wanted), "bitrate=5 no speed");
}

#[test]
fn plain_properties_must_fit_unless_they_may_be_missing() {
    assert_eq!(fitted(enc().set_if_present("aud", false).set("bitrate", 5)), "bitrate=5");
    assert_eq!(fitted(enc().set("aud", false)), "the element `enc` has no property `aud`");
    let beyond = "the element `enc` does not take `0` for its property `bitrate` (1 to 1000)";
    assert_eq!(fitted(enc().set_if_present("bitrate", 0)), beyond);
}

#[test]
fn numbers_are_lowered_to_the_range_only_if_that_is_allowed() {
    let lowered =
        |name: &str, value: Value| enc().wish(Meaning::Rate, [vec![Property::at_most(name, value)]]);
    assert_eq!(fitted(lowered("bitrate", 4000.into())), "bitrate=1000");
    assert_eq!(fitted(lowered("quality", 1.5.into())), "quality=1.0");
    assert!(fitted(lowered("bitrate", 0.into())).contains("does not take `0`"));
    assert!(fitted(enc().set("bitrate", 4000)).contains("does not take `4000`"));
}

#[test]
fn values_must_be_of_the_propertys_type() {
    for (name, value, is_taken) in [
        ("low-latency", Value::from(true), true),
        ("low-latency", 1.into(), false),
        ("bitrate", 5.5.into(), false),
        ("bitrate", "5".into(), false),
        ("quality", 1.into(), true),
        ("quality", 0.25.into(), true),
        ("tune", "fast".into(), true),
        ("tune", "fast+still".into(), true),
        ("tune", "fast+slow".into(), false),
        ("tune", "".into(), false),
        ("mode", "cbr".into(), true),
        ("mode", 1.into(), false),
    ] {
        let taken = fit(&enc().set(name, value.clone()), &element(&["cbr"])).is_ok();
        assert_eq!(taken, is_taken, "{name}={value}");
    }
}

#[test]
fn the_later_of_two_values_counts() {
    let wanted = enc().set("bitrate", 1).set("low-latency", true).wish(Meaning::Rate, [set("bitrate", 2)]);
    assert_eq!(fitted(wanted), "low-latency=true bitrate=2");
}
