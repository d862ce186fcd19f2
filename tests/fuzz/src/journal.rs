//! The journal of small lobs: what a killed writer was told to keep stands in his stage as the page
//! says, and comes back from it, also when the end of a file is lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::{LobId, Store};

use super::by_hand::pack::{Contents, Fields, Id, Result, hash, records, require};
use super::input::Input;
use super::place::{listed, read};
use super::store::examine;

const ROOT: &str = "/store";
const STAGES: &str = "/store/stage";

/// Adds small lobs, dies, damages what is in the stage, and opens the store.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = SimDisk::new();
    let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT));
    let store = store.expect("an empty disk takes a store");
    let (published, pending) = add(&store, &mut input);
    drop(store);
    let disk = disk.killed(disk.changes());

    let kept = files(&disk, "packs");
    let staged: Vec<_> = disk
        .list(Path::new(STAGES))
        .expect("no errors")
        .iter()
        .filter(|entry| entry.is_dir)
        .flat_map(|entry| files(&disk, &format!("stage/{}", entry.name.display())))
        .collect();
    let all: Vec<_> = kept.iter().chain(&staged).map(File::whole).collect();
    let whole = lobs(&all);
    for content in published.iter().chain(&pending) {
        let is_there = whole.contains(&hash(content));
        assert!(
            is_there,
            "a lob that was added is in no journal and no pack"
        );
    }
    let mut left: Vec<_> = kept.iter().map(File::whole).collect();
    left.extend(
        staged
            .iter()
            .map(|file| (file, damage(&disk, file, &mut input))),
    );
    let left = lobs(&left);
    // Once as it was left, and again as that has left it.
    for time in 0..2 {
        let store = Store::open(Arc::new(disk.clone()), Path::new(ROOT)).expect("it is a store");
        for content in published.iter().chain(&pending) {
            let id = LobId::of(content);
            match read(&store, &id) {
                Ok(found) => assert!(found == *content, "{id} is another content"),
                Err(error) => assert!(!left.contains(&hash(content)), "time {time}: {error}"),
            }
        }
        let (ids, unreadable) = listed(&store).expect("what was taken in is in order");
        assert!(unreadable.is_empty(), "{unreadable:?} are listed");
        let added: BTreeSet<_> = published.iter().chain(&pending).collect();
        assert!(ids.len() <= added.len(), "more is listed than was added");
        examine(&disk);
    }
}

/// Adds lobs until the input says that this is the end; those that were published, and those that were
/// only added.
fn add(store: &Store, input: &mut Input<'_>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut writer = store.writer().expect("a writer");
    writer.set_pack_soft(200 + input.below(8) as u64 * 400);
    let (mut published, mut pending) = (Vec::new(), Vec::new());
    for _ in 0..input.below(24) {
        match input.byte() % 16 {
            0 => {
                writer.publish().expect("nothing fails");
                published.append(&mut pending);
            }
            1 => writer.sync().expect("nothing fails"),
            _ => {
                let content = content(input);
                let added = writer.add(&mut &*content, &()).expect("nothing fails");
                assert_eq!(added.id, LobId::of(&content));
                if !content.is_empty() {
                    pending.push(content);
                }
            }
        }
    }
    (published, pending)
}

/// Contents of one chunk and of several, of which some share chunks, of few bytes of input.
fn content(input: &mut Input<'_>) -> Vec<u8> {
    let seed = [input.byte() % 8];
    let mut content = match input.byte() % 8 {
        0 => {
            let mut noise = vec![0; 30_000 + input.below(4) * 40_000];
            blake3::Hasher::new()
                .update(&seed)
                .finalize_xof()
                .fill(&mut noise);
            noise
        }
        1 => [b"zeros", seed.as_slice()].concat().repeat(100_000),
        many => seed.repeat(usize::from(many) * input.below(256)),
    };
    content.extend(input.some(8));
    content
}

/// A file of records.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    contents: Contents,
}

impl File {
    /// With all of its bytes.
    fn whole(&self) -> (&File, usize) {
        (self, self.bytes.len())
    }
}

/// The packs and journals in a directory of the store, as the page reads them.
fn files(disk: &SimDisk, dir: &str) -> Vec<File> {
    let dir = Path::new(ROOT).join(dir);
    let mut files = Vec::new();
    for entry in disk.list(&dir).expect("no errors") {
        let path = dir.join(&entry.name);
        if path.extension().is_none_or(|ends| ends != "pack") {
            continue;
        }
        let file = disk.open(&path).expect("no errors");
        let mut bytes = vec![0; entry.len as usize];
        file.read_at(0, &mut bytes).expect("no errors");
        let contents = match bytes.is_empty() {
            true => Contents::default(),
            false => records(&bytes).expect("the page reads it to its end"),
        };
        files.push(File {
            path,
            bytes,
            contents,
        });
    }
    files
}

/// The lobs of which all is in these first bytes of files.
fn lobs(files: &[(&File, usize)]) -> BTreeSet<Id> {
    let mut chunks = BTreeSet::new();
    for (file, len) in files {
        for (id, (frame, ..)) in &file.contents.chunks {
            let frame = &file.contents.frames[*frame];
            if frame.at + frame.stored <= *len {
                chunks.insert(*id);
            }
        }
    }
    let mut lobs = BTreeSet::new();
    for (file, len) in files {
        for (id, (_, at, stored)) in &file.contents.lobs {
            if at + stored <= *len {
                let named = named(&file.bytes[*at..at + stored]).expect("a manifest of the page");
                if named.is_subset(&chunks) {
                    lobs.insert(*id);
                }
            }
        }
    }
    lobs
}

/// The chunks that a manifest names.
fn named(manifest: &[u8]) -> Result<BTreeSet<Id>> {
    let mut f = Fields(manifest);
    let _ = (f.id()?, f.number(8)?);
    f.expect(&[0; 4])?;
    let count = f.number(4)?;
    let items = (0..count).map(|_| {
        let id = f.id()?;
        f.number(4).map(|_| id)
    });
    let items = items.collect::<Result<_>>()?;
    require(f.0.is_empty(), "bytes behind the items")?;
    Ok(items)
}

/// Cuts off or changes the file; how many of its bytes are surely as they were.
fn damage(disk: &SimDisk, file: &File, input: &mut Input<'_>) -> usize {
    let mut bytes = file.bytes.clone();
    let mut whole = bytes.len();
    let near = |input: &mut Input<'_>| match input.bool() {
        true => input.below(65_536) * 16,
        false => file.bytes.len().saturating_sub(input.below(4096)),
    };
    if input.byte().is_multiple_of(4) {
        whole = near(input).min(bytes.len());
        bytes.truncate(whole);
    }
    if input.byte().is_multiple_of(4) {
        let (at, flip) = (near(input), input.byte().max(1));
        if at < bytes.len() {
            bytes[at] ^= flip;
            whole = whole.min(at);
        }
    }
    if input.byte().is_multiple_of(8) {
        bytes.extend(input.some(40));
    }
    disk.remove(&file.path).expect("no errors");
    let again = disk.create(&file.path).expect("no errors");
    again.append(&bytes).expect("no errors");
    whole
}
