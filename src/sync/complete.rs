//! Moving everything that one store holds and another lacks, referenced or not.

use std::collections::HashSet;

use lob_store::limits::PART_LOBS;
use lob_store::reconcile::Difference;
use lob_store::{LobId, Store};

use super::error::Result;
use super::level::Level;
use super::plan::{Asking, Direction, Plan, Planner};
use super::state::State;
use super::transfer::WINDOW_LOBS;
use super::wanted::{Reason, Want};
use crate::remote::{Lobs, Remote};

/// Plans to move every lob that one store holds and the other lacks. Where the far one can tell what
/// differs, the planner is asked about that alone.
pub fn everything(asking: Asking, from: &dyn Remote, to: &dyn Remote) -> Result<Plan> {
    compared(asking, from, to, PART_LOBS).map(|(plan, _)| plan)
}

/// As [`everything`], between the local store and a remote. Where nothing was to be moved the last time, and
/// neither has changed since, they are not compared again: all that is asked is where the remote stands.
pub fn plan(asking: Asking, local: &Store, remote: &dyn Remote, state: &State) -> Result<Plan> {
    let direction = asking.direction();
    let level = Level::of(direction, local, remote)?;
    if level.is_known(state) {
        return Ok(Plan::new(asking));
    }
    let (plan, differs) = match direction {
        Direction::Push => compared(asking, local, remote, PART_LOBS)?,
        Direction::Pull => compared(asking, remote, local, PART_LOBS)?,
    };
    let is_level = plan.is_empty() && plan.missing.is_empty() && !plan.is_part;
    if differs && asking != Asking::ToSee && is_level {
        // Where it cannot be written down, they are compared the next time too.
        let _ = level.save(state);
    }
    Ok(plan)
}

/// The plan, and whether the far store told what differs. Of what another store says that it holds, about as
/// many as `part` are planned together.
fn compared(
    asking: Asking,
    from: &dyn Remote,
    to: &dyn Remote,
    part: usize,
) -> Result<(Plan, bool)> {
    let mut planner = Planner::new(asking, from, to);
    let mut is_part = false;
    let push = asking.direction() == Direction::Push;
    let (near, far) = if push { (from, to) } else { (to, from) };
    let found = far.differing(&Lobs(near))?;
    let differs = found.is_some();
    match found {
        None => {
            let listed = from.each_lob(&mut |lob| {
                is_part = !push && planner.lacking() >= part;
                match is_part {
                    // No error: it ends the list.
                    true => Err(lob_store::Error::Interrupted.into()),
                    false => planner.want(Want::bare(lob, Reason::Held)),
                }
            });
            if !is_part {
                listed?;
            }
        }
        Some(found) => {
            is_part = !push && found.is_part;
            if asking == Asking::ToPush {
                hold_common(&found, from, to)?;
            }
            let lobs = if push { found.here } else { found.there };
            for lob in lobs {
                planner.want(Want::bare(lob, Reason::Held))?;
            }
        }
    }
    let plan = match is_part {
        true => planner.finish_part()?,
        false => planner.finish()?,
    };
    Ok((plan, differs))
}

/// Makes what both sides have count as stored just now at the receiver, as if it had been sent.
fn hold_common(found: &Difference, from: &dyn Remote, to: &dyn Remote) -> Result<()> {
    let there: Vec<LobId> = found.there.iter().map(|lob| lob.id).collect();
    if to.hold_others(&there)? {
        return Ok(());
    }
    let here: HashSet<LobId> = found.here.iter().map(|lob| lob.id).collect();
    let mut some = Vec::new();
    from.each_lob(&mut |lob| {
        if !here.contains(&lob.id) {
            some.push(lob.id);
        }
        match some.len() < WINDOW_LOBS {
            true => Ok(()),
            false => to.hold(&std::mem::take(&mut some)).map(drop),
        }
    })?;
    to.hold(&some)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use lob_store::disk::SimDisk;

    use super::*;
    use crate::remote::Pace;
    use crate::sync::{Sides, carry_out};

    #[test]
    fn p9_what_another_store_holds_comes_in_parts() {
        let store = || Store::create(Arc::new(SimDisk::new()), Path::new("/store")).unwrap();
        let (local, remote) = (store(), store());
        let mut writer = remote.writer().unwrap();
        // As many as are asked about at once, twice and some.
        let count = 2 * WINDOW_LOBS + 10;
        for n in 0..count {
            let _ = writer.add(&mut n.to_le_bytes().as_slice(), &()).unwrap();
        }
        writer.finish().unwrap();
        let sides = Sides {
            local: &local,
            remote: &remote,
            reserve: 0,
        };
        let mut moved = Vec::new();
        loop {
            let (mut plan, _) = compared(Asking::ToPull, &remote, &local, 5).unwrap();
            assert_eq!(plan.held_too as u64, moved.iter().sum::<u64>());
            let done = carry_out(&mut plan, sides, &Pace::unlimited(), &()).unwrap();
            moved.push(done.lobs);
            if !plan.is_part {
                break;
            }
        }
        assert_eq!(moved, [WINDOW_LOBS as u64, WINDOW_LOBS as u64, 10]);
    }
}
