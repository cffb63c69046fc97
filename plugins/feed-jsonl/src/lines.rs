//! Cuts bytes into lines.

/// Longest line in bytes. An event with all data of a call takes some kilobytes.
const LONGEST: usize = 1 << 20;

/// Collects the line that is not complete yet.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The line is already too long; skip to its end.
    is_skipping: bool,
    /// Complete lines so far.
    number: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub number: u64,
    /// `None` if it was too long.
    pub bytes: Option<Vec<u8>>,
}

impl Lines {
    /// Starts after `number` lines.
    pub fn after(number: u64) -> Lines {
        Lines { number, ..Lines::default() }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// The bytes of the incomplete line.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_complete) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if self.rest.len() + text.len() > LONGEST {
                self.is_skipping = true;
                self.rest.clear();
            }
            if !self.is_skipping {
                self.rest.extend_from_slice(text);
            }
            if is_complete {
                lines.push(self.take());
            }
        }
        lines
    }

    /// Ends the incomplete line: no more bytes follow.
    pub fn end(&mut self) -> Option<Line> {
        (!self.rest.is_empty() || self.is_skipping).then(|| self.take())
    }

    fn take(&mut self) -> Line {
        self.number += 1;
        let bytes = std::mem::take(&mut self.rest);
        let is_too_long = std::mem::take(&mut self.is_skipping);
        Line { number: self.number, bytes: (!is_too_long).then_some(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, text: &str) -> Line {
        Line { number, bytes: Some(text.as_bytes().to_vec()) }
    }

    #[test]
    fn a_line_may_come_in_pieces_and_many_at_once() {
        let mut lines = Lines::after(4);
        assert_eq!(lines.push(b"on"), []);
        assert_eq!(lines.push(b"e\ntwo\n\nfo"), [line(5, "one"), line(6, "two"), line(7, "")]);
        assert_eq!(lines.rest(), b"fo");
        assert_eq!(lines.end(), Some(line(8, "fo")));
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn a_line_that_never_ends_takes_no_more_memory_and_the_next_one_is_read() {
        let mut lines = Lines::default();
        let block = vec![b'x'; 300_000];
        for _ in 0..10 {
            assert_eq!(lines.push(&block), []);
            assert!(lines.rest().len() <= LONGEST);
        }
        assert_eq!(lines.push(b"\nshort\n"), [Line { number: 1, bytes: None }, line(2, "short")]);
    }
}
