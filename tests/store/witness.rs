//! The witness: notes what a run was promised and when, and judges what a crash left of it.

use std::path::Path;
use std::sync::Arc;

use lob_store::disk::SimDisk;
use lob_store::{LobId, Result, Store, StoreId, Writer};

use super::{noise, read};

/// Where the store is on a simulated disk.
pub const ROOT: &str = "/repo/lob";

/// What a promise holds against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Against {
    /// kill -9: all that was written is there.
    Kill,
    /// The loss of power: what was not synced may be gone.
    Power,
}

/// Contents that a run may store, and what it was told of them.
#[derive(Debug, Default)]
pub struct Witness {
    contents: Vec<(LobId, Vec<u8>)>,
    /// Promises, each with the number of changes that were done when it was given.
    kept: Vec<(usize, Against, LobId)>,
    created: Option<(usize, StoreId)>,
    /// What may go from so many changes on.
    released: Vec<(usize, LobId)>,
    pending: Vec<LobId>,
}

impl Witness {
    /// Nothing was promised yet.
    pub fn new() -> Witness {
        Witness::default()
    }

    /// Opens the store, or makes it; and notes that it is there from now on.
    pub fn open(&mut self, disk: &SimDisk) -> Result<Store> {
        let store = Store::open_or_create(Arc::new(disk.clone()), Path::new(ROOT))?;
        self.created.get_or_insert((disk.changes(), store.id()));
        Ok(store)
    }

    /// Adds content, which a kill must not take from now on.
    pub fn add(&mut self, disk: &SimDisk, writer: &mut Writer<'_>, content: &[u8]) -> Result<()> {
        self.expect(content);
        let added = writer.add(&mut &*content, &())?;

        self.kept.push((disk.changes(), Against::Kill, added.id));
        self.pending.push(added.id);
        Ok(())
    }

    /// Content that may be there, though nothing is promised.
    pub fn expect(&mut self, content: &[u8]) {
        if !self.contents.iter().any(|(_, known)| known == content) {
            self.contents.push((LobId::of(content), content.to_vec()));
        }
    }

    /// Content that came from another store.
    pub fn received(&mut self, content: &[u8]) {
        self.pending.push(LobId::of(content));
    }

    /// Everything that was added until now was said to be durable.
    pub fn durable(&mut self, disk: &SimDisk) {
        let at = disk.changes();
        let told = self.pending.drain(..).map(|id| (at, Against::Power, id));
        self.kept.extend(told);
    }

    /// Nobody needs this content any longer. Whoever adds it again is promised it again.
    pub fn release(&mut self, disk: &SimDisk, content: &[u8]) {
        self.released.push((disk.changes(), LobId::of(content)));
    }

    /// How many contents there are.
    pub fn count(&self) -> usize {
        self.contents.len()
    }

