//! The instruction that lays copies of the base and new bytes side by side, the new bytes of all of
//! them compressed together.

use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::frame::{self, Codec, decode};
use crate::limits::{DELTA_LEVEL, FRAME_RAW_MAX};

use super::PATCHWORK;

/// Bytes of a piece: length of what is new, distance of the copy from the end of the one before, its
/// length.
const PIECE: usize = 20;
/// What a patchwork is called in errors.
const WHAT: &str = "the delta";

/// New bytes, and the part of the base that follows them. Either may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Piece {
    pub(super) new: u32,
    pub(super) at: u64,
    pub(super) len: u64,
}

/// Pieces, and their new bytes one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Patchwork {
    pub(super) pieces: Vec<Piece>,
    pub(super) new: Vec<u8>,
}

impl Patchwork {
    fn room(&self) -> usize {
        FRAME_RAW_MAX - self.pieces.len() * PIECE - self.new.len()
    }

    /// Writes it as an instruction.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut raw = Vec::with_capacity(self.pieces.len() * PIECE + self.new.len());
        let mut end = 0u64;
        for piece in &self.pieces {
            let at = if piece.len == 0 { end } else { piece.at };
            raw.extend_from_slice(&piece.new.to_le_bytes());
            raw.extend_from_slice(&at.wrapping_sub(end).to_le_bytes());
            raw.extend_from_slice(&piece.len.to_le_bytes());
            end = at + piece.len;
        }
        raw.extend_from_slice(&self.new);
        let packed = frame::compressed_at(DELTA_LEVEL, &raw);
        let stored = match &packed {
            Some(packed) if packed.len() < raw.len() => packed,
            _ => &raw,
        };
        let numbers = [self.pieces.len(), raw.len(), stored.len()];
        let numbers = numbers.map(|n| (n as u32).to_le_bytes()).concat();
        [&[PATCHWORK][..], &numbers, stored].concat()
    }

    /// What `stored` says, which is all of an instruction but its three numbers.
    ///
    /// # Errors
    /// When it does not hold together. Whether the base has what it copies is not known here.
    pub(super) fn decode(count: usize, raw_len: usize, stored: Vec<u8>) -> Result<Patchwork> {
        let mut raw = match stored.len() == raw_len {
            true => stored,
            false => decode(Codec::Zstd, &stored, raw_len, &mut Vec::new())?,
        };
        let bad = |why: &str| Error::damaged(WHAT, why);
        let Some(listed) = count.checked_mul(PIECE).filter(|&len| len <= raw.len()) else {
            return Err(bad("it lists more than it holds"));
        };
        let new = raw.split_off(listed);
        let mut pieces = Vec::with_capacity(count);
        let (mut end, mut left) = (0u64, new.len());
        let mut d = Decoder::new(WHAT, &raw);
        for _ in 0..count {
            let (new, skip, len) = (d.u32()?, d.u64()?, d.u64()?);
            let at = end.wrapping_add(skip);
            end = at
                .checked_add(len)
                .ok_or_else(|| bad("it copies what no base has"))?;
            left = left
                .checked_sub(new as usize)
                .ok_or_else(|| bad("it uses more than it holds"))?;
            if new == 0 && len == 0 {
                return Err(bad("it has a part of nothing"));
            }
            pieces.push(Piece { new, at, len });
        }
        match left {
            0 => Ok(Patchwork { pieces, new }),
            _ => Err(bad("it holds more than it uses")),
        }
    }
}

/// Makes patchworks of what comes.
#[derive(Debug, Default)]
pub(super) struct Quilt {
    open: Patchwork,
    full: Vec<Patchwork>,
}

