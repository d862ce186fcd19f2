//! One direction of replication with one remote: planned, and ready to be carried out.

mod others;

use lob_store::disk::Lock;
use lob_store::{Epoch, Progress};

use super::error::{Error, Result};
use super::local::Local;
use super::nearby;
use super::plan::{Asking, Missing, Plan};
use super::push;
use super::run::{Report, Sides, carry_out, push_all, survey};
use super::state::State;
use super::target::Target;
use crate::git::Oid;
use crate::remote::{self, Absent, Access, Pace, Remote};

/// One direction of replication with one remote. Where nothing is to do the remote was never
/// touched.
#[derive(Debug)]
pub struct Job<'a> {
    local: &'a Local,
    target: Target,
    plan: Plan,
    link: Option<Link>,
    /// What the ledger learns when nothing is missing.
    tips: Vec<Oid>,
    /// Remotes to be asked for what this one does not give.
    others: Vec<Target>,
    /// Those that could not be asked, and why.
    trouble: Vec<(String, Error)>,
}

/// An open remote, and the turn at it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) remote: Box<dyn Remote>,
    /// The epoch that it was in before it was asked anything.
    pub(super) epoch: Epoch,
    /// Held while planning and moving, so that two runs do not send the same twice.
    _turn: Lock,
}

impl Link {
    /// Opens the remote to read from it.
    pub(super) fn to_read(local: &Local, target: &Target, waiting: &dyn Fn()) -> Result<Link> {
        // What is learned of the remote goes beneath the store.
        local.store()?;
        Link::open(local, target.connect(local.repo(), Access::Read)?, waiting)
    }

    /// Opens the remote to write to it, or for a dry run to see what it lacks.
    pub(super) fn to_write(
        local: &Local,
        target: &Target,
        dry: bool,
        waiting: &dyn Fn(),
    ) -> Result<Link> {
        local.store()?;
        let remote = match dry {
            false => target.connect(local.repo(), Access::Write)?,
            true => match target.connect(local.repo(), Access::Read) {
                Err(Error::Remote(remote::Error::NoStore(place))) => Box::new(Absent(place)),
                opened => opened?,
            },
        };
        Link::open(local, remote, waiting)
    }

    /// Waits for the turn at the remote; `waiting` is called once if that takes long.
    fn open(local: &Local, remote: Box<dyn Remote>, waiting: &dyn Fn()) -> Result<Link> {
        let turn = take_turn(local, remote.as_ref(), waiting)?;
        let epoch = remote.epoch()?;
        remote.refresh()?;
        Ok(Link {
            remote,
            epoch,
            _turn: turn,
        })
    }

    pub(super) fn sides<'a>(&'a self, local: &'a Local) -> Result<Sides<'a>> {
        Ok(Sides {
            local: local.store()?,
            remote: self.remote.as_ref(),
            reserve: local.repo().settings()?.reserve,
        })
    }
}

fn take_turn(local: &Local, remote: &dyn Remote, waiting: &dyn Fn()) -> Result<Lock> {
    let dir = local.repo().lob_dir();
    let state = State::of(&dir);
    let name = format!("sync-{}", remote.store_id());
    let failed = Error::state(&dir.join(format!("state/{name}.lock")));
    let taken = match state.lock(&name, false) {
        Ok(None) => {
            waiting();
            state.lock(&name, true)
        }
        taken => taken,
    };
    taken
        .map_err(failed)?
        .ok_or(Error::Store(lob_store::Error::Interrupted))
}

impl<'a> Job<'a> {
    /// Nothing is to do.
    pub(super) fn nothing(local: &'a Local, target: Target, asking: Asking) -> Job<'a> {
        Job {
            local,
            target,
            plan: Plan::new(asking),
            link: None,
            tips: Vec::new(),
            others: Vec::new(),
            trouble: Vec::new(),
        }
    }

    /// With these, which cannot be had whatever is done.
    pub(super) fn without(mut self, missing: Vec<Missing>) -> Job<'a> {
        self.plan.missing.extend(missing);
        self
    }

    /// A plan for an open remote. When all of it was moved and nothing was missing, the remote is
    /// known to hold all that `tips` reference.
    pub(super) fn planned(
        local: &'a Local,
        target: Target,
        plan: Plan,
        link: Link,
        tips: Vec<Oid>,
    ) -> Job<'a> {
        Job {
            local,
            target,
            plan,
            link: Some(link),
            tips,
            others: Vec::new(),
            trouble: Vec::new(),
        }
    }

    /// What is going to be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// With whom.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Works out how many chunks and bytes the plan takes.
    pub fn survey(&mut self) -> Result<()> {
        if let Some(link) = &self.link {
            survey(&mut self.plan, link.sides(self.local)?)?;
        }
        self.survey_others()
    }

    /// Does it. `None` where there was nothing to move.
    pub fn run(&mut self, pace: &Pace, progress: &dyn Progress) -> Result<Option<Report>> {
        let Some(link) = &self.link else {
            return Ok(None);
        };
        let sides = link.sides(self.local)?;
        if self.plan.asking == Asking::ToPush {
            let report = match self.plan.is_empty() {
                true => None,
                false => Some(push_all(&mut self.plan, sides, pace, progress)?),
            };
            if self.plan.missing.is_empty() && !self.tips.is_empty() {
                self.learn(link)?;
            }
            return Ok(report);
        }
        let pulled = match self.plan.is_empty() {
            true => Ok(None),
            false => self.pull(pace, progress).map(Some),
        };
        match pulled {
            Err(error) if self.others.is_empty() || error.is_interrupted() => Err(error),
            Err(error) => self.run_others(None, Some(error), (pace, progress)),
            Ok(report) => self.run_others(report, None, (pace, progress)),
        }
    }

    fn pull(&mut self, pace: &Pace, progress: &dyn Progress) -> Result<Report> {
        let link = self.link.as_ref().ok_or(Error::NoRemote)?;
        let sides = link.sides(self.local)?;
        // Also for what moves before the rest is known.
        let _ = sides.remote.limit(pace.rate());
        self.plan.rely(self.local, sides.remote);
        let moved = nearby::take_in(self.local.repo(), &self.plan, sides, progress);
        let mut report = carry_out(&mut self.plan, sides, pace, progress)?;
        report.bytes += moved;
        Ok(report)
    }

    fn learn(&self, link: &Link) -> Result<()> {
        // Another run may have learned something since the plan was made.
        let ledger = push::ledger(self.local, link.remote.store_id());
        push::learn(
            self.local,
            ledger,
            &self.tips,
            Some((link.remote.cursor()?, link.epoch)),
        )
    }
}
