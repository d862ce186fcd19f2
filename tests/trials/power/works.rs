//! Works: all that changes a store, each short, and in its own way of being cut off.

mod aside;
mod broken;
mod deltas;
mod repack;
mod transfers;
mod young;

use std::path::Path;

use lob_store::Result;
use lob_store::disk::{Disk, SimDisk};

use crate::store::noise;
use crate::store::runs::{self, Run};
use crate::store::witness::{ROOT, Witness, long};

/// Some work, and what is there when it begins.
#[derive(Clone, Copy)]
pub struct Work {
    pub name: &'static str,
    pub before: Run,
    pub run: Run,
    /// How many states of a light one are judged in the time of one of this.
    pub weight: usize,
}

/// Works of long lobs take long.
const HEAVY: &[&str] = &[
    "sync, publish and go on",
    "sync behind",
    "push",
    "fetch",
    "prune",
    "prune in steps",
    "prune under a writer",
    "repack",
    "repack plain versions",
    "repack under a writer",
];

/// All of them.
pub fn all() -> Vec<Work> {
    let work = |name, before, run| Work {
        name,
        before,
        run,
        weight: if HEAVY.contains(&name) { 5 } else { 1 },
    };
    let from_nothing = runs::ALL
        .iter()
        .map(|&(name, run)| work(name, nothing as Run, run));
    let mut works: Vec<_> = from_nothing.collect();
    let mut more = |name, before: Run, run: Run| works.push(work(name, before, run));
    more("one lob in many packs", nothing, one_lob_in_many_packs);
    more("sync behind", nothing, sync_behind);
    more("push", transfers::stored, transfers::push);
    more("fetch", transfers::pushed, transfers::fetch);
    more("push deltas", deltas::stored, deltas::push);
    more("fetch deltas", deltas::pushed, deltas::fetch);
    more("fetch over deltas", deltas::pushed, deltas::fetch_newest);
    more("prune deltas", deltas::received, deltas::prune);
    more("prune under an index", merged, prune_and_merge);
    more("mend roots", lacks_a_root, add_one);
    more("set aside", aside::four_packs, aside::set_aside);
    more("find what is there", young::two_packs, young::found);
    more("repack", repack::pushed, repack::in_units);
    more("repack plain versions", repack::plain, repack::at_once);
    more(
        "repack under a writer",
        repack::pushed,
        repack::under_a_writer,
    );
    more("repair", broken::damaged, broken::repair);
    more("repair tables", broken::lacks_tables, broken::repair_tables);
    works
}

fn nothing(_: &SimDisk, _: &mut Witness) -> Result<()> {
    Ok(())
}

/// A lob that is added as a stream, over several frames and packs.
fn one_lob_in_many_packs(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let mut content = long(1);
    for (n, at) in [100_000, 900_000].into_iter().enumerate() {
        content[at..at + 20_000].copy_from_slice(&noise(n as u64, 20_000));
    }
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    writer.set_pack_soft(10_000);
    witness.add(disk, &mut writer, &content)?;
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// Small lobs that are synced in the background, while more are added.
fn sync_behind(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    writer.set_sync_behind(1);
    let mut added = Vec::new();
    for n in 0..14 {
        let mut content = vec![n as u8; 100_000];
        content[..100].copy_from_slice(&noise(n, 100));
        witness.add(disk, &mut writer, &content)?;
        added.push(content.len() as u64);
        // What does not count as unsynced any longer is durable.
        let mut unsynced = writer.unsynced();
        let last = added.iter().rev().take_while(|len| {
            let counts = unsynced > 0;
            unsynced = unsynced.saturating_sub(**len);
            counts
        });
        let last = last.count();
        witness.durable_but(disk, last);
    }
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// Packs under a run of the index, and some behind it.
fn merged(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    for n in 0..11 {
        witness.add(disk, &mut writer, &noise(n, 300))?;
        writer.publish()?;
    }
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// Some of them go, and so much comes that the index says it.
fn prune_and_merge(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    // Where this was done before, those that come after are there already.
    let kept = (0..11).step_by(3).chain(20..29);
    let kept: Vec<_> = kept.map(|n| noise(n, 300)).collect();
    for n in (0..11).filter(|n| n % 3 > 0) {
        witness.release(disk, &noise(n, 300));
    }
    let kept: Vec<_> = kept.iter().map(Vec::as_slice).collect();
    runs::prune_all_but(disk, witness, &kept)?;
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    for n in 20..29 {
        witness.add(disk, &mut writer, &noise(n, 300))?;
        writer.publish()?;
        witness.durable(disk);
    }
    writer.finish()
}

/// A store that has lost one of its roots.
fn lacks_a_root(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    for n in 0..5 {
        witness.add(disk, &mut writer, &noise(n, 100))?;
        writer.publish()?;
    }
    writer.finish()?;
    witness.durable(disk);
    witness.flaw();
    let roots = Path::new(ROOT).join("roots");
    disk.remove(&roots.join("0000000000000002"))
        .and_then(|()| disk.sync_dir(&roots))
        .map_err(lob_store::Error::at(&roots))
}

/// Whoever stores something next makes the roots whole.
fn add_one(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, b"new")?;
    writer.finish()?;
    witness.durable(disk);
    witness.mended(disk);
    Ok(())
}
