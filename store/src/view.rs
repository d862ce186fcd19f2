//! The view: what a reader of a store knows of its packs at one moment.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId, PackId};
use crate::index::{Kind, Run};
use crate::pack::{ChunkEntry, LobEntry, Packs, Table};
use crate::roots::{self, Cursor, Root, Step};

/// Runs by their ranges of roots.
pub(crate) type Ranges = HashSet<(u64, u64)>;

/// Where something is: the pack, its table, and what the table says of it.
#[derive(Debug, Clone)]
pub(crate) struct Place<T> {
    pub(crate) pack: PackId,
    pub(crate) table: Arc<Table>,
    pub(crate) entry: T,
}

/// The id of something that tables list.
pub(crate) trait Listed {
    /// What a table says of it.
    type Entry;
    /// Which list of the index it is in.
    const KIND: Kind;
    /// See [`ChunkId::prefix`].
    fn prefix(&self) -> u64;
    /// Its entry in a table.
    fn look_up(&self, table: &Table) -> Option<Self::Entry>;
    /// Entry `number` of a table, if it is that of this id.
    fn confirm(&self, table: &Table, number: usize) -> Option<Self::Entry>;
    /// How many frames must be decoded to read it, besides its own.
    fn depth(table: &Table, entry: &Self::Entry) -> u8;
}

impl Listed for ChunkId {
    type Entry = ChunkEntry;
    const KIND: Kind = Kind::Chunk;

    fn prefix(&self) -> u64 {
        ChunkId::prefix(self)
    }

    fn look_up(&self, table: &Table) -> Option<ChunkEntry> {
        table.find_chunk(self).map(|n| table.chunk(n))
    }

    fn confirm(&self, table: &Table, number: usize) -> Option<ChunkEntry> {
        let entry = (number < table.chunk_count()).then(|| table.chunk(number));
        entry.filter(|entry| entry.id == *self)
    }

    fn depth(table: &Table, entry: &ChunkEntry) -> u8 {
        let frame = table.frame(entry.frame as usize);
        frame.map_or(u8::MAX, |frame| frame.depth)
    }
}

impl Listed for LobId {
    type Entry = LobEntry;
    const KIND: Kind = Kind::Lob;

    fn prefix(&self) -> u64 {
        LobId::prefix(self)
    }

    fn look_up(&self, table: &Table) -> Option<LobEntry> {
        table.find_lob(self).map(|n| table.lob(n))
    }

    fn confirm(&self, table: &Table, number: usize) -> Option<LobEntry> {
        let entry = (number < table.lob_count()).then(|| table.lob(number));
        entry.filter(|entry| entry.id == *self)
    }

    fn depth(_: &Table, _: &LobEntry) -> u8 {
        0
    }
}

/// The index runs, and the packs that came after them.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) runs: Vec<Arc<Run>>,
    /// Runs that were damaged when last looked at, and that count only when they hold now.
    pub(crate) distrusted: Ranges,
    /// Packs of the roots after the last run, oldest first.
    pub(crate) tail: Vec<(PackId, Arc<Table>)>,
    /// Packs that a root took out of the store again.
    pub(crate) dropped: HashSet<PackId>,
    /// No root after this one drops any.
    pub(crate) last_drop: u64,
    /// Packs that a root names and that are not there.
    pub(crate) absent: Vec<PackId>,
    /// Where the sequence of roots stood.
    pub(crate) cursor: Cursor,
    /// Why the roots after that cannot be followed, though there are some. What they named is in
    /// the view all the same: all packs that are there.
    pub(crate) broken: Option<String>,
}

impl View {
    /// What the store in `root` holds now.
    pub(crate) fn load(
        disk: &dyn Disk,
        root: &Path,
        packs: &Packs,
        distrusted: Ranges,
    ) -> Result<View> {
        let roots = root.join("roots");
        let is_root = |cursor: &Cursor| roots::is_there(disk, &roots, cursor);
        let counts =
            |run: &Run| is_root(&run.to) && (!distrusted.contains(&run.range()) || run.holds_all());
        let runs: Vec<_> = Run::open_all(disk, &root.join("index"), &counts)?
            .into_iter()
            .map(Arc::new)
            .collect();
        let mut view = View {
            cursor: runs.last().map(|run| run.to).unwrap_or_default(),
            dropped: runs
                .iter()
                .flat_map(|run| run.dropped.iter().copied())
                .collect(),
            last_drop: runs
                .iter()
                .filter(|run| !run.dropped.is_empty())
                .map(|run| run.to.seq)
                .max()
                .unwrap_or_default(),
            runs,
            distrusted,
            ..View::default()
        };
        view.follow(disk, &roots, packs)?;
        if view.broken.is_none() && view.cursor.seq == 0 && !packs.on_disk()?.is_empty() {
            view.broken = Some(format!("{}: no root is left", roots.display()));
        }
        if view.broken.is_some() {
            view.take_in_all(packs)?;
        }
        Ok(view)
    }

