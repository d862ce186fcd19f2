//! What git remembers of a file, to know without reading it that it is unchanged.

use std::fs::Metadata;

/// A time as git stores it: seconds, modulo 2^32, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stamp {
    /// Seconds since 1970.
    pub seconds: u32,
    /// Nanoseconds of the second; zero where the writer knew none.
    pub nanos: u32,
}

/// The part of `lstat` that git stores with an entry, each number cut to 32 bits as git does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatData {
    /// When the inode changed.
    pub ctime: Stamp,
    /// When the content changed.
    pub mtime: Stamp,
    /// The device.
    pub dev: u32,
    /// The inode.
    pub ino: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size modulo 2^32, but never 0 for a file with content; see [`StatData::of`].
    pub size: u32,
}

impl StatData {
    /// Length of the fixed part of an entry, in which the stat data stands.
    pub const SPAN: usize = 40;

    /// What git would store for this file.
    ///
    /// Size 0 marks an entry that must be compared by content, so a multiple of 4 GiB is stored as
    /// 0x80000000 (git 2.47 does that; a git before 2.43 stores 0 and reads such a file at every
    /// status whatever stands here).
    #[cfg(unix)]
    pub fn of(meta: &Metadata) -> StatData {
        use std::os::unix::fs::MetadataExt;
        StatData {
            ctime: Stamp {
                seconds: low(meta.ctime().cast_unsigned()),
                nanos: low(meta.ctime_nsec().cast_unsigned()),
            },
            mtime: Stamp {
                seconds: low(meta.mtime().cast_unsigned()),
                nanos: low(meta.mtime_nsec().cast_unsigned()),
            },
            dev: low(meta.dev()),
            ino: low(meta.ino()),
            uid: meta.uid(),
            gid: meta.gid(),
            size: size(meta.len()),
        }
    }

    /// What tells two states of a file apart here. Not what git stores: on this system only git
    /// refreshes its index.
    #[cfg(not(unix))]
    pub fn of(meta: &Metadata) -> StatData {
        let since = meta
            .modified()
            .ok()
            .and_then(|time| time.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
        let since = since.unwrap_or_default();
        StatData {
            mtime: Stamp {
                seconds: low(since.as_secs()),
                nanos: since.subsec_nanos(),
            },
            size: size(meta.len()),
            ..StatData::default()
        }
    }

    /// Reads it from the fixed part of an entry.
    pub(super) fn read(fixed: &[u8; Self::SPAN]) -> StatData {
        let [cs, cn, ms, mn, dev, ino, _mode, uid, gid, size] = words(fixed);
        StatData {
            ctime: Stamp {
                seconds: cs,
                nanos: cn,
            },
            mtime: Stamp {
                seconds: ms,
                nanos: mn,
            },
            dev,
            ino,
            uid,
            gid,
            size,
        }
    }

    /// Puts it into the fixed part of an entry, whose mode stays.
    pub(super) fn write(&self, fixed: &mut [u8; Self::SPAN]) {
        let [_, _, _, _, _, _, mode, ..] = words(fixed);
        let new = [
            self.ctime.seconds,
            self.ctime.nanos,
            self.mtime.seconds,
            self.mtime.nanos,
            self.dev,
            self.ino,
            mode,
            self.uid,
            self.gid,
            self.size,
        ];
        for (bytes, word) in fixed.as_chunks_mut::<4>().0.iter_mut().zip(new) {
            *bytes = word.to_be_bytes();
        }
    }
}

/// The ten numbers of the fixed part.
pub(super) fn words(fixed: &[u8; StatData::SPAN]) -> [u32; 10] {
    let mut words = [0; 10];
    for (word, bytes) in words.iter_mut().zip(fixed.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

fn low(number: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn size(len: u64) -> u32 {
    match low(len) {
        0 if len > 0 => 0x8000_0000,
        low => low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_cut_to_32_bits_and_only_an_empty_file_has_size_0() {
        for (len, stored) in [
            (0, 0),
            (5, 5),
            ((1 << 32) - 1, u32::MAX),
            (1 << 32, 0x8000_0000),
            (3 << 32, 0x8000_0000),
            ((1 << 32) + 7, 7),
        ] {
            assert_eq!(size(len), stored, "{len}");
        }
    }

    #[test]
    fn writing_keeps_the_mode() {
        let mut fixed = [0; StatData::SPAN];
        fixed[24..28].copy_from_slice(&0o100_755u32.to_be_bytes());
        let stat = StatData {
            ctime: Stamp {
                seconds: 1,
                nanos: 2,
            },
            mtime: Stamp {
                seconds: 3,
                nanos: 4,
            },
            dev: 5,
            ino: 6,
            uid: 7,
            gid: 8,
            size: 9,
        };
        stat.write(&mut fixed);
        assert_eq!(StatData::read(&fixed), stat);
        assert_eq!(words(&fixed)[6], 0o100_755);
    }
}
