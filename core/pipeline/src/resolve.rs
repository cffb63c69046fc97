//! [`Document`] to [`Deployment`]: names to nodes, plugin ids to plugins of the catalog, texts to values.
//!
//! Nothing here stops at the first mistake. A table with a mistake resolves to `None`, and so does everything
//! that needs it, so that one mistake is reported once.

use std::path::PathBuf;

use deskreel_contract::{Chroma, Codec, Rate};
use deskreel_model::PolicyRules;
use deskreel_model::worker::{GpuChoice, PluginSettings};

use crate::catalog::Catalog;
use crate::choice::{Locked, RateMode, WhenFull};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Severity, did_you_mean, quoted};
use crate::document::{Data, Document, KeyValue, Span, Table};
use crate::fields::Fields;
use crate::graph::{
    Deciders, Deployment, EncoderNode, Link, Node, RecorderGraph, Recording, Server, ServerGraph, SourceNode,
    Spool, Track,
};
use crate::keys::{SECTIONS, Section};
use crate::value::{Word, name};
use crate::{clash, plugins};

pub fn resolve(document: &Document, catalog: &Catalog) -> (Option<Deployment>, Vec<Diagnostic>) {
    let mut resolver = Resolver { catalog, diagnostics: Vec::new() };
    let deployment = resolver.deployment(&document.root);
    let diagnostics = resolver.diagnostics;
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (deployment.filter(|_| !failed), diagnostics)
}

struct Resolver<'a> {
    catalog: &'a Catalog,
    diagnostics: Vec<Diagnostic>,
}

/// `[source.screen]`: a table with a name of its own.
#[derive(Clone, Copy)]
struct NamedTable<'d> {
    name: Word<'d>,
    table: &'d Table,
}

/// A name that other tables refer to, and its node unless the table has a mistake.
struct NamedNode<'d, T> {
    name: Word<'d>,
    node: Option<T>,
}

/// The sink whose recordings the server's page plays.
const UPLOAD: &str = "sink.upload";

struct ResolvedEncoder<'d> {
    node: EncoderNode,
    /// Index of its source.
    source: usize,
    /// Place of its keyframe interval in the file.
    interval: Option<&'d Span>,
    /// `codec` and `chroma`, if not every browser plays their values.
    hard_to_play: [Option<Word<'d>>; 2],
}

impl<'d> Resolver<'_> {
    fn deployment(&mut self, root: &'d Table) -> Option<Deployment> {
        let name = self.top(root);
        if let Some(table) = self.single(root, Section::Plugins) {
            self.read(Section::Plugins, table);
        }
        let deciders = self.deciders(root);
        let is_server = root.get("server").is_some();
        let server = self.server(root);

        // A server's file has none of these; if one is there, its mistakes are shown all the same.
        let sources = self.each(root, Section::Source, Self::source);
        let names: Vec<_> = sources.iter().map(|source| source.name).collect();
        let mut used = vec![false; sources.len()];
        let encoders =
            self.each(root, Section::Encoder, |resolver, named| resolver.encoder(named, &names, &mut used));
        let link = self.single(root, Section::Link).map(|table| link(&self.read(Section::Link, table)));
        let spool = match self.single(root, Section::Spool) {
            Some(table) => spool(&self.read(Section::Spool, table)),
            None => spool(&Fields::absent(Section::Spool, &root.span)),
        };
        let sinks = self.each(root, Section::Sink, |resolver, named| resolver.node(Section::Sink, named));
        if is_server {
            return Some(Deployment::Server(ServerGraph {
                name: name?,
                deciders: deciders?,
                server: server?,
            }));
        }

        let is_upload = |sink: &Node| sink.plugin.plugin == UPLOAD;
        if link.is_some() || sinks.iter().filter_map(|sink| sink.node.as_ref()).any(is_upload) {
            let words = encoders.iter().filter_map(|encoder| encoder.node.as_ref());
            let words = words.flat_map(|encoder| encoder.hard_to_play).flatten();
            self.diagnostics.extend(words.map(clash::playback));
        }
        let recording = self.recording(root, &sources, &encoders);
        // An encoder with a mistake may be the one that takes the source.
        let is_uncertain = encoders.iter().any(|encoder| encoder.node.is_none());
        for (source, _) in sources.iter().zip(used).filter(|(_, used)| !used && !is_uncertain) {
            self.unused(source.name, "no encoder uses it: add an encoder with `from`, or remove the source");
        }
        let recording = recording?;
        let mut deciders = deciders?;
        deciders.rules.max_duration = recording.max_duration;
        Some(Deployment::Recorder(RecorderGraph {
            name: name?,
            deciders,
            recording,
            spool: spool?,
            link: match link {
                Some(link) => Some(link?),
                None => None,
            },
            sinks: sinks.into_iter().map(|sink| sink.node).collect::<Option<_>>()?,
        }))
    }

