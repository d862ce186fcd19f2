//! Moving everything that one store holds and another lacks, referenced or not.

use lob_store::{LobInfo, Store};

use super::error::Result;
use super::level::Level;
use super::plan::{Asking, Direction, Plan, Planner};
use super::state::State;
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
            let lobs = if push { found.here } else { found.there };
            lobs.into_iter().try_for_each(&mut want)?;
        }
    }
    Ok((planner.finish()?, differs))
}
