//! Runs: short pieces of work with a store, which crash and fail in all ways in other tests.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lob_store::disk::SimDisk;
use lob_store::{LobId, Result, Store};

use super::noise;
use super::witness::{ROOT, Witness, long};

/// What a run is.
pub type Run = fn(&SimDisk, &mut Witness) -> Result<()>;

/// Every run with its name.
pub const ALL: &[(&str, Run)] = &[
    ("create", create),
    ("add and finish", add_and_finish),
    ("sync, publish and go on", sync_publish_and_go_on),
    ("many packs", many_packs),
    ("two writers", two_writers),
    ("merge the index", merge_index),
    ("receive", receive),
    ("prune", prune),
    ("prune in steps", prune_in_steps),
    ("prune under a writer", prune_under_a_writer),
];

/// Makes a store.
pub fn create(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    witness.open(disk).map(drop)
}

/// The shortest piece of work that stores something.
pub fn add_and_finish(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, b"small")?;
    witness.add(disk, &mut writer, &noise(1, 3000))?;
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// Everything that a writer is told, between small and long lobs.
pub fn sync_publish_and_go_on(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, b"small")?;
    witness.add(disk, &mut writer, &long(1))?;
    witness.add(disk, &mut writer, &noise(2, 50_000))?;
    writer.sync()?;
    witness.durable(disk);
    witness.add(disk, &mut writer, b"after the sync")?;
    writer.publish()?;
    witness.durable(disk);
    witness.add(disk, &mut writer, b"after publishing")?;
    witness.add(disk, &mut writer, b"small")?;
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// Packs that are sealed and published in batches, as those of a long lob are.
pub fn many_packs(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    writer.set_pack_soft(400);
    for n in 0..18 {
        witness.add(disk, &mut writer, &noise(n, 300))?;
        writer.sync()?;
        witness.durable(disk);
    }
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// Two writers at once with some content in common, and a third that finds all of it there.
pub fn two_writers(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let (first, second) = (witness.open(disk)?, witness.open(disk)?);
    let (mut one, mut two) = (first.writer()?, second.writer()?);
    witness.add(disk, &mut one, b"common")?;
    witness.add(disk, &mut two, b"common")?;
    witness.add(disk, &mut one, b"one")?;
    witness.add(disk, &mut two, b"two")?;
    two.sync()?;
    // Of the two that have it, one has said so of the first.
    witness.arrived(disk, ROOT, b"common");
    witness.arrived(disk, ROOT, b"two");
    one.finish()?;
    two.finish()?;
    witness.durable(disk);
    let third = witness.open(disk)?;
    let mut writer = third.writer()?;
    for content in [b"common".as_slice(), b"one", b"three"] {
        witness.add(disk, &mut writer, content)?;
    }
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

/// As many publications as make the index merge, twice.
pub fn merge_index(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    for n in 0..20u8 {
        witness.add(disk, &mut writer, &[n; 20])?;
        writer.publish()?;
        witness.durable(disk);
    }
    writer.finish()
}

/// Everything that was stored until now and is not in `kept` goes.
pub fn prune_all_but(disk: &SimDisk, witness: &mut Witness, kept: &[&[u8]]) -> Result<()> {
    let store = witness.open(disk)?;
    let young = UNIX_EPOCH + Duration::from_secs(1);
    let mut prune = store.prune(young)?.expect("the only one");
    prune.set_step(1);
    for content in kept {
        prune.keep(&LobId::of(content))?;
    }
    prune.plan()?.run(&())?;
    Ok(())
}

/// Packs that are dead, that live in part and that live as a whole; and the same again when some of
/// it was stored anew.
pub fn prune(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let contents: Vec<_> = (0..6).map(|n| noise(n, 500)).collect();
    let long = long(1);
    for pair in contents.chunks(2) {
        let mut writer = store.writer()?;
        for content in pair {
            witness.add(disk, &mut writer, content)?;
        }
        writer.finish()?;
    }
    let mut writer = store.writer()?;
    writer.set_pack_soft(60_000);
    witness.add(disk, &mut writer, &long)?;
    writer.finish()?;
    witness.durable(disk);
    for dead in [0, 1, 2] {
        witness.release(disk, &contents[dead]);
    }
    let kept = [&contents[3], &contents[4], &contents[5], &long];
    prune_all_but(disk, witness, &kept.map(Vec::as_slice))?;
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, &contents[0])?;
    writer.finish()?;
    witness.durable(disk);
    for dead in [&contents[4], &long] {
        witness.release(disk, dead);
    }
    let kept = [&contents[0], &contents[3], &contents[5]];
    prune_all_but(disk, witness, &kept.map(Vec::as_slice))
}

/// A lob that nobody needs goes later than the pack that its chunks have come into.
pub fn prune_in_steps(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let shared = long(1);
    let longer = [shared.as_slice(), &noise(4, 20_000)].concat();
    let (one, two, waste) = (noise(1, 9000), noise(2, 9000), noise(3, 80_000));
    for contents in [&[&shared, &one, &waste][..], &[&longer, &two]] {
        let mut writer = store.writer()?;
        for content in contents {
            witness.add(disk, &mut writer, content)?;
        }
        writer.finish()?;
    }
    witness.durable(disk);
    witness.release(disk, &waste);
    let kept = [&shared, &longer, &one, &two];
    prune_all_but(disk, witness, &kept.map(Vec::as_slice))?;
    for content in [&shared, &longer] {
        witness.release(disk, content);
    }
    prune_all_but(disk, witness, &[&one, &two])
}

/// A writer finds what it is to store in packs that go before it is done: lobs, and chunks of lobs.
pub fn prune_under_a_writer(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    // Also where this was done before, and left the clock at a later time.
    disk.set_clock(0);
    let store = witness.open(disk)?;
    let (old, new) = (long(1), [long(1), noise(9, 40_000)].concat());
    let (whole, again) = (noise(2, 700), noise(3, 700));
    for content in [&old, &whole, &again] {
        let mut writer = store.writer()?;
        witness.add(disk, &mut writer, content)?;
        writer.finish()?;
    }
    witness.durable(disk);
    let mut writer = store.writer()?;
    disk.set_clock(100);
    witness.add(disk, &mut writer, b"something else")?;
    for content in [&old, &whole, &again] {
        witness.release(disk, content);
    }
    witness.add(disk, &mut writer, &whole)?;
    // Where this was done before, they are there already.
    prune_all_but(disk, witness, &[b"something else", &new])?;
    witness.add(disk, &mut writer, &new)?;
    witness.add(disk, &mut writer, &again)?;
    writer.finish()?;
    witness.durable(disk);
    let kept = [b"something else", whole.as_slice(), &new, &again];
    prune_all_but(disk, witness, &kept)
}

/// Lobs of another store, one of which is a list of chunks that has to be verified.
pub fn receive(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let contents = [b"received".to_vec(), noise(1, 150_000)];
    let other = Store::create(Arc::new(SimDisk::new()), Path::new("/other"))?;
    let mut writer = other.writer()?;
    for content in &contents {
        let _ = writer.add(&mut content.as_slice(), &())?;
        witness.expect(content);
    }
    writer.finish()?;

    let store = Store::open_or_create(Arc::new(disk.clone()), Path::new(ROOT))?;
    let mut writer = store.writer()?;
    for content in &contents {
        let manifest = other.manifest(&LobId::of(content))?.expect("it is there");
        let ids: Vec<_> = manifest.named_chunks().iter().map(|(id, _)| *id).collect();
        other.each_frame(&ids, &HashSet::new(), &mut |frame| writer.add_frame(frame))?;
        writer.add_manifest(&manifest)?;
    }
    writer.finish()?;
    contents
        .iter()
        .for_each(|content| witness.arrived(disk, ROOT, content));
    Ok(())
}