    /// Takes in the roots that came since.
    fn follow(&mut self, disk: &dyn Disk, roots: &Path, packs: &Packs) -> Result<()> {
        let runs = self.runs.iter();
        let mut seen = runs.flat_map(|run| run.packs.iter().copied()).collect();
        loop {
            match roots::step(disk, roots, &self.cursor)? {
                Step::Root(root, after) => {
                    self.take_in(root, packs, &mut seen)?;
                    self.cursor = after;
                }
                Step::End => return Ok(()),
                Step::Broken(why) => {
                    self.broken = Some(why);
                    return Ok(());
                }
            }
        }
    }

    fn take_in(&mut self, root: Root, packs: &Packs, seen: &mut HashSet<PackId>) -> Result<()> {
        // A pack that was dropped never comes back: its file may be gone.
        let gone: HashSet<_> = root.dropped.into_iter().collect();
        if !gone.is_empty() {
            self.tail.retain(|(id, _)| !gone.contains(id));
            self.absent.retain(|id| !gone.contains(id));
            self.dropped.extend(gone);
            self.last_drop = self.cursor.seq + 1;
        }
        for (id, _) in root.added {
            // Whoever mends the roots may name a pack whose writer is about to do so.
            if seen.insert(id) && !self.dropped.contains(&id) {
                self.add_pack(id, packs)?;
            }
        }
        Ok(())
    }

    /// Every pack that is there, whatever the roots say.
    fn take_in_all(&mut self, packs: &Packs) -> Result<()> {
        let known = self.known_packs();
        for (id, _) in packs.on_disk()? {
            if !known.contains(&id) {
                self.add_pack(id, packs)?;
            }
        }
        Ok(())
    }

