//! P3, never wrong, and P11, fsck is complete: whatever becomes of a file of a store, a read gives the
//! content or an error, what is lost is told, and whoever writes succeeds or hears why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use lob_store::disk::{Disk, SimDisk};
use lob_store::fsck::{Depth, Fault, Finding, Gravity, Object, Remedy};
use lob_store::{LobId, Store};

use super::power::explore::each_of;
use super::{Tier, report};
use crate::format::damage::{ROOT, examine, files, made, put, unreadable};
use crate::store::{deltas, noise, read};

/// A store, and what it holds.
struct Whole {
    name: &'static str,
    disk: SimDisk,
    contents: Vec<Vec<u8>>,
}

/// Makes a store, and tells what it holds.
type Shape = fn() -> (SimDisk, Vec<Vec<u8>>);

/// What is done to one file.
#[derive(Debug, Clone)]
enum Change {
    /// These bits of this byte are turned.
    Flip(usize, u8),
    /// This byte becomes zero.
    Zero(usize),
    /// It ends here.
    Cut(usize),
    /// A byte comes in here.
    Insert(usize),
    /// A byte comes to it.
    Append,
    Remove,
    /// A directory is in its place.
    Directory,
    /// It is there once more, under this name.
    Copy(PathBuf),
    /// It and another change places.
    Swap(PathBuf),
}

/// A change of a file of a store.
struct Mutation {
    whole: Arc<Whole>,
    file: PathBuf,
    change: Change,
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, file) = (self.whole.name, self.file.display());
        write!(f, "{name}: {file} {:?}", self.change)
    }
}

/// A store of three publications, some of which was pruned, with an epoch.
fn pruned() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::new();
    let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT)).unwrap();
    let contents: Vec<_> = (0..6).map(|n| noise(n, 200)).collect();
    add(&store, &contents[..4]);
    add(&store, &contents[4..]);
    let young = UNIX_EPOCH + Duration::from_secs(1);
    let mut prune = store.prune(young).unwrap().unwrap();
    for content in &contents[3..] {
        prune.keep(&LobId::of(content)).unwrap();
    }
    prune.plan().unwrap().run(&()).unwrap();
    let later = [noise(9, 90), contents[5].clone()];
    add(&store, &later);
    let kept = contents[3..].iter().chain(&later[..1]);
    (disk.killed(disk.changes()), kept.cloned().collect())
}

/// A store in which two packs hold the same, and a third something else.
fn doubled() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::new();
    let open = || Store::open_or_create(Arc::new(disk.clone()), Path::new(ROOT)).unwrap();
    let contents: Vec<_> = (0..3).map(|n| noise(n, 150)).collect();
    let (one, two) = (open(), open());
    let mut writers = [one.writer().unwrap(), two.writer().unwrap()];
    for writer in &mut writers {
        for content in &contents[..2] {
            writer.add(&mut content.as_slice(), &()).unwrap();
        }
    }
    for writer in writers {
        writer.finish().unwrap();
    }
    add(&open(), &contents[2..]);
    (disk.killed(disk.changes()), contents)
}

/// A store of versions, each of which is the difference from the one before.
fn versions() -> (SimDisk, Vec<Vec<u8>>) {
    let contents = deltas::versions(3, 4200);
    let elsewhere = Store::create(Arc::new(SimDisk::new()), Path::new(ROOT)).unwrap();
    add(&elsewhere, &contents);
    let disk = SimDisk::new();
    let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT)).unwrap();
    add(&store, &contents[..1]);
    for pair in contents.windows(2) {
        let bytes = deltas::send(&elsewhere, &store, &pair[1], &pair[0]).unwrap();
        assert!(bytes < 200, "{bytes} bytes");
    }
    (disk.killed(disk.changes()), contents)
}

fn add(store: &Store, contents: &[Vec<u8>]) {
    let mut writer = store.writer().unwrap();
    for content in contents {
        writer.add(&mut content.as_slice(), &()).unwrap();
    }
    writer.finish().unwrap();
}

