//! The plugin: its settings become properties of the element, as in a vendor's plugin.

use std::collections::BTreeMap;

use deskreel_sdk::prelude::*;

use crate::element::FACTORY;
use crate::faults::{Fault, Faults, is_back};

/// The name of an element that does not exist.
const MISSING: &str = "labh264enc-of-another-machine";

/// The plugins of a list share the settings of their section, so each has a table of its own: `a = { fault =
/// .. }`.
pub struct Lab(Faults);

impl Encoder for Lab {
    type Settings = BTreeMap<String, Faults>;

    fn open(settings: Self::Settings, _host: Host) -> Result<Self> {
        Ok(Lab(settings.into_values().next().unwrap_or_default()))
    }

    fn candidates(&mut self, request: &EncodeRequest) -> Result<Vec<Candidate>> {
        if request.codec != Codec::H264 {
            return Ok(vec![]);
        }
        let faults = self.0.here()?;
        let is_absent = faults.fault == Fault::Absent && !is_back(&faults.back);
        let file = self.0.machine.clone().filter(|_| is_absent);
        Ok(vec![Candidate {
            id: FACTORY.to_owned(),
            // The tier of the GPU that it imitates. Host and manifest show this, too, so its ids do not claim
            // a real device.
            tier: Tier::Hardware,
            memory: Memory::System,
            formats: vec!["NV12".to_owned(), "I420".to_owned()],
            elements: vec![element(if is_absent { MISSING } else { FACTORY }, &faults, request)],
            needs: vec![Need {
                library: None,
                path: Some(file.unwrap_or_else(|| "/".to_owned())),
                otherwise: "no such pretend GPU".to_owned(),
            }],
            siblings: None,
        }])
    }
}

fn element(factory: &str, faults: &Faults, request: &EncodeRequest) -> Element {
    let quality = match request.rate {
        Rate::Quality { quality } | Rate::Constrained { quality, .. } => quality,
        Rate::Bitrate { .. } => 23,
    };
    Element::new(factory)
        .set("quality", quality)
        .set("keyframe-distance", request.keyframe_distance())
        .set("fault", json!(faults.fault))
        .set("at", faults.at)
        .set("limit", faults.limit)
        .set("folder", faults.folder.as_str())
        .set("back", faults.back.as_str())
}
