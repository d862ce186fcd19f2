//! The blocks of a signature, to be found by their hashes at any place of other bytes.

use std::ops::Range;

use rayon::prelude::*;

use crate::limits::SIGNATURE_VAIN;

use super::signature::{Hashing, Signature, parts};

/// Spreads short hashes, whose bits are not alike, over all numbers of 32 bits.
const SPREAD: u32 = 0x9e37_79b1;
/// Bits of the sieve for each block, as a power of two: so few places pass that are no block.
const SIEVE: u32 = 5;
/// What librsync adds to each byte before it sums them up.
const OFFSET: u32 = 31;

/// The blocks of a signature by their hashes.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    signature: &'a Signature,
    /// Short hashes, spread, and numbers of blocks; in the order of short hash, long hash, number.
    sorted: Vec<(u32, u32)>,
    /// For each value of the first bits where in `sorted` they begin, and the end.
    starts: Vec<u32>,
    start_shift: u32,
    /// A bit for each value of the first bits that a short hash begins with.
    sieve: Vec<u64>,
    sieve_shift: u32,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(signature: &'a Signature) -> Blocks<'a> {
        let numbered = signature.blocks().zip(0u32..);
        let mut sorted: Vec<_> = numbered
            .map(|(block, number)| (parts(block).0.wrapping_mul(SPREAD), number))
            .collect();
        let strong = |number: u32| signature.from(number as usize).next();
        sorted.par_sort_unstable_by(|a, b| {
            let longer = || strong(a.1).cmp(&strong(b.1)).then(a.1.cmp(&b.1));
            a.0.cmp(&b.0).then_with(longer)
        });
        let bits = (sorted.len().max(2) as u32).next_power_of_two().ilog2();
        let (start_shift, sieve_shift) = (u32::BITS - bits, u32::BITS - bits - SIEVE);
        let mut starts = vec![0; (1 << bits) + 1];
        let mut sieve = vec![0; 1 << (bits + SIEVE).saturating_sub(6)];
        for &(key, _) in &sorted {
            starts[(key >> start_shift) as usize + 1] += 1;
            let bit = key >> sieve_shift;
            sieve[(bit >> 6) as usize] |= 1 << (bit & 63);
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        Blocks {
            signature,
            sorted,
            starts,
            start_shift,
            sieve,
            sieve_shift,
        }
    }

    pub(super) fn hashing(&self) -> Hashing {
        self.signature.hashing()
    }

    /// The hashes of the blocks from this one on.
    pub(super) fn from(&self, first: usize) -> std::slice::ChunksExact<'_, u8> {
        self.signature.from(first)
    }

    /// Whether some block has a short hash like this one. Says yes too often, and quickly.
    fn may_have(&self, key: u32) -> bool {
        let bit = key >> self.sieve_shift;
        self.sieve[(bit >> 6) as usize] >> (bit & 63) & 1 == 1
    }

    /// The blocks that have this short hash, spread.
    fn like(&self, key: u32) -> &[(u32, u32)] {
        let bucket = (key >> self.start_shift) as usize;
        let range = self.starts[bucket] as usize..self.starts[bucket + 1] as usize;
        let some = &self.sorted[range];
        let first = some.partition_point(|&(other, _)| other < key);
        let len = some[first..].partition_point(|&(other, _)| other == key);
        &some[first..first + len]
    }

    /// The first block of those with one short hash that has this long one too.
    fn among(&self, like: &[(u32, u32)], strong: &[u8]) -> Option<usize> {
        let strong_of = |number: u32| match self.from(number as usize).next() {
            Some(block) => parts(block).1,
            None => &[],
        };
        let first = like.partition_point(|&(_, number)| strong_of(number) < strong);
        let (_, number) = like.get(first)?;
        (strong_of(*number) == strong).then_some(*number as usize)
    }
}

/// Looks for blocks in bytes, with the short hash rolling over them.
#[derive(Debug)]
pub(super) struct Roll<'a> {
    blocks: &'a Blocks<'a>,
    bytes: &'a [u8],
    /// Bytes that may still be hashed in vain.
    vain: usize,
}

