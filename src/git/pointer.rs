//! The small text that git stores in a lob's place, and those of git-lob 2015 and Git LFS.
//!
//! Parsing is strict: anything that is not exactly a pointer is content, so that text that was
//! appended to a pointer by accident is kept instead of lost.

use std::fmt;

use lob_store::{LobId, limits};

use super::oid::{hex, write_hex};

const LOB: &[u8] = b"version git-lob/2\noid blake3:";
const GIT_LOB: &[u8] = b"git-lob: ";
const LFS_VERSIONS: [&[u8]; 3] = [
    b"https://git-lfs.github.com/spec/v1",
    b"https://hawser.github.com/spec/v1",
    b"http://git-media.io/v/2",
];

/// What a file of a repository stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pointer {
    /// A lob, by its identity: `version git-lob/2`.
    Lob {
        /// BLAKE3-256 of the content.
        id: LobId,
        /// Its length in bytes, 1 to [`limits::LOB_MAX`].
        size: u64,
    },
    /// A content of git-lob 2015, by SHA-1. Only read, never written anew.
    GitLob {
        /// SHA-1 of the content.
        sha1: [u8; 20],
    },
    /// A content of Git LFS, by SHA-256. Only read, never written anew.
    Lfs {
        /// SHA-256 of the object that Git LFS stores.
        sha256: [u8; 32],
        /// Its length in bytes.
        size: u64,
        /// Whether the file is made from the object by programs that `ext-` lines name: then the
        /// object is not the file's content, and only Git LFS can make it.
        extended: bool,
    },
}

impl Pointer {
    /// No pointer is longer. A longer content need not be looked at.
    pub const MAX_LEN: usize = 1024;

    /// The pointer that exactly these bytes are; `None` means that they are content.
    ///
    /// Two texts may parse to the same pointer of Git LFS: who passes one through writes the bytes
    /// that were read, not [`Pointer::print`].
    pub fn parse(text: &[u8]) -> Option<Pointer> {
        if text.len() > Self::MAX_LEN {
            return None;
        }
        parse_lob(text)
            .or_else(|| parse_git_lob(text))
            .or_else(|| parse_lfs(text))
    }

    /// The canonical text. Without the `ext-` lines of an extended pointer of Git LFS.
    pub fn print(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// The length of the content, where the pointer tells.
    pub fn size(&self) -> Option<u64> {
        match *self {
            Pointer::Lob { size, .. } => Some(size),
            Pointer::GitLob { .. } => None,
            Pointer::Lfs { size, extended, .. } => (!extended).then_some(size),
        }
    }

    /// The identity of the lob, where it needs no alias table.
    pub fn lob_id(&self) -> Option<LobId> {
        match *self {
            Pointer::Lob { id, .. } => Some(id),
            Pointer::GitLob { .. } | Pointer::Lfs { .. } => None,
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pointer::Lob { id, size } => {
                writeln!(f, "version git-lob/2\noid blake3:{id}\nsize {size}")
            }
            Pointer::GitLob { sha1 } => {
                f.write_str("git-lob: ")?;
                write_hex(f, sha1)
            }
            Pointer::Lfs { sha256, size, .. } => {
                f.write_str("version https://git-lfs.github.com/spec/v1\noid sha256:")?;
                write_hex(f, sha256)?;
                writeln!(f, "\nsize {size}")
            }
        }
    }
}

fn parse_lob(text: &[u8]) -> Option<Pointer> {
    let (digits, rest) = text.strip_prefix(LOB)?.split_at_checked(64)?;
    let size = rest.strip_prefix(b"\nsize ")?.strip_suffix(b"\n")?;
    let size = decimal(size)?;
    let id = LobId::from_bytes(hex(digits)?);
    (1..=limits::LOB_MAX)
        .contains(&size)
        .then_some(Pointer::Lob { id, size })
}

fn parse_git_lob(text: &[u8]) -> Option<Pointer> {
    let sha1 = hex(text.strip_prefix(GIT_LOB)?)?;
    Some(Pointer::GitLob { sha1 })
}

/// Accepts what Git LFS 3 accepts when it reads: blank lines, CRLF, and `ext-` lines anywhere before
/// the last key.
fn parse_lfs(text: &[u8]) -> Option<Pointer> {
    if text.len() >= Pointer::MAX_LEN {
        return None;
    }
    let keys: [&[u8]; 3] = [b"version", b"oid", b"size"];
    let mut values: Vec<&[u8]> = Vec::with_capacity(3);
    let mut extended = false;
    for line in text.trim_ascii().split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let space = line.iter().position(|&byte| byte == b' ')?;
        let (key, value) = (line.get(..space)?, line.get(space + 1..)?);
        // Past the last key even an extension is one line too many.
        let expected = *keys.get(values.len())?;
        if key == expected {
            values.push(value);
        } else if is_extension(key) && !values.is_empty() {
            extended = true;
        } else {
            return None;
        }
    }
    let [version, oid, size] = *values.as_slice() else {
        return None;
    };
    if !LFS_VERSIONS.contains(&version) {
        return None;
    }
    Some(Pointer::Lfs {
        sha256: hex(oid.strip_prefix(b"sha256:")?)?,
        size: decimal(size).filter(|&size| i64::try_from(size).is_ok())?,
        extended,
    })
}

/// `ext-N-NAME`.
fn is_extension(key: &[u8]) -> bool {
    match key.strip_prefix(b"ext-") {
        Some([digit, b'-', first, ..]) => {
            digit.is_ascii_digit() && (first.is_ascii_alphanumeric() || *first == b'_')
        }
        _ => false,
    }
}

/// Decimal digits without a leading zero.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || (text.len() > 1 && text.starts_with(b"0")) {
        return None;
    }
    text.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests;
