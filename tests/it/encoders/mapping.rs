//! Every neutral setting, in every element of every version, has the right meaning, or is refused by name.

use std::collections::{BTreeMap, BTreeSet};

use deskreel_contract::{Candidate, Chroma, EncodeRequest, Meaning};
use deskreel_pipeline::fit::{FittedElement, Misfit, fit};
use serde_json::Value;

use super::elements::{self, Described};
use super::meaning::Reading;
use super::*;

/// The candidate's encoder, fitted to this element.
fn fitted(candidate: &Candidate, element: &Described) -> Result<FittedElement, Misfit> {
    fit(candidate.elements.last().unwrap(), &element.spec)
}

fn set(fitted: &FittedElement) -> BTreeMap<String, Value> {
    fitted.element.properties.iter().map(|property| (property.name.clone(), property.value.clone())).collect()
}

/// Every possible device: with everything that an element may have, with nothing optional, and with
/// everything except the one property that rules the others out.
fn devices(element: &Described) -> Vec<(&'static str, Described)> {
    let mut devices = vec![("everything", element.clone()), ("least", element.without(&element.conditional))];
    if element.conditional.contains("quality") {
        devices.push(("qp", element.without(&["quality".to_owned()])));
    }
    devices
}

/// Every request of every candidate, with every element that it may meet.
fn walk(visit: &mut dyn FnMut(&str, &Candidate, &EncodeRequest, &'static str, &Described)) {
    let elements = elements::all();
    for plugin in PLUGINS {
        for codec in CODECS {
            for request in requests(codec) {
                for candidate in candidates(plugin, &request) {
                    let factory = &candidate.elements.last().unwrap().factory;
                    let described = elements
                        .get(factory)
                        .unwrap_or_else(|| panic!("there is no description of {factory}"));
                    for element in described {
                        for (device, element) in devices(element) {
                            visit(plugin, &candidate, &request, device, &element);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn properties_exist_and_have_the_requested_meaning() {
    let mut wrong = BTreeSet::new();
    let mut readings = 0;
    walk(&mut |plugin, candidate, request, device, element| {
        let Ok(fitted) = fitted(candidate, element) else { return };
        readings += 1;
        let set = set(&fitted);
        let at = format!("{plugin} {} {} ({device})", element.spec.factory, element.version);
        let complaints = Reading { element, set: &set }.complaints(request, &fitted.cannot);
        wrong.extend(complaints.iter().map(|complaint| format!("{at}: {:?}: {complaint}", request.rate)));
        for (name, value) in set {
            // Checked again, independently of `fit`: the property exists.
            assert!(element.spec.properties.contains_key(&name), "{at}: {name}={value}");
        }
    });
    assert!(readings > 20_000, "only {readings}");
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Only what `refused.txt` lists is refused: first by elements with everything that a device may have, then
/// by those with nothing optional. Last come the settings that are left out.
#[test]
fn settings_that_an_element_cannot_do_are_refused_by_name() {
    let everything = refusals("everything");
    let mut least = refusals("least");
    least.retain(|line| !everything.contains(line));
    let sections = [everything.join("\n"), least.join("\n"), done_without().join("\n")];
    let found = sections.join("\n\n") + "\n";
    let path = root().join("tests/it/encoders/refused.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, found).unwrap();
    } else {
        assert_eq!(found, std::fs::read_to_string(path).unwrap(), "UPDATE=1 re-writes refused.txt");
    }
}

/// Each message, and the versions; except for full color, which has a list of its own.
fn refusals(wanted: &str) -> Vec<String> {
    let mut refusals: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    walk(&mut |_, candidate, request, device, element| {
        if device != wanted || request.chroma == Chroma::Yuv444 {
            return;
        }
        if let Err(misfit) = fitted(candidate, element) {
            let rate = match (misfit.meaning.map(|meaning| meaning.to_string()), request.rate) {
                (Some(meaning), _) if meaning != "rate" => String::new(),
                (_, Rate::Quality { .. }) => " [quality]".to_owned(),
                (_, Rate::Bitrate { max: None, .. }) => " [bitrate]".to_owned(),
                (_, Rate::Bitrate { .. }) => " [bitrate and max]".to_owned(),
                (_, Rate::Constrained { .. }) => " [constrained]".to_owned(),
            };
            let message = misfit.to_string().replace("the element ", "");
            refusals.entry(format!("{message}{rate}")).or_default().insert(element.version);
        }
    });
    let line = |(message, versions): (String, BTreeSet<&str>)| {
        format!("{}: {message}", versions.into_iter().collect::<Vec<_>>().join(" "))
    };
    refusals.into_iter().map(line).collect()
}

/// Settings that an element cannot do even with everything that a device may have, and the versions.
fn done_without() -> Vec<String> {
    let mut cannot: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    walk(&mut |_, candidate, request, device, element| {
        let Ok(fitted) = fitted(candidate, element) else { return };
        for meaning in fitted.cannot.iter().filter(|_| device == "everything") {
            let asked = match meaning {
                Meaning::Speed => format!("speed {:?}", request.speed),
                Meaning::Latency => format!("latency {:?}", request.latency),
                Meaning::Content => format!("content {:?}", request.content),
                required => panic!("{required} is required"),
            };
            let key = (asked.to_lowercase(), element.version.to_owned());
            cannot.entry(key).or_default().insert(element.spec.factory.clone());
        }
    });
    let line = |((asked, version), factories): ((String, String), BTreeSet<String>)| {
        format!("{version} {asked}: {}", factories.into_iter().collect::<Vec<_>>().join(" "))
    };
    cannot.into_iter().map(line).collect()
}

/// The effort of an element, by its settings: only the order counts.
fn effort(property: &str, value: &Value) -> i64 {
    const PRESETS: [&str; 22] = [
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "fast",
        "medium",
        "slow",
        "slower",
        "veryslow",
        "hp",
        "default",
        "hq",
        "p1",
        "p2",
        "p3",
        "p4",
        "p5",
        "p6",
        "p7",
        "speed",
        "balanced",
        "quality",
    ];
    match (property, value.as_i64(), value.as_str()) {
        ("target-usage" | "cpu-used" | "preset", Some(number), _) => -number,
        ("quality-vs-speed", Some(number), _) => number,
        ("complexity", _, Some(nick)) => {
            ["low", "medium", "high"].iter().position(|n| *n == nick).unwrap() as i64
        }
        (_, _, Some(nick)) => PRESETS.iter().position(|preset| *preset == nick).unwrap() as i64,
        other => panic!("this table lacks the cost of {other:?}"),
    }
}

#[test]
fn more_effort_is_spent_if_files_are_to_be_small() {
    let all = elements::all();
    for plugin in PLUGINS.into_iter().filter(|plugin| *plugin != "vt") {
        for codec in CODECS {
            let offered = [Speed::Fast, Speed::Balanced, Speed::Small]
                .map(|speed| candidates(plugin, &EncodeRequest { speed, ..EncodeRequest::new(codec) }));
            for (number, candidate) in offered[0].iter().enumerate() {
                for element in &all[&candidate.elements.last().unwrap().factory] {
                    let told = offered.each_ref().map(|offered| {
                        let mut encoder = offered[number].elements.last().unwrap().clone();
                        encoder.properties.clear();
                        encoder.wishes.retain(|wish| wish.means == Meaning::Speed);
                        let told = fit(&encoder, &element.spec).unwrap().element.properties;
                        let [one] = &told[..] else { panic!("{}: {told:?}", candidate.id) };
                        effort(&one.name, &one.value)
                    });
                    assert!(
                        told.is_sorted() && told[0] < told[2],
                        "{} {}: {told:?}",
                        candidate.id,
                        element.version
                    );
                }
            }
        }
    }
}

#[test]
fn full_color_is_done_by_elements_that_take_such_pictures() {
    let mut able = BTreeSet::new();
    walk(&mut |_, candidate, request, _, element| {
        if request.chroma == Chroma::Yuv444 {
            match fitted(candidate, element) {
                Ok(_) => drop(able.insert(element.spec.factory.clone())),
                Err(misfit) => assert!(!misfit.to_string().is_empty()),
            }
        }
    });
    let able: Vec<_> = able.iter().map(String::as_str).collect();
    assert_eq!(
        able.join(" "),
        "av1enc nvautogpuh264enc nvautogpuh265enc nvcudah264enc nvcudah265enc nvd3d11h264enc nvd3d11h265enc \
         nvh264enc nvh265enc x264enc x265enc"
    );
}

#[test]
fn pictures_come_in_formats_that_the_element_takes() {
    walk(&mut |_, candidate, _, _, element| {
        let taken = element.formats.as_ref().filter(|_| candidate.elements.len() == 1);
        for format in taken.iter().flat_map(|_| &candidate.formats) {
            let factory = &element.spec.factory;
            assert!(taken.unwrap().contains(format), "{factory} {} takes no {format}", element.version);
        }
    });
}

#[test]
fn a_missing_property_for_a_required_setting_is_named() {
    let elements = elements::all();
    let request = EncodeRequest::new(Codec::H264);
    let refusal = |plugin: &str, factory: &str, missing: &str| {
        let candidates = candidates(plugin, &request);
        let candidate = candidates.iter().find(|candidate| candidate.id == factory).unwrap();
        let newest = elements[factory].last().unwrap().without(&[missing.to_owned()]);
        fitted(candidate, &newest).unwrap_err().to_string()
    };
    assert_eq!(
        refusal("nvenc", "nvh264enc", "rc-mode"),
        "the element `nvh264enc` has no property `rc-mode`, which sets the rate"
    );
    assert_eq!(
        refusal("x264", "x264enc", "quantizer"),
        "the element `x264enc` has no property `quantizer`, which sets the rate"
    );
    assert_eq!(
        refusal("va", "vah264enc", "key-int-max"),
        "the element `vah264enc` has no property `key-int-max`, which sets the keyframe interval"
    );
}

#[test]
fn a_long_keyframe_interval_is_shortened_to_the_elements_maximum() {
    let request = EncodeRequest { keyframe_interval_ms: 600_000, ..EncodeRequest::new(Codec::H264) };
    let element = &elements::all()["vah264enc"][0];
    let fitted = fitted(&candidates("va", &request)[1], element).unwrap();
    assert_eq!(set(&fitted)["key-int-max"], 1024);
}

#[test]
fn a_plugins_own_setting_overrides_the_speed() {
    let request = EncodeRequest { speed: Speed::Small, ..EncodeRequest::new(Codec::H264) };
    let all = elements::all();
    for (plugin, factory, setting, value, property) in [
        ("x264", "x264enc", "preset", "faster", "speed-preset"),
        ("openh264", "openh264enc", "complexity", "low", "complexity"),
    ] {
        let candidate = open(plugin, json!({ setting: value })).candidates(&request).unwrap().remove(0);
        assert_eq!(set(&fitted(&candidate, &all[factory][0]).unwrap())[property], value);
        let candidate = candidates(plugin, &request).remove(0);
        assert_ne!(set(&fitted(&candidate, &all[factory][0]).unwrap())[property], value);
    }
}
