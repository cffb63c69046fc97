//! The pipeline file's feeds that are plugins. Their events take the same way as those of desktops.

use std::sync::Arc;

use anyhow::{Context, Result};
use deskreel_host::{Catalog, HostCallbacks, Plugin};
use deskreel_model::event::Event;
use deskreel_pipeline::Node;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The id of the feed that the daemon serves itself.
pub const DESKTOP: &str = "feed.desktop";
const STOPPING: &str = "the recorder is stopping";
/// Events that wait for the supervisor. A faster feed is made to wait too.
const BACKLOG: usize = 1024;

/// Running feeds. Dropping this stops them.
pub struct Feeds(Vec<(String, Plugin)>);

impl Feeds {
    /// Starts the feeds, each under its name in the file.
    pub fn start(nodes: &[Node], catalog: &Catalog) -> Result<(Feeds, mpsc::Receiver<Event>)> {
        let (tell, events) = mpsc::channel(BACKLOG);
        let mut feeds = Feeds(Vec::new());
        for node in nodes.iter().filter(|node| node.plugin.plugin != DESKTOP) {
            let feed = start(node, catalog, tell.clone());
            let feed = feed.with_context(|| format!("feed `{}` does not start", node.name))?;
            feeds.0.push((node.name.clone(), feed));
        }
        Ok((feeds, events))
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        for (name, feed) in &mut self.0 {
            if let Err(error) = feed.stop_feed() {
                tracing::warn!(feed = name, %error, "the feed did not stop cleanly");
            }
        }
    }
}

fn start(node: &Node, catalog: &Catalog, tell: mpsc::Sender<Event>) -> Result<Plugin> {
    let id = &node.plugin.plugin;
    let (found, _) = catalog.find(id).with_context(|| format!("there is no plugin `{id}`"))?;
    let library = deskreel_host::load_with_deadline(found, deskreel_host::LOAD_LIMIT)
        .with_context(|| format!("{} cannot be used", found.path.display()))?;
    let (name, submitter, told) = (node.name.clone(), node.name.clone(), tell.clone());
    let on_emit = move |emitted: Value| match read(&name, emitted) {
        // On a thread of the feed's: it may wait here.
        Ok(event) => drop(tell.blocking_send(event)),
        Err(error) => tracing::warn!(feed = name, %error, "an event is skipped"),
    };
    let on_submit = move |submitted: Vec<Value>| {
        let each = submitted.into_iter().map(|event| match read(&submitter, event) {
            Ok(event) => told.blocking_send(event).map(|()| None).map_err(|_| STOPPING.to_owned()),
            Err(error) => Ok(Some(error.to_string())),
        });
        each.collect()
    };
    let callbacks = HostCallbacks { on_emit: Arc::new(on_emit), on_submit: Some(Arc::new(on_submit)) };
    let mut plugin = library.create(id, &node.plugin.settings, callbacks)?;
    plugin.start_feed()?;
    Ok(plugin)
}

fn read(feed: &str, mut emitted: Value) -> Result<Event> {
    if let Value::Object(fields) = &mut emitted {
        fields.insert("feed".to_owned(), json!(feed));
    }
    Ok(Event::parse(&emitted.to_string())?)
}
