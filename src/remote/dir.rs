//! A store in a directory: on this machine, a mounted share, a USB disk.
//!
//! The local store is one too, so this is the whole of both sides of a copy between directories.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use lob_store::delta::{Signature, make_from, worth};
use lob_store::disk::{Disk, OsDisk};
use lob_store::{ChunkId, Cursor, Epoch, Frame, Kin, LobId, LobInfo, Manifest};
use lob_store::{Store, StoreId, Writer};

use super::error::{Error, Result};
use super::{AskKin, MANIFEST_ITEMS, Origin, ROLLED_MAX, Remote, Upload};

/// What a directory is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading: nothing is ever created.
    Read,
    /// Receiving: a store is made where there is nothing yet and the directory above exists.
    Write,
}

/// Opens the store in `dir`. `expected` is the store that was there before, where one was.
///
/// # Errors
/// [`Error::NoStore`], [`Error::NoParent`] and [`Error::Gone`] where nothing is there;
/// [`Error::OtherStore`] where another one is; [`lob_store::Error::Occupied`] where something is
/// that is not a store.
pub fn open_dir(dir: &Path, access: Access, expected: Option<StoreId>) -> Result<Store> {
    let disk = Arc::new(OsDisk);
    let store = if is_empty(disk.as_ref(), dir)? {
        // An unmounted share looks like this. Making a new store in its place would hide that.
        if let Some(expected) = expected {
            return Err(Error::Gone {
                path: dir.to_path_buf(),
                expected,
            });
        }
        if !dir.parent().is_some_and(Path::is_dir) {
            return Err(Error::NoParent(dir.to_path_buf()));
        }
        if access == Access::Read {
            return Err(Error::NoStore(dir.to_path_buf()));
        }
        Store::open_or_create(disk, dir)?
    } else if access == Access::Read {
        Store::open(disk, dir)?
    } else {
        // Finishes a store whose maker was killed, and leaves alone what is somebody else's.
        Store::open_or_create(disk, dir)?
    };
    match expected {
        Some(expected) if expected != store.id() => Err(Error::OtherStore {
            path: dir.to_path_buf(),
            expected,
            found: store.id(),
        }),
        _ => Ok(store),
    }
}

fn is_empty(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(lob_store::Error::at(dir)(error).into()),
    }
}

/// Keeps the error of a caller's function while the engine returns with one of its own.
fn note<T>(done: Result<T>, failed: &Cell<Option<Error>>) -> lob_store::Result<T> {
    done.map_err(|error| {
        failed.set(Some(error));
        lob_store::Error::Interrupted
    })
}

fn told<T>(done: lob_store::Result<T>, failed: Cell<Option<Error>>) -> Result<T> {
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(done?),
    }
}

/// The manifests of the first of `ids`, until there are so many chunks and segments in them.
fn manifests(store: &Store, ids: &[LobId], most: usize) -> Result<Vec<Option<Manifest>>> {
    let (mut found, mut items) = (Vec::new(), 0);
    for id in ids {
        let manifest = store.manifest(id)?;
        items += manifest.as_ref().map_or(0, Manifest::items);
        found.push(manifest);
        if items >= most {
            break;
        }
    }
    Ok(found)
}

impl Remote for Store {
    fn describe(&self) -> String {
        self.root().to_string_lossy().into_owned()
    }

    fn store_id(&self) -> StoreId {
        self.id()
    }

    fn cursor(&self) -> Result<Cursor> {
        Ok(Store::cursor(self)?)
    }

    fn epoch(&self) -> Result<Epoch> {
        Ok(Store::epoch(self)?)
    }

    fn refresh(&self) -> Result<()> {
        Store::refresh(self)?;
        Ok(())
    }

    fn sizes(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        Ok(sizes(self.lobs(ids)?))
    }

    fn recall(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        let mut lobs = self.lobs(ids)?;
        // Somebody needs what was set aside here because nobody seemed to.
        let gone = ids.iter().zip(&lobs).filter(|(_, lob)| lob.is_none());
        let gone: Vec<LobId> = gone.map(|(id, _)| *id).collect();
        if !gone.is_empty() && self.bring_back(&gone)? > 0 {
            lobs = self.lobs(ids)?;
        }
        Ok(sizes(lobs))
    }

