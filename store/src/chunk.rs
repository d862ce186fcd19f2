//! Content-defined cutting: equal content gets equal chunks, whatever stands before it.
//!
//! Gear (Xia et al., "Ddelta", 2014) by the `gearhash` crate, whose table of random numbers is
//! fixed and public. A cut falls after the first byte, at least [`CHUNK_MIN`] into the chunk, at
//! which the top 15 bits of the hash over the last 64 bytes are zero, and at [`CHUNK_MAX`] at the
//! latest: on random data a mean of 64 KiB. This is parameter set 1; docs/format.md pins it.

use gearhash::Hasher;

use crate::limits::{CHUNK_MAX, CHUNK_MIN};

/// The number of this parameter set in packs.
pub(crate) const PARAMETER_SET: u16 = 1;

/// Top bits, because they depend on all of the last 64 bytes.
const MASK: u64 = 0xfffe_0000_0000_0000;

/// Bytes that influence the hash.
const HASH_WINDOW: usize = 64;

/// The length of the first chunk of `bytes`, which are the rest of a lob up to its end, or at least
/// [`CHUNK_MAX`] of them. Not zero unless `bytes` is empty.
pub fn first_chunk(bytes: &[u8]) -> usize {
    let bytes = &bytes[..bytes.len().min(CHUNK_MAX)];
    if bytes.len() <= CHUNK_MIN {
        return bytes.len();
    }
    let mut hasher = Hasher::default();
    hasher.update(&bytes[CHUNK_MIN - HASH_WINDOW..CHUNK_MIN]);
    match hasher.next_match(&bytes[CHUNK_MIN..], MASK) {
        Some(n) => CHUNK_MIN + n,
        None => bytes.len(),
    }
}

/// The lengths of all chunks of a whole lob.
pub fn cut(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::with_capacity(bytes.len() / (2 * CHUNK_MIN) + 1);
    while !bytes.is_empty() {
        let n = first_chunk(bytes);
        lengths.push(n);
        bytes = &bytes[n..];
    }
    lengths
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bytes that look random: the output of BLAKE3 for a seed.
    pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    /// The definition, byte by byte, without the crate's vector code.
    fn reference_cut(bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            let rest = &bytes[start..];
            let mut n = rest.len().min(CHUNK_MAX);
            for end in CHUNK_MIN + 1..=n {
                let hash = rest[end - HASH_WINDOW..end].iter().fold(0u64, |h, &b| {
                    (h << 1).wrapping_add(gearhash::DEFAULT_TABLE[b as usize])
                });
                if hash >> 49 == 0 {
                    n = end;
                    break;
                }
            }
            lengths.push(n);
            start += n;
        }
        lengths
    }

    #[test]
    fn cuts_are_pinned() {
        let lengths = cut(&noise(1, 1 << 20));
        assert_eq!(lengths, reference_cut(&noise(1, 1 << 20)));
        assert_eq!(lengths.iter().sum::<usize>(), 1 << 20);
        assert_eq!(lengths[..4], PINNED);
    }

    #[test]
    fn the_definition_holds_for_awkward_content() {
        for bytes in [
            Vec::new(),
            vec![0; 1],
            vec![0; CHUNK_MIN],
            vec![7; CHUNK_MIN + 1],
            vec![0; CHUNK_MAX * 2 + 5],
            noise(2, CHUNK_MAX + CHUNK_MIN + 63),
        ] {
            assert_eq!(cut(&bytes), reference_cut(&bytes), "length {}", bytes.len());
        }
    }

    #[test]
    fn an_insertion_changes_few_chunks() {
        let old = noise(3, 8 << 20);
        let mut new = old.clone();
        new.splice(4 << 20..4 << 20, noise(4, 1000));
        let ids = |bytes: &[u8]| {
            let mut at = 0;
            cut(bytes)
                .into_iter()
                .map(|n| {
                    at += n;
                    blake3::hash(&bytes[at - n..at])
                })
                .collect::<Vec<_>>()
        };
        let before: std::collections::HashSet<_> = ids(&old).into_iter().collect();
        let missed = ids(&new).iter().filter(|id| !before.contains(id)).count();
        assert!(missed <= 3, "{missed} chunks changed");
    }

    /// Parameter set 1, for ever.
    const PINNED: [usize; 4] = [40336, 46775, 63865, 63383];
}
