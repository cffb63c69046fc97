//! The slate's picture: its luma, and text in it.

use super::BLOCK;
use super::font::{COLUMNS, ROWS, glyph};

/// Luma of the ground, nearly black, and of the text, in the limited range.
const GROUND: u8 = 40;
const TEXT: u8 = 210;
/// Width of the picture for each pixel of a glyph's side.
const SCALE: usize = 400;
const LEAST_SCALE: usize = 2;
const MOST_SCALE: usize = 8;

pub struct Picture {
    /// In pixels, whole macroblocks.
    pub width: usize,
    pub height: usize,
    luma: Vec<u8>,
}

impl Picture {
    pub fn new(width: usize, height: usize) -> Picture {
        Picture { width, height, luma: vec![GROUND; width * height] }
    }

    /// Writes the lines into the middle of the part that is shown.
    pub fn write(&mut self, width: usize, height: usize, lines: &[String]) {
        let scale = (width / SCALE).clamp(LEAST_SCALE, MOST_SCALE);
        let (advance, leading) = ((COLUMNS + 1) * scale, (ROWS + 5) * scale);
        let most = (width / advance).saturating_sub(2).max(1);
        let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, most)).collect();
        let top = height.saturating_sub(lines.len() * leading) / 2;
        for (row, line) in lines.iter().enumerate() {
            let left = width.saturating_sub(line.chars().count() * advance) / 2;
            for (column, letter) in line.chars().enumerate() {
                self.letter(left + column * advance, top + row * leading, scale, letter);
            }
        }
    }

    fn letter(&mut self, left: usize, top: usize, scale: usize, letter: char) {
        let Some(rows) = glyph(letter) else { return };
        for (y, x) in (0..ROWS * scale).flat_map(|y| (0..COLUMNS * scale).map(move |x| (y, x))) {
            let bits = rows.get(y / scale).copied().unwrap_or(0);
            let (at_x, at_y) = (left + x, top + y);
            if bits >> (COLUMNS - 1 - x / scale) & 1 == 0 || at_x >= self.width || at_y >= self.height {
                continue;
            }
            if let Some(pixel) = self.luma.get_mut(at_y * self.width + at_x) {
                *pixel = TEXT;
            }
        }
    }

    fn at(&self, x: usize, y: usize) -> u8 {
        self.luma.get(y * self.width + x).copied().unwrap_or(GROUND)
    }

    /// The pixels of a macroblock, row by row.
    pub fn luma(&self, column: usize, row: usize) -> impl Iterator<Item = u8> {
        let (left, top) = (column * BLOCK, row * BLOCK);
        (0..BLOCK * BLOCK).map(move |at| self.at(left + at % BLOCK, top + at / BLOCK))
    }

    /// Whether a macroblock is exactly the average of the pixels to its left and above it (8.3.3.3).
    pub fn is_predicted(&self, column: usize, row: usize) -> bool {
        let (left, top) = (column * BLOCK, row * BLOCK);
        let sum = |pixels: &mut dyn Iterator<Item = u8>| pixels.map(u32::from).sum::<u32>();
        let beside = (column > 0).then(|| sum(&mut (0..BLOCK).map(|y| self.at(left - 1, top + y))));
        let above = (row > 0).then(|| sum(&mut (0..BLOCK).map(|x| self.at(left + x, top - 1))));
        let average = match (beside, above) {
            (Some(beside), Some(above)) => (beside + above + 16) >> 5,
            (one, other) => one.or(other).map_or(128, |sum| (sum + 8) >> 4),
        };
        self.luma(column, row).all(|value| u32::from(value) == average)
    }
}

/// Breaks a line between words, or within one that is longer than a line.
fn wrapped(line: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while let Some(last) = lines.last_mut() {
            let used = last.chars().count();
            let room = most.saturating_sub(used + usize::from(used > 0));
            if word.len() <= room {
                last.extend((used > 0).then_some(' '));
                last.extend(word);
                break;
            }
            if used == 0 {
                last.extend(word.drain(..most));
            }
            lines.push(String::new());
        }
    }
    lines
}
