//! The names of things: 32-byte BLAKE3 hashes, one type for each kind of thing.

use std::fmt;
use std::str::FromStr;

/// Length of every id in bytes.
pub const ID_LEN: usize = 32;

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: expected 64 lower-case hexadecimal digits")]
pub struct BadId {
    /// What was given, cut to 80 characters.
    pub text: String,
}

fn parse_hex(text: &str) -> Result<[u8; ID_LEN], BadId> {
    let bad = || BadId {
        text: text.chars().take(80).collect(),
    };
    let digits = text.as_bytes();
    if digits.len() != 2 * ID_LEN {
        return Err(bad());
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(bad()),
    };
    let mut id = [0; ID_LEN];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(id)
}

/// 64 lower-case digits. Ids are in the paths of all packs: this is called often.
fn hex(id: &[u8; ID_LEN]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    id.iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// The id with these bytes, whatever they are.
            pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
                Self(bytes)
            }

            /// The BLAKE3-256 hash of `content`.
            pub fn of(content: &[u8]) -> Self {
                Self(*blake3::hash(content).as_bytes())
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }

            /// The first 8 bytes as a big-endian number: ids sort as their prefixes do.
            pub fn prefix(&self) -> u64 {
                let mut first = [0; 8];
                first.copy_from_slice(&self.0[..8]);
                u64::from_be_bytes(first)
            }
        }

        impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                Self(*hash.as_bytes())
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id!(
    /// BLAKE3-256 of the whole content of one large file.
    LobId
);
id!(
    /// BLAKE3-256 of the bytes of one chunk. A lob of one chunk has the id of that chunk.
    ChunkId
);
id!(
    /// BLAKE3-256 of all bytes of a pack file, which include a random nonce.
    PackId
);
id!(
    /// A random number that a store gets when it is created and keeps for ever.
    StoreId
);
id!(
    /// A stretch of the life of a store in which no lob leaves it.
    Epoch
);

impl StoreId {
    /// A fresh random id.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; ID_LEN];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_only_the_canonical_form_parses() {
        let id = LobId::of(b"hello");
        assert_eq!(id.to_string().parse::<LobId>(), Ok(id));
        let text = id.to_string();
        for bad in [
            "",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text} "),
            &text.replace(&text[..1], "g"),
        ] {
            assert!(bad.parse::<LobId>().is_err(), "{bad:?} must not parse");
        }
    }

    #[test]
    fn prefixes_order_as_ids_do() {
        let (a, b) = (ChunkId::of(b"a"), ChunkId::of(b"b"));
        assert_eq!(a < b, a.prefix() < b.prefix());
    }
}
