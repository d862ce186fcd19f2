//! Works: all that changes a store, each short, and in its own way of being cut off.

mod aside;
mod broken;

use std::path::Path;

use lob::sync::plan::Asking;
use lob::sync::wanted::{Reason, Want};
use lob::sync::{Direction, Pace, Plan, Report, Sides, carry_out, push_all};
use lob_store::disk::{Disk, SimDisk};
use lob_store::{LobId, LobInfo, Result, Store};

use crate::store::noise;
use crate::store::runs::{self, Run};
use crate::store::witness::{REMOTE, ROOT, Witness, long};

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
    more("push", stored, push);
    more("fetch", pushed, fetch);
    more("prune under an index", merged, prune_and_merge);
    more("mend roots", lacks_a_root, add_one);
    more("set aside", aside::four_packs, aside::set_aside);
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

/// What goes from store to store: small lobs, one of several chunks, one that is a stream.
fn contents() -> [Vec<u8>; 4] {
    let mut chunks = vec![0; 300_000];
    chunks[70_000..71_000].copy_from_slice(&noise(7, 1000));
    [b"small".to_vec(), noise(8, 2000), chunks, long(9)]
}

/// The contents are in the store, and one of them is in the remote one, with chunks of another.
fn stored(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    fill(disk, witness, ROOT, &contents())?;
    let [small, _, chunks, _] = contents();
    fill(disk, witness, REMOTE, &[small, chunks[..200_000].to_vec()])
}

/// They are all in the remote one, and one of them is in the store.
fn pushed(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    fill(disk, witness, REMOTE, &contents())?;
    let [small, ..] = contents();
    fill(disk, witness, ROOT, &[small])
}

fn fill(
    disk: &SimDisk,
    witness: &mut Witness,
    place: &'static str,
    contents: &[Vec<u8>],
) -> Result<()> {
    let store = witness.open_at(disk, place)?;
    let mut writer = store.writer()?;
    for content in contents {
        let _ = writer.add(&mut content.as_slice(), &())?;
    }
    writer.finish()?;
    for content in contents {
        witness.arrived(disk, place, content);
    }
    Ok(())
}

fn push(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    transfer(disk, witness, Direction::Push)
}

fn fetch(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    transfer(disk, witness, Direction::Pull)
}

/// What `lob push` and `lob fetch` do once they know what is wanted.
fn transfer(disk: &SimDisk, witness: &mut Witness, direction: Direction) -> Result<()> {
    let (local, remote) = (witness.open_at(disk, ROOT)?, witness.open_at(disk, REMOTE)?);
    let push = direction == Direction::Push;
    let (from, to, place) = match push {
        true => (&local, &remote, REMOTE),
        false => (&remote, &local, ROOT),
    };
    let lacking = lacking(from, witness, place)?;
    let done = move_all(&local, &remote, push, (from, to));
    let (plan, done) = done.map_err(|e| lob_store::Error::damaged("the transfer", e))?;
    if done.chunks > lacking || !plan.missing.is_empty() {
        let words = format!("{} of {lacking} chunks move: {plan:?}", done.chunks);
        witness.complain(words);
    }
    for content in &contents() {
        witness.arrived(disk, place, content);
    }
    Ok(())
}

fn move_all(
    local: &Store,
    remote: &Store,
    push: bool,
    (from, to): (&Store, &Store),
) -> lob::sync::Result<(Plan, Report)> {
    let want = |content: &Vec<u8>| {
        let (id, size) = (LobId::of(content), content.len() as u64);
        Want::bare(LobInfo { id, size }, Reason::Asked)
    };
    let wanted: Vec<_> = contents().iter().map(want).collect();
    let sides = Sides {
        local,
        remote,
        reserve: 0,
    };
    let pace = Pace::unlimited();
    let asking = match push {
        true => Asking::ToPush,
        false => Asking::ToPull,
    };
    let mut plan = Plan::make(asking, wanted, from, to)?;
    let done = match push {
        true => push_all(&mut plan, sides, &pace, &())?,
        false => carry_out(&mut plan, sides, &pace, &())?,
    };
    Ok((plan, done))
}

/// How many chunks the lobs have that were not there when this began.
fn lacking(from: &Store, witness: &Witness, place: &'static str) -> Result<u64> {
    let (mut there, mut lacking) = (Vec::new(), Vec::new());
    for content in contents() {
        let id = LobId::of(&content);
        let chunks = from.manifest(&id)?.expect("it is there").named_chunks();
        let ids = chunks.into_iter().map(|(id, _)| id);
        match witness.had(place, &id) {
            true => there.extend(ids),
            false => lacking.extend(ids),
        }
    }
    lacking.sort();
    lacking.dedup();
    lacking.retain(|id| !there.contains(id));
    Ok(lacking.len() as u64)
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
