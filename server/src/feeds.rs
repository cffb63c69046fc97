//! Runs the feeds of the server's file; their events go to `control`.

use std::sync::Arc;

use deskreel_host::{HostCallbacks, Plugin};

use crate::config::Config;
use crate::control::Control;
use crate::error::{Error, Result};

/// Running feeds. They are stopped when this is dropped.
pub struct Feeds(Vec<(String, Plugin)>);

impl Feeds {
    pub fn start(config: &Config, control: &Control) -> Result<Feeds> {
        let mut feeds = Feeds(Vec::new());
        for node in &config.graph.deciders.feeds {
            let id = &node.plugin.plugin;
            let refused = |reason: String| Error::Plugin { plugin: id.clone(), reason };
            let (found, _) =
                config.plugins.find(id).ok_or_else(|| refused("there is no such plugin".to_owned()))?;
            let library = deskreel_host::load_with_deadline(found, deskreel_host::LOAD_LIMIT)
                .map_err(|error| refused(error.to_string()))?;
            let (name, control) = (node.name.clone(), control.clone());
            // Both are called on a thread of the feed, which may block.
            let (submitter, submitted) = (name.clone(), control.clone());
            let on_emit = Arc::new(move |event| control.emit(&name, event));
            let on_submit =
                move |events| submitted.submit(&submitter, events).map_err(|error| error.to_string());
            let callbacks = HostCallbacks { on_emit, on_submit: Some(Arc::new(on_submit)) };
            let mut plugin = library
                .create(id, &node.plugin.settings, callbacks)
                .map_err(|error| refused(error.to_string()))?;
            plugin.start_feed().map_err(|error| refused(error.to_string()))?;
            feeds.0.push((node.name.clone(), plugin));
        }
        Ok(feeds)
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        for (name, feed) in &mut self.0 {
            if let Err(error) = feed.stop_feed() {
                tracing::warn!(feed = name, %error, "could not stop the feed");
            }
        }
    }
}
