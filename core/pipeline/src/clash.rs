//! Values that are right each by itself and wrong together.

use std::time::Duration;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::Span;
use crate::fields::Fields;
use crate::units::{show_duration, show_rate};

/// The keys of `rate` against its mode.
pub(crate) fn rate(fields: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(mode) = fields.word("mode") else { return };
    let foreign: &[&str] = match mode.text {
        "quality" => &["bitrate", "max"],
        "bitrate" => &["quality"],
        _ => &["bitrate"],
    };
    for (key, span) in foreign.iter().filter_map(|key| Some((*key, fields.span(key)?))) {
        let message = format!("`{key}` does not go with mode `{}`", mode.text);
        diagnostics.push(Diagnostic::error(Code::BadRate, span, message).label(mode.span, "the mode"));
    }
    if mode.text == "constrained" && !fields.is_written("max") {
        let problem = Diagnostic::error(Code::BadRate, fields.header, "mode `constrained` needs `max`");
        diagnostics.push(problem.help("add a ceiling: `max = \"2M\"`"));
    }
    if mode.text != "bitrate" {
        return;
    }
    match (fields.bit_rate("bitrate"), fields.bit_rate("max"), fields.span("max")) {
        (None, _, _) if !fields.is_written("bitrate") => {
            let problem = Diagnostic::error(Code::BadRate, fields.header, "mode `bitrate` needs `bitrate`");
            diagnostics.push(problem.help("add an average: `bitrate = \"800k\"`"));
        }
        (Some(bitrate), Some(max), Some(span)) if max < bitrate => {
            let message = format!("`max` is below the average of {}", show_rate(bitrate));
            let problem = Diagnostic::error(Code::BadRate, span, message);
            diagnostics.push(match fields.span("bitrate") {
                Some(average) => problem.label(average, "the average"),
                None => problem,
            });
        }
        _ => {}
    }
}

/// What to do where the GPU is not there says nothing where none is named.
pub(crate) fn gpu_gone(encoder: &Fields<'_>) -> Option<Diagnostic> {
    let span = encoder.span("gpu_gone").filter(|_| !encoder.is_written("gpu"))?;
    let problem = Diagnostic::error(Code::MissingKey, span, "`gpu_gone` needs `gpu`");
    Some(problem.help("name the GPU that is meant as `gpu`, or leave `gpu_gone` out: any GPU will do"))
}

/// TLS needs both files.
pub(crate) fn certificate(server: &Fields<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(scheme) = server.text("scheme") else { return };
    for name in ["certificate", "key"] {
        match (scheme, server.span(name)) {
            ("https", None) => {
                let message = format!("scheme `https` needs `{name}`");
                let problem = Diagnostic::error(Code::MissingKey, server.header, message);
                diagnostics.push(
                    problem.help(format!("name the file, as in `{name} = \"/etc/deskreel/{name}.pem\"`")),
                );
            }
            ("http", Some(span)) => {
                let message = format!("`{name}` does not go with scheme `http`");
                diagnostics.push(Diagnostic::error(Code::MissingKey, span, message));
            }
            _ => {}
        }
    }
}

/// The durations of `[recording]` against each other.
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

/// Keyframes are dear on screens, and more than one a fragment buys nothing: players and uploads go by fragments.
pub(crate) fn keyframes(
    interval: Duration,
    written: Option<&Span>,
    recording: &Fields<'_>,
) -> Option<Diagnostic> {
    let fragment = recording.duration("fragment").filter(|fragment| interval < *fragment)?;
    let message = format!(
        "keyframes every {} are more than one a fragment ({})",
        show_duration(interval),
        show_duration(fragment)
    );
    let span = written.or(recording.span("fragment"))?;
    let help = match written {
        Some(_) => "keyframes are dear on screens: \"4s\" is a good value",
        None => "shorten `fragment`, or set the encoder's `keyframe_interval` to at least as much",
    };
    Some(Diagnostic::warning(Code::DenseKeyframes, span, message).help(help))
}
