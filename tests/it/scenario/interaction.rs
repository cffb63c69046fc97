//! Runs events, one a line, through the engine and real policy plugins. Commands to recorders are shown at
//! once; `end` shows the table of footage and segments.
//!
//! ```text
//! | plugin = "policy.voice-all-calls"      the [policy] table of a pipeline file, or a later change of it
//! recording max_duration = "1h"            a key of its [recording] table
//! 4.5 call.established call=77 agent=ann   an event: seconds from 09:00:00, type, fields; `devices`, `groups`
//!                                          and `skills` take a list as in a,b; attached.queue=sales
//! 4.5>6 call.established call=77 agent=ann an event of 4.5 that the host receives at 6; without `>`, it is
//!                                          received at its time, or with the event before if that came later
//! wait 60                                  time passes without an event, until this second
//! counts | decisions | notes               the counts; policies' decisions since the last time; the notes, too
//! end                                      the end of the events
//! ```
//!
//! `end` also runs everything again with a restart of the host at each position (`restart.rs`).

mod restart;

use std::fmt::Write;
use std::sync::LazyLock;

use deskreel_contract::CaptureMode;
use deskreel_deployment::open_policies;
use deskreel_host::Catalog;
use deskreel_interaction::{Command, Engine, Note, Output, Policy, RecorderCommand};
use deskreel_model::event::Event;
use deskreel_model::segment::Footage;
use deskreel_model::{PolicyRules, Utc};
use deskreel_pipeline::{Deployment, RecorderGraph};

use deskreel_test_support::paths::build_folder;
use deskreel_test_support::scenario_file::event;

const START: &str = "2026-01-05T09:00:00Z";

pub fn run(blocks: &[String]) -> Vec<String> {
    let mut scenario = Scenario::default();
    blocks.iter().map(|block| scenario.block(block)).collect()
}

#[derive(Default)]
struct Scenario {
    recording: String,
    engine: Option<Engine>,
    /// The time, by the host's clock.
    now: Option<Utc>,
    footage: Vec<Footage>,
    decisions: Vec<String>,
    notes: Vec<String>,
    /// Everything up to here, for the runs with a restart.
    log: Vec<Step>,
    /// The commands of each step.
    commands: Vec<Vec<RecorderCommand>>,
}

/// The policies and rules of a `[policy]` table.
#[derive(Clone)]
pub(super) struct Opened {
    pub policies: Vec<Policy>,
    pub rules: PolicyRules,
}

impl Opened {
    /// Reads the keys of `[recording]` and the table `[policy]`, and writes their mistakes to `out`.
    pub fn read(tables: &str, out: &mut String) -> Option<Opened> {
        let text = format!(
            "version = 1\nname = \"scenario\"\n[source.s]\nplugin = \"source.synthetic\"\n[encoder.e]\nfrom = \"s\"\n\
             plugin = \"encoder.x264\"\n[recording]\ntracks = [\"e\"]\n{tables}",
        );
        let listed = catalog().libraries.iter().filter_map(|found| found.descriptor.clone().ok());
        let (deployment, diagnostics) =
            deskreel_pipeline::check(&text, &deskreel_pipeline::Catalog::new(listed));
        for diagnostic in &diagnostics {
            let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            let place = &text[diagnostic.span()];
            writeln!(out, "{}: {} at `{place}`{help}", diagnostic.code, diagnostic.message).unwrap();
        }
        let Some(Deployment::Recorder(RecorderGraph { deciders, .. })) = deployment else { return None };
        match open_policies(&deciders, catalog()) {
            Ok(policies) => Some(Opened { policies, rules: deciders.rules }),
            Err(error) => {
                writeln!(out, "{error:#}").unwrap();
                None
            }
        }
    }
}

/// Input of the engine.
#[derive(Clone)]
enum Step {
    Policies(Opened),
    Event(Event, Utc),
    Wait(Utc),
}

impl Scenario {
    fn block(&mut self, block: &str) -> String {
        let mut out = String::new();
        let (policy, commands): (Vec<_>, Vec<_>) = block.lines().partition(|line| line.starts_with('|'));
        for line in commands.iter().filter_map(|line| line.strip_prefix("recording ")) {
            writeln!(self.recording, "{line}").unwrap();
        }
        if !policy.is_empty() {
            let table: String =
                policy.iter().map(|line| format!("{}\n", line.trim_start_matches(['|', ' ']))).collect();
            self.change(&table, &mut out);
        }
        for line in commands.into_iter().filter(|line| !line.starts_with("recording ")) {
            self.line(line, &mut out);
        }
        out
    }

    /// Checks the file like any other, and shows its mistakes.
    fn change(&mut self, policy: &str, out: &mut String) {
        let opened = Opened::read(&format!("{}[policy]\n{policy}", self.recording), out);
        let Some(Opened { policies, rules }) = opened else { return };
        self.step(Step::Policies(Opened { policies: policies.clone(), rules: rules.clone() }));
        self.engine = Some(match self.engine.take() {
            None => Engine::new(policies, rules),
            Some(mut engine) => {
                engine.replace_policies(policies, rules, &mut |output| self.take(output, out));
                engine
            }
        });
    }

