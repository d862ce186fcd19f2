//! What a writer relies on that is in the store already, and that a prune may take meanwhile.
//!
//! A prune drops packs by a root, and deletes their files only when every stage is gone whose writer
//! had not seen that root. A writer makes its stage before it first looks what is there. So whatever
//! it found can still be read when it publishes: there, under the lock of the roots, it learns that
//! packs were dropped since, and brings back what its lobs lack (P2, P7). Dying before that changes
//! nothing: its stage is still there, and whoever takes it over does the same.
//!
//! A lob that was found whole leaves nothing in the stage that would tell of it. Its pack is touched
//! before the caller hears of it, and a prune leaves alone what is young: it looks at the times under
//! the same lock under which this writer then makes sure that the pack was not dropped before.
//!
//! A writer may live longer than what it touched or published counts as young, and who asked it need
//! not have written down anywhere what it got. So it remembers the packs of all that until it ends, and
//! brings back what was dropped of them.

use std::collections::HashSet;
use std::io::ErrorKind;

use crate::error::{Error, Result};
use crate::id::{LobId, PackId};
use crate::limits::RELIED_MAX;
use crate::roots::Cursor;
use crate::store::LobInfo;
use crate::view::{Ranges, View, is_absent};

use super::Writer;
use super::lost::Lost;

/// What one writer relies on.
#[derive(Debug, Default)]
pub(super) struct Reliance {
    /// Where the roots stood when nothing that it relied on was gone.
    pub(super) since: Cursor,
    /// Lobs that it was asked to add and found.
    lobs: HashSet<LobId>,
    /// The packs of these, each touched.
    touched: HashSet<PackId>,
    /// Those that were touched since it was last told that all is durable.
    undated: Vec<PackId>,
    /// The packs of all that was found or published before.
    packs: HashSet<PackId>,
    /// Whether packs were dropped since it began. Chunks in them may be of lobs that it has yet to
    /// name, of which nothing is in what it publishes first.
    pub(super) is_bereft: bool,
}

impl Reliance {
    pub(super) fn is_empty(&self) -> bool {
        self.lobs.is_empty() && self.packs.is_empty()
    }

    /// Nothing that was published until `cursor`, in these packs last, lacks anything.
    pub(super) fn settled(&mut self, cursor: Cursor, published: impl Iterator<Item = PackId>) {
        self.since = cursor;
        self.packs.extend(published);
        self.forget_lobs();
    }

    /// Relies on packs as a whole instead of on lobs in them.
    fn forget_lobs(&mut self) {
        self.lobs.clear();
        self.packs.extend(self.touched.drain());
    }
}

