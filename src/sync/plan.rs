//! What a run is going to do, as a value: a dry run prints it, a real run carries it out.

use std::collections::{HashMap, HashSet};

use lob_store::{LobId, LobInfo};

use super::bases;
use super::checkout::wrong_size;
use super::local::Local;
use super::transfer::{Cost, WINDOW_LOBS};
use super::wanted::{Reason, Want};
use crate::remote::{Origin, Remote, Result};

/// Which way lobs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From here to the remote.
    Push,
    /// From the remote to here.
    Pull,
}

impl Direction {
    /// Whether the sender is this repository's own store.
    pub fn origin(self) -> Origin {
        match self {
            Direction::Push => Origin::Own,
            Direction::Pull => Origin::Foreign,
        }
    }

    /// The word for events and tables.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Push => "push",
            Direction::Pull => "pull",
        }
    }
}

/// What a receiver is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// For a pull.
    ToPull,
    /// For a push: what the receiver has already is to stay there, since refs rely on it.
    ToPush,
    /// For a push that is only shown.
    ToSee,
}

impl Asking {
    /// Which way lobs go.
    pub fn direction(self) -> Direction {
        match self {
            Asking::ToPull => Direction::Pull,
            Asking::ToPush | Asking::ToSee => Direction::Push,
        }
    }
}

/// One direction of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which way.
    pub direction: Direction,
    /// What it was made for.
    pub asking: Asking,
    /// Lobs that the receiver lacks and the sender holds, in the order in which they go.
    pub lobs: Vec<Want>,
    /// Wanted lobs that the receiver holds already.
    pub held: Vec<Want>,
    /// How many more of these there are, that are not listed.
    pub held_too: usize,
    /// Whether the sender holds more than is planned together: that is planned when this was moved.
    pub is_part: bool,
    /// Wanted lobs that the receiver lacks and cannot get from this sender.
    pub missing: Vec<Missing>,
    /// The version that came before each of them, where one is known; in a pull one that is held here.
    pub bases: HashMap<LobId, LobId>,
    /// What moving them takes, where it was worked out.
    pub cost: Option<Cost>,
}

/// A wanted lob that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What was wanted.
    pub want: Want,
    /// Why it cannot be had.
    pub why: Why,
}

/// Why a lob cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Neither side holds it.
    Nowhere,
    /// It was set aside there, and who may only read cannot bring it back.
    Aside,
    /// A pointer gives it another length than it has.
    OtherSize {
        /// The length that it has.
        found: u64,
    },
    /// What the sender holds of it is damaged.
    Damaged {
        /// The file, or the store.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Why {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Why::Nowhere => "another clone or remote may have them: \
                 lob sync --mode complete --pull REMOTE here, or lob push there"
                .into(),
            Why::Aside => {
                "somebody who may add to that store brings them back with lob fetch, and a lob gc \
                 there does where a commit needs them"
                    .into()
            }
            Why::OtherSize { found } => wrong_size(*found),
            Why::Damaged { what, why } => {
                let hint = lob_store::Error::damaged(what, why).hint();
                hint.unwrap_or_default()
            }
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Nowhere => f.write_str("neither here nor there"),
            Why::Aside => {
                f.write_str("set aside there, which only who may add to the store can end")
            }
            Why::Damaged { what, why } => write!(f, "damaged: {what}: {why}"),
            Why::OtherSize { found } => {
                write!(
                    f,
                    "the pointer gives a wrong size; the lob has {found} bytes"
                )
            }
        }
    }
}

impl Plan {
    /// Nothing is wanted yet.
    pub fn new(asking: Asking) -> Plan {
        Plan {
            direction: asking.direction(),
            asking,
            lobs: Vec::new(),
            held: Vec::new(),
            held_too: 0,
            is_part: false,
            missing: Vec::new(),
            bases: HashMap::new(),
            cost: None,
        }
    }

    /// Plans to bring `wanted` from one store to another.
    pub fn make(
        asking: Asking,
        wanted: impl IntoIterator<Item = Want>,
        from: &dyn Remote,
        to: &dyn Remote,
    ) -> Result<Plan> {
        let mut planner = Planner::new(asking, from, to);
        for want in wanted {
            planner.want(want)?;
        }
        planner.finish()
    }

    /// Whether there is nothing to move. Something may be missing all the same.
    pub fn is_empty(&self) -> bool {
        self.lobs.is_empty()
    }

    /// Bytes that the lobs to move have as whole files.
    pub fn size(&self) -> u64 {
        self.lobs.iter().map(|want| want.size).sum()
    }

    /// The lobs to move.
    pub fn ids(&self) -> Vec<LobId> {
        ids(&self.lobs)
    }

