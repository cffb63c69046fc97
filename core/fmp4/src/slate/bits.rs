//! The bits of a NAL unit.

#[derive(Debug, Default)]
pub struct Bits {
    bytes: Vec<u8>,
    /// Bits that do not make a byte yet.
    open: u8,
    count: u8,
}

impl Bits {
    /// Appends the lowest `width` bits.
    pub fn put(&mut self, value: u32, width: u32) {
        for at in (0..width).rev() {
            self.open = self.open << 1 | (value >> at & 1) as u8;
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.open);
                (self.open, self.count) = (0, 0);
            }
        }
    }

    /// Appends an Exp-Golomb code (9.1). A signed 0 has the same code.
    pub fn ue(&mut self, value: u32) {
        let code = value + 1;
        let width = 32 - code.leading_zeros();
        self.put(0, width - 1);
        self.put(code, width);
    }

    /// Appends zeros up to the next byte.
    pub fn align(&mut self) {
        while self.count > 0 {
            self.put(0, 1);
        }
    }

    /// Appends a byte; must be aligned.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// The NAL unit, with its trailing bits, and a 3 wherever the bytes would look like a start code (7.4.1).
    pub fn unit(mut self, header: u8) -> Vec<u8> {
        self.put(1, 1);
        self.align();
        let mut unit = Vec::with_capacity(self.bytes.len() + 8);
        unit.push(header);
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}
