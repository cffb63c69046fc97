//! Footage while the agent is logged in. The host ends it when the agent logs out; this starts it again at
//! the next log-in.

use deskreel_sdk::prelude::*;

struct AlwaysOn;

impl Policy for AlwaysOn {
    type Settings = NoSettings;
    type State = ();

    fn open(_settings: NoSettings, _host: Host) -> Result<Self> {
        Ok(AlwaysOn)
    }

    fn decide(&self, _state: &mut (), _fact: &Fact<()>) -> Result<Vec<Decision>> {
        Ok(vec![Decision::start("every shift is recorded")])
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "policy.always-on" => AlwaysOn,
}
