//! P3, never wrong, and P11, fsck is complete: whatever happens to a byte of a store, a read gives
//! the content or an error, and an examination tells what is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::fsck::{self, Depth, Fault, Finding, Gravity, Object, Remedy};
use lob_store::{LobId, PackId, Store};
use rayon::prelude::*;

use super::builder::{Frame, Pack, root, store};
use super::pack::hash;
use super::{open, read_by_engine};
use crate::store::noise;

/// Where a store is on a simulated disk.
pub const ROOT: &str = "/store";

/// A pack with every kind of frame, and the lobs in it.
fn mixed() -> (Pack, Vec<Vec<u8>>) {
    let (one, two) = (noise(1, 100), b"text and text ".repeat(20));
    let mut edited = two.clone();
    edited.splice(33..33, *b"an edit");
    let mut pack = Pack::new([1; 16]);
    pack.frame(&Frame::raw(&[&one]));
    pack.frame(&Frame::zstd(&[&two]));
    pack.frame(&Frame::delta(1, &[&edited], &[&two]));
    pack.lob_of(&[&one, &two]);
    pack.lob_of(&[&edited]);
    let pair = [noise(2, 60), noise(3, 64)];
    pack.frame(&Frame::raw(&[&pair[0], &pair[1]]));
    for one in &pair {
        pack.lob_of(&[one]);
    }
    let mut contents = vec![[one.as_slice(), &two].concat(), edited];
    contents.extend(pair);
    (pack, contents)
}

/// A store of nine packs under a run of the index; and all that it holds.
pub fn made() -> (SimDisk, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let (pack, mut contents) = mixed();
    store(dir.path(), &[&pack]);
    let store = open(dir.path()).unwrap();
    for n in 0..8 {
        let content = noise(10 + n, 50);
        let mut writer = store.writer().unwrap();
        writer.add(&mut content.as_slice(), &()).unwrap();
        writer.finish().unwrap();
        contents.push(content);
    }
    assert_eq!(fs::read_dir(dir.path().join("index")).unwrap().count(), 1);
    let disk = SimDisk::new();
    load(&disk, dir.path(), Path::new(ROOT));
    (disk.killed(disk.changes()), contents)
}

/// Copies a directory to a simulated disk.
pub fn load(disk: &SimDisk, from: &Path, to: &Path) {
    disk.create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => load(disk, &path, &to),
            false => put(disk, &to, &fs::read(&path).unwrap()),
        }
    }
}

pub fn put(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    if disk.len(path).unwrap().is_some() {
        disk.remove(path).unwrap();
    }
    disk.create(path).unwrap().append(bytes).unwrap();
}

/// All files of a store but those that are empty, by their paths.
pub fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for dir in ["state", "packs", "roots", "index"] {
        let dir = Path::new(ROOT).join(dir);
        let entries = disk.list(&dir).unwrap().into_iter();
        let full = entries.filter(|entry| entry.len > 0);
        files.extend(full.map(|entry| dir.join(entry.name)));
    }
    files
}

pub fn examine(disk: &SimDisk, depth: Depth) -> lob_store::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let each = &mut |finding| findings.push(finding);
    fsck::examine(Arc::new(disk.clone()), Path::new(ROOT), depth, &(), each)?;
    Ok(findings)
}

/// Reads all that the store held; which of it does not come back. A read is right or fails.
pub fn unreadable(disk: &SimDisk, contents: &[Vec<u8>]) -> BTreeSet<LobId> {
    let store = Store::open(Arc::new(disk.clone()), Path::new(ROOT));
    let comes_back =
        |content: &&Vec<u8>| match store.as_ref().map(|s| read_by_engine(s, &hash(content))) {
            Ok(Ok(read)) => {
                assert!(read == **content, "a read gave something else");
                true
            }
            _ => false,
        };
    let gone = contents.iter().filter(|content| !comes_back(content));
    gone.map(|content| LobId::of(content)).collect()
}

