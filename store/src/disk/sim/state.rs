//! The model of a disk: what is there, and what of it would survive a power loss.
//!
//! Every file has durable bytes and live ones, every directory durable names and live ones. Names
//! change by operations that pend until their directory is synced. Everything is told by inode, so
//! a sequence of [`Op`]s can be replayed from the start and comes out the same.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::sync::Arc;

use super::content::{Content, Remains};
use super::machine::NameChange;

/// The number of a file or directory. Never used again.
pub(super) type Inode = usize;

/// The root directory.
pub(super) const ROOT: Inode = 0;

/// A change that succeeds: whoever makes it has checked that it can.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// A new empty file, made at this time.
    Create(Inode, OsString, u64),
    /// A new empty directory.
    CreateDir(Inode, OsString),
    /// Bytes at the end of a file, at this time.
    Append(Inode, Arc<[u8]>, u64),
    /// The end of a file moved back, at this time.
    Cut(Inode, usize, u64),
    /// A file counts as written at this time.
    Touch(Inode, u64),
    /// The file under the first name gets the second one.
    Rename((Inode, OsString), (Inode, OsString)),
    /// A file or an empty directory goes.
    Remove(Inode, OsString),
    /// Bytes and length of a file become durable.
    Sync(Inode),
    /// The time of a file too.
    SyncAll(Inode),
    /// The names in a directory become durable.
    SyncDir(Inode),
    /// A failed sync: the system takes the bytes for written, and they are not.
    LoseBytes(Inode),
    /// A failed sync of a directory: no later one makes these names durable.
    LoseNames(Inode),
    /// A failure without effect.
    Nothing,
}

impl Op {
    /// What it leaves behind when it fails.
    pub(super) fn failed(self) -> Op {
        match self {
            Op::Append(inode, bytes, time) => {
                let (half, _) = bytes.split_at(bytes.len() / 2);
                Op::Append(inode, half.into(), time)
            }
            Op::Sync(inode) | Op::SyncAll(inode) => Op::LoseBytes(inode),
            Op::SyncDir(inode) => Op::LoseNames(inode),
            _ => Op::Nothing,
        }
    }
}

#[derive(Debug, Clone)]
enum Object {
    File(Content),
    Dir(Names),
}

/// The names in a directory.
#[derive(Debug, Clone, Default)]
struct Names {
    durable: BTreeMap<OsString, Inode>,
    live: BTreeMap<OsString, Inode>,
}

/// Names of one directory that changed together and are not durable yet.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    serial: u64,
    dir: Inode,
    edits: Vec<(OsString, Option<Inode>)>,
    /// The serial of the change without which this one cannot be durable: a file that moves to
    /// another directory never loses its old name before it has the new one.
    after: Option<u64>,
    /// A sync of the directory failed since.
    lost: bool,
}

/// All of a disk.
#[derive(Debug, Clone)]
pub(super) struct State {
    objects: Vec<Object>,
    pending: Vec<Pending>,
    next_serial: u64,
}

impl Default for State {
    fn default() -> State {
        State {
            objects: vec![Object::Dir(Names::default())],
            pending: Vec::new(),
            next_serial: 0,
        }
    }
}

