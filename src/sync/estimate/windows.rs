//! A content that is too long to be measured whole: windows of it, evenly spread.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How many windows.
const WINDOWS: u64 = 16;

/// Passes over what stands between the windows.
pub(super) trait Pass: Read {
    /// Passes over the next `n` bytes, or what is left of them.
    fn pass(&mut self, n: u64) -> io::Result<()> {
        io::copy(&mut self.take(n), &mut io::sink()).map(drop)
    }
}

impl Pass for File {
    fn pass(&mut self, n: u64) -> io::Result<()> {
        let n = i64::try_from(n).map_err(io::Error::other)?;
        self.seek(SeekFrom::Current(n)).map(drop)
    }
}

impl Pass for io::PipeReader {}

impl Pass for &mut (dyn Read + Send) {}

/// Windows of a content, one after the other. Versions of a file have theirs at nearly the same places,
/// so what they have in common is in both.
pub(super) struct Windows<S> {
    source: S,
    window: u64,
    gap: u64,
    /// What is left of the window that is being read.
    left: u64,
    /// Windows that follow it.
    more: u64,
}

impl<S: Pass> Windows<S> {
    /// At most `most` bytes, about, of a content of `len`. All of it where it is no longer.
    pub(super) fn of(source: S, len: u64, most: u64) -> Windows<S> {
        let (window, gap, more) = match len <= most {
            // Whatever it has become since its length was looked at.
            true => (u64::MAX, 0, 0),
            false => {
                let window = (most / WINDOWS).max(1);
                let gap = len.saturating_sub(window * WINDOWS) / (WINDOWS - 1);
                (window, gap, WINDOWS - 1)
            }
        };
        Windows {
            source,
            window,
            gap,
            left: window,
            more,
        }
    }
}

impl<S: Pass> Read for Windows<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.more > 0 {
            self.source.pass(self.gap)?;
            self.left = self.window;
            self.more -= 1;
        }
        let read = (&mut self.source).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pass for &[u8] {}

    fn windows(content: &[u8], most: u64) -> Vec<u8> {
        let mut read = Vec::new();
        let mut windows = Windows::of(content, content.len() as u64, most);
        windows.read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn windows_are_spread_from_the_first_byte_to_the_last() {
        let content: Vec<u8> = (0..=255).collect();
        assert_eq!(windows(&content, 256), content);
        assert_eq!(windows(&content, 1000), content);
        let firsts: Vec<u8> = (0..16).map(|n| n * 17).collect();
        assert_eq!(windows(&content, 16), firsts);
        let read = windows(&content, 64);
        assert_eq!((read.len(), &read[..5]), (64, &[0, 1, 2, 3, 16][..]));
        assert_eq!(read.last(), Some(&243));
        assert_eq!(windows(b"", 5), b"");
    }

    #[test]
    fn a_file_is_read_at_the_same_places_as_a_stream() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(dir.path().join("f"), &content).unwrap();
        let file = File::open(dir.path().join("f")).unwrap();
        let mut read = Vec::new();
        let mut spread = Windows::of(file, 100_000, 5_000);
        spread.read_to_end(&mut read).unwrap();
        assert_eq!(read, windows(&content, 5_000));
    }
}
