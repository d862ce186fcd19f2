//! Test: the simulation does what the machine does, or it proves nothing.
//!
//! The same random operations run on both, and what they answer is compared.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::sim::crash::Random;
use crate::disk::{Disk, DiskFile, OsDisk, SimDisk};

const RUNS: u64 = 200;
const STEPS: usize = 100;

const KINDS: [&str; 12] = [
    "create",
    "open",
    "reopen",
    "map",
    "rename",
    "remove",
    "create_dir",
    "remove_dir",
    "list",
    "len",
    "lock",
    "sync_dir",
];

/// A file that was opened in both.
struct Opened {
    os: Box<dyn DiskFile>,
    sim: Box<dyn DiskFile>,
    appends: bool,
}

/// Both disks.
struct Pair<'d> {
    /// The directory of the machine that is the root of the simulation.
    root: &'d Path,
    sim: SimDisk,
    files: Vec<Opened>,
}

/// Both must say the same. Returns whether it was success.
fn same<T: PartialEq + Debug>(what: &str, os: io::Result<T>, sim: io::Result<T>) -> bool {
    match (&os, &sim) {
        (Ok(os), Ok(sim)) => assert_eq!(os, sim, "{what}"),
        (Err(os), Err(sim)) => assert_eq!(os.kind(), sim.kind(), "{what}: {os} / {sim}"),
        _ => panic!("{what}: the machine says {os:?}, the simulation {sim:?}"),
    }
    os.is_ok()
}

impl Pair<'_> {
    fn both<T: PartialEq + Debug>(
        &self,
        what: &str,
        how: impl Fn(&dyn Disk, &Path) -> io::Result<T>,
    ) -> bool {
        same(
            what,
            how(&OsDisk, self.root),
            how(&self.sim, Path::new("/")),
        )
    }

    fn open(
        &mut self,
        what: &str,
        appends: bool,
        how: impl Fn(&dyn Disk, &Path) -> io::Result<Box<dyn DiskFile>>,
    ) -> bool {
        match (how(&OsDisk, self.root), how(&self.sim, Path::new("/"))) {
            (Ok(os), Ok(sim)) => {
                self.files.push(Opened { os, sim, appends });
                true
            }
            (os, sim) => same(what, os.map(drop), sim.map(drop)),
        }
    }

    /// One random operation on a name; returns its kind when it succeeded. Left out is what the
    /// trait leaves open: directories that are opened, mapped, renamed or replaced by what is in
    /// them, and files synced as directories.
    fn step(&mut self, random: &mut Random) -> Option<&'static str> {
        let (path, other) = (name(random), name(random));
        let len = random.below(40) as u64;
        let dir = self.root.join(&path).is_dir();
        let kind = KINDS[random.below(KINDS.len())];
        let what = format!("{kind} {} ({}, {len})", path.display(), other.display());
        let at = |root: &Path| root.join(&path);
        let done = match kind {
            "create" => self.open(&what, true, |disk, root| disk.create(&at(root))),
            "open" if !dir => self.open(&what, false, |disk, root| disk.open(&at(root))),
            "reopen" => self.open(&what, true, |disk, root| disk.reopen(&at(root), len)),
            "map" if !dir => self.both(&what, |disk, root| Ok(disk.map(&at(root))?.to_vec())),
            "rename" if !dir && (path == other || !path.starts_with(&other)) => self
                .both(&what, |disk, root| {
                    disk.rename(&at(root), &root.join(&other))
                }),
            // Systems differ in what they call the mistake of removing a directory so.
            "remove" if !dir || cfg!(target_os = "linux") => {
                self.both(&what, |disk, root| disk.remove(&at(root)))
            }
            "create_dir" => self.both(&what, |disk, root| disk.create_dir(&at(root))),
            "remove_dir" => self.both(&what, |disk, root| disk.remove_dir(&at(root))),
            "list" => self.both(&what, |disk, root| disk.list(&at(root))),
            "len" => self.both(&what, |disk, root| disk.len(&at(root))),
            "lock" => self.both(&what, |disk, root| {
                let lock = disk.lock(&at(root), false)?;
                let second = disk.lock(&at(root), false)?;
                Ok((lock.is_some(), second.is_some()))
            }),
            "sync_dir" if dir => self.both(&what, |disk, root| disk.sync_dir(&at(root))),
            _ => false,
        };
        done.then_some(kind)
    }

    /// One random operation on an open file.
    fn use_file(&mut self, random: &mut Random) -> Option<&'static str> {
        if self.files.len() > 6 {
            self.files.swap_remove(random.below(6));
        }
        let count = self.files.len();
        let file = self.files.get(random.below(count.max(1)))?;
        let (os, sim) = (&file.os, &file.sim);
        let bytes: Vec<u8> = (0..random.below(30)).map(|_| random.next() as u8).collect();
        let offset = random.below(40) as u64;
        let read = |file: &dyn DiskFile| {
            let mut buf = bytes.clone();
            file.read_at(offset, &mut buf).map(|()| buf)
        };
        let (kind, done) = match random.below(4) {
            0 | 1 if file.appends => (
                "append",
                same("append", os.append(&bytes), sim.append(&bytes)),
            ),
            2 => ("sync", same("sync", os.sync(), sim.sync())),
            3 => ("file len", same("file len", os.len(), sim.len())),
            _ => ("read", same("read", read(&**os), read(&**sim))),
        };
        done.then_some(kind)
    }

    fn compare(&self, dir: &Path) {
        self.both("compare", |disk, root| disk.list(&root.join(dir)));
        for entry in self
            .sim
            .list(&Path::new("/").join(dir))
            .into_iter()
            .flatten()
        {
            let path = dir.join(entry.name);
            if entry.is_dir {
                self.compare(&path);
            } else {
                self.both("compare", |disk, root| {
                    Ok(disk.map(&root.join(&path))?.to_vec())
                });
            }
        }
    }
}

/// One of few names, up to three deep.
fn name(random: &mut Random) -> PathBuf {
    let depth = [1, 1, 2, 2, 3][random.below(5)];
    (0..depth)
        .map(|_| ["a", "b", "c"][random.below(3)])
        .collect()
}

#[test]
fn the_simulation_answers_as_the_machine_does() {
    let mut succeeded = std::collections::BTreeMap::new();
    for run in 0..RUNS {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(run);
        let mut pair = Pair {
            root: dir.path(),
            sim: SimDisk::new(),
            files: Vec::new(),
        };
        for step in 0..STEPS {
            let kinds = [pair.step(&mut random), pair.use_file(&mut random)];
            for kind in kinds.into_iter().flatten() {
                *succeeded.entry(kind).or_insert(0) += 1;
            }
            if step % 10 == 9 {
                pair.compare(Path::new(""));
            }
        }
    }
    assert_eq!(succeeded.len(), KINDS.len() + 4, "{succeeded:?}");
    assert!(succeeded.values().all(|&count| count > 50), "{succeeded:?}");
}
