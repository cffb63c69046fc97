//! The pictures that a probe encodes: text, a ramp, colors and a number, so that anything that can go wrong
//! with a picture shows in them.
//!
//! ```text
//! +----------------------------+   the frame's number: four bits, black and white
//! |  bit 3 | bit 2 | bit 1 | 0 |
//! +------+------+--------------+   gray strokes like text; a ramp with a moving square; colors that differ clearly
//! | text | ramp |    colors    |   if two channels are swapped
//! +------+------+--------------+
//! ```
//!
//! Pure. Pictures are BGRx.

/// Bytes per pixel.
pub const PIXEL: usize = 4;
/// Frames after which the numbers start over: four bits.
pub const NUMBERS: u64 = 16;

/// One row in this many is compared: faults show in many rows, and a recording waits for the probe.
const ROWS: u64 = 4;

/// Blue, green, red. Each becomes a clearly different color if two channels are swapped.
const COLORS: [[u8; 3]; 6] =
    [[10, 10, 240], [240, 40, 10], [10, 120, 245], [240, 150, 10], [10, 200, 230], [110, 220, 10]];

pub struct Pattern {
    width: usize,
    height: usize,
    /// The part of the picture that is the same in all frames.
    still: Vec<u8>,
}

/// The result of comparing a decoded picture with the painted one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Mean difference of a color byte, of 255.
    pub error: f32,
    /// The number that the picture shows.
    pub number: u64,
}

impl Pattern {
    pub fn new(width: u32, height: u32) -> Pattern {
        let (width, height) = (width as usize, height as usize);
        let mut still = Vec::with_capacity(width * height * PIXEL);
        for y in 0..height {
            for x in 0..width {
                let [blue, green, red] = color(x, y, width, height);
                still.extend([blue, green, red, 0]);
            }
        }
        Pattern { width, height, still }
    }

    /// Paints frame `number` into `to`, which has rows of `stride` bytes.
    pub fn paint(&self, number: u64, to: &mut [u8], stride: usize) {
        let row = self.width * PIXEL;
        for (y, (to, still)) in to.chunks_mut(stride).zip(self.still.chunks(row)).enumerate() {
            let Some(to) = to.get_mut(..row) else { return };
            to.copy_from_slice(still);
            self.paint_over(y, number, to);
        }
    }

    /// The parts of row `y` that frame `number` paints over the still picture: ranges of columns, and their
    /// gray.
    fn painted_over(&self, y: usize, number: u64) -> Vec<(std::ops::Range<usize>, u8)> {
        let strip = strip(self.height);
        if y < strip {
            let cell = |bit: usize| self.width * bit / 4..self.width * (bit + 1) / 4;
            return (0..4)
                .map(|bit| (cell(bit), if number >> (3 - bit) & 1 == 1 { 235 } else { 20 }))
                .collect();
        }
        let side = (self.width.min(self.height) / 8).max(1);
        let (left, right) = (self.width / 4, self.width / 2);
        let steps = usize::try_from(number % NUMBERS).unwrap_or(0);
        let x = left + (right - left).saturating_sub(side) * steps / 15;
        let top = (strip + self.height) / 2;
        if (top..top + side).contains(&y) { vec![(x..(x + side).min(self.width), 250)] } else { Vec::new() }
    }

    /// Compares a picture with frame `number`, in every fourth row; which rows depends on the number. `shown`
    /// has rows of `stride` bytes and may be larger than ours.
    pub fn judge(&self, number: u64, shown: &[u8], stride: usize) -> Comparison {
        let row = self.width * PIXEL;
        let mut wanted = vec![0; row];
        let (mut sum, mut rows) = (0_u64, 0);
        let first = usize::try_from(number % ROWS).unwrap_or(0).min(self.height.saturating_sub(1));
        for y in (first..self.height).step_by(ROWS as usize) {
            let Some((shown, still)) = shown.get(y * stride..).zip(self.still.get(y * row..(y + 1) * row))
            else {
                break;
            };
            wanted.copy_from_slice(still);
            self.paint_over(y, number, &mut wanted);
            sum += difference(shown.get(..row).unwrap_or(shown), &wanted);
            rows += 1;
        }
        let bytes = (self.width * rows * 3).max(1);
        Comparison { error: (sum as f64 / bytes as f64) as f32, number: self.read_number(shown, stride) }
    }

