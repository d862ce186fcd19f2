//! What one remote does not have, or cannot give, comes from the next.

use lob_store::Progress;

use super::{Job, Link};
use crate::remote::{self, Pace};
use crate::sync::error::{Error, Result};
use crate::sync::fetch::lacking;
use crate::sync::plan::{Asking, Missing, Plan, Why};
use crate::sync::run::{Report, carry_out, survey};
use crate::sync::target::Target;
use crate::sync::wanted::Want;

/// Takes what another remote has, and returns what of it did not come.
type Each<'f, 'a> = &'f mut dyn FnMut(&mut Job<'a>, &Link, Plan) -> Result<Vec<Missing>>;

impl<'a> Job<'a> {
    /// With remotes to be asked for what this one does not give, in this order; and with those that could
    /// not be asked in its place.
    pub(in crate::sync) fn with_others(
        mut self,
        others: Vec<Target>,
        trouble: Vec<(String, Error)>,
    ) -> Job<'a> {
        self.others = others;
        self.trouble = trouble;
        self
    }

    /// Remotes that could not be asked, and why.
    pub fn trouble(&self) -> &[(String, Error)] {
        &self.trouble
    }

    /// Adds to the plan what others have of all that is missing, with what that takes: to be shown.
    pub(super) fn survey_others(&mut self) -> Result<()> {
        self.each_other(&mut |job, link, mut plan| {
            survey(&mut plan, link.sides(job.local)?)?;
            let (cost, more) = (job.plan.cost.get_or_insert_default(), plan.cost);
            let more = more.unwrap_or_default();
            cost.chunks += more.chunks;
            cost.bytes += more.bytes;
            job.plan.lobs.extend(plan.lobs);
            Ok(plan.missing)
        })
    }

    /// Fetches from the others what the first did not give; `report` is of that, and `failed` why it ended.
    ///
    /// # Errors
    /// What failed, unless all of it came from others.
    pub(super) fn run_others(
        &mut self,
        report: Option<Report>,
        failed: Option<Error>,
        (pace, progress): (&Pace, &dyn Progress),
    ) -> Result<Option<Report>> {
        let mut all = report;
        if failed.is_some() {
            // What came until then is here.
            let open = lacking(self.local, std::mem::take(&mut self.plan.lobs))?;
            self.plan
                .missing
                .extend(open.into_iter().map(|want| Missing {
                    want,
                    why: Why::Nowhere,
                }));
        }
        let had = self.plan.missing.len();
        self.each_other(&mut |job, link, mut plan| {
            let sides = link.sides(job.local)?;
            plan.rely(job.local, sides.remote);
            let done = carry_out(&mut plan, sides, pace, progress)?;
            job.plan.lobs.append(&mut plan.lobs);
            match &mut all {
                Some(all) => all.add(done),
                none => *none = Some(done),
            }
            Ok(plan.missing)
        })?;
        match failed {
            Some(error) if self.plan.missing.iter().any(is_open) || had == 0 => Err(error),
            Some(error) => {
                self.trouble.push((self.target.name.clone(), error));
                Ok(all)
            }
            None => Ok(all),
        }
    }

    /// Calls `each` with what the next remote has of that which is still missing, as long as something is.
    fn each_other(&mut self, each: Each<'_, 'a>) -> Result<()> {
        for target in std::mem::take(&mut self.others) {
            let missing = std::mem::take(&mut self.plan.missing);
            let (open, known): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_open);
            self.plan.missing = known;
            if open.is_empty() {
                break;
            }
            let wants: Vec<Want> = open.iter().map(|missing| missing.want.clone()).collect();
            let done = self.ask_other(&target, wants, each);
            // Why the first had none says more than that the next had none either.
            let first = |want: &Want| open.iter().find(|missing| missing.want.id == want.id);
            let left = match done {
                Ok(left) => left,
                Err(error) if error.is_interrupted() => return Err(error),
                Err(error) => {
                    // Nothing was ever pushed there, which is an answer.
                    if !matches!(error, Error::Remote(remote::Error::NoStore(_))) {
                        self.trouble.push((target.name.clone(), error));
                    }
                    let wants = open.iter().map(|missing| missing.want.clone()).collect();
                    let lacking = lacking(self.local, wants)?.into_iter();
                    lacking.filter_map(|want| first(&want).cloned()).collect()
                }
            };
            let why = |missing: Missing| match (&missing.why, first(&missing.want)) {
                (Why::Nowhere, Some(first)) => first.clone(),
                _ => missing,
            };
            self.plan.missing.extend(left.into_iter().map(why));
        }
        Ok(())
    }

    fn ask_other(
        &mut self,
        target: &Target,
        wants: Vec<Want>,
        each: Each<'_, 'a>,
    ) -> Result<Vec<Missing>> {
        let link = Link::to_read(self.local, target, &|| {})?;
        let plan = Plan::make(
            Asking::ToPull,
            wants,
            link.remote.as_ref(),
            self.local.store()?,
        )?;
        match plan.is_empty() {
            true => Ok(plan.missing),
            false => each(self, &link, plan),
        }
    }
}

/// Whether another remote may have it.
fn is_open(missing: &Missing) -> bool {
    !matches!(missing.why, Why::OtherSize { .. })
}