/// Examines a store with one file changed, and compares what is found with what can be read.
fn judge(disk: &SimDisk, contents: &[Vec<u8>], file: &Path, what: &str) {
    let what = format!("{} {what}", file.display());
    let unreadable = unreadable(&disk.killed(disk.changes()), contents);
    let before = disk.changes();
    let found = examine(disk, Depth::Deep);
    assert_eq!(
        disk.changes(),
        before,
        "{what}: an examination changes nothing"
    );
    let Ok(found) = found else {
        // Without its format a directory is no store, and nobody reads it.
        assert_eq!(
            (file.ends_with("format"), unreadable.len()),
            (true, contents.len()),
            "{what}"
        );
        return;
    };
    let lost: BTreeSet<_> = found
        .iter()
        .filter_map(|finding| match finding.object {
            Object::Lob(id) if finding.gravity == Gravity::Loss => Some(id),
            _ => None,
        })
        .collect();
    // Of a pack that is lost with both tables nobody can tell what was in it.
    let of_table = |id: PackId| found.iter().any(|f| f.object == Object::Table(id));
    let untold = found.iter().any(|finding| match finding.object {
        Object::Pack(id) => finding.gravity == Gravity::Loss && of_table(id),
        // Without it a directory is no store, and nobody reads it.
        Object::File(ref path) => {
            assert!(path.ends_with("format") && file.ends_with("format"));
            finding.gravity == Gravity::Loss
        }
        _ => false,
    });
    assert!(
        lost == unreadable || untold && lost.is_subset(&unreadable),
        "{what}: {found:?}"
    );
    // The id of a store is a number like any other.
    assert!(!found.is_empty() || file.ends_with("format"), "{what}");
}

#[test]
fn nothing_is_found_in_a_good_store() {
    let (disk, contents) = made();
    assert_eq!(unreadable(&disk.killed(0), &contents), BTreeSet::new());
    for depth in [Depth::Quick, Depth::Deep] {
        assert_eq!(examine(&disk, depth).unwrap(), []);
    }
}

#[test]
fn p3_p11_a_lost_file_is_found() {
    let (whole, contents) = made();
    for file in files(&whole) {
        let disk = whole.killed(0);
        disk.remove(&file).unwrap();
        let disk = disk.killed(disk.changes());
        let found = || examine(&disk, Depth::Quick).unwrap();
        if file.ends_with("roots/0000000000000009") {
            // Nobody can tell that there was one more, but its pack is there.
            let of_pack = |f: &Finding| (f.gravity, f.remedy) == (Gravity::Leftover, Remedy::Adopt);
            assert!(
                matches!(found().as_slice(), [_, one] if of_pack(one)),
                "{:?}",
                found()
            );
        } else if file.extension() == Some("run".as_ref()) {
            assert_eq!(found(), []);
            assert_eq!(unreadable(&disk, &contents).len(), 0);
        } else {
            judge(&disk, &contents, &file, "lost");
        }
        if file.parent().is_some_and(|dir| dir.ends_with("packs")) {
            let found = found();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].fault, Fault::Missing);
        }
    }
}

/// What is beyond the records of packs is found without reading all of them.
#[test]
fn p11_an_examination_need_not_be_deep_to_find_most() {
    let (whole, _) = made();
    for file in files(&whole) {
        let map = whole.map(&file).unwrap();
        let name = file.to_str().unwrap();
        let table = Path::new(name).with_extension("idx");
        let table = whole.len(&table).unwrap().unwrap_or(0) as usize;
        for at in 0..map.len() {
            let disk = whole.killed(0);
            let mut bytes = map.to_vec();
            bytes[at] ^= 1 << (at % 8);
            put(&disk, &file, &bytes);
            let found = examine(&disk, Depth::Quick);
            let hidden = match file.extension() {
                // The records, and the parameters of the writer, which are nobody's business.
                Some(kind) if kind == "pack" => {
                    (10..12).contains(&at) || (32..map.len() - 24 - table).contains(&at)
                }
                _ => file.ends_with("format"),
            };
            let is_found = found.as_ref().map_or(true, |found| !found.is_empty());
            assert!(hidden || is_found, "{name} at {at}: {found:?}");
        }
    }
}

