//! A store that is damaged in every way at once, and its repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lob_store::disk::{Disk, SimDisk};
use lob_store::fsck::Depth;
use lob_store::repair::{self, RepairPlan, Step};
use lob_store::{Error, Result};

use crate::store::noise;
use crate::store::witness::{ROOT, Witness};

/// Eleven packs under a run of the index and a short tail.
fn contents() -> Vec<Vec<u8>> {
    (0..11).map(|n| noise(n, 300 + n as usize)).collect()
}

/// A chunk, the table at the end of a pack, one beside a pack, a root, a run of the index and the
/// format have a wrong byte; and the first root is lost, with the newest one, a table and a pack.
pub fn damaged(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let mut packs = Vec::new();
    for content in contents() {
        let store = witness.open(disk)?;
        let mut writer = store.writer()?;
        witness.add(disk, &mut writer, &content)?;
        writer.finish()?;
        let new = files(disk, "packs", "pack").into_iter();
        packs.extend(new.filter(|path| !packs.contains(path)).collect::<Vec<_>>());
    }
    witness.durable(disk);
    let broken = |disk: &SimDisk| {
        flip(disk, &packs[1], 150)?;
        flip(disk, &packs[3], usize::MAX)?;
        flip(disk, &packs[5].with_extension("idx"), 40)?;
        remove(disk, &packs[6].with_extension("idx"))?;
        remove(disk, &packs[7])?;
        let roots = files(disk, "roots", "");
        flip(disk, &roots[2], 40)?;
        remove(disk, &roots[0])?;
        remove(disk, roots.last().expect("many"))?;
        flip(disk, &files(disk, "index", "run")[0], 100)?;
        flip(disk, &Path::new(ROOT).join("state/format"), 3)
    };
    broken(disk).map_err(Error::at(Path::new(ROOT)))?;
    // Of this one not all comes to a new pack.
    let file = disk.map(&packs[1]).map_err(Error::at(&packs[1]))?;
    witness.keep_file(&file);
    for lost in [1, 7] {
        witness.damage(&contents()[lost]);
    }
    Ok(())
}

/// What is lost comes from elsewhere.
pub fn repair(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let mut plan = plan(disk, witness)?;
    run(&plan, witness)?;
    if plan.steps().any(|step| *step == Step::Roots) {
        // What packs roots name is known when these are whole.
        plan = self::plan(disk, witness)?;
        run(&plan, witness)?;
    }
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    for content in contents() {
        witness.add(disk, &mut writer, &content)?;
    }
    writer.finish()?;
    witness.durable(disk);
    store.forget(&plan.missing().copied().collect::<Vec<_>>())?;
    witness.mended(disk);
    Ok(())
}

/// Three packs, one of which has no table, and a run of the index that is none.
pub fn lacks_tables(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    for content in &contents()[..3] {
        witness.add(disk, &mut writer, content)?;
        writer.publish()?;
    }
    writer.finish()?;
    witness.durable(disk);
    witness.flaw();
    let broken = |disk: &SimDisk| {
        remove(disk, &files(disk, "packs", "idx")[1])?;
        let run = format!("index/{:016x}-{:016x}.run", 0, 3);
        write(disk, &Path::new(ROOT).join(run), b"nonsense")
    };
    broken(disk).map_err(Error::at(Path::new(ROOT)))
}

/// Nothing is lost with them.
pub fn repair_tables(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let plan = plan(disk, witness)?;
    run(&plan, witness)?;
    if plan.steps().count() > 0 {
        witness.mended(disk);
    }
    Ok(())
}

fn plan(disk: &SimDisk, witness: &Witness) -> Result<RepairPlan> {
    let (disk, root) = (Arc::new(disk.clone()), Path::new(ROOT));
    repair::plan(disk, root, Depth::Deep, witness.id(ROOT), &())
}

fn run(plan: &RepairPlan, witness: &mut Witness) -> Result<()> {
    let repaired = plan.run(&())?.expect("nobody else is at it");
    for (step, error) in &repaired.failed {
        witness.complain(format!("{step:?} fails: {error}"));
    }
    Ok(())
}

/// The files of a directory of the store with this extension, by name.
fn files(disk: &SimDisk, dir: &str, end: &str) -> Vec<PathBuf> {
    let dir = Path::new(ROOT).join(dir);
    let entries = disk.list(&dir).expect("lists").into_iter();
    let paths = entries.map(|entry| dir.join(entry.name));
    paths
        .filter(|path| path.extension().unwrap_or_default() == end)
        .collect()
}

/// Changes a bit of a file, durably.
fn flip(disk: &SimDisk, path: &Path, at: usize) -> std::io::Result<()> {
    let mut bytes = disk.map(path)?.to_vec();
    let last = bytes.len() - 1;
    bytes[at.min(last)] ^= 1;
    disk.remove(path)?;
    write(disk, path, &bytes)
}

/// Makes a file, durably.
fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = disk.create(path)?;
    file.append(bytes)?;
    file.sync()?;
    disk.sync_dir(path.parent().expect("a directory"))
}

fn remove(disk: &SimDisk, path: &Path) -> std::io::Result<()> {
    disk.remove(path)?;
    disk.sync_dir(path.parent().expect("a directory"))
}
