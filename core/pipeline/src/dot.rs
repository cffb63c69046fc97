//! A graph as Graphviz draws it: media from left to right, what decides about it below.

use crate::graph::{EncoderNode, Graph, Node, SourceNode};
use crate::units::show_duration;

/// For `deskreel graph`.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::new();
    let mut line = |text: String| out += &format!("{text}\n");
    line(format!("digraph {} {{", quote(&graph.name)));
    line("  rankdir=LR; node [shape=box, style=rounded, fontname=\"sans-serif\"];".to_owned());

    let mut drawn = Vec::new();
    for track in &graph.recording.tracks {
        let source = id("source", &track.source.name);
        if !drawn.contains(&source) {
            line(format!("  {source} [label={}];", quote(&source_label(&track.source))));
            drawn.push(source.clone());
        }
        let encoder = id("encoder", &track.encoder.name);
        line(format!("  {encoder} [label={}];", quote(&encoder_label(&track.encoder))));
        line(format!("  {source} -> {encoder} [label=\"video\"];"));
        line(format!("  {encoder} -> recording [label={}];", quote(&format!("track {}", track.name))));
    }
    let fragment = show_duration(graph.recording.fragment);
    let recording = format!("recording\n{}\nfragments of {fragment}", graph.recording.directory.display());
    line(format!("  recording [shape=cylinder, label={}];", quote(&recording)));
    for sink in &graph.sinks {
        let to = id("sink", &sink.name);
        line(format!("  {to} [label={}];", quote(&node_label("sink", sink))));
        line(format!("  recording -> {to} [label=\"fragments\"];"));
    }
    let deciding = graph.feeds.iter().map(|feed| ("feed", feed, "events"));
    let deciding = deciding.chain(graph.policies.iter().map(|policy| ("policy", policy, "decisions")));
    for (kind, node, gives) in deciding {
        let from = id(kind, &node.name);
        line(format!("  {from} [style=\"rounded,dashed\", label={}];", quote(&node_label(kind, node))));
        line(format!("  {from} -> recording [style=dashed, label=\"{gives}\"];"));
    }
    line("}".to_owned());
    out
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