    /// Reads the keys before the first header and reports sections that do not exist. Returns the pipeline's
    /// name.
    fn top(&mut self, root: &'d Table) -> Option<String> {
        let is_section = |entry: &&KeyValue| SECTIONS.iter().any(|(name, _)| *name == entry.key);
        let is_table = |entry: &&KeyValue| match &entry.value.data {
            Data::Table(_) => true,
            Data::List(list) => list.iter().any(|value| matches!(value.data, Data::Table(_))),
            _ => false,
        };
        let keys = root.entries.iter().filter(|entry| !is_section(entry) && !is_table(entry));
        let fields = Fields::read_entries(Section::Root, &root.span, keys, &mut self.diagnostics);
        for entry in root.entries.iter().filter(|entry| !is_section(entry)).filter(is_table) {
            let message = format!("there is no section `{}`", entry.key);
            let names = SECTIONS.map(|(name, _)| name);
            let help = did_you_mean(&entry.key, names)
                .unwrap_or_else(|| format!("the sections are {}", quoted(names)));
            self.diagnostics
                .push(Diagnostic::error(Code::UnknownSection, &entry.key_span, message).help(help));
        }
        fields.text("name").map(str::to_owned)
    }

    fn deciders(&mut self, root: &'d Table) -> Option<Deciders> {
        let feeds = self.each(root, Section::Feed, |resolver, named| resolver.node(Section::Feed, named));
        let (policies, rules) = match self.single(root, Section::Policy) {
            Some(table) => self.policies(table)?,
            None => (Vec::new(), policy_rules(&Fields::absent(Section::Policy, &root.span))?),
        };
        let feeds = feeds.into_iter().map(|feed| feed.node).collect::<Option<_>>()?;
        Some(Deciders { feeds, policies, rules })
    }

