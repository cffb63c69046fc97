//! Finds values that are each valid but contradict each other.

use std::time::Duration;

use crate::choice::{RateMode, Scheme};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::Span;
use crate::fields::Fields;
use crate::quantity::{show_bit_rate, show_duration};
use crate::value::Word;

/// Checks the keys of `rate` against its mode.
pub(crate) fn rate(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(mode), Some(word)) = (fields.choice("mode"), fields.word("mode")) else { return };
    let foreign: &[&str] = match mode {
        RateMode::Quality => &["bitrate", "max"],
        RateMode::Bitrate => &["quality"],
        RateMode::Constrained => &["bitrate"],
    };
    for (key, span) in foreign.iter().filter_map(|key| Some((*key, fields.span(key)?))) {
        let message = format!("`{key}` cannot be used with mode `{}`", word.text);
        diagnostics.push(Diagnostic::error(Code::BadRate, span, message).label(word.span, "the mode"));
    }
    if mode == RateMode::Constrained && !fields.is_written("max") {
        let problem = Diagnostic::error(Code::BadRate, fields.header, "mode `constrained` needs `max`");
        diagnostics.push(problem.help("add a ceiling: `max = \"2M\"`"));
    }
    if mode != RateMode::Bitrate {
        return;
    }
    match (fields.bit_rate("bitrate"), fields.bit_rate("max"), fields.span("max")) {
        (None, _, _) if !fields.is_written("bitrate") => {
            let problem = Diagnostic::error(Code::BadRate, fields.header, "mode `bitrate` needs `bitrate`");
            diagnostics.push(problem.help("add an average: `bitrate = \"800k\"`"));
        }
        (Some(bitrate), Some(max), Some(span)) if max < bitrate => {
            let message = format!("`max` is below the average of {}", show_bit_rate(bitrate));
            let problem = Diagnostic::error(Code::BadRate, span, message);
            diagnostics.push(match fields.span("bitrate") {
                Some(average) => problem.label(average, "the average"),
                None => problem,
            });
        }
        _ => {}
    }
}

/// `gpu_gone` has no effect without `gpu`.
pub(crate) fn gpu_gone(encoder: &Fields<'_>) -> Option<Diagnostic> {
    let span = encoder.span("gpu_gone").filter(|_| !encoder.is_written("gpu"))?;
    let problem = Diagnostic::error(Code::MissingKey, span, "`gpu_gone` needs `gpu`");
    Some(problem.help("name the GPU in `gpu`, or remove `gpu_gone`: without `gpu`, any GPU will do"))
}

/// Not every browser plays this codec or chroma, and the file uploads to a server, whose page people watch.
pub(crate) fn playback(word: Word<'_>) -> Diagnostic {
    let message = format!("not every browser plays `{}` on the server's page", word.text);
    let help = match word.text {
        "h265" => "all of them play `h264` and `av1`; others offer recordings to download only",
        _ => "all of them play `4:2:0`; others offer recordings to download only",
    };
    Diagnostic::warning(Code::HardToPlay, word.span, message).help(help)
}

/// TLS needs both files, and plain HTTP neither.
pub(crate) fn certificate(server: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(scheme) = server.choice("scheme") else { return };
    for name in ["certificate", "key"] {
        match (scheme, server.span(name)) {
            (Scheme::Https, None) => {
                let message = format!("scheme `https` needs `{name}`");
                let problem = Diagnostic::error(Code::MissingKey, server.header, message);
                diagnostics.push(
                    problem.help(format!("name the file, as in `{name} = \"/etc/deskreel/{name}.pem\"`")),
                );
            }
            (Scheme::Http, Some(span)) => {
                let message = format!("`{name}` cannot be used with scheme `http`");
                diagnostics.push(Diagnostic::error(Code::MissingKey, span, message));
            }
            _ => {}
        }
    }
}

/// Checks the durations of `[recording]` against each other.
pub(crate) fn times(recording: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(max), Some(max_span)) = (recording.duration("max_duration"), recording.span("max_duration"))
    else {
        return;
    };
    for name in ["fragment", "preroll"] {
        let Some(time) = recording.duration(name).filter(|time| *time > max) else { continue };
        let message = format!(
            "`{name}` ({}) is longer than `max_duration` ({})",
            show_duration(time),
            show_duration(max)
        );
        let problem = match recording.span(name) {
            Some(span) => {
                Diagnostic::error(Code::TimesClash, span, message).label(max_span, "`max_duration`")
            }
            None => Diagnostic::error(Code::TimesClash, max_span, message),
        };
        diagnostics.push(problem);
    }
}

/// Keyframes are expensive on screens, and more than one per fragment buys nothing: players and uploads work
/// with whole fragments.
pub(crate) fn keyframes(
    interval: Duration,
    written: Option<&Span>,
    recording: &Fields<'_>,
) -> Option<Diagnostic> {
    let fragment = recording.duration("fragment").filter(|fragment| interval < *fragment)?;
    let message = format!(
        "keyframes every {} are more than one per fragment ({})",
        show_duration(interval),
        show_duration(fragment)
    );
    let span = written.or(recording.span("fragment"))?;
    let help = match written {
        Some(_) => "keyframes are expensive on screens: \"4s\" is a good value",
        None => "shorten `fragment`, or set the encoder's `keyframe_interval` to at least that",
    };
    Some(Diagnostic::warning(Code::DenseKeyframes, span, message).help(help))
}
