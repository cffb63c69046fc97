//! Full motion: no pixel of the picture keeps its luma from one frame to the next.
//!
//! Bands of 64 rows, each a sawtooth that slides at its own speed and slant. This is the worst case for
//! skipping unchanged frames, and a hard but not hopeless one for encoders.

/// Length of the sawtooth in pixels. It is prime, so that sliding at any lower speed changes every pixel.
const PERIOD: usize = 211;
const BAND: usize = 64;
/// Pixels per frame; the bands use them in turn.
const SPEEDS: [usize; 5] = [3, 7, 2, 11, 5];
const NEUTRAL: u8 = 128;

pub struct Motion {
    width: usize,
    height: usize,
    /// One row and one period more; each row of the picture is a window into it.
    sawtooth: Vec<u8>,
}

impl Motion {
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        let sawtooth = (0..width + PERIOD).map(|x| 16 + (x % PERIOD) as u8).collect();
        Motion { width, height, sawtooth }
    }

    /// Paints I420.
    pub fn paint(&self, number: u64, pixels: &mut [u8]) {
        let (luma, chroma) = pixels.split_at_mut(self.width * self.height);
        chroma.fill(NEUTRAL);
        let turn = number as usize % PERIOD;
        for (y, row) in luma.chunks_exact_mut(self.width).enumerate() {
            let band = y / BAND;
            let slant = y * (1 + band % 3);
            let start = (turn * SPEEDS[band % SPEEDS.len()] + slant) % PERIOD;
            row.copy_from_slice(&self.sawtooth[start..start + self.width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_changes_with_every_frame() {
        let motion = Motion::new(320, 200);
        let paint = |number| {
            let mut pixels = vec![0; 320 * 200 * 3 / 2];
            motion.paint(number, &mut pixels);
            pixels.truncate(320 * 200);
            pixels
        };
        for number in [0, 1, PERIOD as u64 - 1, 1_000_000] {
            let (one, next) = (paint(number), paint(number + 1));
            assert!(one.iter().zip(&next).all(|(a, b)| a != b), "frame {number}");
        }
    }
}