impl Writer<'_> {
    /// What the store holds of these lobs. That stays while this writer is there, and when it has
    /// [finished](Writer::finish) it is durable and as young as if it had just been stored.
    pub fn hold(&mut self, ids: &[LobId]) -> Result<Vec<Option<LobInfo>>> {
        self.guarded(|writer| {
            let mut held = writer.store.lobs(ids)?;
            for lob in &mut held {
                if let Some(found) = *lob
                    && !writer.has_lob(&found.id)?
                {
                    *lob = None;
                }
            }
            Ok(held)
        })
    }

    /// Whether there is a lob of this id. One that is there stays so.
    pub(super) fn has_lob(&mut self, id: &LobId) -> Result<bool> {
        if self.lobs.contains_key(id) || self.reliance.lobs.contains(id) {
            return Ok(true);
        }
        while !self.moving {
            let view = self.store.view();
            let Some(place) = view.find(self.store.packs(), id)? else {
                break;
            };
            if self.holds_on_to(&place.pack, &view)? {
                if self.reliance.lobs.len() >= RELIED_MAX {
                    self.reliance.forget_lobs();
                }
                let _ = self.reliance.touched.insert(place.pack);
                return Ok(self.reliance.lobs.insert(*id));
            }
            if !self.store.refresh()? {
                break;
            }
        }
        Ok(false)
    }

    /// Makes a pack young that is part of the store; `false` where it may not be any longer.
    fn holds_on_to(&mut self, pack: &PackId, view: &View) -> Result<bool> {
        if self.reliance.touched.contains(pack) {
            return Ok(true);
        }
        let path = self.store.packs().path(pack);
        match self.store.disk().touch(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            touched => {
                let touched = allow(touched.map_err(Error::at(&path)))?;
                self.reliance.undated.extend(touched.map(|()| *pack));
            }
        };
        let news = allow(self.store.news(&view.cursor))?;
        Ok(view.broken.is_some() || news.is_none_or(|news| !news.drops))
    }

    /// Makes durable that what this writer found is young: a loss of power would let a prune take it for
    /// as old as it was before.
    pub(super) fn sync_times(&mut self) -> Result<()> {
        for pack in std::mem::take(&mut self.reliance.undated) {
            let path = self.store.packs().path(&pack);
            match self.store.disk().sync_time(&path) {
                // It was dropped, and what was needed of it is elsewhere by now.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                synced => drop(allow(synced.map_err(Error::at(&path)))?),
            }
        }
        Ok(())
    }

    /// Brings back what was dropped of all that this writer relies on.
    pub(super) fn restore(&mut self) -> Result<()> {
        // From the start: where roots were made whole, those that were seen are there no more.
        self.store.reload(&Ranges::new())?;
        self.reliance.since = self.store.view().cursor;
        self.reliance.is_bereft = true;
        let moved: Vec<_> = self.moved.iter().map(|(id, _)| *id).collect();
        let mut lost = Lost::new(self.store, &moved)?;
        for pack in &moved {
            lost.look_behind_pack(pack)?;
        }
        for lob in &self.reliance.lobs {
            lost.look_for_lob(lob)?;
        }
        lost.bring_back()?;
        self.restore_packs(&moved)
    }

    /// Brings back the lobs of those packs that were dropped, and relies on where they are now.
    fn restore_packs(&mut self, moved: &[PackId]) -> Result<()> {
        let there: HashSet<PackId> = self.store.view().packs().collect();
        let dropped: Vec<PackId> = self.reliance.packs.difference(&there).copied().collect();
        if dropped.is_empty() {
            return Ok(());
        }
        let mut lost = Lost::new(self.store, moved)?;
        let mut writer = Writer::new(self.store);
        for pack in &dropped {
            let table = self.store.packs().table(pack)?;
            for n in 0..table.lob_count() {
                let found = lost.look_for_lob(&table.lob(n).id);
                match found.and_then(|()| lost.write_to(&mut writer)) {
                    // Others of the pack may have been damaged before.
                    Err(error) if is_absent(&error) || matches!(error, Error::NoLob(_)) => {}
                    done => done?,
                }
                lost.clear();
            }
        }
        writer.finish()?;
        let view = self.store.view();
        for pack in &dropped {
            let table = self.store.packs().table(pack)?;
            for n in 0..table.lob_count() {
                let place = view.find(self.store.packs(), &table.lob(n).id)?;
                self.reliance.packs.extend(place.map(|place| place.pack));
            }
            let _ = self.reliance.packs.remove(pack);
        }
        Ok(())
    }
}

/// Whether the file system lets this process change nothing, or has no room for it.
pub(super) fn is_refused(error: &Error) -> bool {
    use ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [
        PermissionDenied,
        QuotaExceeded,
        ReadOnlyFilesystem,
        StorageFull,
    ];
    matches!(error, Error::Io { source, .. } if kinds.contains(&source.kind()))
}

