//! What goes from store to store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use lob::sync::plan::Asking;
use lob::sync::wanted::{Reason, Want};
use lob::sync::{Direction, Pace, Plan, Report, Sides, carry_out, push_all};
use lob_store::disk::SimDisk;
use lob_store::{LobId, LobInfo, Result, Store};

use crate::store::noise;
use crate::store::witness::{REMOTE, ROOT, Witness, long};

/// What is wanted on the other side.
pub struct Freight<'a> {
    pub contents: &'a [Vec<u8>],
    /// Whether each content is the version after the one before it.
    pub are_versions: bool,
}

/// Small lobs, one of several chunks, one that is a stream.
fn contents() -> [Vec<u8>; 4] {
    let mut chunks = vec![0; 300_000];
    chunks[70_000..71_000].copy_from_slice(&noise(7, 1000));
    [b"small".to_vec(), noise(8, 2000), chunks, long(9)]
}

/// The contents are in the store, and one of them is in the remote one, with chunks of another.
pub fn stored(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    fill(disk, witness, ROOT, &contents())?;
    let [small, _, chunks, _] = contents();
    fill(disk, witness, REMOTE, &[small, chunks[..200_000].to_vec()])
}

/// They are all in the remote one, and one of them is in the store.
pub fn pushed(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    fill(disk, witness, REMOTE, &contents())?;
    let [small, ..] = contents();
    fill(disk, witness, ROOT, &[small])
}

/// Puts contents into a store.
pub fn fill(
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

/// A store of these contents on another disk, which no crash takes.
pub fn elsewhere(contents: &[Vec<u8>]) -> Result<Store> {
    let store = Store::create(Arc::new(SimDisk::new()), Path::new(ROOT))?;
    let mut writer = store.writer()?;
    for content in contents {
        let _ = writer.add(&mut content.as_slice(), &())?;
    }
    writer.finish()?;
    Ok(store)
}

pub fn push(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    carry(disk, witness, Direction::Push, &plain(&contents()))
}

pub fn fetch(disk: &SimDisk, witness: &mut Witness) -> Result<()> {
    carry(disk, witness, Direction::Pull, &plain(&contents()))
}

fn plain(contents: &[Vec<u8>]) -> Freight<'_> {
    Freight {
        contents,
        are_versions: false,
    }
}

/// What `lob push` and `lob fetch` do once they know what is wanted.
pub fn carry(
    disk: &SimDisk,
    witness: &mut Witness,
    direction: Direction,
    freight: &Freight<'_>,
) -> Result<()> {
    let (local, remote) = (witness.open_at(disk, ROOT)?, witness.open_at(disk, REMOTE)?);
    let (from, place) = match direction {
        Direction::Push => (&local, REMOTE),
        Direction::Pull => (&remote, ROOT),
    };
    let lacking = lacking(from, witness, place, freight.contents)?;
    let (plan, done) = between(&local, &remote, direction, freight)?;
    if done.chunks > lacking || !plan.missing.is_empty() {
        let words = format!("{} of {lacking} chunks move: {plan:?}", done.chunks);
        witness.complain(words);
    }
    for content in freight.contents {
        witness.arrived(disk, place, content);
    }
    Ok(())
}

/// The same between any two stores.
pub fn between(
    local: &Store,
    remote: &Store,
    direction: Direction,
    freight: &Freight<'_>,
) -> Result<(Plan, Report)> {
    let moved = move_all(local, remote, direction, freight);
    moved.map_err(|e| lob_store::Error::damaged("the transfer", e))
}

fn move_all(
    local: &Store,
    remote: &Store,
    direction: Direction,
    freight: &Freight<'_>,
) -> lob::sync::Result<(Plan, Report)> {
    let ids: Vec<_> = freight
        .contents
        .iter()
        .map(|content| LobId::of(content))
        .collect();
    let want = |content: &Vec<u8>| {
        let (id, size) = (LobId::of(content), content.len() as u64);
        Want::bare(LobInfo { id, size }, Reason::Asked)
    };
    let wanted: Vec<_> = freight.contents.iter().map(want).collect();
    let sides = Sides {
        local,
        remote,
        reserve: 0,
    };
    let pace = Pace::unlimited();
    let (asking, from, to) = match direction {
        Direction::Push => (Asking::ToPush, local, remote),
        Direction::Pull => (Asking::ToPull, remote, local),
    };
    let mut plan = Plan::make(asking, wanted, from, to)?;
    if freight.are_versions {
        let pairs = ids.windows(2).map(|pair| (pair[1], pair[0]));
        plan.bases = HashMap::from_iter(pairs);
    }
    let done = match direction {
        Direction::Push => push_all(&mut plan, sides, &pace, &())?,
        Direction::Pull => carry_out(&mut plan, sides, &pace, &())?,
    };
    Ok((plan, done))
}

/// How many chunks the lobs have that were not there when this began.
fn lacking(
    from: &Store,
    witness: &Witness,
    place: &'static str,
    contents: &[Vec<u8>],
) -> Result<u64> {
    let (mut there, mut lacking) = (Vec::new(), Vec::new());
    for content in contents {
        let id = LobId::of(content);
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
