//! `deskreel graph FILE`: draws the pipeline as DOT or, with Graphviz, as SVG.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use deskreel_deployment::CheckedFile;
use deskreel_pipeline::dot;

use crate::args::GraphFormat;
use crate::exit;

pub fn run(path: &Path, format: GraphFormat) -> Result<ExitCode> {
    let checked = CheckedFile::read(path)?;
    checked.show_notes();
    checked.show_diagnostics();
    let Some(deployment) = &checked.deployment else { return Ok(exit::invalid_file()) };
    let dot = dot(deployment);
    match format {
        GraphFormat::Dot => print!("{dot}"),
        GraphFormat::Svg => print!("{}", svg(&dot)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn svg(dot: &str) -> Result<String> {
    let graphviz = Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut graphviz = match graphviz {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "SVG needs Graphviz, but this machine has no `dot`: install the package graphviz, or use --format dot"
        ),
        started => started.context("cannot start Graphviz")?,
    };
    // The input is dropped, and so closed, at the end of the statement. Graphviz reads all of it before it
    // writes.
    graphviz.stdin.take().context("Graphviz has no input")?.write_all(dot.as_bytes())?;
    let output = graphviz.wait_with_output().context("cannot read the output of Graphviz")?;
    if !output.status.success() {
        bail!("Graphviz failed: {}", output.status);
    }
    String::from_utf8(output.stdout).context("the output of Graphviz is not text")
}
