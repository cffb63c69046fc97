//! The smallest policy: record while a call is up.
//!
//! It has no state: the facts about the agent are enough. `start` for a call ends by itself when the agent
//! has left that call.

use deskreel_sdk::prelude::*;

struct Minimal;

impl Policy for Minimal {
    type Settings = NoSettings;
    type State = ();

    fn open(_settings: NoSettings, _host: Host) -> Result<Self> {
        Ok(Minimal)
    }

    fn decide(&self, _state: &mut (), fact: &Fact<()>) -> Result<Vec<Decision>> {
        let up = fact.changed_calls().filter(|call| call.is_up());
        Ok(up.map(|call| Decision::start("the call was answered").for_call(&call.call)).collect())
    }
}

export_plugin! {
    descriptor: "plugin.toml",
    policy "example.policy.minimal" => Minimal,
}
