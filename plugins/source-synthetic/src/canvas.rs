//! A BGRx picture, on which rectangles and text can be painted.

use crate::font;

/// `0xRRGGBB`
pub type Color = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Rect {
    /// The rectangle without a margin on all sides.
    pub fn inset(self, margin: usize) -> Rect {
        Rect {
            x: self.x + margin,
            y: self.y + margin,
            width: self.width.saturating_sub(2 * margin),
            height: self.height.saturating_sub(2 * margin),
        }
    }

    /// The strip of `height` at the top, and what remains.
    pub fn cut_top(self, height: usize) -> (Rect, Rect) {
        let height = height.min(self.height);
        let rest = Rect { y: self.y + height, height: self.height - height, ..self };
        (Rect { height, ..self }, rest)
    }

    /// The strip of `width` at the left, and what remains.
    pub fn cut_left(self, width: usize) -> (Rect, Rect) {
        let width = width.min(self.width);
        let rest = Rect { x: self.x + width, width: self.width - width, ..self };
        (Rect { width, ..self }, rest)
    }
}

pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    /// Pixels for each dot of the font.
    scale: usize,
}

impl Canvas {
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Canvas { width, height, pixels: vec![0; width * height * 4], scale: (height / 540).max(1) }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.pixels
    }

    pub fn bounds(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Width and height of a character with the space around it.
    pub fn character(&self) -> (usize, usize) {
        ((font::WIDTH + 1) * self.scale, (font::HEIGHT + 4) * self.scale)
    }

    /// Paints the part of `area` that is in the picture.
    pub fn fill(&mut self, area: Rect, color: Color) {
        let [_, red, green, blue] = color.to_be_bytes();
        let right = (area.x + area.width).min(self.width);
        let bottom = (area.y + area.height).min(self.height);
        if area.x >= right {
            return;
        }
        for y in area.y..bottom {
            let row = &mut self.pixels[(y * self.width + area.x) * 4..(y * self.width + right) * 4];
            for pixel in row.chunks_exact_mut(4) {
                pixel.copy_from_slice(&[blue, green, red, 0]);
            }
        }
    }

    pub fn frame(&mut self, area: Rect, line: Color, inside: Color) {
        self.fill(area, line);
        self.fill(area.inset(self.scale), inside);
    }

    /// Paints one line of text at the upper left corner of `area`. Leaves out characters that do not fit.
    pub fn text(&mut self, area: Rect, text: &str, color: Color) {
        let (advance, line) = self.character();
        if area.height < line {
            return;
        }
        for (index, glyph) in text.chars().take(area.width / advance).map(font::glyph).enumerate() {
            let (left, top) = (area.x + index * advance, area.y + 2 * self.scale);
            for (column, dots) in glyph.into_iter().enumerate() {
                for dot in (0..font::HEIGHT).filter(|dot| dots >> dot & 1 == 1) {
                    let (x, y) = (left + column * self.scale, top + dot * self.scale);
                    self.fill(Rect { x, y, width: self.scale, height: self.scale }, color);
                }
            }
        }
    }
}
