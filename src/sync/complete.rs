//! Moving everything that one store holds and another lacks, referenced or not.

use std::collections::HashSet;

use lob_store::reconcile::Difference;
use lob_store::{LobId, LobInfo, Store};

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
    compared(asking, from, to).map(|(plan, _)| plan)
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
        Direction::Push => compared(asking, local, remote)?,
        Direction::Pull => compared(asking, remote, local)?,
    };
    if differs && asking != Asking::ToSee && plan.is_empty() && plan.missing.is_empty() {
        // Where it cannot be written down, they are compared the next time too.
        let _ = level.save(state);
    }
    Ok(plan)
}

/// The plan, and whether the far store told what differs.
fn compared(asking: Asking, from: &dyn Remote, to: &dyn Remote) -> Result<(Plan, bool)> {
    let mut planner = Planner::new(asking, from, to);
    let mut want = |lob: LobInfo| planner.want(Want::bare(lob, Reason::Held));
    let push = asking.direction() == Direction::Push;
    let (near, far) = if push { (from, to) } else { (to, from) };
    let found = far.differing(&Lobs(near))?;
    let differs = found.is_some();
    match found {
        None => from.each_lob(&mut want)?,
        Some(found) => {
            if asking == Asking::ToPush {
                hold_common(&found, from, to)?;
            }
            let lobs = if push { found.here } else { found.there };
            lobs.into_iter().try_for_each(&mut want)?;
        }
    }
    Ok((planner.finish()?, differs))
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