/// What was done, or nothing where the file system allows nothing.
fn allow<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Err(error) if is_refused(&error) => Ok(None),
        done => done.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::chunk::tests::noise;
    use crate::disk::{OsDisk, SimDisk};
    use crate::progress::Progress;
    use crate::prune::Fate;
    use crate::store::Store;

    fn open(dir: &Path) -> Store {
        Store::open_or_create(Arc::new(OsDisk), dir).expect("a store")
    }

    /// Another process at the same store drops all but these lobs.
    fn prune(dir: &Path, kept: &[LobId]) -> crate::Swept {
        let store = open(dir);
        let young = SystemTime::now() + Duration::from_secs(1000);
        let prune = store.prune(young).expect("begins");
        let mut prune = prune.expect("nobody else prunes");
        for id in kept {
            assert!(prune.keep(id).expect("marks"), "{id} is there");
        }
        prune.plan().expect("plans").run(&()).expect("prunes")
    }

    /// How much of a content was looked at.
    #[derive(Default)]
    struct Looked(AtomicU64);

    impl Progress for Looked {
        fn bytes(&self, n: u64) {
            let _ = self.0.fetch_add(n, Ordering::SeqCst);
        }
    }

    /// Content during which, once the beginning was looked at, something happens.
    struct Eventful<'a, E: FnMut()> {
        content: Cursor<&'a [u8]>,
        looked: &'a Looked,
        event: Option<E>,
    }

    impl<E: FnMut()> Read for Eventful<'_, E> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // The first window is on its way, and this is for the second one.
            if self.content.position() > 4 << 20
                && let Some(mut event) = self.event.take()
            {
                while self.looked.0.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                event();
            }
            let most = buffer.len().min(64 << 10);
            self.content.read(&mut buffer[..most])
        }
    }

    #[test]
    fn p7_what_a_writer_named_stays_until_it_ends_however_old_that_is_by_then() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let contents: Vec<_> = (0..3).map(|n| noise(n, 3000)).collect();
        let add = |writer: &mut Writer<'_>, n: usize| {
            let added = writer.add(&mut contents[n].as_slice(), &());
            added.expect("adds").id
        };
        let mut writer = store.writer().expect("a writer");
        let found = add(&mut writer, 0);
        writer.finish().expect("publishes");

        let mut writer = store.writer().expect("a writer");
        let mut named = vec![add(&mut writer, 0)];
        assert_eq!(named, [found]);
        named.push(add(&mut writer, 1));
        writer.publish().expect("publishes");
        // To this prune all that is there is old, and nobody has written down yet what was named.
        assert!(prune(dir.path(), &[]).waiting > 6000);
        named.push(add(&mut writer, 2));
        writer.publish().expect("publishes");
        assert!(prune(dir.path(), &[]).waiting > 9000, "this too");
        writer.finish().expect("publishes");
        let _ = prune(dir.path(), &named);
        for (id, content) in named.iter().zip(&contents) {
            let mut out = Vec::new();
            let read = open(dir.path()).write_to(id, &mut out, &());
            assert_eq!(read.expect("reads"), 3000);
            assert!(out == *content);
        }
    }

    #[test]
    fn p2_p7_what_was_found_stays_young_when_power_is_lost() {
        let disk = SimDisk::new();
        let at = Path::new("/store");
        let store = Store::create(Arc::new(disk.clone()), at).expect("a store");
        let content = noise(1, 3000);
        let mut writer = store.writer().expect("a writer");
        let id = writer.add(&mut content.as_slice(), &()).expect("adds").id;
        writer.finish().expect("publishes");
        let relied: [fn(&mut Writer<'_>, LobId, &[u8]); 2] = [
            |writer, id, _| assert!(writer.hold(&[id]).expect("holds")[0].is_some()),
            |writer, _, content| assert!(writer.add(&mut &*content, &()).is_ok()),
        ];
        for (n, rely) in relied.into_iter().enumerate() {
            let now = 1000 * (n as u64 + 1);
            disk.set_clock(now);
            let mut writer = store.writer().expect("a writer");
            rely(&mut writer, id, &content);
            writer.finish().expect("publishes");
            for crash in disk.crashes(disk.changes()) {
                let store = Store::open(Arc::new(crash.disk.clone()), at).expect("opens");
                let prune = store.prune(UNIX_EPOCH + Duration::from_secs(now - 500));
                let plan = prune.expect("begins").expect("the only one").plan();
                let mut fates = Vec::new();
                let each = &mut |_, fate| {
                    fates.push(fate);
                    Ok(())
                };
                plan.expect("plans").each_lob(each).expect("lists");
                assert_eq!(fates, [Fate::Young], "{n}: {crash}");
            }
        }
    }

    #[test]
    fn p7_a_writer_that_found_very_many_lobs_relies_on_them_as_well() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let contents = [noise(1, 3000), noise(2, 5000)];
        let add = |writer: &mut Writer<'_>, content: &Vec<u8>| {
            let added = writer.add(&mut content.as_slice(), &());
            added.expect("adds").id
        };
        let mut writer = store.writer().expect("a writer");
        let lobs = contents.each_ref().map(|content| add(&mut writer, content));
        writer.finish().expect("publishes");
        let mut writer = store.writer().expect("a writer");
        let _ = add(&mut writer, &contents[0]);
        writer.reliance.forget_lobs();
        assert!(writer.reliance.lobs.is_empty() && !writer.reliance.is_empty());
        let _ = prune(dir.path(), &[]);
        assert!(open(dir.path()).lob(&lobs[0]).expect("looks").is_none());
        writer.finish().expect("publishes");
        let mut out = Vec::new();
        let read = store.write_to(&lobs[0], &mut out, &());
        assert_eq!(read.expect("reads"), 3000);
    }

    #[test]
    fn p7_what_a_long_lob_relies_on_outlasts_what_is_published_before_its_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let old = noise(1, 6 << 20);
        let mut writer = store.writer().expect("a writer");
        let _ = writer.add(&mut old.as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");

        let new = [old, noise(2, 24 << 20)].concat();
        let looked = Looked::default();
        let mut source = Eventful {
            content: Cursor::new(&new),
            looked: &looked,
            event: Some(|| assert!(prune(dir.path(), &[]).waiting > 6 << 20)),
        };
        let mut writer = store.writer().expect("a writer");
        writer.set_pack_soft(1 << 20);
        let added = writer.add(&mut source, &looked).expect("adds");
        assert!(source.event.is_none());
        assert!(added.new_bytes < 25 << 20, "its beginning was there");
        assert!(store.cursor().expect("a cursor").seq > 2, "published early");
        writer.finish().expect("publishes");
        for _ in 0..2 {
            let mut out = Vec::new();
            let read = open(dir.path()).write_to(&added.id, &mut out, &());
            assert_eq!(read.expect("reads"), added.size);
            assert!(out == new);
            let _ = prune(dir.path(), &[added.id]);
        }
    }
}