/// Looking things up: this is what a running process sees.
impl State {
    /// The file or directory at `path`.
    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for part in path.components() {
            match part {
                Component::Normal(name) => inode = self.child(inode, name)?,
                Component::ParentDir => return Err(ErrorKind::InvalidInput.into()),
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            }
        }
        Ok(inode)
    }

    /// The directory of `path`, and the name in it.
    pub(super) fn place(&self, path: &Path) -> io::Result<(Inode, OsString)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let dir = self.find(path.parent().ok_or(ErrorKind::InvalidInput)?)?;
        self.names(dir)?;
        Ok((dir, name.to_owned()))
    }

    /// What `name` in directory `dir` is.
    pub(super) fn child(&self, dir: Inode, name: &OsStr) -> io::Result<Inode> {
        let found = self.names(dir)?.get(name);
        found.copied().ok_or(ErrorKind::NotFound.into())
    }

    /// The names in a directory.
    pub(super) fn names(&self, dir: Inode) -> io::Result<&BTreeMap<OsString, Inode>> {
        match &self.objects[dir] {
            Object::Dir(names) => Ok(&names.live),
            Object::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// The content of a file.
    pub(super) fn content(&self, file: Inode) -> io::Result<&Content> {
        match &self.objects[file] {
            Object::File(content) => Ok(content),
            Object::Dir(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    /// The bytes that all files with a name take.
    pub(super) fn used(&self) -> u64 {
        let mut used = 0;
        self.walk(ROOT, &mut |_, _, inode| {
            used += self.content(inode).map_or(0, |content| content.len());
        });
        used
    }

    /// Calls `each` with depth, name and inode of all that has a name, in a fixed order.
    pub(super) fn walk(&self, dir: Inode, each: &mut impl FnMut(usize, &OsStr, Inode)) {
        self.walk_from(dir, 0, each);
    }

    fn walk_from(&self, dir: Inode, depth: usize, each: &mut impl FnMut(usize, &OsStr, Inode)) {
        for (name, &inode) in self.names(dir).into_iter().flatten() {
            each(depth, name, inode);
            self.walk_from(inode, depth + 1, each);
        }
    }
}

/// Changing.
impl State {
    /// Does `op`.
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(dir, name, time) => {
                self.add(*dir, name, Object::File(Content::made_at(*time)));
            }
            Op::CreateDir(dir, name) => self.add(*dir, name, Object::Dir(Names::default())),
            Op::Append(file, bytes, time) => {
                self.edit(*file, |content| content.append(bytes, *time));
            }
            Op::Cut(file, len, time) => self.edit(*file, |content| content.cut(*len, *time)),
            Op::Touch(file, time) => self.edit(*file, |content| content.touch(*time)),
            Op::Sync(file) => self.edit(*file, Content::sync),
            Op::SyncAll(file) => self.edit(*file, Content::sync_all),
            Op::LoseBytes(file) => self.edit(*file, Content::lose),
            Op::Remove(dir, name) => {
                self.change(*dir, vec![(name.clone(), None)], None);
            }
            Op::Rename(from, to) => self.rename(from, to),
            Op::SyncDir(dir) => self.sync_dir(*dir),
            Op::LoseNames(dir) => {
                for pending in self.pending.iter_mut().filter(|p| p.dir == *dir) {
                    pending.lost = true;
                }
            }
            Op::Nothing => {}
        }
    }

    fn edit(&mut self, file: Inode, how: impl FnOnce(&mut Content)) {
        if let Object::File(content) = &mut self.objects[file] {
            how(content);
        }
    }

    fn add(&mut self, dir: Inode, name: &OsStr, object: Object) {
        let inode = self.objects.len();
        self.objects.push(object);
        self.change(dir, vec![(name.to_owned(), Some(inode))], None);
    }

    fn rename(&mut self, from: &(Inode, OsString), to: &(Inode, OsString)) {
        let Ok(inode) = self.child(from.0, &from.1) else {
            return;
        };
        let new = (to.1.clone(), Some(inode));
        let old = (from.1.clone(), None);
        if from == to {
            // No change at all.
        } else if from.0 == to.0 {
            self.change(to.0, vec![new, old], None);
        } else {
            let arrival = self.change(to.0, vec![new], None);
            self.change(from.0, vec![old], Some(arrival));
        }
    }

    /// Changes live names, and notes that the durable ones should follow.
    fn change(
        &mut self,
        dir: Inode,
        edits: Vec<(OsString, Option<Inode>)>,
        after: Option<u64>,
    ) -> u64 {
        let serial = self.next_serial;
        self.next_serial += 1;
        if let Object::Dir(names) = &mut self.objects[dir] {
            write_names(&mut names.live, &edits);
        }
        self.pending.push(Pending {
            serial,
            dir,
            edits,
            after,
            lost: false,
        });
        serial
    }

    fn sync_dir(&mut self, dir: Inode) {
        // What the names of this directory depend on is written with them. It was always done
        // before them, so one way back through time finds it all.
        let mut chosen = vec![false; self.pending.len()];
        let mut needed = Vec::new();
        for (pending, chosen) in self.pending.iter().zip(&mut chosen).rev() {
            if !pending.lost && (pending.dir == dir || needed.contains(&pending.serial)) {
                *chosen = true;
                needed.extend(pending.after);
            }
        }
        self.write_pending(&chosen);
    }

    /// Makes the chosen changes durable, save those that depend on one that is not.
    fn write_pending(&mut self, chosen: &[bool]) {
        let mut left: Vec<Pending> = Vec::new();
        for (pending, chosen) in std::mem::take(&mut self.pending).into_iter().zip(chosen) {
            let waits = |after: u64| left.iter().any(|other| other.serial == after);
            if !chosen || pending.after.is_some_and(waits) {
                left.push(pending);
                continue;
            }
            if let Object::Dir(names) = &mut self.objects[pending.dir] {
                write_names(&mut names.durable, &pending.edits);
            }
            // Older changes of the same names come too late now.
            for other in left.iter_mut().filter(|other| other.dir == pending.dir) {
                let newer = |name: &OsString| pending.edits.iter().any(|(n, _)| n == name);
                other.edits.retain(|(name, _)| !newer(name));
            }
        }
        self.pending = left;
    }
}

/// Losing power.
impl State {
    /// Whether there is anything that this sync would make durable.
    pub(super) fn is_unsynced(&self, op: &Op) -> bool {
        match op {
            Op::Sync(file) => self.content(*file).is_ok_and(|content| !content.is_clean()),
            Op::SyncAll(file) => {
                let found = self.content(*file);
                found.is_ok_and(|content| !content.is_clean() || !content.is_dated())
            }
            Op::SyncDir(dir) => {
                let mut names = self.pending.iter();
                names.any(|names| names.dir == *dir && !names.lost && !names.edits.is_empty())
            }
            _ => false,
        }
    }

    /// The names that this sync would make durable, on a disk that was in state `start` once.
    pub(super) fn unsynced_names(&self, op: &Op, start: &State) -> Vec<NameChange> {
        let Op::SyncDir(dir) = op else {
            return Vec::new();
        };
        let pending = self.pending.iter();
        let pending = pending.filter(|pending| pending.dir == *dir && !pending.lost);
        let changes = pending.flat_map(|pending| {
            let here = pending.serial >= start.next_serial;
            pending.edits.iter().map(move |(name, inode)| NameChange {
                name: name.to_string_lossy().into_owned(),
                came: inode.is_some(),
                moved: pending.after.is_some(),
                here,
            })
        });
        changes.collect()
    }

    /// How many changes of names pend.
    pub(super) fn pending_names(&self) -> usize {
        self.pending.len()
    }

    /// The files with bytes or a time that pend.
    pub(super) fn dirty_files(&self) -> impl Iterator<Item = (Inode, &Content)> {
        let contents = self.objects.iter().enumerate();
        contents.filter_map(|(inode, object)| match object {
            Object::File(content) if !content.is_clean() || !content.is_dated() => {
                Some((inode, content))
            }
            _ => None,
        })
    }

    /// What a power loss leaves when of the pending changes of names just those `chosen` were on
    /// the disk, and of each dirty file what is given.
    pub(super) fn crashed(&self, chosen: &[bool], remains: &[(Inode, Remains)]) -> State {
        let mut after = self.clone();
        after.write_pending(chosen);
        after.pending.clear();
        for (inode, remains) in remains {
            let remains = remains.clone();
            after.edit(*inode, |content| *content = Content::durable(remains));
        }
        for object in &mut after.objects {
            if let Object::Dir(names) = object {
                names.live = names.durable.clone();
            }
        }
        after
    }
}

fn write_names(names: &mut BTreeMap<OsString, Inode>, edits: &[(OsString, Option<Inode>)]) {
    for (name, inode) in edits {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}