    fn line(&mut self, line: &str, out: &mut String) {
        let mut engine =
            self.engine.take().unwrap_or_else(|| panic!("a scenario begins with a policy: {line}\n{out}"));
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "wait" => {
                self.now = self.now.max(Some(at(rest)));
                self.step(Step::Wait(at(rest)));
                engine.advance(at(rest), &mut |output| self.take(output, out));
            }
            "counts" => writeln!(out, "{:?}", engine.counts()).unwrap(),
            "decisions" => self.decisions.drain(..).for_each(|line| writeln!(out, "{line}").unwrap()),
            "notes" => self.notes.drain(..).for_each(|line| writeln!(out, "{line}").unwrap()),
            "end" => {
                engine.finish(&mut |output| self.take(output, out));
                sort(&mut self.footage);
                restart::check(&self.log, &self.footage, &self.commands, engine.counts());
                self.footage.drain(..).for_each(|footage| table(&footage, out));
            }
            _ => self.event(word, rest, &mut engine, out),
        }
        self.engine = Some(engine);
    }

    fn event(&mut self, times: &str, rest: &str, engine: &mut Engine, out: &mut String) {
        let (written, received) = times.split_once('>').unwrap_or((times, times));
        let event = match Event::parse(&event(at(written), rest).to_string()) {
            Ok(event) => event,
            Err(error) => return writeln!(out, "{error}").unwrap(),
        };
        let received = self.now.map_or(at(received), |now| now.max(at(received)));
        self.now = Some(received);
        self.step(Step::Event(event.clone(), received));
        engine.push(event, received, &mut |output| self.take(output, out));
    }

    fn step(&mut self, step: Step) {
        self.log.push(step);
        self.commands.push(Vec::new());
    }

    fn take(&mut self, output: Output, out: &mut String) {
        match output {
            Output::Command(command) => {
                writeln!(out, "{}", show(&command)).unwrap();
                self.commands.last_mut().unwrap().push(command);
            }
            Output::Touched(_) => {}
            Output::Footage(footage) => self.footage.push(footage),
            Output::Decision(decision) => {
                let call = decision.call.map_or_else(String::new, |call| format!(" {call}"));
                let (at, agent, policy) = (seconds(decision.at), decision.agent, decision.policy);
                self.decisions
                    .push(format!("{at} {agent} {policy}: {}{call}: {}", decision.action, decision.why));
            }
            Output::Note(note) => self.notes.push(match note {
                Note::PolicyFailed { at, policy, agent, message } => {
                    format!("{} {policy} failed for {agent}: {message}", seconds(at))
                }
                Note::Missing { at, feed, events } => {
                    format!("{} {feed}: {events} events are missing", seconds(at))
                }
                Note::TooLate { at, .. } => format!("an event of {} is too late", seconds(at)),
                Note::Unresolved { at, .. } => format!("an event of {} names nobody", seconds(at)),
                Note::Early { at, received, .. } => {
                    format!("an event of {} came at {}", seconds(at), seconds(received))
                }
            }),
        }
    }
}

/// The plugins of this build.
fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
        let libraries = deskreel_host::search(&deskreel_host::folders_beside(&build_folder()));
        Catalog { libraries, ..Catalog::default() }
    });
    &CATALOG
}

fn sort(footage: &mut [Footage]) {
    footage.sort_by(|a, b| (a.from, &a.agent).cmp(&(b.from, &b.agent)));
}

fn at(seconds: &str) -> Utc {
    let ms: f64 = seconds.parse::<f64>().unwrap_or_else(|_| panic!("`{seconds}` is not a time")) * 1e3;
    Utc::parse(START).unwrap().shifted_ms(ms.round() as i64)
}

fn seconds(at: Utc) -> String {
    let ms = at.saturating_since(Utc::parse(START).unwrap()).as_millis();
    if ms.is_multiple_of(1000) { (ms / 1000).to_string() } else { format!("{}", ms as f64 / 1e3) }
}

fn show(command: &RecorderCommand) -> String {
    let place = command.place.as_ref().map_or_else(String::new, |place| format!("@{place}"));
    let what = match &command.command {
        Command::Start { capture: CaptureMode::Live } => "start".to_owned(),
        Command::Start { capture } => format!("start {}", word(*capture)),
        Command::Stop => "stop".to_owned(),
        Command::SetMode { capture } => word(*capture).to_owned(),
    };
    let late = match command.late_ms {
        0 => String::new(),
        ms => format!(" ({ms} ms late)"),
    };
    let why = if command.why.is_empty() { String::new() } else { format!(": {}", command.why) };
    format!("{} {}{place} {what}{late}{why}", seconds(command.at), command.agent)
}

fn word(capture: CaptureMode) -> &'static str {
    match capture {
        CaptureMode::Live => "resume",
        CaptureMode::Masked => "mask",
        CaptureMode::Paused => "pause",
    }
}

fn table(footage: &Footage, out: &mut String) {
    let span = |from, to: Option<Utc>| format!("{}..{}", seconds(from), to.map(seconds).unwrap_or_default());
    let place = footage.place.as_ref().map_or_else(String::new, |place| format!("@{place}"));
    let ended = footage.why_ended.as_ref().map_or_else(String::new, |why| format!("; {why}"));
    writeln!(out, "{}{place} {}: {}{ended}", footage.agent, span(footage.from, footage.to), footage.why)
        .unwrap();
    for tag in &footage.tags {
        writeln!(out, "  tag {}={}", tag.name, tag.value).unwrap();
    }
    for withheld in &footage.withheld {
        let span = span(withheld.from, withheld.to);
        writeln!(out, "  {} {span}: {}", word(withheld.capture), withheld.why).unwrap();
    }
    for segment in &footage.segments {
        let call = match &segment.call {
            Some(call) if call.as_str() != segment.interaction.as_str() => format!(" (call {call})"),
            _ => String::new(),
        };
        let (span, role) = (span(segment.from, segment.to), segment.role);
        writeln!(out, "  {span} {role} of {}{call}", segment.interaction).unwrap();
    }
}
