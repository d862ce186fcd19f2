//! The name of a git object, SHA-1 or SHA-256, and hexadecimal text.

use std::fmt;

use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The id of a git object: 20 bytes in SHA-1 repositories, 32 in SHA-256 ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid {
    bytes: [u8; 32],
    len: u8,
}

impl Oid {
    /// The id with these bytes; `None` unless they are 20 or 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Oid> {
        let len = match bytes.len() {
            20 => 20,
            32 => 32,
            _ => return None,
        };
        let mut all = [0; 32];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Oid { bytes: all, len })
    }

    /// The id that 40 or 64 lower-case hexadecimal digits spell.
    pub fn from_hex(text: &[u8]) -> Option<Oid> {
        match text.len() {
            40 => Oid::from_bytes(&hex::<20>(text)?),
            64 => Oid::from_bytes(&hex::<32>(text)?),
            _ => None,
        }
    }

    /// The id of a blob with this content in a repository whose ids have `len` bytes; `None` unless
    /// that is 20 or 32.
    pub fn of_blob(content: &[u8], len: usize) -> Option<Oid> {
        let head = format!("blob {}\0", content.len());
        match len {
            20 => {
                let sha1 = Sha1::new().chain_update(head).chain_update(content);
                Oid::from_bytes(&sha1.finalize())
            }
            32 => {
                let sha256 = Sha256::new().chain_update(head).chain_update(content);
                Oid::from_bytes(&sha256.finalize())
            }
            _ => None,
        }
    }

    /// The 20 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        let (bytes, _) = self.bytes.split_at(usize::from(self.len));
        bytes
    }

    /// Whether all bytes are zero: git's word for "no object".
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; 32]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.as_bytes())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

/// The bytes that exactly `2 * N` lower-case hexadecimal digits spell.
pub fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
        let [high, low] = *pair;
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// Writes bytes as lower-case hexadecimal digits.
pub fn write_hex(out: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_have_the_ids_that_git_gives_them() {
        let id = |len| Oid::of_blob(b"hello\n", len).map(|oid| oid.to_string());
        let sha1 = "ce013625030ba8dba906f756967f9e9ca394464a";
        let sha256 = "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4";
        assert_eq!(id(20).as_deref(), Some(sha1));
        assert_eq!(id(32).as_deref(), Some(sha256));
        assert_eq!(id(21), None);
    }

    #[test]
    fn both_lengths_round_trip_and_nothing_else_parses() {
        for len in [20, 32] {
            let bytes: Vec<u8> = (0..len).map(|i| i * 7 + 1).collect();
            let oid = Oid::from_bytes(&bytes).expect("20 and 32 are lengths");
            assert_eq!(oid.as_bytes(), bytes);
            assert_eq!(Oid::from_hex(oid.to_string().as_bytes()), Some(oid));
            assert_eq!(
                Oid::from_hex(oid.to_string().to_uppercase().as_bytes()),
                None
            );
        }
        assert_eq!(Oid::from_bytes(&[0; 21]), None);
        assert_eq!(Oid::from_hex(&[b'0'; 41]), None);
        assert_eq!(Oid::from_hex(&[b'g'; 40]), None);
        assert!(Oid::from_hex(&[b'0'; 40]).expect("zeros parse").is_zero());
    }
}
