//! Every name in the directories of a store: what is nobody's, what is unknown, and who may write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::disk::{self, Entry};
use crate::error::{Error, Result};
use crate::id::PackId;
use crate::limits::DRAFT_AGE;
use crate::pack;
use crate::roots;
use crate::store::{DAMAGED, DIRECTORIES, INDEX_LOCK, NEW_TABLE, PRUNE_LOCK};

use super::named::Named;
use super::{Each, Exam, Fault, Finding, Gravity, Object, Remedy};

/// Files in the making, and the locks under which they are made.
const TEMPORARIES: [(&str, &str); 7] = [
    ("state/format.new", "state/lock"),
    (crate::epoch::NEW, PRUNE_LOCK),
    (crate::prune::aside::NEW, PRUNE_LOCK),
    (crate::repack::NEW, PRUNE_LOCK),
    (NEW_TABLE, PRUNE_LOCK),
    ("roots/new", "state/roots.lock"),
    ("index/new", INDEX_LOCK),
];

impl Exam<'_> {
    /// Reports names that no file of the store has or that nobody needs, and those that everybody
    /// may write to.
    pub(super) fn leftovers(&self, named: &Named, each: Each<'_>) -> Result<()> {
        self.exposed(Path::new(""), each);
        let top = self.list("", each);
        for entry in &top {
            self.go_on()?;
            let known = DIRECTORIES.into_iter().chain([DAMAGED]);
            let dir = known.into_iter().find(|dir| entry.name == **dir);
            let Some(dir) = dir else {
                each(unknown(Path::new(&entry.name).to_path_buf()));
                continue;
            };
            self.exposed(Path::new(dir), each);
            let entries = self.list(dir, each);
            for entry in &entries {
                self.exposed(&Path::new(dir).join(&entry.name), each);
            }
            match dir {
                "packs" => self.in_packs(&entries, named, each),
                "roots" => in_roots(&entries, each),
                "index" => in_index(&entries, each),
                "stage" => self.in_stage(&entries, each),
                DAMAGED => in_damaged(&entries, each),
                _ => self.in_state(dir.into(), &entries, each),
            }
        }
        for (new, lock) in TEMPORARIES {
            if matches!(self.disk.len(&self.root.join(new)), Ok(Some(_)))
                && self.is_left(Path::new(new), lock)
            {
                each(Finding::unused(Object::File(new.into()), Remedy::Delete));
            }
        }
        Ok(())
    }

    fn list(&self, dir: &str, each: Each<'_>) -> Vec<Entry> {
        let path = self.root.join(dir);
        disk::entries(self.disk.as_ref(), &path).unwrap_or_else(|error| {
            let error = Error::at(&path)(error);
            let object = Object::File(dir.into());
            each(Finding::of(&error, object, Gravity::Damage, Remedy::System));
            Vec::new()
        })
    }

    fn exposed(&self, path: &Path, each: Each<'_>) {
        // One that has gone meanwhile is no matter.
        if self.disk.is_exposed(&self.root.join(path)).unwrap_or(false) {
            let object = match path.as_os_str().is_empty() {
                true => Object::Store,
                false => Object::File(path.to_path_buf()),
            };
            each(Finding::note(object, Fault::Exposed, Remedy::Restrict));
        }
    }

    fn in_packs(&self, entries: &[Entry], named: &Named, each: Each<'_>) {
        let mut others = BTreeSet::new();
        for entry in entries {
            let id = entry.name.to_str().and_then(|name| {
                let (id, kind) = name.split_once('.')?;
                ["pack", "idx"]
                    .contains(&kind)
                    .then(|| id.parse::<PackId>().ok())?
            });
            match id {
                Some(id) if named.ids.contains(&id) => {}
                Some(id) => drop(others.insert(id)),
                None => each(unknown(Path::new("packs").join(&entry.name))),
            }
        }
        // Its writer has not come to the root yet, or has, since the roots were read.
        others.retain(|id| named.dropped.contains(id) || !self.is_being_published(id));
        if others.is_empty() {
            return;
        }
        let (added, dropped) = self.news(named);
        for id in others.difference(&added.into_iter().collect()) {
            let path = self.packs.path(id);
            let (object, path) = match self.disk.len(&path) {
                Ok(None) => (Object::Table(*id), self.packs.table_path(id)),
                _ => (Object::Pack(*id), path),
            };
            let remedy = match object {
                _ if named.dropped.contains(id) || dropped.contains(id) => Remedy::Prune,
                Object::Pack(_) => Remedy::Adopt,
                _ => Remedy::Delete,
            };
            // Unless it was deleted meanwhile, or is about to be.
            if self.is_left(&path, PRUNE_LOCK) {
                each(Finding::unused(object, remedy));
            }
        }
    }

    /// Whether the stage that a pack was made in is there: who removes it has named the pack.
    pub(super) fn is_being_published(&self, id: &PackId) -> bool {
        self.stage_of(id).is_some_and(|number| {
            let dir = self.root.join(format!("stage/{number:016x}"));
            self.disk.list(&dir).is_ok()
        })
    }

    /// Whether one writer made all of these packs.
    pub(super) fn are_of_one_stage(&self, packs: &[PackId]) -> bool {
        let stages: BTreeSet<_> = packs.iter().map(|id| self.stage_of(id)).collect();
        stages.len() == 1 && !stages.contains(&None)
    }

    fn stage_of(&self, id: &PackId) -> Option<u64> {
        let path = self.packs.path(id);
        let file = self.disk.open(&path).ok()?;
        pack::stage_of(file.as_ref(), &path).ok()
    }

    /// What is in `state/` and the directories in it is of those who use the store; but what they were
    /// killed at nobody finishes: they write `NAME.<16 digits>` and rename that.
    fn in_state(&self, dir: PathBuf, entries: &[Entry], each: Each<'_>) {
        for entry in entries {
            let path = dir.join(&entry.name);
            if entry.is_dir && dir == Path::new("state") {
                let inside = self.list(&path.to_string_lossy(), each);
                self.in_state(path, &inside, each);
                continue;
            }
            let name = entry.name.to_str().and_then(|name| name.rsplit_once('.'));
            let is_draft =
                !entry.is_dir && name.is_some_and(|(of, end)| !of.is_empty() && is_stage(end));
            if is_draft && self.is_old(&path) {
                each(Finding::unused(Object::File(path), Remedy::Delete));
            }
        }
    }

    fn is_old(&self, path: &Path) -> bool {
        let written = self.disk.modified(&self.root.join(path)).ok();
        let age = written.and_then(|written| SystemTime::now().duration_since(written).ok());
        age.is_some_and(|age| age >= DRAFT_AGE)
    }

    fn in_stage(&self, entries: &[Entry], each: Each<'_>) {
        let dir = Path::new("stage");
        for entry in entries {
            let path = dir.join(&entry.name);
            let name = entry.name.to_str().unwrap_or_default();
            let number = match entry.is_dir {
                true => Some(name),
                false => name.strip_suffix(".lock"),
            };
            let Some(number) = number.filter(|number| is_stage(number)) else {
                each(unknown(path));
                continue;
            };
            let (stage, lock) = (dir.join(number), dir.join(format!("{number}.lock")));
            // A stage that is there tells enough of its lock.
            let counts = entry.is_dir || self.disk.list(&self.root.join(stage)).is_err();
            if counts && self.is_left(&path, lock) {
                let remedy = match entry.is_dir {
                    true => Remedy::Open,
                    false => Remedy::Delete,
                };
                each(Finding::unused(Object::File(path), remedy));
            }
        }
    }
}