/// A table with a good hash, in a pack with a good name, that is not what is in the pack: no damage,
/// but the work of a bad writer.
#[test]
fn p11_a_table_that_lies_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, contents) = mixed();
    store(dir.path(), &[&pack]);
    let (bytes, table) = pack.close();
    let records = bytes.len() - 24 - table.len();
    let empty = SimDisk::new();
    fs::remove_dir_all(dir.path().join("packs")).unwrap();
    load(&empty, dir.path(), Path::new(ROOT));
    empty.create_dir(&Path::new(ROOT).join("packs")).unwrap();
    let empty = empty.killed(empty.changes());
    (0..table.len() - 32).into_par_iter().for_each(|at| {
        let mut lie = table[..table.len() - 32].to_vec();
        lie[at] ^= 1 << (at % 8);
        lie.extend(hash(&lie));
        let trailer = &bytes[bytes.len() - 24..];
        let pack = [&bytes[..records], lie.as_slice(), trailer].concat();
        let (id, disk) = (hash(&pack), empty.killed(0));
        let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let put = |name: String, bytes: &[u8]| put(&disk, &Path::new(ROOT).join(name), bytes);
        put(format!("packs/{name}.pack"), &pack);
        put(format!("packs/{name}.idx"), &lie);
        let root = root(1, &[0; 16], &[(id, pack.len() as u64)]);
        put(format!("roots/{:016x}", 1), &root);
        let disk = disk.killed(disk.changes());
        let found = examine(&disk, Depth::Deep).unwrap();
        // The first base of a frame that has none.
        let harmless = [72, 104, 168].contains(&at);
        assert_eq!(found.is_empty(), harmless, "at {at}: {found:?}");
        assert!(!harmless || unreadable(&disk, &contents).is_empty());
    });
}

#[test]
fn p11_a_manifest_that_lies_is_found() {
    let content = noise(1, 100);
    let id = hash(&content);
    for (len, good) in [(100, true), (99, false), (101, false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut pack = Pack::new([1; 16]);
        pack.frame(&Frame::raw(&[&content]));
        pack.lob(id, &[(id, len)]);
        store(dir.path(), &[&pack]);
        let disk = SimDisk::new();
        load(&disk, dir.path(), Path::new(ROOT));
        let found = examine(&disk, Depth::Deep).unwrap();
        let lost = |f: &Finding| {
            f.object == Object::Lob(LobId::from_bytes(id)) && f.gravity == Gravity::Loss
        };
        assert_eq!(found.len(), usize::from(!good), "{found:?}");
        assert!(found.iter().all(lost), "{found:?}");
    }
}

#[test]
fn p11_a_root_that_lies_is_found() {
    let (whole, contents) = made();
    // The last one, so that nothing follows it.
    let path = Path::new(ROOT).join(format!("roots/{:016x}", 9));
    let bytes = whole.map(&path).unwrap();
    let before = bytes[24..40].try_into().unwrap();
    let id = bytes[44..76].try_into().unwrap();
    let len = u64::from_le_bytes(bytes[76..84].try_into().unwrap());
    assert!(root(9, &before, &[(id, len)]) == bytes[..]);
    let lies = [
        root(9, &before, &[(id, len + 1)]),
        root(9, &[1; 16], &[(id, len)]),
        root(8, &before, &[(id, len)]),
    ];
    let objects = [
        Object::Pack(PackId::from_bytes(id)),
        Object::Root(9),
        Object::Root(9),
    ];
    for (lie, object) in lies.into_iter().zip(objects) {
        let disk = whole.killed(0);
        put(&disk, &path, &lie);
        let disk = disk.killed(disk.changes());
        let found = examine(&disk, Depth::Quick).unwrap();
        assert!(found.iter().any(|f| f.object == object), "{found:?}");
        judge(&disk, &contents, &path, "lies");
    }
}

#[test]
fn what_a_newer_lob_wrote_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (mut pack, _) = mixed();
    pack.section(b"NEW!", 0, b"news");
    store(dir.path(), &[&pack]);
    let disk = SimDisk::new();
    load(&disk, dir.path(), Path::new(ROOT));
    let found = examine(&disk, Depth::Deep).unwrap();
    let newer = |f: &Finding| (f.gravity, f.remedy) == (Gravity::Note, Remedy::Upgrade);
    assert!(found.len() == 3 && found.iter().all(newer), "{found:?}");
}