    fn read(&mut self, section: Section, table: &'d Table) -> Fields<'d> {
        Fields::read(section, table, &mut self.diagnostics)
    }

    /// The table of a section, if the file has the section and it is a table.
    fn single(&mut self, root: &'d Table, section: Section) -> Option<&'d Table> {
        let (name, _) = SECTIONS.iter().find(|(_, known)| *known == section)?;
        let entry = root.get(name)?;
        if entry.table().is_none() {
            let message = format!("`{name}` is a section, not {}", entry.value.type_name());
            let example = if section.is_named() { format!("[{name}.main]") } else { format!("[{name}]") };
            let problem = Diagnostic::error(Code::WrongType, &entry.key_span, message);
            self.diagnostics.push(problem.help(format!("write a header: `{example}`")));
        }
        entry.table()
    }

    /// Resolves every table of a section that has named tables.
    fn each<T>(
        &mut self,
        root: &'d Table,
        section: Section,
        mut resolve: impl FnMut(&mut Self, NamedTable<'d>) -> Option<T>,
    ) -> Vec<NamedNode<'d, T>> {
        let entries = self.single(root, section).map(|table| table.entries.iter());
        let mut resolved = Vec::new();
        for entry in entries.into_iter().flatten() {
            let Some(table) = entry.table() else {
                let kind = section.kind().map_or("", |kind| kind.name());
                let message = format!("`{}` must be in a named table of `{kind}`", entry.key);
                let help = format!("give the {kind} a name: `[{kind}.main]`");
                self.diagnostics
                    .push(Diagnostic::error(Code::WrongType, &entry.key_span, message).help(help));
                continue;
            };
            let word = Word { text: &entry.key, span: &entry.key_span };
            self.diagnostics.extend(name(word).err());
            let node = resolve(self, NamedTable { name: word, table });
            resolved.push(NamedNode { name: word, node });
        }
        resolved
    }

    fn source(&mut self, named: NamedTable<'d>) -> Option<SourceNode> {
        let fields = self.read(Section::Source, named.table);
        let plugin = plugins::resolve(Section::Source, &fields, self.catalog, &mut self.diagnostics);
        Some(SourceNode {
            name: named.name.text.to_owned(),
            plugin: plugin?.into_iter().next()?,
            max_fps: fields.integer("max_fps")?,
            changes_only: fields.boolean("changes_only"),
            keepalive: fields.duration("keepalive")?,
        })
    }

    fn encoder(
        &mut self,
        named: NamedTable<'d>,
        sources: &[Word<'d>],
        used: &mut [bool],
    ) -> Option<ResolvedEncoder<'d>> {
        let fields = self.read(Section::Encoder, named.table);
        let plugins = plugins::resolve(Section::Encoder, &fields, self.catalog, &mut self.diagnostics);
        let rate = self.rate(&fields);
        let from = fields.word("from").and_then(|from| self.lookup_source(from, sources));
        if let Some(index) = from {
            used[index] = true;
        }
        self.diagnostics.extend(clash::gpu_gone(&fields));
        let node = EncoderNode {
            name: named.name.text.to_owned(),
            plugins: plugins?,
            codec: fields.choice("codec")?,
            rate: rate?,
            keyframe_interval: fields.duration("keyframe_interval")?,
            speed: fields.choice("speed")?,
            latency: fields.choice("latency")?,
            content: fields.choice("content")?,
            chroma: fields.choice("chroma")?,
            gpu: gpu(&fields),
            frame_deadline: fields.duration("frame_deadline")?,
        };
        let codec = fields.word("codec").filter(|_| node.codec == Codec::H265);
        let chroma = fields.word("chroma").filter(|_| node.chroma == Chroma::Yuv444);
        let interval = fields.span("keyframe_interval");
        Some(ResolvedEncoder { node, source: from?, interval, hard_to_play: [codec, chroma] })
    }

    fn lookup_source(&mut self, from: Word<'d>, sources: &[Word<'d>]) -> Option<usize> {
        let index = sources.iter().position(|source| source.text == from.text);
        if index.is_none() {
            let message = format!("there is no source `{}`", from.text);
            let names: Vec<_> = sources.iter().map(|source| source.text).collect();
            let help =
                did_you_mean(from.text, names.iter().copied()).unwrap_or_else(|| match names.is_empty() {
                    true => "the file has no sources: add one as `[source.screen]`".to_owned(),
                    false => format!("the sources are {}", quoted(names)),
                });
            self.diagnostics.push(Diagnostic::error(Code::UnknownSource, from.span, message).help(help));
        }
        index
    }

    fn rate(&mut self, encoder: &Fields<'d>) -> Option<Rate> {
        let Some(table) = encoder.table("rate") else { return Some(Rate::Quality { quality: 23 }) };
        let fields = self.read(Section::Rate, table);
        clash::rate(&fields, &mut self.diagnostics);
        Some(match fields.choice("mode")? {
            RateMode::Quality => Rate::Quality { quality: fields.integer("quality")? },
            RateMode::Bitrate => {
                Rate::Bitrate { bitrate: fields.bit_rate("bitrate")?, max: fields.bit_rate("max") }
            }
            RateMode::Constrained => {
                Rate::Constrained { quality: fields.integer("quality")?, max: fields.bit_rate("max")? }
            }
        })
    }

    fn recording(
        &mut self,
        root: &'d Table,
        sources: &[NamedNode<'d, SourceNode>],
        encoders: &[NamedNode<'d, ResolvedEncoder<'d>>],
    ) -> Option<Recording> {
        if root.get("recording").is_none() {
            let problem =
                Diagnostic::error(Code::MissingKey, &root.span, "the section `[recording]` is missing");
            self.diagnostics
                .push(problem.help("it needs at least `tracks`: the names of the encoders to record"));
        }
        let fields =
            self.single(root, Section::Recording).map(|table| self.read(Section::Recording, table))?;
        clash::times(&fields, &mut self.diagnostics);
        for encoder in encoders.iter().filter_map(|encoder| encoder.node.as_ref()) {
            let problem = clash::keyframes(encoder.node.keyframe_interval, encoder.interval, &fields);
            self.diagnostics.extend(problem);
        }

        let tracks = fields.words("tracks");
        let chosen: Vec<_> =
            tracks.iter().map(|track| self.lookup_track(*track, sources, encoders)).collect();
        if !tracks.is_empty() {
            for encoder in encoders.iter().filter(|e| tracks.iter().all(|track| track.text != e.name.text)) {
                self.unused(encoder.name, "add it to `tracks` of `[recording]`, or remove the encoder");
            }
        }
        let track = |encoder: &ResolvedEncoder<'_>| {
            let source = sources.get(encoder.source)?.node.clone()?;
            Some(Track { name: encoder.node.name.clone(), source, encoder: encoder.node.clone() })
        };
        Some(Recording {
            directory: PathBuf::from(fields.text("directory")?),
            fragment: fields.duration("fragment")?,
            max_duration: fields.duration("max_duration"),
            preroll: fields.duration("preroll"),
            rests_while_locked: fields.choice::<Locked>("locked")? == Locked::Gap,
            tracks: chosen.into_iter().map(|chosen| chosen.and_then(track)).collect::<Option<_>>()?,
        })
    }

    fn lookup_track<'e>(
        &mut self,
        track: Word<'d>,
        sources: &[NamedNode<'d, SourceNode>],
        encoders: &'e [NamedNode<'d, ResolvedEncoder<'d>>],
    ) -> Option<&'e ResolvedEncoder<'d>> {
        let found = encoders.iter().find(|encoder| encoder.name.text == track.text);
        if found.is_none() {
            let message = format!("there is no encoder `{}`", track.text);
            let names: Vec<_> = encoders.iter().map(|encoder| encoder.name.text).collect();
            let is_source = sources.iter().any(|source| source.name.text == track.text);
            let help =
                did_you_mean(track.text, names.iter().copied()).unwrap_or_else(|| match names.is_empty() {
                    true => "the file has no encoders: add one as `[encoder.video]`".to_owned(),
                    false => format!("the encoders are {}", quoted(names)),
                });
            let help = match is_source {
                true => {
                    format!("`{}` is a source, and a track is named after its encoder; {help}", track.text)
                }
                false => help,
            };
            self.diagnostics.push(Diagnostic::error(Code::UnknownTrack, track.span, message).help(help));
        }
        found?.node.as_ref()
    }

    /// No section of a recorder may be in the same file.
    fn server(&mut self, root: &'d Table) -> Option<Server> {
        let fields = self.single(root, Section::Server).map(|table| self.read(Section::Server, table))?;
        for entry in &root.entries {
            if SECTIONS.iter().any(|(name, section)| *name == entry.key && section.is_of_recorder()) {
                let message = format!("a server has no `{}`", entry.key);
                let problem = Diagnostic::error(Code::ServerAndRecorder, &entry.key_span, message);
                self.diagnostics.push(
                    problem
                        .label(fields.header, "the server")
                        .help("write the server and the recorder into separate files, even on one machine"),
                );
            }
        }
        clash::certificate(&fields, &mut self.diagnostics);
        let file = |name| fields.text(name).map(PathBuf::from);
        Some(Server {
            listen: fields.text("listen")?.to_owned(),
            tls: file("certificate").zip(file("key")),
            database: fields.text("database")?.to_owned(),
            storage: fields.text("storage")?.to_owned(),
            largest_upload: fields.size("largest_upload")?,
            largest_file: fields.size("largest_file")?,
            quota: fields.size("quota"),
            min_free: fields.size("min_free")?,
            head_patience: fields.duration("head_patience")?,
            body_patience: fields.duration("body_patience")?,
            answer_patience: fields.duration("answer_patience")?,
        })
    }

    fn node(&mut self, section: Section, named: NamedTable<'d>) -> Option<Node> {
        let fields = self.read(section, named.table);
        let plugin = plugins::resolve(section, &fields, self.catalog, &mut self.diagnostics);
        Some(Node { name: named.name.text.to_owned(), plugin: plugin?.into_iter().next()? })
    }

    fn policies(&mut self, table: &'d Table) -> Option<(Vec<Node>, PolicyRules)> {
        let fields = self.read(Section::Policy, table);
        let plugins = plugins::resolve(Section::Policy, &fields, self.catalog, &mut self.diagnostics)?;
        let node = |plugin: PluginSettings| Node { name: plugin.plugin.clone(), plugin };
        Some((plugins.into_iter().map(node).collect(), policy_rules(&fields)?))
    }

    fn unused(&mut self, name: Word<'_>, help: &str) {
        let message = format!("`{}` takes no part in the recording", name.text);
        self.diagnostics.push(Diagnostic::warning(Code::Unused, name.span, message).help(help));
    }
}

fn link(link: &Fields<'_>) -> Option<Link> {
    Some(Link {
        server: link.text("server")?.to_owned(),
        token_file: PathBuf::from(link.text("token_file")?),
        ca_file: link.text("ca_file").map(PathBuf::from),
        plain_http: link.boolean("plain_http").unwrap_or(false),
    })
}

fn spool(spool: &Fields<'_>) -> Option<Spool> {
    Some(Spool {
        quota: spool.size("quota"),
        min_free: spool.size("min_free")?,
        drop_oldest: spool.choice::<WhenFull>("when_full")? == WhenFull::DropOldest,
        rate: spool.bit_rate("rate"),
    })
}

fn policy_rules(policy: &Fields<'_>) -> Option<PolicyRules> {
    Some(PolicyRules {
        pause: policy.choice("pause")?,
        pause_as: policy.choice("pause_as")?,
        pause_limit: policy.duration("pause_limit"),
        pause_attached: policy.pair("pause_attached").map(|(key, value)| (key.to_owned(), value.to_owned())),
        late: policy.duration("late")?,
        two_seats: policy.choice("two_seats")?,
        ..PolicyRules::default()
    })
}

fn gpu(encoder: &Fields<'_>) -> Option<GpuChoice> {
    let gpu = encoder.text("gpu")?.to_owned();
    Some(GpuChoice { gpu, if_missing: encoder.choice("gpu_gone")? })
}