/// All changes of one store.
fn mutations(whole: &Arc<Whole>, tier: Tier, all: &mut Vec<Mutation>) {
    let files = files(&whole.disk);
    for file in &files {
        let mut change = |change| {
            all.push(Mutation {
                whole: whole.clone(),
                file: file.clone(),
                change,
            });
        };
        let len = whole.disk.len(file).unwrap().unwrap_or(0) as usize;
        for at in 0..len {
            match tier {
                Tier::Quick => change(Change::Flip(at, [1, 0x80][at % 2])),
                Tier::Full => {
                    (0..8).for_each(|bit| change(Change::Flip(at, 1 << bit)));
                    change(Change::Flip(at, 0xff));
                    change(Change::Zero(at));
                    change(Change::Insert(at));
                }
            }
            if tier == Tier::Quick && at % 4 == 0 {
                change(Change::Zero(at));
            }
            change(Change::Cut(at));
        }
        change(Change::Append);
        change(Change::Remove);
        change(Change::Directory);
        let (dir, kind) = (file.parent().unwrap(), file.extension());
        let kind = kind.map_or(String::new(), |kind| format!(".{}", kind.to_str().unwrap()));
        for name in ["7".repeat(64), format!("{:016x}", 99), "other".into()] {
            change(Change::Copy(dir.join(format!("{name}{kind}"))));
        }
        let others = files
            .iter()
            .filter(|other| *other > file && other.parent() == Some(dir));
        others.for_each(|other| change(Change::Swap(other.clone())));
    }
}

impl Mutation {
    /// The store with the change, durable.
    fn disk(&self) -> SimDisk {
        let disk = self.whole.disk.killed(0);
        let bytes = disk.map(&self.file).unwrap().to_vec();
        let replace = |how: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            how(&mut bytes);
            put(&disk, &self.file, &bytes);
        };
        match &self.change {
            Change::Flip(at, bits) => replace(&|bytes| bytes[*at] ^= bits),
            Change::Zero(at) => replace(&|bytes| bytes[*at] = 0),
            Change::Cut(len) => replace(&|bytes| bytes.truncate(*len)),
            Change::Insert(at) => replace(&|bytes| bytes.insert(*at, 0x55)),
            Change::Append => replace(&|bytes| bytes.push(0)),
            Change::Copy(name) => put(&disk, name, &bytes),
            Change::Remove => disk.remove(&self.file).unwrap(),
            Change::Directory => {
                disk.remove(&self.file).unwrap();
                disk.create_dir(&self.file).unwrap();
            }
            Change::Swap(other) => {
                let others = disk.map(other).unwrap().to_vec();
                put(&disk, &self.file, &others);
                put(&disk, other, &bytes);
            }
        }
        disk.killed(disk.changes())
    }

    /// What the change does, and whether that is told. What is wrong is said in words.
    fn judge(&self, counts: &Counts) -> Result<(), String> {
        let contents = &self.whole.contents;
        let disk = self.disk();
        let same = match &self.change {
            Change::Zero(at) => self.whole.disk.map(&self.file).unwrap()[*at] == 0,
            _ => false,
        };
        if same {
            return Ok(());
        }
        counts.mutations.fetch_add(1, Ordering::Relaxed);
        let gone = unreadable(&disk.killed(0), contents);
        let before = disk.changes();
        let found = examine(&disk, Depth::Deep);
        if disk.changes() != before {
            return Err("an examination changes something".into());
        }
        let written = self.write(&disk.killed(0), &gone);
        let bad = !gone.is_empty() || written.is_err();
        counts.harmful.fetch_add(u64::from(bad), Ordering::Relaxed);
        let Ok(found) = found else {
            // Without its format a directory is no store, and nobody reads it.
            let format = match &self.change {
                Change::Swap(other) => self.file.ends_with("format") || other.ends_with("format"),
                _ => self.file.ends_with("format"),
            };
            return match format && gone.len() == contents.len() {
                true => Ok(()),
                false => Err(format!("{:?}", found.err())),
            };
        };
        let matters = |f: &Finding| f.gravity <= Gravity::Damage || f.remedy == Remedy::Adopt;
        if bad && !found.iter().any(matters) {
            let gone = gone.len();
            return Err(format!("{gone} lobs gone, {written:?}, found {found:?}"));
        }
        match written {
            Err(Wrong::Hidden(e)) => Err(e),
            Ok(()) | Err(Wrong::Told) => told(&gone, &found),
        }
    }

    /// Stores something new in the damaged store. It is there then, and so is what could be read
    /// before; or there is an error.
    fn write(&self, disk: &SimDisk, gone: &BTreeSet<LobId>) -> Result<(), Wrong> {
        let new = noise(77, 120);
        let added = Store::open(Arc::new(disk.clone()), Path::new(ROOT)).and_then(|store| {
            let mut writer = store.writer()?;
            writer.add(&mut new.as_slice(), &())?;
            writer.finish()
        });
        if added.is_err() {
            return Err(Wrong::Told);
        }
        let store = Store::open(Arc::new(disk.clone()), Path::new(ROOT));
        let store = store.map_err(|e| Wrong::Hidden(format!("opening again: {e}")))?;
        for content in self.whole.contents.iter().chain([&new]) {
            let id = LobId::of(content);
            match read(&store, &id) {
                Ok(bytes) if bytes == *content => {}
                Ok(_) => return Err(Wrong::Hidden(format!("wrong bytes of {id}"))),
                Err(_) if gone.contains(&id) => {}
                Err(e) => return Err(Wrong::Hidden(format!("gone by writing: {e}"))),
            }
        }
        Ok(())
    }
}

