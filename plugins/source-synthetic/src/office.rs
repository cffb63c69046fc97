//! An agent's desktop: a customer form with typing, a list that scrolls in bursts, and a page that is turned.
//!
//! The scene is a pure function of the seed and the frame number ([`State::at`]). The painted picture is
//! kept, so that a frame costs only the panes that changed and one copy. Most of the picture is still most of
//! the time, as on a real desktop; this scene measures capture that skips unchanged frames.

use crate::canvas::{Canvas, Color, Rect};
use crate::words::Words;

const DESKTOP: Color = 0x2f4f6f;
const BAR: Color = 0x1d2733;
const TITLE: Color = 0x3b6ea5;
const PAPER: Color = 0xfafafa;
const FIELD: Color = 0xffffff;
const LINE: Color = 0xb8c0c8;
const STRIPE: Color = 0xeef2f6;
const CHOSEN: Color = 0xcfe3f7;
const INK: Color = 0x20262c;
const FAINT: Color = 0x6a7480;
const LIGHT: Color = 0xffffff;

/// Milliseconds from one typed character to the next.
const TYPING: u64 = 200;
/// Six seconds of typing, four of thinking.
const TYPING_ROUND: u64 = 10_000;
const TYPING_SPELL: u64 = 6_000;
/// Every seven seconds the list moves by ten rows within a second.
const SCROLL_ROUND: u64 = 7_000;
const SCROLL_STEP: u64 = 100;
const SCROLL_ROWS: u64 = 10;
const PAGE: u64 = 15_000;
const MINUTE: u64 = 60_000;

/// Everything that differs from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    typed: u64,
    scrolled: u64,
    page: u64,
    minute: u64,
}

impl State {
    fn at(time_ms: u64) -> State {
        let spell = (time_ms % TYPING_ROUND).min(TYPING_SPELL) / TYPING;
        let burst = (time_ms % SCROLL_ROUND / SCROLL_STEP).min(SCROLL_ROWS);
        State {
            typed: time_ms / TYPING_ROUND * (TYPING_SPELL / TYPING) + spell,
            scrolled: time_ms / SCROLL_ROUND * SCROLL_ROWS + burst,
            page: time_ms / PAGE,
            minute: time_ms / MINUTE,
        }
    }
}

pub struct Office {
    fps: u64,
    words: Words,
    layout: Layout,
    canvas: Canvas,
    shown: Option<State>,
}

impl Office {
    pub fn new(width: u32, height: u32, fps: u32, seed: u16) -> Self {
        let canvas = Canvas::new(width, height);
        let layout = Layout::of(&canvas);
        let words = Words::new(seed);
        let mut office = Office { fps: u64::from(fps.max(1)), words, layout, canvas, shown: None };
        // Painted now, because the first picture takes as long as many others and would make the first frame
        // late.
        office.paint(0);
        office
    }

    /// The scene of a frame, as BGRx.
    pub fn paint(&mut self, number: u64) -> &[u8] {
        let state = State::at(number.saturating_mul(1000) / self.fps);
        if self.shown.is_none() {
            self.paint_desktop();
        }
        let shown = self.shown.replace(state);
        let differs = |part: fn(&State) -> u64| shown.as_ref().map(part) != Some(part(&state));
        if differs(|s| s.typed) {
            self.paint_notes(state.typed);
        }
        if differs(|s| s.scrolled) {
            self.paint_list(state.scrolled);
        }
        if differs(|s| s.page) {
            self.paint_page(state.page);
        }
        if differs(|s| s.minute) {
            self.paint_clock(state.minute);
        }
        self.canvas.bytes()
    }

    /// Paints everything that never changes.
    fn paint_desktop(&mut self) {
        let Layout { bar, windows, fields, .. } = self.layout;
        let (advance, line) = self.canvas.character();
        self.canvas.fill(self.canvas.bounds(), DESKTOP);
        self.canvas.fill(bar, BAR);
        self.canvas.text(bar.inset(line / 4), " Agent desktop   Ready   Queue: billing", LIGHT);
        let titles = ["Customer record", "Interactions of today", "Knowledge base"];
        for (window, title) in windows.into_iter().zip(titles) {
            let (head, body) = window.cut_top(title_height(line));
            self.canvas.frame(body, LINE, PAPER);
            self.canvas.fill(head, TITLE);
            self.canvas.text(head.inset(line / 4), title, LIGHT);
        }
        let mut rest = fields;
        let labels = ["Name", "Customer", "Street", "Town", "Product", "Reason"];
        for (row, label) in labels.into_iter().enumerate() {
            let (field, below) = rest.cut_top(line * 2);
            rest = below;
            let (name, value) = field.cut_left(advance * 10);
            self.canvas.text(name.cut_top(line / 8).1, label, FAINT);
            self.canvas.frame(value.cut_top(line + line / 4).0, LINE, FIELD);
            let text = match row {
                0 => self.words.name().to_owned(),
                _ => self.words.entry(row as u64),
            };
            self.canvas.text(value.cut_top(line / 8).1, &format!(" {text}"), INK);
        }
    }

