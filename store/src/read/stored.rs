//! A lob of a store, to be read at any place.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use crate::delta::{Base, Source};
use crate::error::{Error, Result};
use crate::id::LobId;
use crate::limits::{READ_WINDOW, WINDOW_ITEMS_MAX};
use crate::manifest::Manifest;
use crate::store::Store;

/// A lob of a store as a file: what a signature or a delta is made of. Every chunk is verified when it is
/// read, the whole is not; whoever reads all of it in order learns its hash.
#[derive(Debug)]
pub struct Stored<'a> {
    lob: Windows<'a>,
    at: u64,
}

/// The stretch of a lob that was read last, and those to come.
#[derive(Debug)]
struct Windows<'a> {
    store: &'a Store,
    manifest: Manifest,
    last: Mutex<Stretch>,
}

/// Bytes of a lob from a place on.
#[derive(Debug, Default)]
struct Stretch {
    start: u64,
    bytes: Vec<u8>,
}

impl Store {
    /// Opens a lob for reading at any place.
    ///
    /// # Errors
    /// When the store does not hold it, or its manifest can't be read.
    pub fn stored(&self, id: &LobId) -> Result<Stored<'_>> {
        let manifest = self.manifest(id)?.ok_or(Error::NoLob(*id))?;
        let last = Mutex::default();
        let lob = Windows {
            store: self,
            manifest,
            last,
        };
        Ok(Stored { lob, at: 0 })
    }
}

impl<'a> Stored<'a> {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.lob.len()
    }

    /// It as what a delta is made against or applied to.
    pub fn base(self) -> Base<'a> {
        Base::of(self.lob)
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size().saturating_sub(self.at);
        let len = left.min(buffer.len() as u64) as usize;
        let read = self.lob.read_at(self.at, &mut buffer[..len]);
        read.map_err(io::Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Stored<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Source for Windows<'_> {
    fn len(&self) -> u64 {
        self.manifest.size
    }

    fn read_at(&self, mut at: u64, mut bytes: &mut [u8]) -> Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() {
            if last.from(at).is_empty() {
                *last = self.stretch(at)?;
            }
            let here = last.from(at);
            if here.is_empty() {
                let what = format!("lob {}", self.manifest.id);
                return Err(Error::damaged(what, "it is shorter than its manifest says"));
            }
            let len = here.len().min(bytes.len());
            let (now, later) = bytes.split_at_mut(len);
            now.copy_from_slice(&here[..len]);
            at += len as u64;
            bytes = later;
        }
        Ok(())
    }
}

impl Stretch {
    /// What it has from this place of the lob on.
    fn from(&self, at: u64) -> &[u8] {
        let skip = at.checked_sub(self.start);
        let skip = skip.and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes.get(skip..))
            .unwrap_or_default()
    }
}

impl Windows<'_> {
    /// The chunks from the one that holds this place on, as many as are decoded together.
    fn stretch(&self, at: u64) -> Result<Stretch> {
        let part = at..at.saturating_add(READ_WINDOW as u64);
        let (mut start, mut chunks) = (at, Vec::new());
        self.store
            .each_run(&self.manifest, part.clone(), &mut |first, run| {
                let mut here = first;
                for &(id, len) in run {
                    let next = here + u64::from(len);
                    let is_wanted = next > part.start && here < part.end;
                    if is_wanted && chunks.len() < WINDOW_ITEMS_MAX {
                        start = if chunks.is_empty() { here } else { start };
                        chunks.push((id, len));
                    }
                    here = next;
                }
                Ok(())
            })?;
        let window = self.store.decode_window(&chunks)?;
        let mut bytes = Vec::with_capacity(READ_WINDOW);
        window
            .chunks()
            .for_each(|chunk| bytes.extend_from_slice(chunk));
        Ok(Stretch { start, bytes })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::chunk::tests::noise;
    use crate::delta::{Patch, Signature, make_from, worth};
    use crate::disk::SimDisk;

    fn store_of(contents: &[&[u8]]) -> Store {
        let store = Store::create(Arc::new(SimDisk::new()), Path::new("/lob")).unwrap();
        let mut writer = store.writer().unwrap();
        for content in contents {
            let _ = writer.add(&mut &content[..], &()).unwrap();
        }
        writer.finish().unwrap();
        store
    }

    #[test]
    fn a_stored_lob_reads_like_a_file() {
        // Long enough for segments and several stretches.
        let content = noise(1, 21_000_000);
        let store = store_of(&[&content]);
        let mut stored = store.stored(&LobId::of(&content)).unwrap();
        assert_eq!(stored.size(), content.len() as u64);
        let mut all = Vec::new();
        let _ = stored.read_to_end(&mut all).unwrap();
        assert!(all == content);
        for (at, len) in [(0, 10), (20_999_990, 10), (8_300_000, 9_000_000), (5, 1)] {
            let mut part = vec![0; len];
            let _ = stored.seek(SeekFrom::Start(at as u64)).unwrap();
            stored.read_exact(&mut part).unwrap();
            assert!(part == content[at..at + len], "{at}");
        }
        assert_eq!(stored.seek(SeekFrom::End(5)).unwrap(), 21_000_005);
        assert_eq!(stored.read(&mut [0]).unwrap(), 0);
        assert!(stored.seek(SeekFrom::Current(-30_000_000)).is_err());
        let missing = store.stored(&LobId::of(b"missing"));
        assert!(matches!(missing, Err(Error::NoLob(_))));
    }

    #[test]
    fn a_receiver_gets_a_version_for_a_signature_of_one_that_it_has() {
        let old = noise(1, 9_000_000);
        let mut new = old.clone();
        new.splice(3_000_000..3_000_100, noise(2, 5000));
        let (receiver, sender) = (store_of(&[&old]), store_of(&[&new]));
        // The receiver sends this,
        let mut stored = receiver.stored(&LobId::of(&old)).unwrap();
        let size = stored.size();
        let signature = Signature::of(&mut stored, size, &()).unwrap();
        assert_eq!(signature.base(), LobId::of(&old));
        let sent = signature.to_bytes();
        assert!(sent.len() < old.len() / 60);
        // and the sender answers with that,
        let signature = Signature::read(&mut &sent[..]).unwrap();
        let mut stored = sender.stored(&LobId::of(&new)).unwrap();
        let (size, mut answer) = (stored.size(), Vec::new());
        assert!(worth(&signature, &mut stored, size).unwrap());
        let made = make_from(&signature, &mut stored, size, true, &mut answer, &()).unwrap();
        assert_eq!(made.id, LobId::of(&new));
        assert!(answer.len() < 12_000, "{}", answer.len());
        // of which the receiver makes it, and no more than it asked for.
        let base = || receiver.stored(&LobId::of(&old)).unwrap().base();
        let mut out = Vec::new();
        let patch = Patch::open(&answer[..]).unwrap().at_most(size).unwrap();
        let id = patch.apply(&base(), &mut out, &()).unwrap();
        assert!(id == LobId::of(&new) && out == new);
        let patch = Patch::open(&answer[..]).unwrap().at_most(size - 1);
        assert!(matches!(patch, Err(Error::OverLimit { .. })));
    }
}
