//! Versions of a content, each stored as the difference from the one before.

use lob::sync::Direction;
use lob_store::disk::SimDisk;
use lob_store::{LobId, Result};

use super::transfers::{Freight, between, carry, elsewhere, fill};
use crate::store::deltas;
use crate::store::runs::prune_all_but;
use crate::store::witness::{REMOTE, ROOT, Witness};

/// Three versions of a content of one chunk.
fn versions() -> Vec<Vec<u8>> {
    deltas::versions(3, 30_000)
}

/// All of them are here, as they are, and the first one there.
pub fn stored(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    fill(disk, witness, ROOT, &versions())?;
    fill(disk, witness, REMOTE, &versions()[..1])
}

/// Sends all of them.
pub fn push(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    carry_all(disk, witness, Direction::Push)?;
    expect_deltas(disk, witness, REMOTE)
}

/// All of them are there, as differences, and the first one is here.
pub fn pushed(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    fill(disk, witness, ROOT, &versions()[..1])?;
    receive(disk, witness, REMOTE)
}

/// Brings all of them.
pub fn fetch(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    carry_all(disk, witness, Direction::Pull)?;
    expect_deltas(disk, witness, ROOT)
}

/// Brings the last one alone: the one before it stays there.
pub fn fetch_newest(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let newest = Freight {
        contents: &versions()[2..],
        are_versions: false,
    };
    carry(disk, witness, Direction::Pull, &newest)
}

/// All of them are here, as differences.
pub fn received(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    receive(disk, witness, ROOT)
}

/// All but the last go. It can be read as before, also when they are stored anew.
pub fn prune(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    let versions = versions();
    for old in &versions[..2] {
        witness.release(disk, old);
    }
    prune_all_but(disk, witness, &[&versions[2]])?;
    let store = witness.open(disk)?;
    let mut writer = store.writer()?;
    witness.add(disk, &mut writer, &versions[0])?;
    writer.finish()?;
    witness.durable(disk);
    Ok(())
}

fn carry_all(disk: &SimDisk, witness: &mut Witness, direction: Direction) -> Result<()> {
    let versions = Freight {
        contents: &versions(),
        are_versions: true,
    };
    carry(disk, witness, direction, &versions)
}

/// All of them come to a place from a store on another disk.
fn receive(disk: &SimDisk, witness: &mut Witness, place: &'static str) -> Result<()> {
    let store = witness.open_at(disk, place)?;
    let contents = versions();
    let freight = Freight {
        contents: &contents,
        are_versions: true,
    };
    between(&elsewhere(&contents)?, &store, Direction::Push, &freight)?;
    for content in &contents {
        witness.arrived(disk, place, content);
    }
    expect_deltas(disk, witness, place)
}

/// Each version stands on those before it.
fn expect_deltas(disk: &SimDisk, witness: &mut Witness, place: &'static str) -> Result<()> {
    let store = witness.open_at(disk, place)?;
    for (n, content) in versions().iter().enumerate() {
        let manifest = store.manifest(&LobId::of(content))?.expect("it is there");
        let ids: Vec<_> = manifest.named_chunks().iter().map(|(id, _)| *id).collect();
        let deepest = store
            .kin(&ids)?
            .into_iter()
            .flatten()
            .map(|kin| kin.depth)
            .max();
        if deepest.map(usize::from) != Some(n) {
            witness.complain(format!("version {n} is {deepest:?} deep"));
        }
    }
    Ok(())
}