fn is_stage(name: &str) -> bool {
    u64::from_str_radix(name, 16).is_ok_and(|number| format!("{number:016x}") == name)
}

fn in_roots(entries: &[Entry], each: Each<'_>) {
    let mut last = 0;
    let dir = Path::new("roots");
    for entry in entries.iter().filter(|entry| entry.name != "new") {
        let path = dir.join(&entry.name);
        let name = entry.name.to_str().unwrap_or_default();
        match u64::from_str_radix(name, 16) {
            Ok(seq) if roots::path(dir, seq) == path && roots::is_near(last, seq) => last = seq,
            _ => each(unknown(path)),
        }
    }
}

fn in_index(entries: &[Entry], each: Each<'_>) {
    for entry in entries {
        let name = entry.name.to_str().unwrap_or_default();
        if name != "new" && !crate::index::is_run(name) {
            each(unknown(Path::new("index").join(&entry.name)));
        }
    }
}

fn in_damaged(entries: &[Entry], each: Each<'_>) {
    for entry in entries {
        let object = Object::File(Path::new(DAMAGED).join(&entry.name));
        each(Finding::unused(object, Remedy::Delete));
    }
}

fn unknown(path: PathBuf) -> Finding {
    Finding::note(Object::File(path), Fault::Unknown, Remedy::Owner)
}
