//! `deskreel graph FILE`: the pipeline as a drawing, as DOT or, with Graphviz, as SVG.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use deskreel_deployment::CheckedFile;
use deskreel_pipeline::dot;

use super::check::refused;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Dot,
    Svg,
}

pub fn run(path: &Path, format: Format) -> Result<ExitCode> {
    let checked = CheckedFile::read(path)?;
    checked.show_notes();
    checked.show_diagnostics();
    let Some(deployment) = &checked.deployment else { return Ok(refused()) };
    let dot = dot(deployment);
    match format {
        Format::Dot => print!("{dot}"),
        Format::Svg => print!("{}", svg(&dot)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn svg(dot: &str) -> Result<String> {
    let graphviz = Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut graphviz = match graphviz {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "SVG needs Graphviz, and there is no `dot` on this machine: install the package graphviz, or ask for DOT"
        ),
        started => started.context("cannot start Graphviz")?,
    };
    // Dropped at the end of the statement: Graphviz draws when its input ends. It reads all of it before it writes.
    graphviz.stdin.take().context("Graphviz has no input")?.write_all(dot.as_bytes())?;
    let output = graphviz.wait_with_output().context("Graphviz did not answer")?;
    if !output.status.success() {
        bail!("Graphviz refused the drawing: {}", output.status);
    }
    String::from_utf8(output.stdout).context("Graphviz gave no text")
}
