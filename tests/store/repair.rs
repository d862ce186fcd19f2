//! A store is damaged in every way, and repaired: what is good stays, and what is lost is named.

mod failing;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk, entries};
use lob_store::fsck::{self, Depth, Finding, Gravity};
use lob_store::repair::{self, RepairPlan, Repaired, Step};
use lob_store::{Error, LobId, Store};

use super::witness::{ROOT, disk};
use super::{noise, read};

/// Eleven packs under one run of the index and a short tail; two packs hold the same lob.
fn contents() -> Vec<Vec<u8>> {
    let small = (0..10).map(|n| noise(n, 300 + n as usize));
    small.chain([noise(100, 300_000)]).collect()
}

fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), Path::new(ROOT)).expect("opens")
}

fn store() -> SimDisk {
    let disk = disk();
    let shared = Arc::new(disk.clone());
    let first = Store::open_or_create(shared.clone(), Path::new(ROOT)).expect("opens");
    let second = Store::open(shared, Path::new(ROOT)).expect("opens");
    let (mut one, mut two) = (
        first.writer().expect("writes"),
        second.writer().expect("writes"),
    );
    // Neither sees the other's.
    for writer in [&mut one, &mut two] {
        let _ = writer
            .add(&mut noise(0, 300).as_slice(), &())
            .expect("adds");
    }
    one.finish().expect("publishes");
    two.finish().expect("publishes");
    for content in &contents()[1..] {
        let store = open(&disk);
        let mut writer = store.writer().expect("writes");
        writer.add(&mut content.as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");
    }
    assert_eq!(found(&disk, Depth::Deep), []);
    disk
}

fn found(disk: &SimDisk, depth: Depth) -> Vec<Finding> {
    let mut found = Vec::new();
    let each = &mut |finding| found.push(finding);
    fsck::examine(Arc::new(disk.clone()), Path::new(ROOT), depth, &(), each).expect("examines");
    found
}

fn plan(disk: &SimDisk) -> RepairPlan {
    let disk = Arc::new(disk.clone());
    let plan = repair::plan(disk, Path::new(ROOT), Depth::Deep, None, &());
    plan.expect("plans")
}

#[track_caller]
fn run(plan: &RepairPlan, what: &str) -> Repaired {
    let repaired = plan.run(&()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let repaired = repaired.expect("nobody else is at it");
    assert!(repaired.failed.is_empty(), "{what}: {:?}", repaired.failed);
    repaired
}

/// All files of the store, without locks.
fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for dir in ["state", "roots", "packs", "index"] {
        let dir = Path::new(ROOT).join(dir);
        for entry in disk.list(&dir).expect("lists") {
            if entry.len > 0 {
                files.push(dir.join(entry.name));
            }
        }
    }
    files
}

fn bytes(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).expect("opens");
    let mut bytes = vec![0; file.len().expect("has a length") as usize];
    file.read_at(0, &mut bytes).expect("reads");
    bytes
}

fn put(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.expect("removes"),
    }
    let file = disk.create(path).expect("creates");
    file.append(bytes).expect("writes");
    file.sync().expect("syncs");
    disk.sync_dir(path.parent().expect("a directory"))
        .expect("syncs");
}

fn copy(disk: &SimDisk) -> SimDisk {
    disk.killed(disk.changes())
}

/// Those of the contents that are read exactly.
#[track_caller]
fn readable(disk: &SimDisk, what: &str) -> BTreeSet<LobId> {
    let store = open(disk);
    let mut readable = BTreeSet::new();
    for content in contents() {
        let id = LobId::of(&content);
        if let Ok(bytes) = read(&store, &id) {
            assert!(bytes == content, "{what}: wrong content");
            let _ = readable.insert(id);
        }
    }
    readable
}

