//! The progress of `record`: on a terminal one line that is redrawn, with lines for incidents; else only the
//! lines; or JSON for programs.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use deskreel_contract::CaptureMode;
use deskreel_model::PartNumber;
use deskreel_model::manifest::{EncoderUse, Refusal};
use deskreel_recorder::{Notice, RecordingProgress};
use serde_json::json;

use crate::output::{eprint_line, print_line, size};

/// Time over which frames per second are counted.
const WINDOW: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    Terminal,
    Lines,
    Json,
}

impl ProgressStyle {
    pub fn choose(json: bool) -> ProgressStyle {
        match json {
            true => ProgressStyle::Json,
            false if stderr().is_terminal() => ProgressStyle::Terminal,
            false => ProgressStyle::Lines,
        }
    }
}

pub struct Progress {
    style: ProgressStyle,
    /// Encoded frames by time, the newest last.
    frames: VecDeque<(Instant, u64)>,
}

impl Progress {
    pub fn new(style: ProgressStyle) -> Self {
        Progress { style, frames: VecDeque::new() }
    }

    pub fn show(&mut self, notice: &Notice) {
        match self.style {
            ProgressStyle::Json => print_line(&to_json(notice).to_string()),
            _ => match notice {
                Notice::Progress(status) => self.status(status),
                Notice::Began { folder, .. } => self.line(&format!("recording to {}", folder.display())),
                Notice::Trying(trying) => self.trying(&format!("{} ({})", trying.candidate, trying.plugin)),
                Notice::Encoder { track, part, encoder } => self.encoder(track, *part, encoder),
                Notice::Part { .. } | Notice::File { .. } | Notice::StandingBy | Notice::Resting { .. } => {}
                Notice::Recording { part, .. } if part.0 == 1 => {}
                Notice::Recording { part, .. } => self.line(&format!("continued in part {}", part.0)),
                Notice::ModeHolds { at, capture } => self.line(&format!("{at}  {}", mode_text(*capture))),
                Notice::Incident { at, detail, .. } => self.line(&format!("{at}  {detail}")),
                Notice::DiskBack => self.line("the disk has room again"),
            },
        }
    }

    /// Shows the encoder that is being tried, on a terminal only, since the next line replaces it.
    fn trying(&mut self, name: &str) {
        if self.style == ProgressStyle::Terminal {
            let _ = write!(stderr(), "\r\x1b[Ktrying {name}");
            let _ = stderr().flush();
        }
    }

    fn encoder(&mut self, track: &str, part: PartNumber, encoder: &EncoderUse) {
        let (candidate, plugin) = (&encoder.candidate, &encoder.plugin);
        self.line(&format!("{track}: encoded by {candidate} ({plugin})"));
        // Only for the first part: later parts report why they began.
        if part == PartNumber::FIRST {
            // Without a driver, all candidates of a plugin are refused for the same reason.
            let same = |a: &Refusal, b: &Refusal| (&a.plugin, &a.reason) == (&b.plugin, &b.reason);
            for alike in encoder.refused.chunk_by(same) {
                let candidates: Vec<_> = alike.iter().filter_map(|one| one.candidate.as_deref()).collect();
                let Some(Refusal { plugin, reason, .. }) = alike.first() else { continue };
                match candidates.as_slice() {
                    [one] => self.line(&format!("  not {one} ({plugin}): {reason}")),
                    _ => self.line(&format!("  not {plugin}: {reason}")),
                }
            }
        }
    }

    /// Clears the line that is redrawn.
    pub fn end(&mut self) {
        if self.style == ProgressStyle::Terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    fn line(&mut self, text: &str) {
        self.end();
        eprint_line(text);
    }

    fn status(&mut self, status: &RecordingProgress) {
        if self.style != ProgressStyle::Terminal {
            return;
        }
        let now = Instant::now();
        self.frames.push_back((now, status.frames.encoded));
        while self.frames.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.frames.pop_front();
        }
        let fps = match (self.frames.front(), self.frames.back()) {
            (Some((from, first)), Some((to, last))) if to > from => {
                last.saturating_sub(*first) as f64 / (*to - *from).as_secs_f64()
            }
            _ => 0.0,
        };
        let seconds = status.at.0 / 1_000_000_000;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let full = if status.disk_full { "  DISK FULL" } else { "" };
        let frames = status.frames;
        let _ = write!(
            stderr(),
            "\r\x1b[K{hours}:{minutes:02}:{seconds:02}  {fps:.1} fps  {}  {} skipped  {} lost{full}",
            size(status.bytes),
            frames.skipped,
            frames.lost,
        );
        let _ = stderr().flush();
    }
}

fn mode_text(capture: CaptureMode) -> &'static str {
    match capture {
        CaptureMode::Live => "the screen is recorded",
        CaptureMode::Masked => "the screen is masked",
        CaptureMode::Paused => "paused",
    }
}

/// The JSON of `record --json`, as documented in docs/command-line.md.
fn to_json(notice: &Notice) -> serde_json::Value {
    match notice {
        Notice::Began { recording, folder } => {
            json!({ "event": "began", "recording": recording, "folder": folder })
        }
        Notice::Trying(trying) => json!({
            "event": "trying",
            "track": trying.track,
            "plugin": trying.plugin,
            "candidate": trying.candidate,
        }),
        Notice::Encoder { track, part, encoder } => {
            json!({ "event": "encoder", "track": track, "part": part, "encoder": encoder })
        }
        Notice::Part { part, cause, worker } => {
            json!({ "event": "part", "part": part, "cause": cause, "worker": worker })
        }
        Notice::Recording { part, .. } => json!({ "event": "recording", "part": part }),
        Notice::Incident { at, cause, detail } => {
            json!({ "event": "incident", "at_ns": at, "cause": cause, "detail": detail })
        }
        Notice::ModeHolds { at, capture } => json!({ "event": "captured", "at_ns": at, "capture": capture }),
        Notice::File { track, part, number, file } => {
            json!({ "event": "file", "track": track, "part": part, "number": number, "file": file })
        }
        Notice::Resting { cause } => json!({ "event": "resting", "cause": cause }),
        Notice::StandingBy => json!({ "event": "standing_by" }),
        Notice::DiskBack => json!({ "event": "disk_back" }),
        Notice::Progress(status) => json!({
            "event": "status",
            "at_ns": status.at,
            "frames": status.frames,
            "bytes": status.bytes,
            "parts": status.parts,
            "disk_full": status.disk_full,
        }),
    }
}
