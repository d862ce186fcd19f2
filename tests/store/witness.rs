//! The witness: notes what work was promised and when, and judges what a crash left of it.

mod young;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::fsck::{self, Depth, Finding, Gravity, Object, Remedy};
use lob_store::{Epoch, Error, LobId, Result, Store, StoreId, Writer};

use super::{noise, read};

/// Where the store is on a simulated disk.
pub const ROOT: &str = "/repo/lob";
/// Where another store is on the same disk.
pub const REMOTE: &str = "/repo/remote";

/// What a promise holds against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Against {
    /// kill -9: all that was written is there.
    Kill,
    /// The loss of power: what was not synced may be gone.
    Power,
}

/// What was promised of a lob in a store.
#[derive(Debug, Clone, Copy)]
struct Promise {
    /// How many changes were done when it was given.
    when: usize,
    against: Against,
    place: &'static str,
    id: LobId,
    /// The epoch of the store then: who remembers it may rely on the lob as long as it lasts.
    epoch: Epoch,
    /// Whether the lob may go, though not before the epoch ends.
    released: bool,
}

/// Contents that some work may store, and what it was told of them.
#[derive(Debug, Default)]
pub struct Witness {
    contents: Vec<(LobId, Arc<[u8]>)>,
    kept: Vec<Promise>,
    /// The stores, as they were found or made last.
    found: BTreeMap<&'static str, StoreId>,
    /// Those that somebody relies on, and since when.
    created: BTreeMap<&'static str, (usize, StoreId)>,
    /// What may go from so many changes on.
    released: Vec<(usize, LobId)>,
    /// Added, and nobody was told yet that it is durable.
    pending: Vec<LobId>,
    /// What could be read after the crash, and was not released since.
    present: BTreeSet<(&'static str, LobId)>,
    /// Whether something is broken before a crash: then it may be so after it, until it is mended.
    flawed: bool,
    mended: Option<usize>,
    /// What cannot be read, through no fault of the store's, until somebody stores it again.
    damaged: BTreeSet<LobId>,
    /// Files of packs that nobody may delete, whatever is wrong with them.
    files: Vec<Arc<[u8]>>,
    /// What is set aside, from so many changes on, and until so many.
    aside: Vec<(usize, usize, LobId)>,
    /// What counts as stored at this time, in seconds since 1970, from so many changes on.
    young: Vec<(usize, &'static str, LobId, u64)>,
    /// What went wrong under way.
    complaints: Vec<String>,
}

/// Noting.
impl Witness {
    /// Nothing was promised yet.
    pub fn new() -> Witness {
        Witness::default()
    }

    /// Opens the store, or makes it; and notes that it is there from now on.
    pub fn open(&mut self, disk: &SimDisk) -> Result<Store> {
        self.open_at(disk, ROOT)
    }

    /// The same with the store in another place.
    pub fn open_at(&mut self, disk: &SimDisk, place: &'static str) -> Result<Store> {
        let (disk_, dir) = (Arc::new(disk.clone()), Path::new(place));
        let store = match Store::open(disk_.clone(), dir) {
            Err(Error::NotAStore(_)) => {
                let store = Store::create(disk_, dir)?;
                let new = (disk.changes(), store.id());
                self.created.entry(place).or_insert(new);
                store
            }
            opened => opened?,
        };
        self.found.insert(place, store.id());
        let known = self.created.get(place);
        if known.is_some_and(|(_, id)| *id != store.id()) {
            self.complaints.push(format!("{place} is another store"));
        }
        Ok(store)
    }

    /// Adds content, which a kill must not take from now on.
    pub fn add(&mut self, disk: &SimDisk, writer: &mut Writer<'_>, content: &[u8]) -> Result<()> {
        self.expect(content);
        let added = writer.add(&mut &*content, &())?;
        if added.new_bytes > 0 && self.present.contains(&(ROOT, added.id)) {
            let words = format!("{} bytes of what is there are stored", added.new_bytes);
            self.complaints.push(words);
        }
        self.promise(disk, Against::Kill, ROOT, added.id);
        self.pending.push(added.id);
        Ok(())
    }

    /// Content that may be there, though nothing is promised.
    pub fn expect(&mut self, content: &[u8]) {
        if !self.contents.iter().any(|(_, known)| **known == *content) {
            self.contents.push((LobId::of(content), content.into()));
        }
    }

    /// Content that came from another store, or went to one, and is durable now.
    pub fn arrived(&mut self, disk: &SimDisk, place: &'static str, content: &[u8]) {
        self.expect(content);
        self.promise(disk, Against::Power, place, LobId::of(content));
    }

    /// Everything that was added until now was said to be durable.
    pub fn durable(&mut self, disk: &SimDisk) {
        self.durable_but(disk, 0);
    }

    /// The same, save the last so many.
    pub fn durable_but(&mut self, disk: &SimDisk, last: usize) {
        let count = self.pending.len().saturating_sub(last);
        for id in self.pending.drain(..count).collect::<Vec<_>>() {
            self.promise(disk, Against::Power, ROOT, id);
        }
    }

    fn promise(&mut self, disk: &SimDisk, against: Against, place: &'static str, id: LobId) {
        if let (Against::Power, Some(store)) = (against, self.found.get(place)) {
            let new = (disk.changes(), *store);
            self.created.entry(place).or_insert(new);
        }
        self.kept.push(Promise {
            when: disk.changes(),
            against,
            place,
            id,
            epoch: lob_store::epoch(disk, Path::new(place)).expect("reads the epoch"),
            released: false,
        });
    }

    /// Nobody needs this content any longer. Whoever adds it again is promised it again.
    pub fn release(&mut self, disk: &SimDisk, content: &[u8]) {
        let id = LobId::of(content);
        self.released.push((disk.changes(), id));
        self.present.remove(&(ROOT, id));
    }

    /// Something is broken from now on, until somebody mends it.
    pub fn flaw(&mut self) {
        self.flawed = true;
    }

    /// Somebody said that nothing is broken any longer.
    pub fn mended(&mut self, disk: &SimDisk) {
        self.mended = self.mended.or(Some(disk.changes()));
    }

    /// This is in a file of a pack, or of one that was set aside by a repair, and stays so.
    pub fn keep_file(&mut self, bytes: &[u8]) {
        self.files.push(bytes.into());
    }

    /// A content was taken out of the store, and comes back when somebody asks for it.
    pub fn set_aside(&mut self, disk: &SimDisk, content: &[u8]) {
        let id = LobId::of(content);
        self.aside.push((disk.changes(), usize::MAX, id));
    }

    /// From now on nothing need come back.
    pub fn end_aside(&mut self, disk: &SimDisk) {
        for (_, until, _) in &mut self.aside {
            *until = (*until).min(disk.changes());
        }
    }

    /// What comes back when somebody asks for it now.
    pub fn is_aside(&self, disk: &SimDisk) -> Vec<LobId> {
        let now = disk.changes();
        let aside = self.aside.iter();
        let aside = aside.filter(|(since, until, _)| (*since..*until).contains(&now));
        aside.map(|(_, _, id)| *id).collect()
    }

    /// Somebody broke this content. Whoever stores it again is promised it again.
    pub fn damage(&mut self, content: &[u8]) {
        let id = LobId::of(content);
        self.flawed = true;
        self.damaged.insert(id);
        self.kept.retain(|kept| kept.id != id);
        self.present.remove(&(ROOT, id));
    }

    /// The store in a place, as it was found or made last.
    pub fn id(&self, place: &'static str) -> Option<StoreId> {
        self.found.get(place).copied()
    }

    /// Something is not as it must be.
    pub fn complain(&mut self, what: String) {
        self.complaints.push(what);
    }

    /// Whether a lob could be read in a store after the crash.
    pub fn had(&self, place: &'static str, id: &LobId) -> bool {
        self.present.contains(&(place, *id))
    }

    /// How many promises and releases there were when so many changes were done: states that look
    /// the same are the same only among those for which this is the same.
    pub fn told(&self, at: usize) -> usize {
        let told = self.kept.iter().map(|kept| kept.when);
        let told = told.chain(self.released.iter().map(|(when, _)| *when));
        let told = told.chain(self.created.values().map(|(when, _)| *when));
        let told = told.chain(self.mended);
        let told = told.chain(
            self.aside
                .iter()
                .flat_map(|(since, until, _)| [*since, *until]),
        );
        let told = told.chain(self.young.iter().map(|(when, ..)| *when));
        told.filter(|when| *when <= at).count()
    }

    /// The promises that hold after `at` changes, those that were released among them.
    fn promises(&self, at: usize, against: Against) -> impl Iterator<Item = Promise> {
        let kept = self.kept.iter();
        let kept = kept.filter(move |kept| kept.when <= at && kept.against >= against);
        kept.map(move |kept| {
            let mut later = self.released.iter();
            let released = kept.place == ROOT
                && later.any(|(when, id)| *id == kept.id && (kept.when..=at).contains(when));
            let released = released || kept.released;
            Promise { released, ..*kept }
        })
    }

    /// The witness of what is done on the disk that a crash after `at` changes left: what was
    /// promised against it before holds on.
    pub fn after(&self, at: usize, crash: Against) -> Witness {
        let kept = self.promises(at, crash);
        let created = self.created.iter();
        let is_mended = self.mended.is_some_and(|when| when <= at);
        let aside = self.aside.iter();
        let aside = aside.filter(|(since, until, _)| (*since..*until).contains(&at));
        Witness {
            contents: self.contents.clone(),
            kept: kept.map(|kept| Promise { when: 0, ..kept }).collect(),
            created: created
                .filter(|(_, (when, _))| *when <= at)
                .map(|(place, (_, id))| (*place, (0, *id)))
                .collect(),
            flawed: self.flawed && !is_mended,
            damaged: self
                .damaged
                .iter()
                .filter(|_| !is_mended)
                .copied()
                .collect(),
            files: self.files.clone(),
            aside: aside.map(|(_, _, id)| (0, usize::MAX, *id)).collect(),
            young: self
                .young
                .iter()
                .filter(|(when, ..)| *when <= at)
                .map(|(_, place, id, time)| (0, *place, *id, *time))
                .collect(),
            found: self.found.clone(),
            ..Witness::default()
        }
    }
}

/// Judging.
impl Witness {
    /// Judges what a crash left, and then does `work` again. What is wrong is said in words.
    /// - As found, an examination reports no loss and no damage (P11), and changes nothing.
    /// - Stores open; what is visible is whole (P1, P3), what was promised is there (P2).
    /// - The work succeeds (P6), and stores or sends nothing that is there.
    /// - Then all that was ever promised is there, nothing is left behind, and nothing is wrong.
    pub fn survive(
        &mut self,
        disk: &SimDisk,
        work: &dyn Fn(&SimDisk, &mut Witness) -> Result<()>,
    ) -> Result<(), String> {
        let worst = match self.flawed {
            _ if !self.damaged.is_empty() => Gravity::Loss,
            true => Gravity::Damage,
            false => Gravity::Leftover,
        };
        for place in [ROOT, REMOTE] {
            let found = examine(disk, place)?;
            if let Some(finding) = found.iter().find(|finding| finding.gravity < worst) {
                return Err(format!("as found: {finding:?}"));
            }
            self.look(disk, place)?;
        }
        self.compare_files(disk)?;
        work(disk, self).map_err(|e| format!("the same again: {e}"))?;
        self.settled(disk)
    }

    /// Opens the store and notes what of all contents it holds.
    fn look(&mut self, disk: &SimDisk, place: &'static str) -> Result<(), String> {
        match Store::open(Arc::new(disk.clone()), Path::new(place)) {
            Ok(store) => {
                let known = self.created.get(place);
                if known.is_some_and(|(_, id)| *id != store.id()) {
                    return Err(format!("{place} is another store"));
                }
                let present = self.compare(disk, &store, place, 0)?;
                self.present.extend(present);
                self.compare_ages(disk, place)
            }
            Err(Error::NotAStore(_)) if !self.created.contains_key(place) => Ok(()),
            // Whoever made it anew instead of mending it will have made another one.
            Err(Error::NotAStore(_)) if !self.damaged.is_empty() => Ok(()),
            Err(e) => Err(format!("{place} does not open: {e}")),
        }
    }

    /// All that was promised is there for whoever opens the stores now, and nothing is left over.
    pub fn settled(&self, disk: &SimDisk) -> Result<(), String> {
        if let Some(complaint) = self.complaints.first() {
            return Err(complaint.clone());
        }
        for place in self.found.keys() {
            let store = Store::open(Arc::new(disk.clone()), Path::new(place));
            let store = store.map_err(|e| format!("{place} does not open again: {e}"))?;
            self.compare(disk, &store, place, disk.changes())?;
            self.compare_ages(disk, place)?;
            let found = examine(disk, place)?;
            if let Some(finding) = found.iter().find(|finding| !is_allowed(finding)) {
                return Err(format!("in the end: {finding:?}"));
            }
        }
        self.compare_files(disk)
    }

    /// Files that nobody may delete are there.
    fn compare_files(&self, disk: &SimDisk) -> Result<(), String> {
        let dirs = ["packs", "damaged"].map(|dir| Path::new(ROOT).join(dir));
        let paths = dirs.iter().flat_map(|dir| {
            let entries = disk.list(dir).unwrap_or_default();
            entries.into_iter().map(|entry| dir.join(entry.name))
        });
        let there: Vec<_> = match self.files.is_empty() {
            true => Vec::new(),
            false => paths.filter_map(|path| disk.map(&path).ok()).collect(),
        };
        let lost = |file: &&Arc<[u8]>| there.iter().all(|bytes| **bytes != ***file);
        match self.files.iter().find(lost) {
            None => Ok(()),
            Some(file) => Err(format!("a file of {} bytes is gone", file.len())),
        }
    }

    /// Every content reads back exactly or is not there, and those are there that were promised
    /// until change `at`. Returns those that are.
    fn compare(
        &self,
        disk: &SimDisk,
        store: &Store,
        place: &'static str,
        at: usize,
    ) -> Result<BTreeSet<(&'static str, LobId)>, String> {
        let epoch = lob_store::epoch(disk, Path::new(place)).map_err(|e| e.to_string())?;
        let due = self.promises(at, Against::Kill);
        let due = due.filter(|kept| kept.place == place);
        let due: BTreeMap<_, _> = due
            .filter(|kept| !kept.released || kept.epoch == epoch)
            .map(|kept| (kept.id, kept.released))
            .collect();
        let mut listed = Vec::new();
        let each = store.each_lob(&mut |lob| {
            listed.push(lob);
            Ok(())
        });
        each.map_err(|e| format!("listing: {e}"))?;
        let mut present = BTreeSet::new();
        for (id, content) in &self.contents {
            let times = listed.iter().filter(|lob| lob.id == *id).count();
            let found = store.lob(id).map_err(|e| format!("asking for {id}: {e}"))?;
            let damaged = self.damaged.contains(id) && !due.contains_key(id);
            match (found, times) {
                (None, 0) => match due.get(id) {
                    None => {}
                    Some(false) => return Err(format!("lost: {} bytes", content.len())),
                    Some(true) => return Err(format!("gone in its epoch: {id}")),
                },
                (Some(lob), 1) if lob.size == content.len() as u64 => match read(store, id) {
                    Ok(bytes) if *bytes == **content => drop(present.insert((place, *id))),
                    Ok(bytes) => return Err(format!("wrong content: {} bytes", bytes.len())),
                    Err(_) if damaged => {}
                    Err(e) => return Err(format!("visible and unreadable: {e}")),
                },
                _ if damaged => {}
                (found, times) => return Err(format!("found {found:?}, listed {times} times")),
            }
        }
        match listed.len() > self.contents.len() {
            true => Err("lobs that nobody added".into()),
            false => Ok(present),
        }
    }
}

/// All that is wrong with a store, where there is one.
fn examine(disk: &SimDisk, place: &str) -> Result<Vec<Finding>, String> {
    let before = disk.changes();
    let mut found = Vec::new();
    let each = &mut |finding| found.push(finding);
    let disk_ = Arc::new(disk.clone());
    match fsck::examine(disk_, Path::new(place), Depth::Deep, &(), each) {
        Ok(_) | Err(Error::NotAStore(_)) => {}
        Err(e) => return Err(format!("examining: {e}")),
    }
    match disk.changes() == before {
        true => Ok(found),
        false => Err("an examination changes something".into()),
    }
}

/// A pack of a writer whose stage did not survive may hold what nothing else does: it stays, as does
/// what a repair set aside. A run of the index that another covers goes with a later merge, and what
/// was in the making when somebody makes the next.
fn is_allowed(finding: &Finding) -> bool {
    let left = match &finding.object {
        Object::Pack(_) => finding.remedy == Remedy::Adopt,
        Object::Table(_) | Object::Run(..) => finding.remedy == Remedy::Delete,
        Object::File(path) => {
            let stays = path.ends_with("new") || path.starts_with("damaged");
            stays && finding.remedy == Remedy::Delete
        }
        _ => false,
    };
    finding.gravity == Gravity::Leftover && left
}

/// The last of `at` changes, in words.
pub fn last(disk: &SimDisk, at: usize) -> String {
    let log = disk.log();
    let last = at.checked_sub(1).and_then(|n| log.get(n));
    last.cloned().unwrap_or_default()
}

/// A simulated disk with a durable directory for the stores.
pub fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/repo")).expect("makes it");
    disk.sync_dir(Path::new("/")).expect("syncs");
    disk
}

/// Content of many chunks that is quickly hashed and takes little room.
pub fn long(seed: u64) -> Vec<u8> {
    let mut content = vec![0; (1 << 20) + 70_000];
    content[500_000..560_000].copy_from_slice(&noise(seed, 60_000));
    content
}