    /// Takes lobs off the plan that turned out not to be had.
    pub(super) fn give_up(&mut self, lobs: impl Iterator<Item = (LobId, Why)>) {
        let mut why: HashMap<LobId, Why> = lobs.collect();
        for want in std::mem::take(&mut self.lobs) {
            match why.remove(&want.id) {
                Some(why) => self.missing.push(Missing { want, why }),
                None => self.lobs.push(want),
            }
        }
    }

    /// Notes what is held here that lobs of a fetch are likely to be like, where `remote` can use it.
    pub(super) fn rely(&mut self, local: &Local, remote: &dyn Remote) {
        if remote.makes_differences()
            && let Ok(store) = local.store()
        {
            // Hints: a fetch goes without them too.
            self.bases = bases::held(local.repo(), store, &self.lobs, remote).unwrap_or_default();
        }
    }

    /// The lobs to move, with their sizes, sorted by id.
    pub fn sorted(&self) -> Vec<LobInfo> {
        let mut lobs: Vec<LobInfo> = self.lobs.iter().map(Want::info).collect();
        lobs.sort_unstable_by_key(|lob| lob.id);
        lobs
    }
}

/// Makes a plan of wants that come one by one. Both stores are asked in batches.
pub struct Planner<'a> {
    plan: Plan,
    from: &'a dyn Remote,
    to: &'a dyn Remote,
    batch: Vec<Want>,
}

impl<'a> Planner<'a> {
    /// A plan to move lobs from one store to another.
    pub fn new(asking: Asking, from: &'a dyn Remote, to: &'a dyn Remote) -> Planner<'a> {
        Planner {
            plan: Plan::new(asking),
            from,
            to,
            batch: Vec::new(),
        }
    }

    /// One more lob is wanted. Each may be wanted once only.
    pub fn want(&mut self, want: Want) -> Result<()> {
        self.batch.push(want);
        match self.batch.len() < WINDOW_LOBS {
            true => Ok(()),
            false => self.ask(),
        }
    }

    /// How many lobs came of it until now that the receiver does not hold.
    pub(super) fn lacking(&self) -> usize {
        self.plan.lobs.len() + self.plan.missing.len()
    }

    /// The plan for a part of what there is.
    pub(super) fn finish_part(self) -> Result<Plan> {
        let plan = self.finish()?;
        let is_part = true;
        Ok(Plan { is_part, ..plan })
    }

    /// The plan for all of them.
    pub fn finish(mut self) -> Result<Plan> {
        self.ask()?;
        Ok(self.plan)
    }

    fn ask(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let held = match self.plan.asking {
            Asking::ToPush => self.to.hold(&ids(&batch))?,
            Asking::ToPull | Asking::ToSee => self.to.sizes(&ids(&batch))?,
        };
        let mut lacking = Vec::new();
        for (want, held) in batch.into_iter().zip(held) {
            match held {
                None => lacking.push(want),
                // A push looks at them again at its end. Nobody needs the others, of which a peer may
                // name as many as it likes.
                Some(size) if size == want.size => match self.plan.asking {
                    Asking::ToPull if want.reason == Reason::Held => self.plan.held_too += 1,
                    _ => self.plan.held.push(want),
                },
                Some(found) => self.miss(want, Why::OtherSize { found }),
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        let offered = match self.plan.asking {
            Asking::ToPull => self.from.recall(&ids(&lacking))?,
            Asking::ToPush | Asking::ToSee => self.from.sizes(&ids(&lacking))?,
        };
        let absent = lacking.iter().zip(&offered);
        let absent = absent.filter(|(_, offered)| offered.is_none());
        let absent: Vec<LobId> = absent.map(|(want, _)| want.id).collect();
        let aside: HashSet<LobId> = match self.plan.asking {
            Asking::ToPull if !absent.is_empty() => {
                let are_aside = self.from.are_aside(&absent)?;
                let aside = absent.into_iter().zip(are_aside);
                aside.filter_map(|(id, is)| is.then_some(id)).collect()
            }
            _ => HashSet::new(),
        };
        for (want, offered) in lacking.into_iter().zip(offered) {
            match offered {
                None if aside.contains(&want.id) => self.miss(want, Why::Aside),
                None => self.miss(want, Why::Nowhere),
                Some(size) if size == want.size => self.plan.lobs.push(want),
                Some(found) => self.miss(want, Why::OtherSize { found }),
            }
        }
        Ok(())
    }

    fn miss(&mut self, want: Want, why: Why) {
        self.plan.missing.push(Missing { want, why });
    }
}

fn ids(wants: &[Want]) -> Vec<LobId> {
    wants.iter().map(|want| want.id).collect()
}
