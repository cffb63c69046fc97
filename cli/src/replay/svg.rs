//! Draws footage as a picture: one lane per agent, a bar for the footage, and bars below it for its segments.
//! Tooltips have the reasons.

use std::collections::BTreeMap;
use std::fmt::Write;

use deskreel_contract::Role;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Utc};

use super::text::{clock, name};
use super::timeline::bounds;

/// All in pixels, except `TICKS`.
const WIDTH: u32 = 1000;
const MARGIN: u32 = 140;
const BAR: u32 = 12;
const GAP: u32 = 14;
const TOP: u32 = 30;
const TICKS: u32 = 6;

const FOOTAGE: &str = "#c4c9d1";
const WITHHELD: &str = "#33373d";

pub fn draw(footage: &[Footage]) -> String {
    let mut lanes: BTreeMap<&AgentId, Vec<&Footage>> = BTreeMap::new();
    for recording in footage {
        lanes.entry(&recording.agent).or_default().push(recording);
    }
    let (start, end) = bounds(footage).unwrap_or((Utc::MIN, Utc::MIN));
    let total = end.saturating_since(start).as_secs_f64().max(0.001);
    let x = |at: Utc| f64::from(MARGIN) + at.saturating_since(start).as_secs_f64() / total * f64::from(WIDTH);
    let mut drawn = String::new();
    let mut y = TOP;
    for (agent, recordings) in lanes {
        let rows = recordings.iter().map(|recording| recording.segments.len()).max().unwrap_or(0) as u32 + 1;
        let label = y + BAR - 2;
        let _ = writeln!(
            drawn,
            r#"<text x="{}" y="{label}" text-anchor="end">{}</text>"#,
            MARGIN - 8,
            escaped(agent.as_str())
        );
        for recording in recordings {
            let ended = recording.why_ended.as_deref().unwrap_or("continues");
            let why = format!("recording: {}; {ended}", recording.why);
            bar(&mut drawn, x(recording.from), x(recording.to.unwrap_or(end)), y, FOOTAGE, &why);
            for stretch in &recording.withheld {
                bar(&mut drawn, x(stretch.from), x(stretch.to.unwrap_or(end)), y, WITHHELD, &stretch.why);
            }
            for (row, segment) in recording.segments.iter().enumerate() {
                let title = format!("{}: {}", name(segment), segment.why);
                let y = y + (row as u32 + 1) * BAR;
                bar(
                    &mut drawn,
                    x(segment.from),
                    x(segment.to.unwrap_or(end)),
                    y,
                    color(segment.role),
                    &title,
                );
            }
        }
        y += rows * BAR + GAP;
    }
    let mut axis = String::new();
    for tick in 0..=TICKS {
        let share = f64::from(tick) / f64::from(TICKS);
        let at = start.plus(std::time::Duration::from_secs_f64(total * share));
        let x = f64::from(MARGIN) + share * f64::from(WIDTH);
        let text = if footage.is_empty() { String::new() } else { clock(at) };
        let _ =
            writeln!(axis, r##"<line x1="{x:.1}" x2="{x:.1}" y1="{}" y2="{y}" stroke="#e6e8eb"/>"##, TOP - 6);
        let _ = writeln!(axis, r#"<text x="{x:.1}" y="16" text-anchor="middle">{text}</text>"#);
    }
    let legend = legend(y + 10);
    let (width, height) = (MARGIN + WIDTH + 60, y + 34);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{axis}{drawn}{legend}</svg>\n"
    )
}

/// The meaning of the colors, below the lanes.
fn legend(y: u32) -> String {
    let roles = Role::ALL.iter().map(|role| (color(*role), role.name().replace('_', " ")));
    let others = [(FOOTAGE, "footage".to_owned()), (WITHHELD, "paused or masked".to_owned())];
    let mut drawn = String::new();
    for (index, (color, name)) in others.into_iter().chain(roles).enumerate() {
        let x = MARGIN + index as u32 * 130;
        let _ = writeln!(drawn, r#"<rect x="{x}" y="{y}" width="10" height="10" fill="{color}"></rect>"#);
        let _ = writeln!(drawn, r#"<text x="{}" y="{}">{name}</text>"#, x + 15, y + 9);
    }
    drawn
}

fn bar(drawn: &mut String, from: f64, to: f64, y: u32, color: &str, title: &str) {
    let width = (to - from).max(1.0);
    let _ = writeln!(
        drawn,
        r#"<rect x="{from:.1}" y="{y}" width="{width:.1}" height="{}" fill="{color}"><title>{}</title></rect>"#,
        BAR - 2,
        escaped(title)
    );
}

/// Colors that people with color blindness can distinguish (Okabe and Ito).
fn color(role: Role) -> &'static str {
    match role {
        Role::Primary => "#0072b2",
        Role::Consult => "#e69f00",
        Role::Conference => "#009e73",
        Role::Monitor => "#f0e442",
        Role::Coach => "#d55e00",
        Role::Barge => "#999999",
        Role::AfterCallWork => "#cc79a7",
        Role::Digital => "#56b4e9",
    }
}

/// Escapes text for XML: names come from outside.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_inject_markup() {
        assert_eq!(escaped("<script>&\"a\""), "&lt;script&gt;&amp;&quot;a&quot;");
    }

    #[test]
    fn nothing_recorded_is_an_empty_picture() {
        assert!(draw(&[]).starts_with("<svg "));
    }
}
