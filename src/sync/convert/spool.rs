//! Content that is read to its end before any of it is given back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is kept in memory; the rest goes to a file.
const IN_MEMORY: u64 = 1 << 20;

/// Content that was read whole.
#[derive(Debug)]
pub struct Spool {
    head: Vec<u8>,
    rest: Option<Rest>,
}

/// A file without a name, as far as the system allows.
#[derive(Debug)]
struct Rest {
    file: File,
    path: PathBuf,
}

impl Spool {
    /// Reads `source` to its end. What is too long for the memory is kept in a file in `dir`, which
    /// is gone with the value, and on unix also when the process is killed.
    pub fn read(source: &mut dyn Read, dir: &Path) -> io::Result<Spool> {
        let mut head = Vec::new();
        source.take(IN_MEMORY).read_to_end(&mut head)?;
        let mut spool = Spool { head, rest: None };
        if spool.head.len() as u64 == IN_MEMORY {
            let rest = spool.rest.insert(Rest::create(dir)?);
            io::copy(source, &mut rest.file)?;
        }
        Ok(spool)
    }

    /// Writes all of it.
    pub fn write_to(mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        if let Some(rest) = &mut self.rest {
            rest.file.seek(SeekFrom::Start(0))?;
            // More than a packet at a time, for few system calls.
            let mut buffer = vec![0; 256 << 10];
            loop {
                match rest.file.read(&mut buffer)? {
                    0 => break,
                    n => out.write_all(buffer.get(..n).unwrap_or_default())?,
                }
            }
        }
        Ok(())
    }
}

impl Rest {
    fn create(dir: &Path) -> io::Result<Rest> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let path = dir.join(format!("lob-spool-{:016x}", u64::from_be_bytes(bytes)));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = options.open(&path)?;
        if cfg!(unix) {
            fs::remove_file(&path)?;
        }
        Ok(Rest { file, path })
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if !cfg!(unix) {
            // Where it stays it is in nobody's way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        for len in [
            0,
            1,
            IN_MEMORY - 1,
            IN_MEMORY,
            IN_MEMORY + 1,
            3 * IN_MEMORY + 5,
        ] {
            let content: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let spool = Spool::read(&mut &content[..], dir.path()).unwrap();
            assert_eq!(spool.rest.is_some(), len >= IN_MEMORY, "{len}");
            assert!(spool.head.len() as u64 <= IN_MEMORY);
            let mut out = Vec::new();
            spool.write_to(&mut out).unwrap();
            assert!(out == content, "{len}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_source_that_fails_is_an_error() {
        struct Cut;
        impl Read for Cut {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        for len in [10, IN_MEMORY + 10] {
            let content = vec![7; usize::try_from(len).unwrap()];
            let mut source = (&content[..]).chain(Cut);
            assert!(Spool::read(&mut source, dir.path()).is_err());
        }
    }
}