    /// What must be there after `at` changes.
    fn due(&self, at: usize, against: Against) -> Vec<LobId> {
        let released = |id: &LobId, since: usize| {
            let mut later = self.released.iter();
            later.any(|(when, released)| released == id && (since..=at).contains(when))
        };
        let due = |(when, what, id): &&(usize, Against, LobId)| {
            *when <= at && *what >= against && !released(id, *when)
        };
        let mut ids: Vec<_> = self.kept.iter().filter(due).map(|(.., id)| *id).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Judges a disk on which `at` changes were done before the crash: the store opens, what is
    /// visible is whole (P1, P3), what was promised is there (P2), and the same work done again
    /// succeeds (P6). Returns what is wrong.
    pub fn judge(&self, disk: &SimDisk, at: usize, against: Against) -> Result<(), String> {
        let created = self.created.filter(|(when, _)| *when <= at);
        let open = || -> Result<Store> {
            let disk = Arc::new(disk.clone());
            match created {
                Some(_) => Store::open(disk, Path::new(ROOT)),
                None => Store::open_or_create(disk, Path::new(ROOT)),
            }
        };
        let store = open().map_err(|e| format!("it does not open: {e}"))?;
        if created.is_some_and(|(_, id)| id != store.id()) {
            return Err("it is another store".into());
        }
        self.compare(&store, &self.due(at, against))?;
        let again = |e| format!("the same again: {e}");
        let mut writer = store.writer().map_err(again)?;
        for (_, content) in &self.contents {
            let _ = writer.add(&mut content.as_slice(), &()).map_err(again)?;
        }
        writer.finish().map_err(again)?;
        let all: Vec<_> = self.contents.iter().map(|(id, _)| *id).collect();
        self.compare(&store, &all)?;
        let store = open().map_err(|e| format!("it does not open again: {e}"))?;
        self.compare(&store, &all)?;
        match disk_stages(disk) {
            0 => Ok(()),
            count => Err(format!("{count} stages are left")),
        }
    }

    /// Every content reads back exactly or is not there, and those that are due are there.
    fn compare(&self, store: &Store, due: &[LobId]) -> Result<(), String> {
        let mut listed = Vec::new();
        let each = store.each_lob(&mut |lob| {
            listed.push(lob);
            Ok(())
        });
        each.map_err(|e| format!("listing: {e}"))?;
        for (id, content) in &self.contents {
            let times = listed.iter().filter(|lob| lob.id == *id).count();
            let found = store.lob(id).map_err(|e| format!("asking for {id}: {e}"))?;
            match (found, times) {
                (None, 0) if !due.contains(id) => {}
                (None, 0) => return Err(format!("promised and lost: {} bytes", content.len())),
                (Some(lob), 1) if lob.size == content.len() as u64 => match read(store, id) {
                    Ok(bytes) if bytes == *content => {}
                    Ok(bytes) => return Err(format!("wrong content: {} bytes", bytes.len())),
                    Err(e) => return Err(format!("visible and unreadable: {e}")),
                },
                (found, times) => return Err(format!("found {found:?}, listed {times} times")),
            }
        }
        match listed.len() > self.contents.len() {
            true => Err("lobs that nobody added".into()),
            false => Ok(()),
        }
    }

    /// Judges all that a power loss may leave after each of `points`, at most `most` states a point.
    /// Every `deep`th state crashes again, wherever it can. Returns how many states were judged.
    pub fn judge_power_loss(
        &self,
        disk: &SimDisk,
        points: impl IntoIterator<Item = usize>,
        most: usize,
        deep: usize,
    ) -> Result<usize, String> {
        let mut states = 0;
        for at in points {
            for crash in disk.crash_states(at, most) {
                let words = crash.to_string();
                let told = |e| format!("{words} ({}): {e}", last(disk, at));
                self.judge(&crash.disk, at, Against::Power).map_err(told)?;
                states += 1;
                if states % deep != 0 {
                    continue;
                }
                // What was promised before the first crash is due after the second too.
                for second in 0..=crash.disk.changes() {
                    for again in crash.disk.crash_states(second, 2) {
                        let done = last(&crash.disk, second);
                        let told = |e| format!("{words}; then {again} ({done}): {e}");
                        self.judge(&again.disk, at, Against::Power).map_err(told)?;
                        states += 1;
                    }
                }
            }
        }
        Ok(states)
    }

    /// Judges what is left when the process is killed after each of `points`, and killed again at
    /// each point of every `deep`th recovery.
    pub fn judge_kill(
        &self,
        disk: &SimDisk,
        points: impl IntoIterator<Item = usize>,
        deep: usize,
    ) -> Result<usize, String> {
        let mut states = 0;
        for at in points {
            let killed = disk.killed(at);
            let told = |e| format!("killed after {at} changes ({}): {e}", last(disk, at));
            self.judge(&killed, at, Against::Kill).map_err(told)?;
            states += 1;
            if at % deep != 0 {
                continue;
            }
            for second in 0..=killed.changes() {
                let done = last(&killed, second);
                let told = |e| format!("killed after {at}, then after {second} ({done}): {e}");
                let again = killed.killed(second);
                self.judge(&again, at, Against::Kill).map_err(told)?;
                states += 1;
            }
        }
        Ok(states)
    }

    /// Judges what is left when the process is killed after each of `points`, somebody else does
    /// the same work, finds some of it done, and power is lost when that was acknowledged.
    pub fn judge_kill_then_power_loss(
        &self,
        disk: &SimDisk,
        points: impl IntoIterator<Item = usize>,
        most: usize,
    ) -> Result<usize, String> {
        let mut states = 0;
        let all: Vec<_> = self.contents.iter().map(|(id, _)| *id).collect();
        for at in points {
            let killed = disk.killed(at);
            let told = |e| format!("killed after {at} changes ({}): {e}", last(disk, at));
            self.judge(&killed, at, Against::Kill).map_err(told)?;
            for crash in killed.crash_states(killed.changes(), most) {
                let words = format!("killed after {at} ({}), {crash}", last(disk, at));
                let told = |e| format!("{words}: {e}");
                let disk = Arc::new(crash.disk.clone());
                let store = match all.is_empty() {
                    // Nothing was acknowledged that would need the store to be there.
                    true => Store::open_or_create(disk, Path::new(ROOT)),
                    false => Store::open(disk, Path::new(ROOT)),
                };
                let store = store.map_err(|e| told(e.to_string()))?;
                self.compare(&store, &all).map_err(told)?;
                states += 1;
            }
        }
        Ok(states)
    }
}

/// The last of `at` changes, in words.
fn last(disk: &SimDisk, at: usize) -> String {
    let log = disk.log();
    let last = at.checked_sub(1).and_then(|n| log.get(n));
    last.cloned().unwrap_or_default()
}

/// How many directories of writers are there.
fn disk_stages(disk: &SimDisk) -> usize {
    let dir = Path::new(ROOT).join("stage");
    let entries = lob_store::disk::Disk::list(disk, &dir).expect("the stage is there");
    entries.iter().filter(|entry| entry.is_dir).count()
}

/// A simulated disk with a durable directory for the store.
pub fn disk() -> SimDisk {
    use lob_store::disk::Disk;
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