    fn are_aside(&self, ids: &[LobId]) -> Result<Vec<bool>> {
        Ok(Store::are_aside(self, ids)?)
    }

    fn hold(&self, ids: &[LobId]) -> Result<Vec<Option<u64>>> {
        let _ = self.recall(ids)?;
        let mut writer = self.writer()?;
        let held = writer.hold(ids)?;
        writer.finish()?;
        Ok(sizes(held))
    }

    fn has_chunks(&self, ids: &[ChunkId]) -> Result<Vec<bool>> {
        Ok(Store::has_chunks(self, ids)?)
    }

    fn manifests(&self, ids: &[LobId]) -> Result<Vec<Option<Manifest>>> {
        manifests(self, ids, MANIFEST_ITEMS)
    }

    fn each_chunk(
        &self,
        ids: &[ChunkId],
        each: &mut dyn FnMut(ChunkId, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for id in ids {
            each(*id, &self.chunk(id)?)?;
        }
        Ok(())
    }

    fn kin(&self, ids: &[ChunkId]) -> Result<Vec<Option<Kin>>> {
        Ok(Store::kin(self, ids)?)
    }

    fn each_frame(
        &self,
        ids: &[ChunkId],
        relied: &HashSet<ChunkId>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<()> {
        let failed = Cell::new(None);
        let done = Store::each_frame(self, ids, relied, &mut |frame| note(each(frame), &failed));
        told(done, failed)
    }

    fn each_delta(
        &self,
        new: &Manifest,
        base: Manifest,
        kin: AskKin<'_>,
        each: &mut dyn FnMut(Frame) -> Result<()>,
    ) -> Result<HashSet<ChunkId>> {
        let failed = Cell::new(None);
        let done = Store::each_delta(
            self,
            new,
            base,
            &mut |ids| note(kin(ids), &failed),
            &mut |frame| note(each(frame), &failed),
        );
        told(done, failed)
    }

    fn delta(
        &self,
        lob: &LobId,
        signature: &Signature,
        most: u64,
        take: &mut dyn FnMut(&mut dyn BufRead) -> Result<()>,
    ) -> Result<bool> {
        match self.lob(lob)? {
            Some(lob) if lob.size <= ROLLED_MAX => {}
            _ => return Ok(false),
        }
        let mut new = self.stored(lob)?;
        let size = new.size();
        if !worth(signature, &mut new, size)? {
            return Ok(false);
        }
        // It must not be known to be too long when half of it has been sent.
        let mut made = Short {
            bytes: Vec::new(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            is_over: false,
        };
        match make_from(signature, &mut new, size, true, &mut made, &()) {
            Ok(_) => take(&mut made.bytes.as_slice()).map(|()| true),
            Err(_) if made.is_over => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn each_lob(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        let failed = Cell::new(None);
        let done = Store::each_lob(self, &mut |lob| note(each(lob), &failed));
        told(done, failed)
    }

    fn receive(&self, origin: Origin) -> Result<Box<dyn Upload + Send + '_>> {
        let mut writer = self.writer()?;
        // What is pushed is not read here: the memory is better used otherwise.
        writer.set_cold(origin == Origin::Own);
        writer.start()?;
        Ok(Box::new(Receiving { writer, origin }))
    }

    fn free_space(&self) -> Result<Option<u64>> {
        Ok(Store::free_space(self)?)
    }
}

/// Bytes in memory, of which there may be so many.
struct Short {
    bytes: Vec<u8>,
    most: usize,
    is_over: bool,
}

impl Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_over |= bytes.len() > self.most - self.bytes.len();
        if self.is_over {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sizes(lobs: Vec<Option<LobInfo>>) -> Vec<Option<u64>> {
    let lobs = lobs.into_iter();
    lobs.map(|lob| lob.map(|lob| lob.size)).collect()
}

/// A writer into a directory, and where what it takes comes from.
#[derive(Debug)]
struct Receiving<'s> {
    writer: Writer<'s>,
    origin: Origin,
}

impl Upload for Receiving<'_> {
    fn expect(&mut self, lob: &Manifest) -> Result<bool> {
        let is_foreign = self.origin == Origin::Foreign;
        if is_foreign {
            self.writer.expect(lob);
        }
        Ok(is_foreign)
    }

    fn add_frame(&mut self, frame: Frame) -> Result<()> {
        Ok(self.writer.add_frame(frame)?)
    }

    fn add_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        match self.origin {
            Origin::Own => Ok(self.writer.add_own_manifest(manifest)?),
            Origin::Foreign => Ok(self.writer.add_manifest(manifest)?),
        }
    }

    fn publish(&mut self) -> Result<()> {
        Ok(self.writer.publish()?)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(self.writer.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn kind(result: Result<Store>) -> &'static str {
        match result {
            Ok(_) => "open",
            Err(Error::NoStore(_)) => "no store",
            Err(Error::NoParent(_)) => "no parent",
            Err(Error::Gone { .. }) => "gone",
            Err(Error::OtherStore { .. }) => "other",
            Err(Error::Store(lob_store::Error::Occupied(_))) => "occupied",
            Err(Error::Store(lob_store::Error::NotAStore(_))) => "not a store",
            Err(_) => "another error",
        }
    }

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_answer_with_manifests_ends_when_there_is_much_in_it() {
        let top = tempfile::tempdir().unwrap();
        let store = open_dir(&top.path().join("lob"), Access::Write, None).unwrap();
        let mut writer = store.writer().unwrap();
        let mut ids: Vec<LobId> = Vec::new();
        for n in 0..4u8 {
            let content = vec![n; 1_000_000];
            ids.push(writer.add(&mut content.as_slice(), &()).unwrap().id);
        }
        writer.finish().unwrap();
        ids.insert(1, LobId::of(b"nobody has it"));
        // Each has four chunks, as content without a cut is cut at the longest chunk.
        for (most, expected) in [(1, 1), (4, 1), (5, 3), (100, 5)] {
            let found = manifests(&store, &ids, most).unwrap();
            assert_eq!(found.len(), expected, "{most}");
        }
        assert_eq!(manifests(&store, &ids[1..], 1).unwrap()[0], None);
    }

    #[test]
    fn reading_creates_nothing() {
        let top = tempfile::tempdir().unwrap();
        let empty = top.path().join("empty");
        fs::create_dir(&empty).unwrap();
        for dir in [&empty, &top.path().join("missing")] {
            assert_eq!(kind(open_dir(dir, Access::Read, None)), "no store");
        }
        let unmounted = top.path().join("unmounted/lob");
        assert_eq!(kind(open_dir(&unmounted, Access::Read, None)), "no parent");
        assert_eq!(names(top.path()), ["empty"]);
        assert!(names(&empty).is_empty());
    }

    #[test]
    fn receiving_makes_a_store_where_nothing_is_but_not_the_way_to_it() {
        let top = tempfile::tempdir().unwrap();
        let (new, deep) = (top.path().join("new"), top.path().join("unmounted/lob"));
        assert_eq!(kind(open_dir(&deep, Access::Write, None)), "no parent");
        assert!(names(top.path()).is_empty());
        let store = open_dir(&new, Access::Write, None).unwrap();
        let again = open_dir(&new, Access::Read, Some(store.id())).unwrap();
        assert_eq!(again.id(), store.id());
    }

    #[test]
    fn what_is_somebody_elses_stays_as_it_is() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("photo"), "x").unwrap();
        assert_eq!(kind(open_dir(top.path(), Access::Write, None)), "occupied");
        assert_eq!(
            kind(open_dir(top.path(), Access::Read, None)),
            "not a store"
        );
        let file = top.path().join("photo");
        assert_eq!(kind(open_dir(&file, Access::Write, None)), "another error");
        assert_eq!(names(top.path()), ["photo"]);
    }

    #[test]
    fn a_store_that_vanished_or_was_exchanged_is_noticed() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("lob");
        let old = open_dir(&dir, Access::Write, None).unwrap().id();
        fs::rename(&dir, top.path().join("aside")).unwrap();
        for access in [Access::Read, Access::Write] {
            assert_eq!(kind(open_dir(&dir, access, Some(old))), "gone");
        }
        open_dir(&dir, Access::Write, None).unwrap();
        for access in [Access::Read, Access::Write] {
            let found = open_dir(&dir, access, Some(old));
            let hint = found.as_ref().err().and_then(Error::hint).unwrap();
            assert!(hint.contains("lobStoreId"), "{hint}");
            assert_eq!(kind(found), "other");
        }
    }
}
