//! Versions of a file that are turned round: the newest plain, older ones based on newer ones.

use lob::sync::Direction;
use lob_store::disk::SimDisk;
use lob_store::{Effort, LobId, RepackCost, Result, Store};

use super::transfers::{Freight, between, elsewhere};
use crate::store::deltas::{self, scattered};
use crate::store::noise;
use crate::store::witness::{ROOT, Witness};

/// As deep as a version may be after it.
const DEPTH: u8 = lob_store::limits::REPACK_DEPTH;

/// Four versions of a content of one chunk, the oldest first.
fn versions() -> Vec<Vec<u8>> {
    deltas::versions(4, 30_000)
}

/// Another file, which began as one of them.
fn fork(version: usize) -> Vec<u8> {
    scattered(&versions()[version], 200 + version as u8)
}

/// Each came by itself, as the difference from the one before, and so did a fork of an old one.
pub fn pushed(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let (versions, fork) = (versions(), fork(1));
    let from = elsewhere(&[versions.clone(), vec![fork.clone()]].concat())?;
    let pair = |n: usize| versions[n.saturating_sub(1)..=n].to_vec();
    let pairs = (0..versions.len()).map(pair);
    for contents in pairs.chain([vec![versions[1].clone(), fork]]) {
        let freight = Freight {
            contents: &contents,
            are_versions: true,
        };
        between(&from, &store, Direction::Push, &freight)?;
        for content in &contents {
            witness.arrived(disk, ROOT, content);
        }
    }
    let expected: Vec<u8> = (0..4).collect();
    match depths(&store)? == expected {
        true => Ok(()),
        false => panic!("{:?} deep", depths(&store)?),
    }
}

/// All of them are there as they are, the first two in one pack with something else.
pub fn plain(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let versions = versions();
    let with = [versions[0].clone(), noise(9, 5000), versions[1].clone()];
    for contents in [&with[..], &versions[2..3], &versions[3..]] {
        let mut writer = store.writer()?;
        for content in contents {
            witness.add(disk, &mut writer, content)?;
        }
        writer.finish()?;
    }
    witness.durable(disk);
    Ok(())
}

/// Pack by pack, so that a crash finds some of it done.
pub fn in_units(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    turn(disk, witness, Effort::Fast, 1, 1)
}

/// All of them in one unit, as small as can be.
pub fn at_once(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    turn(disk, witness, Effort::Deep, u64::MAX, 3)
}

/// A push is under way, with what it found in the packs that go: a lob, and the base of a frame.
pub fn under_a_writer(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let store = witness.open(disk)?;
    let (versions, fork) = (versions(), fork(0));
    let from = elsewhere(&[versions[0].clone(), fork.clone()])?;
    let manifest = |content: &[u8]| from.manifest(&LobId::of(content));
    let (base, new) = (manifest(&versions[0])?, manifest(&fork)?);
    let (base, new) = (base.expect("it is there"), new.expect("it is there"));
    let mut writer = store.writer()?;
    writer.start()?;
    let kin = &mut |ids: &[_]| store.kin(ids);
    let sent = from.each_delta(&new, base, kin, &mut |frame| writer.add_frame(frame))?;
    witness.expect(&fork);
    if sent.is_empty() != witness.had(ROOT, &LobId::of(&fork)) {
        witness.complain("the push is no difference".into());
    }
    turn(disk, witness, Effort::Fast, 1, 1)?;
    witness.add(disk, &mut writer, &versions[1])?;
    writer.add_manifest(&new)?;
    writer.finish()?;
    witness.durable(disk);
    witness.arrived(disk, ROOT, &fork);
    // The files that had to wait for it go.
    turn(disk, witness, Effort::Fast, 1, 1)
}

/// Turns them round to the end, so that at least so many are differences. What something in another unit
/// stands on stays plain: a fork of it, or what a crash left beside what came in its place.
fn turn(
    disk: &SimDisk,
    witness: &mut Witness,
    effort: Effort,
    step: u64,
    least: usize,
) -> Result<()> {
    let store = witness.open(disk)?;
    let chain: Vec<_> = versions().iter().rev().map(|one| LobId::of(one)).collect();
    let plan = || store.repack_in_steps(std::slice::from_ref(&chain), effort, step);
    let done = plan()?.expect("the only one").run(&mut |_| true, &())?;
    if done.left + done.unreadable > 0 {
        witness.complain(format!("not all was done: {done:?}"));
    }
    let left = plan()?.expect("the only one").cost();
    if left != RepackCost::default() {
        witness.complain(format!(
            "it does not come to its end: {left:?} after {done:?}"
        ));
    }
    let depths = depths(&store)?;
    let turned = depths.iter().filter(|depth| **depth > 0).count();
    let crashed = witness.had(ROOT, &chain[0]);
    let least = if crashed && step == 1 { 0 } else { least };
    if depths[3] > 0 || turned < least || depths.iter().any(|depth| *depth > DEPTH) {
        witness.complain(format!("versions are {depths:?} deep"));
    }
    Ok(())
}

/// How deep each version is.
fn depths(store: &Store) -> Result<Vec<u8>> {
    let depth = |content: &Vec<u8>| {
        let manifest = store.manifest(&LobId::of(content))?.expect("it is there");
        let ids: Vec<_> = manifest.named_chunks().iter().map(|(id, _)| *id).collect();
        let kin = store.kin(&ids)?.into_iter().flatten();
        Ok(kin.map(|kin| kin.depth).max().expect("it has chunks"))
    };
    versions().iter().map(depth).collect()
}
