//! `deskreel replay`: runs a log of events through the policies of a pipeline file, in simulated time.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::args::ReplayOptions;
use crate::exit;
use crate::replay::voice::{self, Sorted, Stretches};
use crate::replay::{self, EventLog, diff, svg, text, timeline};
use deskreel_deployment::{open_policies, policy_engine, read_recorder};
use deskreel_interaction::Engine;

pub fn run(options: &ReplayOptions) -> Result<ExitCode> {
    let mut out = BufWriter::new(stdout().lock());
    let code = match (&options.diff, &options.pipeline) {
        (Some(files), _) => compare(files, options, &mut out),
        (None, Some(pipeline)) => one(pipeline, options, &mut out),
        // Ruled out by clap.
        (None, None) => bail!("add --pipeline FILE, or --diff OLD NEW"),
    };
    match code {
        // The reader, mostly `head`, has read enough.
        Err(error) if is_closed(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(code) => match out.flush() {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(code),
        },
    }
}

fn one(pipeline: &Path, options: &ReplayOptions, out: &mut impl Write) -> Result<ExitCode> {
    let Some((graph, catalog)) = read_recorder(pipeline)? else {
        return Ok(exit::invalid_file());
    };
    let mut log = EventLog::open(&options.events)?;
    let mut policies = open_policies(&graph.deciders, &catalog)?;
    if !options.timeline && options.svg.is_none() && !options.summary {
        policies.push(voice::observer());
    }
    let mut engine = Engine::new(policies, graph.deciders.rules.clone());
    if options.timeline || options.svg.is_some() {
        let footage = replay::footage(&mut engine, &mut log)?;
        if let Some(file) = &options.svg {
            fs::write(file, svg::draw(&footage))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if options.timeline {
            out.write_all(timeline::draw(&footage, timeline::width()).as_bytes())?;
        }
    } else {
        let mut failed = None;
        let mut stretches = Stretches::default();
        let mut write = |sorted: &Sorted| match (sorted, options.summary, options.json) {
            (_, true, _) | (Sorted::Observed, ..) => Ok(()),
            (Sorted::Output(output), _, true) => text::json(out, output),
            (Sorted::Output(output), ..) => text::lines(out, output),
            (Sorted::WithoutVoice(stretch), _, true) => text::without_voice_json(out, stretch),
            (Sorted::WithoutVoice(stretch), ..) => text::without_voice(out, stretch),
        };
        replay::run(&mut engine, &mut log, |output| match write(&stretches.sort(output)) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        })?;
        let lasting = stretches.lasting().into_iter().map(Sorted::WithoutVoice);
        let written = lasting.filter(|_| failed.is_none()).try_for_each(|stretch| write(&stretch));
        failed = failed.or(written.err());
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    let counts = engine.counts();
    if options.json {
        writeln!(out, "{}", text::summary_json(&counts, &log))?;
    } else if !options.timeline {
        writeln!(out, "{}", text::summary(&counts, &log))?;
    }
    // The process ends; freeing each call of a day would take several percent of the time.
    std::mem::forget(engine);
    Ok(if log.malformed == 0 { ExitCode::SUCCESS } else { exit::something_to_report() })
}

fn compare(files: &[std::path::PathBuf], options: &ReplayOptions, out: &mut impl Write) -> Result<ExitCode> {
    if options.events == Path::new("-") {
        bail!("--diff reads the log twice, which standard input does not allow: use a file");
    }
    let mut tables = Vec::new();
    let mut malformed = 0;
    for file in files {
        let Some((graph, catalog)) = read_recorder(file)? else {
            return Ok(exit::invalid_file());
        };
        let mut log = EventLog::open(&options.events)?;
        // The second reading would report the same lines again.
        log.is_quiet = !tables.is_empty();
        tables.push(replay::footage(&mut policy_engine(&graph.deciders, &catalog)?, &mut log)?);
        malformed = log.malformed;
    }
    let [old, new] = &tables[..] else { return Ok(exit::invalid_file()) };
    let difference = diff::compare(old, new);
    match options.json {
        true => writeln!(out, "{:#}", difference.to_json())?,
        false => out.write_all(difference.to_string().as_bytes())?,
    }
    Ok(if difference.is_empty() && malformed == 0 { ExitCode::SUCCESS } else { exit::something_to_report() })
}

fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