impl Quilt {
    /// Appends new bytes.
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.open.pieces.last().is_none_or(|piece| piece.len > 0) {
                self.begin();
            }
            let take = bytes.len().min(self.open.room());
            let (some, rest) = bytes.split_at(take);
            self.open.new.extend_from_slice(some);
            if let Some(last) = self.open.pieces.last_mut() {
                last.new += take as u32;
            }
            if !rest.is_empty() {
                self.close();
            }
            bytes = rest;
        }
    }

    /// Appends a part of the base.
    pub(super) fn copy(&mut self, at: u64, len: u64) {
        let is_next = |piece: &Piece| piece.len == 0 || piece.at + piece.len == at;
        if !self.open.pieces.last().is_some_and(is_next) {
            self.begin();
        }
        if let Some(last) = self.open.pieces.last_mut() {
            if last.len == 0 {
                last.at = at;
            }
            last.len += len;
        }
    }

    /// A new piece, for which there is room and for a byte more.
    fn begin(&mut self) {
        if self.open.room() <= PIECE {
            self.close();
        }
        self.open.pieces.push(Piece::default());
    }

    fn close(&mut self) {
        self.full.push(std::mem::take(&mut self.open));
    }

    /// Those that are full.
    pub(super) fn take_full(&mut self) -> Vec<Patchwork> {
        std::mem::take(&mut self.full)
    }

    /// What is left at the end.
    pub(super) fn take_all(&mut self) -> Vec<Patchwork> {
        if !self.open.pieces.is_empty() {
            self.close();
        }
        self.take_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an instruction holds: its three numbers, and what is stored.
    fn taken_apart(instruction: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut d = Decoder::new(WHAT, instruction);
        assert_eq!(d.u8().unwrap(), PATCHWORK);
        let [count, raw, stored] = [(); 3].map(|()| d.u32().unwrap() as usize);
        let stored = d.take(stored).unwrap().to_vec();
        d.end().unwrap();
        (count, raw, stored)
    }

    fn decoded(instruction: &[u8]) -> Result<Patchwork> {
        let (count, raw, stored) = taken_apart(instruction);
        Patchwork::decode(count, raw, stored)
    }

    #[test]
    fn pieces_come_back() {
        let mut quilt = Quilt::default();
        quilt.add(b"begin");
        quilt.add(b" and more");
        quilt.copy(1000, 500);
        quilt.copy(1500, 1);
        quilt.copy(7, u64::MAX / 2);
        quilt.add(b"end");
        let [work] = &quilt.take_all()[..] else {
            panic!("not one")
        };
        let piece = |new, at, len| Piece { new, at, len };
        let expected = [
            piece(14, 1000, 501),
            piece(0, 7, u64::MAX / 2),
            piece(3, 0, 0),
        ];
        assert_eq!(work.pieces, expected);
        let back = decoded(&work.encode()).unwrap();
        assert_eq!(back.new, b"begin and moreend");
        assert_eq!(back.pieces[..2], expected[..2]);
        assert_eq!((back.pieces[2].new, back.pieces[2].len), (3, 0));
        assert!(quilt.take_all().is_empty());
    }

    #[test]
    fn what_is_long_is_several() {
        let mut quilt = Quilt::default();
        let bytes = crate::chunk::tests::noise(1, FRAME_RAW_MAX * 2 + 5);
        quilt.copy(5, 5);
        quilt.add(&bytes);
        let mut places = Vec::new();
        for n in 0..FRAME_RAW_MAX as u64 / PIECE as u64 + 10 {
            quilt.copy(n * 10, 9);
            places.push((n * 10, 9));
        }
        let all = quilt.take_all();
        assert_eq!(all.len(), 4);
        let (mut new, mut copies) = (Vec::new(), Vec::new());
        for work in &all {
            let back = decoded(&work.encode()).unwrap();
            new.extend_from_slice(&back.new);
            copies.extend(back.pieces.iter().map(|piece| (piece.at, piece.len)));
        }
        assert!(new == bytes);
        copies.retain(|(_, len)| *len > 0);
        assert_eq!(copies[0], (5, 5));
        assert!(copies[1..] == places);
    }

    #[test]
    fn p9_what_does_not_hold_together_is_refused() {
        let raw = |pieces: &[(u32, u64, u64)], new: &[u8]| {
            let mut raw = Vec::new();
            for (new, skip, len) in pieces {
                raw.extend_from_slice(&new.to_le_bytes());
                raw.extend_from_slice(&skip.to_le_bytes());
                raw.extend_from_slice(&len.to_le_bytes());
            }
            raw.extend_from_slice(new);
            raw
        };
        let refused = |count: usize, raw: Vec<u8>| {
            let error = Patchwork::decode(count, raw.len(), raw).unwrap_err();
            error.to_string()
        };
        assert!(refused(1, raw(&[(3, 0, 1)], b"ab")).contains("uses more"));
        assert!(refused(1, raw(&[(u32::MAX, 0, 1)], b"ab")).contains("uses more"));
        assert!(refused(1, raw(&[(1, 0, 1)], b"ab")).contains("holds more"));
        assert!(refused(2, raw(&[(1, 0, 1)], b"a")).contains("lists more"));
        assert!(refused(usize::MAX, raw(&[(1, 0, 1)], b"a")).contains("lists more"));
        assert!(refused(1, raw(&[(0, 0, 0)], b"")).contains("part of nothing"));
        assert!(refused(1, raw(&[(0, 2, u64::MAX)], b"")).contains("no base has"));
        let far = raw(&[(0, 5, 1), (0, u64::MAX - 5, 1)], b"");
        assert_eq!(
            Patchwork::decode(2, far.len(), far).unwrap().pieces[1].at,
            0
        );
        // A bomb: the zstd frame holds more than the instruction says.
        let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
        let error = Patchwork::decode(1, 100, bomb).unwrap_err();
        assert!(error.to_string().contains("declared length"), "{error}");
    }
}
