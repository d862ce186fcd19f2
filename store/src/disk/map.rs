//! Memory maps of immutable files. The only file with unsafe code.
#![allow(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Mmap, MmapOptions};

/// The bytes of a whole immutable file.
pub struct Map(Bytes);

enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Map {
    /// Maps all that `file` holds now.
    pub(super) fn of(file: &File) -> io::Result<Map> {
        let len = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if len == 0 {
            // An empty map is an error to some kernels.
            return Ok(Map(Bytes::Owned(Vec::new())));
        }
        // SAFETY: the slice stays valid and unchanged as long as nobody writes to or shortens the
        // file. Only published files of a store are mapped: those are opened for reading only,
        // never written, cut or replaced in place, and removing one keeps its content for those who
        // have it mapped. The length is the one that the open file has, not one that was stored
        // somewhere. Files of a work tree and of foreign programs never come here.
        let map = unsafe { MmapOptions::new().len(len).map(file)? };
        Ok(Map(Bytes::Mapped(map)))
    }
}

impl Map {
    /// Lets go of the memory that its pages take in this process. Whoever reads them gets them back.
    pub(crate) fn release(&self) {
        #[cfg(unix)]
        if let Bytes::Mapped(map) = &self.0 {
            // SAFETY: the map is a shared one of a file, and nobody writes through it: what is
            // dropped is read again from the file, whose bytes do not change. It is advice, and the
            // map holds without it.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

impl From<Vec<u8>> for Map {
    fn from(bytes: Vec<u8>) -> Map {
        Map(Bytes::Owned(bytes))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_the_content() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0_usize, 1, 4095, 4096, 4097, 100_000] {
            let path = dir.path().join(len.to_string());
            let content: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let map = Map::of(&File::open(&path).unwrap()).unwrap();
            assert_eq!(&map[..], &content[..]);
            map.release();
            assert_eq!(&map[..], &content[..], "it comes back");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_map_outlives_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"still here").unwrap();
        let map = Map::of(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&map[..], b"still here");
    }

    #[test]
    fn bytes_serve_as_a_map() {
        assert_eq!(Map::from(vec![1, 2, 3]).as_ref(), &[1, 2, 3]);
    }
}
