//! A deployment as Graphviz draws it: media from left to right, and below them everything that decides about
//! them.

use crate::graph::{Deciders, Deployment, EncoderNode, Node, RecorderGraph, ServerGraph, SourceNode};
use crate::quantity::show_duration;

/// The text for `deskreel graph`.
pub fn dot(deployment: &Deployment) -> String {
    let mut dot = Dot(String::new());
    let name = match deployment {
        Deployment::Recorder(RecorderGraph { name, .. }) | Deployment::Server(ServerGraph { name, .. }) => {
            name
        }
    };
    dot.line(format!("digraph {} {{", quote(name)));
    dot.line("  rankdir=LR; node [shape=box, style=rounded, fontname=\"sans-serif\"];".to_owned());
    match deployment {
        Deployment::Recorder(graph) => dot.recorder(graph),
        Deployment::Server(graph) => dot.server(graph),
    }
    dot.line("}".to_owned());
    dot.0
}

struct Dot(String);

impl Dot {
    fn line(&mut self, text: String) {
        self.0 += &text;
        self.0.push('\n');
    }

    fn recorder(&mut self, graph: &RecorderGraph) {
        let mut drawn = Vec::new();
        for track in &graph.recording.tracks {
            let source = id("source", &track.source.name);
            if !drawn.contains(&source) {
                self.line(format!("  {source} [label={}];", quote(&source_label(&track.source))));
                drawn.push(source.clone());
            }
            let encoder = id("encoder", &track.encoder.name);
            self.line(format!("  {encoder} [label={}];", quote(&encoder_label(&track.encoder))));
            self.line(format!("  {source} -> {encoder} [label=\"video\"];"));
            self.line(format!(
                "  {encoder} -> recording [label={}];",
                quote(&format!("track {}", track.name))
            ));
        }
        let fragment = show_duration(graph.recording.fragment);
        let directory = graph.recording.directory.display();
        let recording = format!("recording\n{directory}\nfragments of {fragment}");
        self.line(format!("  recording [shape=cylinder, label={}];", quote(&recording)));
        for sink in &graph.sinks {
            let to = id("sink", &sink.name);
            self.line(format!("  {to} [label={}];", quote(&node_label("sink", sink))));
            self.line(format!("  recording -> {to} [label=\"fragments\"];"));
        }
        self.deciders(&graph.deciders, "recording");
    }

    fn server(&mut self, graph: &ServerGraph) {
        let server = format!("server\n{}\n{}", graph.server.listen, graph.server.storage);
        self.line(format!("  server [shape=cylinder, label={}];", quote(&server)));
        self.deciders(&graph.deciders, "server");
    }

    fn deciders(&mut self, deciders: &Deciders, target: &str) {
        let feeds = deciders.feeds.iter().map(|feed| ("feed", feed, "events"));
        let policies = deciders.policies.iter().map(|policy| ("policy", policy, "decisions"));
        for (kind, node, sends) in feeds.chain(policies) {
            let from = id(kind, &node.name);
            self.line(format!(
                "  {from} [style=\"rounded,dashed\", label={}];",
                quote(&node_label(kind, node))
            ));
            self.line(format!("  {from} -> {target} [style=dashed, label=\"{sends}\"];"));
        }
    }
}

fn source_label(source: &SourceNode) -> String {
    let changes = match source.changes_only {
        Some(true) => "changes only",
        Some(false) => "every frame",
        None => "frames as the plugin proposes",
    };
    format!("source {}\n{}\nat most {} fps, {changes}", source.name, source.plugin.plugin, source.max_fps)
}

fn encoder_label(encoder: &EncoderNode) -> String {
    let plugins: Vec<_> = encoder.plugins.iter().map(|plugin| plugin.plugin.as_str()).collect();
    format!("encoder {}\n{}\n{}", encoder.name, plugins.join(", else "), encoder.codec)
}

fn node_label(kind: &str, node: &Node) -> String {
    match node.name == node.plugin.plugin {
        true => format!("{kind}\n{}", node.name),
        false => format!("{kind} {}\n{}", node.name, node.plugin.plugin),
    }
}

fn id(kind: &str, name: &str) -> String {
    quote(&format!("{kind}.{name}"))
}

/// A DOT string. Newlines become `\n`, which centers the lines.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