    fn add_pack(&mut self, id: PackId, packs: &Packs) -> Result<()> {
        match packs.table(&id) {
            Ok(table) => self.tail.push((id, table)),
            Err(e) if is_absent(&e) => self.absent.push(id),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// This view with these packs too, whatever it says of them.
    pub(crate) fn with(&self, packs: Vec<(PackId, Arc<Table>)>) -> View {
        let mut view = self.clone();
        for (id, _) in &packs {
            let _ = view.dropped.remove(id);
        }
        view.tail.extend(packs);
        view
    }

    /// A place of what has this id: of those with the fewest bases behind them the newest, for what
    /// was written last is asked for most.
    ///
    /// Whoever writes a delta frame takes this place of each base for the depth of the frame, and
    /// whoever drops packs keeps this one. So the bases of a frame are at a lower depth than it, however
    /// many copies come and go, and none is based on itself; unless damage takes the copy that counted,
    /// for which readers follow chains further than writers make them.
    ///
    /// Runs of the index are believed here, unread: one that is damaged may hide what the store
    /// holds. Whoever only wants to spare himself a copy loses nothing but that; who cannot do
    /// without goes on looking when this finds nothing.
    pub(crate) fn find<I: Listed>(&self, packs: &Packs, id: &I) -> Result<Option<Place<I::Entry>>> {
        Ok(self.find_all(packs, id, 1)?.pop())
    }

    /// Up to `most` places of what has this id, in the order in which they are to be tried.
    pub(crate) fn find_all<I: Listed>(
        &self,
        packs: &Packs,
        id: &I,
        most: usize,
    ) -> Result<Vec<Place<I::Entry>>> {
        let mut found = Vec::new();
        let mut plain = 0;
        self.each_place(packs, id, &mut |place| {
            let depth = I::depth(&place.table, &place.entry);
            plain += usize::from(depth == 0);
            found.push((depth, place));
            plain < most
        })?;
        found.sort_by_key(|(depth, _)| *depth);
        found.truncate(most);
        Ok(found.into_iter().map(|(_, place)| place).collect())
    }

    /// Whether there is a place of what has this id.
    pub(crate) fn holds<I: Listed>(&self, packs: &Packs, id: &I) -> Result<bool> {
        let mut held = false;
        self.each_place(packs, id, &mut |_| {
            held = true;
            false
        })?;
        Ok(held)
    }

    /// Calls `each` for the places of what has this id, until it wants no more.
    fn each_place<I: Listed>(
        &self,
        packs: &Packs,
        id: &I,
        each: &mut dyn FnMut(Place<I::Entry>) -> bool,
    ) -> Result<()> {
        for (pack, table) in self.tail.iter().rev() {
            if let Some(entry) = id.look_up(table)
                && !each(Place {
                    pack: *pack,
                    table: table.clone(),
                    entry,
                })
            {
                return Ok(());
            }
        }
        for run in self.runs.iter().rev() {
            for (pack, number) in run.find(I::KIND, id.prefix()) {
                let Some(pack) = run.packs.get(pack as usize) else {
                    continue;
                };
                if self.dropped.contains(pack) {
                    continue;
                }
                let table = match packs.table(pack) {
                    Ok(table) => table,
                    Err(e) if is_absent(&e) => continue,
                    Err(e) => return Err(e),
                };
                if let Some(entry) = id.confirm(&table, number as usize)
                    && !each(Place {
                        pack: *pack,
                        table,
                        entry,
                    })
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Every pack that a root says something of.
    pub(crate) fn known_packs(&self) -> HashSet<PackId> {
        let named = self.packs().chain(self.absent.iter().copied());
        named.chain(self.dropped.iter().copied()).collect()
    }

    /// All packs, oldest first.
    pub(crate) fn packs(&self) -> impl Iterator<Item = PackId> + '_ {
        let runs = self.runs.iter().flat_map(|run| run.packs.iter().copied());
        runs.chain(self.tail.iter().map(|(id, _)| *id))
            .filter(|id| !self.dropped.contains(id))
    }
}

/// Whether an error says that what was to be read from a pack cannot be had there.
pub(crate) fn is_absent(error: &Error) -> bool {
    match error {
        // Of a chunk: one that it is based on is nowhere.
        Error::NoPack(_) | Error::NoChunk(_) | Error::Damaged { .. } => true,
        Error::Io { source, .. } => disk::is_lost(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;
    use crate::roots::Root;
    use crate::store::Store;

    fn add(store: &Store, content: &[u8]) -> LobId {
        let mut writer = store.writer().expect("a writer");
        let added = writer.add(&mut &*content, &()).expect("adds");
        writer.finish().expect("publishes");
        added.id
    }

    fn append(store: &Store, added: Vec<(PackId, u64)>, dropped: Vec<PackId>) {
        let lock = store.root().join("state/roots.lock");
        let roots = store.root().join("roots");
        let root = Root { added, dropped };
        let start = Cursor::default();
        let all = || panic!("nothing is lost");
        let mut agree = |_| Ok(true);
        let done = roots::append(&OsDisk, &roots, &lock, &start, &root, &all, &mut agree);
        assert!(done.expect("appends").is_some());
    }

    /// A store, its first pack with its length, and the lob in it.
    fn store_of_one(dir: &Path) -> (Store, (PackId, u64), LobId) {
        let store = Store::create(Arc::new(OsDisk), &dir.join("s")).expect("a store");
        let lob = add(&store, b"first");
        let packs = store.packs().on_disk().expect("lists");
        (store, packs[0], lob)
    }

    /// As many publications as make one run of the index of all there is.
    fn merge(store: &Store) {
        let merged = (0..20u8).find(|n| {
            let _ = add(store, &[*n]);
            store.view().runs.len() == 1
        });
        assert!(merged.is_some(), "the index was merged");
    }

    #[test]
    fn a_dropped_pack_is_dropped_for_those_who_read_the_index_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, first, gone) = store_of_one(dir.path());
        append(&store, Vec::new(), vec![first.0]);
        merge(&store);
        append(&store, vec![first], Vec::new());
        for index in [true, false] {
            if !index {
                std::fs::remove_dir_all(store.root().join("index")).expect("removes");
            }
            let store = Store::open(Arc::new(OsDisk), store.root()).expect("opens");
            assert_eq!(store.view().runs.len(), usize::from(index));
            assert_eq!(store.lob(&gone).expect("looks"), None);
            assert!(store.view().known_packs().contains(&first.0), "not anew");
        }
    }

    #[test]
    fn a_pack_that_is_added_twice_is_there_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, first, _) = store_of_one(dir.path());
        merge(&store);
        append(&store, vec![first], Vec::new());
        let _ = store.refresh().expect("refreshes");
        let packs: Vec<_> = store.view().packs().collect();
        assert_eq!(packs.iter().filter(|id| **id == first.0).count(), 1);
    }

    #[test]
    fn a_dropped_pack_is_neither_found_nor_missed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, (first, len), gone) = store_of_one(dir.path());
        let kept = add(&store, b"kept");
        append(&store, Vec::new(), vec![first]);
        // Nobody may add it again, and where somebody does, all readers agree on what holds.
        append(&store, vec![(first, len)], Vec::new());
        for file in [store.packs().path(&first), store.packs().table_path(&first)] {
            std::fs::remove_file(file).expect("was there");
        }
        let store = Store::open(Arc::new(OsDisk), store.root()).expect("opens");
        assert_eq!(store.view().absent, []);
        assert_eq!(store.lob(&gone).expect("looks"), None);
        assert!(store.lob(&kept).expect("looks").is_some());
        assert_eq!(store.view().cursor.seq, 4);
    }
}
