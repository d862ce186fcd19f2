//! Carrying a plan out: space, transfer, proof, report.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lob_store::{LobId, LobInfo, Progress};

use super::error::{Error, Result};
use super::plan::{Direction, Plan, Why};
use super::transfer::{Transfer, WINDOW_LOBS};
use crate::remote::{Digest, Pace, Remote};

/// How often a push looks again whether what was there still is, while more and more of it leaves.
const LOOKS: usize = 5;

/// The two stores of a run.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The store of this repository.
    pub local: &'a dyn Remote,
    /// The other one.
    pub remote: &'a dyn Remote,
    /// Bytes that a transfer leaves free at the receiver.
    pub reserve: u64,
}

impl<'a> Sides<'a> {
    /// The sender and the receiver.
    pub fn ends(self, direction: Direction) -> (&'a dyn Remote, &'a dyn Remote) {
        match direction {
            Direction::Push => (self.local, self.remote),
            Direction::Pull => (self.remote, self.local),
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which way.
    pub direction: Direction,
    /// Lobs that moved.
    pub lobs: u64,
    /// Their bytes as whole files.
    pub size: u64,
    /// Chunks that moved.
    pub chunks: u64,
    /// Bytes of frames that moved.
    pub bytes: u64,
    /// How long it took.
    pub time: Duration,
    /// What both sides computed over the lobs that were to be moved; `None` where none were.
    pub digest: Option<Digest>,
}

impl Report {
    /// Bytes that did not have to move, against copying whole files.
    pub fn saved(&self) -> u64 {
        self.size.saturating_sub(self.bytes)
    }
}

impl Report {
    /// Adds what another run did.
    pub(super) fn add(&mut self, other: Report) {
        self.lobs += other.lobs;
        self.size += other.size;
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.time += other.time;
    }
}

/// Works out what the plan takes, for those who want to know before.
pub fn survey(plan: &mut Plan, sides: Sides) -> Result<()> {
    let (from, to) = sides.ends(plan.direction);
    let transfer = Transfer {
        from,
        to,
        origin: plan.direction.origin(),
        bases: &HashMap::new(),
        pace: &Pace::unlimited(),
        progress: &(),
    };
    plan.cost = Some(transfer.cost(&plan.ids())?);
    Ok(())
}

/// Carries a plan out and proves that it was: at the end both sides compute a digest over what was
/// to be moved as each of them holds it.
///
/// # Errors
/// [`Error::NoSpace`] before anything moves; [`Error::Unsendable`] where a push could not bring all
/// that was planned; [`Error::Differ`] where the proof fails. What a fetch could not bring is noted in
/// the plan. A run that was cut can be made again, and moves only the rest.
pub fn carry_out(
    plan: &mut Plan,
    sides: Sides,
    pace: &Pace,
    progress: &dyn Progress,
) -> Result<Report> {
    let started = Instant::now();
    let (from, to) = sides.ends(plan.direction);
    check_space(plan, sides)?;
    // What keeps to the limit on the way need not be waited for here too.
    let unlimited = Pace::unlimited();
    let pace = match sides.remote.limit(pace.rate()) {
        true => &unlimited,
        false => pace,
    };
    let transfer = Transfer {
        from,
        to,
        origin: plan.direction.origin(),
        bases: &plan.bases,
        pace,
        progress,
    };
    let moved = transfer.run(&plan.ids())?;
    let known = plan.missing.len();
    let vanished = moved.vanished.iter().map(|id| (*id, Why::Nowhere));
    plan.give_up(vanished.chain(moved.damaged.iter().cloned()));
    let lost = plan.missing.get(known..).unwrap_or_default();
    if plan.direction == Direction::Push && !lost.is_empty() {
        // Refs follow a push: what was to go must have gone.
        return Err(Error::unsendable(lost));
    }
    let digest = prove(plan, from, to)?;
    Ok(Report {
        direction: plan.direction,
        lobs: moved.lobs.len() as u64,
        size: moved.size(),
        chunks: moved.chunks,
        bytes: moved.bytes,
        time: started.elapsed(),
        digest,
    })
}

/// Carries the plan of a push out, and looks again at what the receiver held at its start: that may
/// be long ago, and refs rely on it as on what moved. What has left it since is sent too.
pub fn push_all(
    plan: &mut Plan,
    sides: Sides,
    pace: &Pace,
    progress: &dyn Progress,
) -> Result<Report> {
    let mut report = carry_out(plan, sides, pace, progress)?;
    let (from, to) = sides.ends(plan.direction);
    let mut held = std::mem::take(&mut plan.held);
    for _ in 0..LOOKS {
        let mut again = Plan::make(plan.asking, held, from, to)?;
        if !again.missing.is_empty() {
            return Err(Error::unsendable(&again.missing));
        }
        if again.is_empty() {
            plan.held = again.held;
            return Ok(report);
        }
        report.add(carry_out(&mut again, sides, pace, progress)?);
        held = again.held;
        plan.lobs.extend(again.lobs);
    }
    Err(Error::Differ {
        from: from.describe(),
        to: to.describe(),
    })
}

fn check_space(plan: &mut Plan, sides: Sides) -> Result<()> {
    let (_, to) = sides.ends(plan.direction);
    if plan.is_empty() {
        return Ok(());
    }
    let Some(free) = to.free_space()? else {
        return Ok(());
    };
    // Most of the time not even whole files would fill the disk, and nothing need be counted.
    if free >= plan.size().saturating_add(sides.reserve) {
        return Ok(());
    }
    if plan.cost.is_none() {
        survey(plan, sides)?;
    }
    let raw = plan.cost.unwrap_or_default().bytes;
    // Tables and headers take under 1/64 of what they describe.
    let needed = raw.saturating_add(raw / 64);
    let reserve = sides.reserve;
    if free >= needed.saturating_add(reserve) {
        return Ok(());
    }
    Err(Error::NoSpace {
        place: to.describe(),
        direction: plan.direction,
        needed,
        free,
        reserve,
    })
}

/// Compares what the two sides hold of what was to be moved, by what each of them says now.
fn prove(plan: &Plan, from: &dyn Remote, to: &dyn Remote) -> Result<Option<Digest>> {
    if plan.is_empty() {
        return Ok(None);
    }
    from.refresh()?;
    to.refresh()?;
    let mut all = blake3::Hasher::new();
    for window in plan.sorted().chunks(WINDOW_LOBS) {
        let ids: Vec<LobId> = window.iter().map(|lob| lob.id).collect();
        let (sent, received) = (from.digest(&ids)?, to.digest(&ids)?);
        if sent != received || sent != expected(window) {
            return Err(Error::Differ {
                from: from.describe(),
                to: to.describe(),
            });
        }
        all.update(&sent.0);
    }
    Ok(Some(Digest(*all.finalize().as_bytes())))
}

fn expected(lobs: &[LobInfo]) -> Digest {
    let mut digest = crate::remote::Digester::default();
    for lob in lobs {
        digest.add(lob);
    }
    digest.finish()
}

#[cfg(test)]
mod tests;
