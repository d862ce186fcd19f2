//! A store on a simulated disk, of files that the input makes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::fsck::{self, Depth, Finding, Gravity, Object};
use lob_store::{LobId, Store};

use super::by_hand::builder;
use super::by_hand::pack::{Id, hash};

/// Where the store is.
const ROOT: &str = "/store";

/// The disk and what is to be named by the first root.
#[derive(Debug)]
pub struct Place {
    pub disk: SimDisk,
    added: Vec<(Id, u64)>,
}

impl Place {
    /// The directories of a store, and its format.
    pub fn new() -> Self {
        let place = Place {
            disk: SimDisk::new(),
            added: Vec::new(),
        };
        for dir in ["", "state", "packs", "roots", "index", "stage"] {
            place.directory(dir);
        }
        let format = format!("lob store\nformat 1\nid {}\n", "5a".repeat(32));
        place.put("state/format", format.as_bytes());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(ROOT).join(name)
    }

    /// Makes a directory.
    pub fn directory(&self, name: &str) {
        let made = self.disk.create_dir(&self.path(name));
        made.expect("no errors");
    }

    /// Makes a file, or replaces it.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let is_there = self.disk.len(&path).expect("no errors").is_some();
        if is_there {
            self.disk.remove(&path).expect("no errors");
        }
        let file = self.disk.create(&path).expect("no errors");
        file.append(bytes).expect("no errors");
    }

    /// Adds a pack with its table, under its right name.
    pub fn pack(&mut self, pack: &[u8], table: Option<&[u8]>) -> Id {
        let id = hash(pack);
        let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        self.put(&format!("packs/{name}.pack"), pack);
        if let Some(table) = table {
            self.put(&format!("packs/{name}.idx"), table);
        }
        self.added.push((id, pack.len() as u64));
        id
    }

    /// Makes all packs visible.
    pub fn name(&mut self) {
        self.put(
            &format!("roots/{:016x}", 1),
            &builder::root(1, &[0; 16], &self.added),
        );
    }

    pub fn open(&self) -> lob_store::Result<Store> {
        Store::open(Arc::new(self.disk.clone()), Path::new(ROOT))
    }

    /// What a whole examination finds.
    pub fn examine(&self) -> lob_store::Result<Vec<Finding>> {
        let mut found = Vec::new();
        let each = &mut |finding| found.push(finding);
        let disk = Arc::new(self.disk.clone());
        fsck::examine(disk, Path::new(ROOT), Depth::Deep, &(), each)?;
        Ok(found)
    }
}

/// Reads a lob.
///
/// # Panics
///
/// Where what comes is neither the content of this id nor an error (P3).
pub fn read(store: &Store, id: &LobId) -> lob_store::Result<Vec<u8>> {
    let mut out = Vec::new();
    let len = store.write_to(id, &mut out, &())?;
    assert_eq!((len, LobId::of(&out)), (out.len() as u64, *id));
    // The slow way must say the same.
    let (from, most) = (out.len() / 3, out.len() / 2 + 1);
    let range = store.read_range(id, from as u64, most)?;
    assert_eq!(range, &out[from..out.len().min(from + most)]);
    Ok(out)
}

/// All lobs that a store says it has, each once and with its true length; and those of them that
/// cannot be read. `None` where it cannot say.
pub fn listed(store: &Store) -> Option<(BTreeSet<LobId>, BTreeSet<LobId>)> {
    let mut all = Vec::new();
    let said = store.each_lob(&mut |lob| {
        all.push(lob);
        Ok(())
    });
    said.ok()?;
    let ids: BTreeSet<_> = all.iter().map(|lob| lob.id).collect();
    assert_eq!(ids.len(), all.len(), "a lob is listed twice");
    let unreadable = all.iter().filter(|lob| match read(store, &lob.id) {
        Ok(content) => {
            assert_eq!(
                content.len() as u64,
                lob.size,
                "a lob is listed with another length"
            );
            false
        }
        Err(_) => true,
    });
    let unreadable = unreadable.map(|lob| lob.id).collect();
    Some((ids, unreadable))
}

/// The lobs that an examination found to be lost.
pub fn lost(found: &[Finding]) -> BTreeSet<LobId> {
    let lost = found.iter().filter_map(|finding| match finding.object {
        Object::Lob(id) if finding.gravity == Gravity::Loss => Some(id),
        _ => None,
    });
    lost.collect()
}
