//! Boxes within boxes, and the numbers in them; every number is checked against the bytes that exist.

use super::Unfit;

#[derive(Debug, Clone, Copy)]
pub struct Mp4Box<'a> {
    pub kind: [u8; 4],
    pub body: &'a [u8],
}

/// A box's type as text for messages.
pub fn box_name(kind: [u8; 4]) -> String {
    kind.escape_ascii().to_string()
}

/// The consecutive boxes that fill these bytes.
pub fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = Result<Mp4Box<'_>, Unfit>> {
    std::iter::from_fn(move || {
        // QuickTime ends a list of boxes with four zeros.
        if bytes.is_empty() || bytes == [0; 4] {
            return None;
        }
        let next = split(bytes);
        bytes = next.as_ref().map_or(&[], |(_, rest)| *rest);
        Some(next.map(|(one, _)| one))
    })
}

fn split(bytes: &[u8]) -> Result<(Mp4Box<'_>, &[u8]), Unfit> {
    let mut head = Fields::of("box", bytes);
    let (size, kind) = (head.u32()?, head.kind()?);
    let torn = || Unfit::Torn { name: box_name(kind) };
    let (head, size) = match size {
        0 => (8, bytes.len()),
        1 => (16, usize::try_from(head.u64()?).map_err(|_| torn())?),
        size => (8, size as usize),
    };
    let body = bytes.get(head..size).ok_or_else(torn)?;
    Ok((Mp4Box { kind, body }, &bytes[size..]))
}

/// The first box of this kind.
pub fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Result<Option<&'a [u8]>, Unfit> {
    for one in boxes(bytes) {
        let one = one?;
        if one.kind == *kind {
            return Ok(Some(one.body));
        }
    }
    Ok(None)
}

/// Returns the first box of this kind, or an error without one.
pub fn needed<'a>(bytes: &'a [u8], kind: &'static str) -> Result<&'a [u8], Unfit> {
    for one in boxes(bytes) {
        let one = one?;
        if one.kind == *kind.as_bytes() {
            return Ok(one.body);
        }
    }
    Err(Unfit::Missing(kind))
}

/// Reads numbers in sequence.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    name: &'static str,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of the box with this name.
    pub fn of(name: &'static str, bytes: &'a [u8]) -> Fields<'a> {
        Fields { name, bytes }
    }

    /// The fields of a box that begins with version and flags, and those two.
    pub fn full(name: &'static str, bytes: &'a [u8]) -> Result<(Fields<'a>, u8, u32), Unfit> {
        let mut fields = Fields { name, bytes };
        let word = fields.u32()?;
        Ok((fields, (word >> 24) as u8, word & 0xff_ffff))
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn some<const N: usize>(&mut self) -> Result<[u8; N], Unfit> {
        let (some, rest) = self.bytes.split_first_chunk().ok_or_else(|| self.torn())?;
        self.bytes = rest;
        Ok(*some)
    }

    pub fn torn(&self) -> Unfit {
        Unfit::Torn { name: self.name.to_owned() }
    }

    pub fn skip(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.bytes = self.bytes.get(bytes..).ok_or_else(|| self.torn())?;
        Ok(())
    }

    pub fn kind(&mut self) -> Result<[u8; 4], Unfit> {
        self.some()
    }

    pub fn u8(&mut self) -> Result<u8, Unfit> {
        self.some::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Unfit> {
        self.some().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Unfit> {
        self.some().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Unfit> {
        self.some().map(i32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Unfit> {
        self.some().map(u64::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Unfit> {
        self.some().map(i64::from_be_bytes)
    }

    /// A number of 64 bits in version 1, else of 32.
    pub fn by_version(&mut self, version: u8) -> Result<u64, Unfit> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// The number of rows that follow, each of `bytes` bytes. An error if they are not all there.
    pub fn rows(&mut self, bytes: usize) -> Result<usize, Unfit> {
        let count = self.u32()? as usize;
        if count > self.bytes.len() / bytes { Err(self.torn()) } else { Ok(count) }
    }
}