impl<'a> Roll<'a> {
    /// Over `bytes`, with as much hashing in vain as so many of them may cost.
    pub(super) fn new(blocks: &'a Blocks<'a>, bytes: &'a [u8], many: usize) -> Roll<'a> {
        let vain = many.saturating_mul(SIGNATURE_VAIN);
        Roll {
            blocks,
            bytes,
            vain,
        }
    }

    /// The first place that lies in `within` with a whole block, and the number of that block. `None`
    /// too when so much was hashed in vain that it does not pay any more: then it is `None` from then on.
    pub(super) fn next(&mut self, within: Range<usize>) -> Option<(usize, usize)> {
        let block = self.blocks.hashing().block;
        let bytes = self.bytes.get(within.clone()).filter(|_| self.vain > 0)?;
        let (first, rest) = bytes.split_at_checked(block)?;
        let (mut low, mut high) = weak(first);
        let factor = block as u32;
        // One more round than there are bytes to come: the last place has none after it.
        let coming = rest.iter().map(|&byte| u32::from(byte)).chain([0]);
        for (at, (&old, new)) in bytes.iter().zip(coming).enumerate() {
            let key = ((low & 0xffff) | high << 16).wrapping_mul(SPREAD);
            if self.blocks.may_have(key) {
                match self.is_block(key, &bytes[at..at + block]) {
                    Some(number) => return Some((within.start + at, number)),
                    None if self.vain == 0 => return None,
                    None => {}
                }
            }
            let old = u32::from(old);
            low = low.wrapping_add(new).wrapping_sub(old);
            high = high
                .wrapping_add(low)
                .wrapping_sub(factor.wrapping_mul(old + OFFSET));
        }
        None
    }

    /// The number of the block that `bytes` are, whose short hash is given.
    fn is_block(&mut self, key: u32, bytes: &[u8]) -> Option<usize> {
        let like = self.blocks.like(key);
        if like.is_empty() {
            return None;
        }
        let hashes = self.blocks.hashing().blocks(bytes);
        let found = self.blocks.among(like, parts(&hashes).1);
        if found.is_none() {
            self.vain = self.vain.saturating_sub(bytes.len());
        }
        found
    }
}

/// The two halves of librsync's rolling hash of a block, of which the lower 16 bits count each.
fn weak(bytes: &[u8]) -> (u32, u32) {
    let (mut low, mut high) = (0u32, 0u32);
    for (&byte, left) in bytes.iter().zip((1..=bytes.len() as u32).rev()) {
        let byte = u32::from(byte) + OFFSET;
        low = low.wrapping_add(byte);
        high = high.wrapping_add(byte.wrapping_mul(left));
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::tests::noise;

    #[test]
    fn the_short_hash_is_that_of_librsync_at_every_place() {
        let bytes = noise(1, 3000);
        let signature = Signature::of(&mut &bytes[..], 3000, &()).unwrap();
        let hashing = signature.hashing();
        assert_eq!(hashing.block, 512);
        let (mut low, mut high) = weak(&bytes[..512]);
        for at in 0..3000 - 512 {
            let hashes = hashing.blocks(&bytes[at..at + 512]);
            let (expected, _) = parts(&hashes);
            assert_eq!((low & 0xffff) | high << 16, expected, "at {at}");
            assert_eq!(weak(&bytes[at..at + 512]).0 & 0xffff, low & 0xffff);
            let (old, new) = (u32::from(bytes[at]), u32::from(bytes[at + 512]));
            low = low.wrapping_add(new).wrapping_sub(old);
            high = high
                .wrapping_add(low)
                .wrapping_sub(512u32.wrapping_mul(old + OFFSET));
        }
    }

    #[test]
    fn blocks_are_found_wherever_they_are() {
        let base = noise(1, 100_000);
        let signature = Signature::of(&mut &base[..], base.len() as u64, &()).unwrap();
        let blocks = Blocks::new(&signature);
        let block = signature.block_len();
        let mut new = noise(2, 5000);
        new.extend_from_slice(&base[7 * block..9 * block]);
        let mut roll = Roll::new(&blocks, &new, new.len());
        assert_eq!(roll.next(0..new.len()), Some((5000, 7)));
        assert_eq!(roll.next(5001..new.len()), Some((5000 + block, 8)));
        assert_eq!(roll.next(5000..5000 + block), Some((5000, 7)), "at the end");
        assert_eq!(roll.next(5000..4999 + block), None, "not whole");
        assert_eq!(roll.next(5001 + block..new.len()), None);
    }

    /// A signature of as many blocks as there are short hashes, with long hashes of nothing.
    fn forged(weak: impl ExactSizeIterator<Item = u32>, block: u32) -> Signature {
        let mut bytes = Signature::of(&mut &b""[..], 0, &()).unwrap().to_bytes();
        bytes.truncate(100);
        let len = weak.len() as u64 * u64::from(block);
        bytes[16..24].copy_from_slice(&len.to_le_bytes());
        bytes[92..96].copy_from_slice(&block.to_be_bytes());
        for weak in weak {
            bytes.extend_from_slice(&weak.to_be_bytes());
            bytes.extend_from_slice(&[7; 8]);
        }
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(check.as_bytes());
        Signature::read(&mut &bytes[..]).unwrap()
    }

    #[test]
    fn p9_colliding_short_hashes_cost_no_more_than_the_bytes_are_worth() {
        // Every place of the new content has the short hash of some block, and none is one.
        let new = noise(1, 300_000);
        let block = 4096;
        let place = |at: usize| {
            let (low, high) = weak(&new[at..at + block]);
            (low & 0xffff) | high << 16
        };
        let signature = forged((0..new.len() - block).map(place), block as u32);
        let blocks = Blocks::new(&signature);
        let mut roll = Roll::new(&blocks, &new, new.len());
        assert_eq!(roll.vain, new.len() * SIGNATURE_VAIN);
        assert_eq!(roll.next(0..new.len()), None);
        assert_eq!(roll.vain, 0, "it was given up");
        // And so it stays, even where a block is.
        assert_eq!(roll.next(0..block), None);
    }

    #[test]
    fn p9_blocks_of_one_short_hash_are_told_apart_quickly() {
        // As many blocks as there may be, all with the short hash that all of the bytes have.
        let zeros = vec![0; 100_000];
        let (low, high) = weak(&zeros[..512]);
        let same = (low & 0xffff) | high << 16;
        let signature = forged((0..1 << 20).map(|_| same), 512);
        let blocks = Blocks::new(&signature);
        let key = same.wrapping_mul(SPREAD);
        assert_eq!(blocks.like(key).len(), 1 << 20);
        assert_eq!(blocks.among(blocks.like(key), &[7; 8]), Some(0));
        assert_eq!(Roll::new(&blocks, &zeros, 1000).next(0..100_000), None);
    }
}