    /// Paints the form's free text. It is cleared when it is full, and typing begins again.
    fn paint_notes(&mut self, typed: u64) {
        let (advance, line) = self.canvas.character();
        let area = self.layout.notes;
        self.canvas.frame(area, LINE, FIELD);
        let mut rest = area.inset(line / 2);
        let columns = (rest.width / advance).max(1) as u64;
        let rows = (rest.height / line).max(1) as u64;
        let sheet = typed / (columns * rows);
        let mut left = typed % (columns * rows) + 1;
        while left > 0 {
            let (row, below) = rest.cut_top(line);
            rest = below;
            let first = typed % (columns * rows) + 1 - left;
            let count = left.min(columns);
            left -= count;
            let mut text = self.words.running_text(sheet, first, count as usize);
            if left == 0 {
                text.pop();
                text.push('_');
            }
            self.canvas.text(row, &text, INK);
        }
    }

    fn paint_list(&mut self, scrolled: u64) {
        let (_, line) = self.canvas.character();
        let mut rest = self.layout.list;
        let mut number = scrolled;
        while rest.height >= line {
            let (row, below) = rest.cut_top(line + line / 4);
            rest = below;
            let color = match number {
                n if n % 9 == 4 => CHOSEN,
                n if n.is_multiple_of(2) => STRIPE,
                _ => PAPER,
            };
            self.canvas.fill(row, color);
            self.canvas.text(row, &self.words.interaction(number), INK);
            number += 1;
        }
    }

    fn paint_page(&mut self, page: u64) {
        let (advance, line) = self.canvas.character();
        let area = self.layout.page;
        self.canvas.fill(area, PAPER);
        let (head, mut rest) = area.cut_top(2 * line);
        self.canvas.text(head, &format!("{}. {}", page + 1, self.words.entry(100 + page)), TITLE);
        let columns = area.width / advance;
        let mut paragraph = 0;
        while rest.height >= line {
            let (row, below) = rest.cut_top(line);
            rest = below;
            paragraph += 1;
            // An empty line after every five lines makes paragraphs.
            if paragraph % 6 != 0 {
                let text = self.words.running_text(1000 + page, paragraph * 237, columns);
                self.canvas.text(row, &text, INK);
            }
        }
    }

    fn paint_clock(&mut self, minute: u64) {
        let (advance, line) = self.canvas.character();
        let bar = self.layout.bar;
        let (_, clock) = bar.cut_left(bar.width.saturating_sub(7 * advance));
        self.canvas.fill(clock, BAR);
        let text = format!("{:02}:{:02}", (9 + minute / 60) % 24, minute % 60);
        self.canvas.text(clock.inset(line / 4), &text, LIGHT);
    }
}

/// The areas of the panes; a function of the picture's size.
#[derive(Clone, Copy)]
struct Layout {
    bar: Rect,
    windows: [Rect; 3],
    fields: Rect,
    notes: Rect,
    list: Rect,
    page: Rect,
}

impl Layout {
    fn of(canvas: &Canvas) -> Layout {
        let (_, line) = canvas.character();
        let bounds = canvas.bounds();
        let gap = line / 2;
        let (desk, bar) = bounds.cut_top(bounds.height - title_height(line));
        let (left, right) = desk.cut_left(desk.width * 45 / 100);
        let (upper, lower) = right.cut_top(right.height / 2);
        let windows = [left.inset(gap), upper.inset(gap), lower.inset(gap)];
        let [record, list, page] = windows.map(|window| window.cut_top(title_height(line)).1.inset(gap));
        let (fields, notes) = record.cut_top((line * 12).min(record.height * 2 / 3));
        Layout { bar, windows, fields, notes, list, page }
    }
}

fn title_height(line: usize) -> usize {
    line + line / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const FPS: u32 = 10;

    fn office(seed: u16) -> Office {
        Office::new(640, 360, FPS, seed)
    }

    #[test]
    fn scene_depends_on_nothing_but_seed_and_number() {
        let mut walked = office(1);
        for number in 0..400 {
            let walked = walked.paint(number).to_vec();
            if number % 37 == 0 {
                let mut jumped = office(1);
                jumped.shown = None;
                assert!(walked == jumped.paint(number), "frame {number} differs when jumped to");
            }
        }
        assert!(office(1).paint(0) != office(2).paint(0), "the seed changes nothing");
    }

    #[test]
    fn most_frames_show_the_same_as_their_predecessor() {
        let mut office = office(1);
        let frames = 60 * u64::from(FPS);
        let mut before = office.paint(0).to_vec();
        let mut still = 0;
        for number in 1..frames {
            let now = office.paint(number);
            still += u64::from(now == before);
            before.copy_from_slice(now);
        }
        assert!((frames / 2..frames * 3 / 4).contains(&still), "{still} of {frames} frames are still");
    }

    #[test]
    fn each_pane_changes_at_its_own_pace() {
        let at = |seconds: u64| State::at(seconds * 1000);
        assert_eq!(at(0), State { typed: 0, scrolled: 0, page: 0, minute: 0 });
        assert_eq!(State::at(200).typed, 1);
        assert_eq!(at(6), at(6));
        assert_eq!((at(6).typed, at(9).typed), (30, 30));
        assert_eq!((at(1).scrolled, at(6).scrolled, at(8).scrolled), (10, 10, 20));
        assert_eq!((at(14).page, at(15).page, at(60).minute), (0, 1, 1));
    }
}