/// Repairs the store, brings back what is lost, and looks whether all is well then. Returns what was
/// lost, by its number.
#[track_caller]
fn mend(disk: &SimDisk, what: &str) -> Vec<usize> {
    let before = match Store::open(Arc::new(copy(disk)), Path::new(ROOT)) {
        Ok(_) => readable(&copy(disk), what),
        Err(_) => BTreeSet::new(),
    };
    // What a run that was killed has set aside.
    let set_aside = entries(disk, &Path::new(ROOT).join("damaged")).expect("lists");
    let mut plan = plan(disk);
    let mut repaired = run(&plan, what);
    if plan.steps().any(|step| *step == Step::Roots) {
        // What packs roots name is known when these are whole.
        plan = self::plan(disk);
        repaired.aside.extend(run(&plan, what).aside);
    }
    let after = readable(disk, what);
    assert!(after.is_superset(&before), "{what}: a repair loses nothing");
    let store = open(disk);
    let mut lost = Vec::new();
    for (n, content) in contents().iter().enumerate() {
        let id = LobId::of(content);
        if after.contains(&id) {
            continue;
        }
        // Without any table nobody knows what a lost pack held.
        let unknown = plan.missing().count() + repaired.aside.len() + set_aside.len() > 0;
        let named = plan.lost().any(|lost| *lost == id);
        assert!(named || unknown, "{what}: {n} is named");
        lost.push(n);
        let mut writer = store.writer().expect("writes");
        writer.add(&mut content.as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");
    }
    let missing: Vec<_> = plan.missing().copied().collect();
    store.forget(&missing).expect("forgets");
    assert_eq!(readable(disk, what).len(), contents().len(), "{what}");
    let mut left = found(disk, Depth::Deep);
    left.retain(|finding| finding.gravity <= Gravity::Damage);
    assert_eq!(left, [], "{what}");
    let again = self::plan(disk);
    let steps: Vec<_> = again.steps().collect();
    assert!(steps.is_empty(), "{what}: {steps:?} is to be done still");
    assert_eq!(again.lost().count() + again.missing().count(), 0, "{what}");
    lost
}

/// Every so many bytes, and the edges.
fn places(len: usize) -> impl Iterator<Item = usize> {
    let step = (len / 40).max(1);
    let edges = (0..40.min(len)).chain(len.saturating_sub(40)..len);
    let all: BTreeSet<usize> = (0..len).step_by(step).chain(edges).collect();
    all.into_iter()
}

#[test]
fn p11_what_a_changed_byte_breaks_is_mended() {
    let whole = store();
    let (mut cases, mut losses) = (0, 0);
    for path in files(&whole) {
        let old = bytes(&whole, &path);
        for at in places(old.len()) {
            let mut new = old.clone();
            new[at] ^= 1 << (at % 8);
            let disk = copy(&whole);
            put(&disk, &path, &new);
            let what = format!("byte {at} of {}", path.display());
            if matches!(
                Store::open(Arc::new(disk.clone()), Path::new(ROOT)),
                Err(Error::Newer { .. })
            ) {
                // Nobody can tell this from a store of a later lob, which is not to be touched.
                continue;
            }
            let lost = mend(&disk, &what);
            assert!(lost.len() <= 1, "{what}: {lost:?}");
            cases += 1;
            losses += lost.len();
        }
    }
    assert!(cases > 2000, "{cases} cases");
    // Most bytes are in chunks that one pack alone holds.
    assert!(losses > 200, "{losses} losses in {cases} cases");
}

#[test]
fn p11_what_a_file_that_was_cut_lost_or_lengthened_breaks_is_mended() {
    let whole = store();
    let files = files(&whole);
    for (n, path) in files.iter().enumerate() {
        let old = bytes(&whole, path);
        let name = path.display();
        for len in [0, 1, 20, 40, old.len() / 2, old.len() - 30, old.len() - 1] {
            let disk = copy(&whole);
            put(&disk, path, &old[..len.min(old.len() - 1)]);
            let _ = mend(&disk, &format!("{name} cut to {len}"));
        }
        let disk = copy(&whole);
        put(&disk, path, &[old.as_slice(), b"more"].concat());
        assert_eq!(mend(&disk, &format!("{name} lengthened")), [0; 0]);
        let disk = copy(&whole);
        disk.remove(path).expect("removes");
        let _ = mend(&disk, &format!("{name} lost"));
        let others = files.iter().cycle().skip(n + 1);
        let mut alike = others.filter(|other| other.extension() == path.extension());
        let alike = alike.next().expect("itself at least");
        let other = &files[(n + 1) % files.len()];
        for other in [alike, other] {
            let disk = copy(&whole);
            put(&disk, path, &bytes(&whole, other));
            put(&disk, other, &old);
            let what = format!("{name} and {} swapped", other.display());
            let lost = mend(&disk, &what);
            assert!(lost.is_empty() || other != alike, "{what}: {lost:?}");
        }
        let disk = copy(&whole);
        put(&disk, other, &old);
        let _ = mend(
            &disk,
            &format!("{name} in the place of {}", other.display()),
        );
    }
}

/// All packs, or all roots, and so on, at once.
#[test]
fn what_is_left_of_a_store_is_enough() {
    let whole = store();
    let all = |disk: &SimDisk, end: &str, how: &dyn Fn(&SimDisk, &Path)| {
        for path in files(disk) {
            if path.display().to_string().contains(end) {
                how(disk, &path);
            }
        }
    };
    let remove = |disk: &SimDisk, path: &Path| disk.remove(path).expect("removes");
    let flip = |disk: &SimDisk, path: &Path| {
        let mut bytes = bytes(disk, path);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        put(disk, path, &bytes);
    };
    type Damage<'a> = (&'a [&'a str], &'a dyn Fn(&SimDisk, &Path));
    let damages: [Damage<'_>; 6] = [
        (&[".idx"], &remove),
        (&["/roots/"], &remove),
        (&["/roots/", ".idx", ".run", "format"], &remove),
        (&[".idx", ".pack"], &flip),
        (&["/roots/", ".run", "format", ".pack", ".idx"], &flip),
        (&[".run"], &flip),
    ];
    for (ends, how) in damages {
        let disk = copy(&whole);
        ends.iter().for_each(|end| all(&disk, end, how));
        assert_eq!(mend(&disk, &format!("{ends:?}")), [0; 0], "{ends:?}");
    }
}

/// A pack of which no table is left, with damage in the midst of it, is read on behind that.
#[test]
fn p2_what_is_behind_the_damage_is_kept() {
    let disk = disk();
    let shared = Arc::new(disk.clone());
    let store = Store::open_or_create(shared, Path::new(ROOT)).expect("opens");
    let mut writer = store.writer().expect("writes");
    let long = noise(100, 3_000_000);
    writer.add(&mut long.as_slice(), &()).expect("adds");
    for content in &contents()[..10] {
        writer.add(&mut content.as_slice(), &()).expect("adds");
    }
    writer.finish().expect("publishes");
    let paths = files(&disk);
    let pack = paths
        .iter()
        .find(|path| path.extension() == Some("pack".as_ref()));
    let pack = pack.expect("a pack");
    disk.remove(&pack.with_extension("idx")).expect("removes");
    let mut bytes = bytes(&disk, pack);
    bytes[1_000_000..1_200_000].fill(0);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    put(&disk, pack, &bytes);
    let plan = plan(&disk);
    let repaired = run(&plan, "zeros");
    assert_eq!(repaired.aside.len(), 1, "{repaired:?}");
    let store = open(&disk);
    for content in &contents()[..10] {
        assert_eq!(read(&store, &LobId::of(content)).expect("reads"), *content);
    }
    // The long one has no name any longer, and takes only what is missing.
    assert_eq!(store.lob(&LobId::of(&long)).expect("looks"), None);
    let mut writer = store.writer().expect("writes");
    let added = writer.add(&mut long.as_slice(), &()).expect("adds");
    assert!((200_000..2_000_000).contains(&added.new_bytes), "{added:?}");
    writer.finish().expect("publishes");
    assert_eq!(read(&open(&disk), &LobId::of(&long)).expect("reads"), long);
    // What was set aside is as it was, and a leftover.
    let aside = Path::new(ROOT).join(&repaired.aside[0]);
    assert_eq!(self::bytes(&disk, &aside), bytes);
    let left = found(&disk, Depth::Deep);
    assert!(
        left.iter().all(|one| one.gravity == Gravity::Leftover),
        "{left:?}"
    );
    assert_eq!(left.len(), 1);
}

#[test]
fn p6_a_repair_that_is_killed_loses_nothing_and_is_begun_anew() {
    let whole = store();
    let files = files(&whole);
    let pick = |part: &str, n: usize| {
        let mut of = files
            .iter()
            .filter(|path| path.to_string_lossy().contains(part));
        of.nth(n).expect("is there").clone()
    };
    // A chunk, a closing table, a table, a root, the index, and a root that nobody misses.
    let flip = |disk: &SimDisk, path: &Path, at: usize| {
        let mut bytes = bytes(disk, path);
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        put(disk, path, &bytes);
    };
    let damaged = copy(&whole);
    flip(&damaged, &pick(".pack", 1), 150);
    flip(&damaged, &pick(".pack", 3), usize::MAX);
    flip(&damaged, &pick(".idx", 5), 40);
    flip(&damaged, &pick("/roots/", 2), 40);
    flip(&damaged, &pick(".run", 0), 100);
    flip(&damaged, &pick("format", 0), 3);
    damaged.remove(&pick(".pack", 7)).expect("removes");
    let seq = files
        .iter()
        .rev()
        .find(|path| path.to_string_lossy().contains("/roots/"));
    damaged.remove(seq.expect("a root")).expect("removes");
    damaged
        .sync_dir(&Path::new(ROOT).join("roots"))
        .expect("syncs");
    damaged
        .sync_dir(&Path::new(ROOT).join("packs"))
        .expect("syncs");
    let last = copy(&damaged);
    let lost = mend(&last, "without a crash").len();
    assert!((1..=3).contains(&lost), "{lost}");
    let disk = copy(&damaged);
    let start = disk.changes();
    let _ = run(&plan(&disk), "the run");
    let mut states = 0;
    let mut judge = |crashed: &SimDisk, what: String| {
        assert!(mend(crashed, &what).len() <= lost, "{what}");
        states += 1;
    };
    for at in start..=disk.changes() {
        judge(&disk.killed(at), format!("killed after {at}"));
        for crash in disk.crash_states(at, 4) {
            judge(&crash.disk, format!("{crash}"));
        }
    }
    assert!(states > 100, "{states} states");
}

#[test]
fn nothing_is_done_where_nothing_is_wrong_or_somebody_prunes() {
    let disk = store();
    let changes = disk.changes();
    let whole = plan(&disk);
    assert_eq!(whole.steps().count(), 0);
    let _ = run(&whole, "a whole store");
    assert_eq!(disk.changes(), changes, "nothing was written");
    let idx = files(&disk);
    let idx = idx
        .iter()
        .find(|path| path.extension() == Some("idx".as_ref()));
    disk.remove(idx.expect("a table")).expect("removes");
    let plan = plan(&disk);
    let steps: Vec<_> = plan.steps().collect();
    assert!(matches!(steps[..], [Step::Table(_)]), "{steps:?}");
    let store = open(&disk);
    let prune = store.prune(std::time::UNIX_EPOCH).expect("begins");
    assert!(plan.run(&()).expect("asks").is_none());
    drop(prune);
    let _ = run(&plan, "after the prune");
}

/// P7: what a root dropped stays dropped, though its file is there.
#[test]
fn p7_a_dropped_pack_does_not_come_back() {
    let disk = store();
    let packs: Vec<_> = files(&disk)
        .into_iter()
        .filter(|path| path.extension() == Some("pack".as_ref()))
        .map(|path| (path.clone(), bytes(&disk, &path)))
        .collect();
    let store = open(&disk);
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40);
    let mut prune = store.prune(now).expect("begins").expect("the only one");
    for content in &contents()[..5] {
        assert!(prune.keep(&LobId::of(content)).expect("keeps"));
    }
    prune.plan().expect("plans").run(&()).expect("prunes");
    drop(store);
    // Somebody puts all files back from a backup.
    for (path, bytes) in &packs {
        put(&disk, path, bytes);
    }
    let plan = plan(&disk);
    let _ = run(&plan, "files of dropped packs");
    let store = open(&disk);
    for (n, content) in contents().iter().enumerate() {
        let lob = store.lob(&LobId::of(content)).expect("looks");
        assert_eq!(lob.is_some(), n < 5, "{n}");
    }
}
