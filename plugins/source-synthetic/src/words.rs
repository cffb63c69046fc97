//! Meaningless texts that look like those of an office; all are functions of the seed.

const NAMES: [&str; 12] = [
    "Anna Berg",
    "Tom Hale",
    "Lena Voss",
    "Omar Diaz",
    "Mei Tanaka",
    "Paul Novak",
    "Ruth Adler",
    "Ivo Petrov",
    "Sara Lind",
    "Karl Weber",
    "Nina Rossi",
    "Joao Silva",
];
const CHANNELS: [&str; 4] = ["voice", "chat ", "email", "voice"];
const WORDS: [&str; 32] = [
    "customer",
    "asks",
    "about",
    "the",
    "invoice",
    "of",
    "last",
    "month",
    "and",
    "wants",
    "to",
    "change",
    "address",
    "tariff",
    "was",
    "explained",
    "new",
    "contract",
    "sent",
    "by",
    "mail",
    "router",
    "restarted",
    "line",
    "is",
    "stable",
    "again",
    "call",
    "back",
    "on",
    "Monday",
    "morning",
];

pub struct Words {
    seed: u64,
}

impl Words {
    pub fn new(seed: u16) -> Self {
        Words { seed: u64::from(seed) }
    }

    /// The customer's name.
    pub fn name(&self) -> &'static str {
        pick(&NAMES, self.number(0, 0))
    }

    /// Three words for a form or a heading.
    pub fn entry(&self, index: u64) -> String {
        let word = |n| pick(&WORDS, self.number(index, n));
        format!("{} {} {}", word(0), word(1), word(2))
    }

    /// A row of the list.
    pub fn interaction(&self, number: u64) -> String {
        let name = pick(&NAMES, self.number(number, 1));
        let channel = pick(&CHANNELS, self.number(number, 2));
        let reference = self.number(number, 3) % 1_000_000;
        let seconds = self.number(number, 4) % 900;
        format!(" {number:04} {channel} {reference:06} {:02}:{:02} {name}", seconds / 60, seconds % 60)
    }

    /// `count` characters of an endless text, from character `first` on.
    pub fn running_text(&self, text: u64, first: u64, count: usize) -> String {
        // Words differ in length, so a later character cannot be found directly. The text starts over every
        // hundred characters instead, so that no character costs more than a hundred.
        const STRETCH: u64 = 100;
        let mut line = String::with_capacity(count);
        let (mut stretch, mut skip) = (first / STRETCH, (first % STRETCH) as usize);
        while line.len() < count {
            let whole = self.stretch(text, stretch, STRETCH as usize);
            line.extend(whole.chars().skip(skip).take(count - line.len()));
            (stretch, skip) = (stretch + 1, 0);
        }
        line
    }

    /// A sentence, padded with spaces to `length` characters.
    fn stretch(&self, text: u64, stretch: u64, length: usize) -> String {
        let mut sentence = String::with_capacity(length);
        for n in 0.. {
            let word = pick(&WORDS, self.number(text << 20 | stretch, n));
            if sentence.len() + word.len() + 2 > length {
                break;
            }
            sentence.push_str(word);
            sentence.push(' ');
        }
        sentence.pop();
        format!("{:<length$}", sentence + ".")
    }

    /// A number that looks random (the finalizer of SplitMix64).
    fn number(&self, index: u64, n: u64) -> u64 {
        let mut z = (self.seed << 48 ^ index << 8 ^ n).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

fn pick(from: &[&'static str], number: u64) -> &'static str {
    from[(number % from.len() as u64) as usize]
}