    fn read_number(&self, shown: &[u8], stride: usize) -> u64 {
        let y = strip(self.height) / 2;
        let is_bright = |bit: usize| {
            let middle = y * stride + self.width * (2 * bit + 1) / 8 * PIXEL;
            shown.get(middle).is_some_and(|byte| *byte > 127)
        };
        (0..4).fold(0, |number, bit| number << 1 | u64::from(is_bright(bit)))
    }

    fn paint_over(&self, y: usize, number: u64, row: &mut [u8]) {
        for (columns, shade) in self.painted_over(y, number) {
            if let Some(pixels) = row.get_mut(columns.start * PIXEL..columns.end * PIXEL) {
                pixels.chunks_exact_mut(PIXEL).for_each(|pixel| pixel[..3].fill(shade));
            }
        }
    }
}

/// Sum over blue, green and red; the fourth byte of a pixel is ignored.
fn difference(one: &[u8], other: &[u8]) -> u64 {
    let pixels = one.chunks_exact(PIXEL).zip(other.chunks_exact(PIXEL));
    // A row's sum fits: at most 765 per pixel.
    let sum: u32 = pixels
        .map(|(a, b)| {
            let byte = |at: usize| u32::from(a[at].abs_diff(b[at]));
            byte(0) + byte(1) + byte(2)
        })
        .sum();
    u64::from(sum)
}

/// Height of the number's strip, in rows.
fn strip(height: usize) -> usize {
    (height / 6).max(1)
}

fn color(x: usize, y: usize, width: usize, height: usize) -> [u8; 3] {
    let (quarter, half) = (width / 4, width / 2);
    if x < quarter {
        // Lines of ten rows with strokes two pixels wide, with four rows in between.
        let stroke = y % 14 < 10 && (x / 2 * 7 + y / 14 * 5 + (y % 14) / 4 * 3) % 5 < 2 && x % 40 < 34;
        return [if stroke { 80 } else { 190 }; 3];
    }
    if x < half {
        let across = (x - quarter) * 200 / (half - quarter);
        return [u8::try_from(across).unwrap_or(200) + 20; 3];
    }
    let (column, row) = ((x - half) * 2 / (width - half), y * 3 / height);
    COLORS[(row * 2 + column) % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(pattern: &Pattern, number: u64) -> Vec<u8> {
        let mut picture = vec![0; pattern.width * pattern.height * PIXEL];
        pattern.paint(number, &mut picture, pattern.width * PIXEL);
        picture
    }

    #[test]
    fn every_frame_equals_itself_and_shows_its_number() {
        for (width, height) in [(1920, 1080), (1919, 1079), (64, 48), (16, 16)] {
            let pattern = Pattern::new(width, height);
            for number in 0..NUMBERS {
                let picture = painted(&pattern, number);
                let comparison = pattern.judge(number, &picture, width as usize * PIXEL);
                assert_eq!(comparison, Comparison { error: 0.0, number }, "{width}x{height}");
            }
        }
    }

    #[test]
    fn a_picture_of_any_size_is_painted_and_judged() {
        for (width, height) in [(1, 1), (2, 1), (3, 7), (5, 2)] {
            let pattern = Pattern::new(width, height);
            let picture = painted(&pattern, 5);
            assert_eq!(pattern.judge(5, &picture, width as usize * PIXEL).error, 0.0);
        }
    }

    /// The errors are means over all color bytes.
    #[test]
    fn common_faults_change_this_picture_a_lot() {
        let pattern = Pattern::new(640, 360);
        let right = painted(&pattern, 9);
        let error = |change: fn(&mut [u8])| {
            let mut picture = right.clone();
            picture.chunks_exact_mut(PIXEL).for_each(change);
            pattern.judge(9, &picture, 640 * PIXEL).error
        };
        let wrong: [fn(&mut [u8]); 5] = [
            |pixel| pixel.fill(0),
            |pixel| pixel[..3].copy_from_slice(&[0, 135, 0]),
            |pixel| pixel.swap(0, 2),
            |pixel| pixel.fill(128),
            |pixel| pixel[1] = 0,
        ];
        let errors = wrong.map(error);
        assert!(
            errors.iter().all(|error| *error > 45.0),
            "black, green, swapped, gray, no green: {errors:?}"
        );
    }
}