/// Why nothing could be written.
#[derive(Debug)]
enum Wrong {
    /// An error said so.
    Told,
    /// It seemed to succeed.
    Hidden(String),
}

/// Whether just the lobs are reported as lost that cannot be read, or stand on what is damaged: a
/// version may not need the bytes of its base that are.
fn told(gone: &BTreeSet<LobId>, found: &[Finding]) -> Result<(), String> {
    let lost: BTreeSet<_> = found
        .iter()
        .filter_map(|finding| match finding.object {
            Object::Lob(id) if finding.gravity == Gravity::Loss => Some(id),
            _ => None,
        })
        .collect();
    // Of a pack that is lost with both tables nobody can tell what was in it.
    let mut losses: BTreeMap<_, [bool; 2]> = BTreeMap::new();
    for finding in found {
        match finding.object {
            Object::Pack(id) if finding.gravity == Gravity::Loss => {
                losses.entry(id).or_default()[0] = true;
            }
            // Or nobody can tell that there was one more root, but its pack is there.
            Object::Pack(id) if finding.remedy == Remedy::Adopt => {
                losses.insert(id, [true, true]);
            }
            Object::Table(id) => losses.entry(id).or_default()[1] = true,
            _ => {}
        }
    }
    // Without its format a directory is no store, and nobody reads it.
    let format = Object::File("state/format".into());
    let unread = |f: &Finding| f.gravity == Gravity::Loss && f.object == format;
    let untold = losses.values().any(|both| *both == [true, true]) || found.iter().any(unread);
    let on_damage = |id: &&LobId| {
        let id = id.to_string();
        found
            .iter()
            .any(|finding| match (&finding.object, &finding.fault) {
                (Object::Chunk(chunk, _), Fault::Damaged(why)) => {
                    chunk.to_string() == id && !why.contains(&id)
                }
                _ => false,
            })
    };
    let read_on = lost.difference(gone).all(|id| on_damage(&id));
    match gone.is_subset(&lost) && read_on || untold && lost.is_subset(gone) {
        true => Ok(()),
        false => Err(format!("{gone:?} cannot be read, found {found:?}")),
    }
}

#[derive(Default)]
struct Counts {
    mutations: AtomicU64,
    harmful: AtomicU64,
}

#[test]
fn p3_p11_damage_is_never_read_as_content_and_always_told() {
    let tier = Tier::asked();
    let mut all = Vec::new();
    let shapes: [(_, Shape); 4] = [
        ("many packs", made),
        ("pruned", pruned),
        ("doubled", doubled),
        ("versions", versions),
    ];
    for (name, make) in shapes {
        let (disk, contents) = make();
        assert!(unreadable(&disk.killed(0), &contents).is_empty(), "{name}");
        let whole = Whole {
            name,
            disk,
            contents,
        };
        mutations(&Arc::new(whole), tier, &mut all);
    }
    let (counts, violations) = (Counts::default(), Mutex::new(Vec::new()));
    each_of(all, |mutation| {
        if let Err(e) = mutation.judge(&counts) {
            violations.lock().unwrap().push(format!("{mutation}: {e}"));
        }
        true
    });
    let violations = violations.into_inner().unwrap();
    let (mutations, harmful) = (counts.mutations.into_inner(), counts.harmful.into_inner());
    report(
        "damage",
        &[
            ("mutations", mutations),
            ("harmful", harmful),
            // A read that gives something else fails the suite where it happens.
            ("wrong bytes", 0),
            ("violations", violations.len() as u64),
        ],
    );
    let first: Vec<_> = violations.iter().take(20).collect();
    assert!(violations.is_empty(), "{first:#?}");
    assert!(harmful > 1000, "only {harmful} do harm");
    let least = tier.pick(20_000, 300_000);
    assert!(mutations >= least, "only {mutations}");
}
