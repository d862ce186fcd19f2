//! `lob sync`: both ways, as much as is asked for.

use clap::ValueEnum;

use super::Outcome;
use super::fetch::recent;
use super::pull::fill;
use super::push::{sources, target};
use super::transfer::{How, carry_out, lobs, local, waiting, worse};
use crate::remote::Access;
use crate::sync::plan::Direction;
use crate::sync::worktree::Checkout;
use crate::sync::{Error, Job, Local, Target, fetch, push, wanted};
use crate::ui::bytes::Size;
use crate::ui::{Exit, Failure, Ui};

/// Move lobs to and from a remote
///
/// Without --mode it sends what commits reference, gets what the checkout lacks, and fills files that
/// are still pointers; a bare repository, which has no checkout, gets
/// what commits reference. Where no remote is named it sends to the one that git would push to, and gets from
/// all, by what that costs (remote.NAME.lobCost): what one does not have comes from the next. --mode complete
/// is about one. Only what the other side lacks moves; a run that was cut goes on where it was.
/// With --json: the events "plan" and "lob" (dry run), "summary" and "missing".
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lob sync
  lob sync --dry-run
  lob sync --mode fixup            # get back what pointers in the work tree stand for
  lob sync /media/usb/lob --mode complete --push")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store
    remote: Option<String>,
    /// Which lobs
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Only send
    #[arg(long, conflicts_with = "pull")]
    push: bool,
    /// Only get
    #[arg(long)]
    pull: bool,
    #[command(flatten)]
    how: How,
}

/// Which lobs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Everything in the stores, referenced or not: for mirrors and backups
    Complete,
    /// Everything that commits reference
    Committed,
    /// What the current checkout needs (only gets)
    Checkout,
    /// What is likely to be needed next (only gets)
    Prefetch,
    /// What files that are still pointers stand for (only gets)
    Fixup,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    let (send, get) = directions(&args, local.repo().work_tree().is_none())?;
    let mut exit = Exit::Done;
    if let Some(mode) = send {
        let target = target(local.repo(), args.remote.as_deref(), Access::Write)?;
        let job = sending(&local, target, mode, args.how.dry_run, ui)?;
        let job = announced(ui, job, mode, &args.how)?;
        exit = worse(exit, carry_out(ui, &local, job, &args.how)?);
    }
    let Some(mode) = get else {
        return Ok(exit);
    };
    let targets = match mode {
        // What a store holds, and nobody needs, others do not have in its place.
        Mode::Complete => vec![target(local.repo(), args.remote.as_deref(), Access::Read)?],
        _ => sources(local.repo(), args.remote.as_deref())?,
    };
    let needs = match mode {
        Mode::Checkout | Mode::Fixup => Checkout::read(local.repo())?,
        _ => Checkout::default(),
    };
    loop {
        let job = getting(&local, targets.clone(), mode, &needs, ui)?;
        let job = announced(ui, job, mode, &args.how)?;
        let is_part = job.plan().is_part;
        let done = carry_out(ui, &local, job, &args.how)?;
        exit = worse(exit, done);
        if !is_part || args.how.dry_run {
            break;
        }
        // What cannot be had would be asked for for ever.
        if done != Exit::Done {
            ui.warn("there is more: run the same command again when these can be had");
            break;
        }
    }
    Ok(worse(exit, fill(ui, &local, needs.files, &args.how)?))
}

/// What is sent, and what is got.
fn directions(args: &Args, is_bare: bool) -> Result<(Option<Mode>, Option<Mode>), Failure> {
    let (send, get) = match args.mode {
        None if is_bare => (Some(Mode::Committed), Some(Mode::Committed)),
        None => (Some(Mode::Committed), Some(Mode::Checkout)),
        Some(mode @ (Mode::Complete | Mode::Committed)) => (Some(mode), Some(mode)),
        Some(mode) => (None, Some(mode)),
    };
    if args.push && send.is_none() {
        return Err(Failure::usage("this mode only gets lobs")
            .hint("--push goes with --mode committed or complete"));
    }
    Ok((send.filter(|_| !args.pull), get.filter(|_| !args.push)))
}

fn sending<'a>(
    local: &'a Local,
    target: Target,
    mode: Mode,
    dry: bool,
    ui: &Ui,
) -> Result<Job<'a>, Failure> {
    Ok(match mode {
        Mode::Complete => push::complete(local, target, dry, &waiting(ui))?,
        _ => {
            let tips = wanted::tips(local.repo())?;
            push::committed(local, target, tips, dry, &waiting(ui))?
        }
    })
}

fn getting<'a>(
    local: &'a Local,
    mut targets: Vec<Target>,
    mode: Mode,
    needs: &Checkout,
    ui: &Ui,
) -> Result<Job<'a>, Failure> {
    let wants = match mode {
        Mode::Complete => {
            let target = targets.pop().ok_or(Error::NoRemote)?;
            return Ok(fetch::complete(local, target, &waiting(ui))?);
        }
        Mode::Committed => wanted::everywhere(local.repo())?,
        Mode::Checkout => needs.wants.clone(),
        Mode::Prefetch => recent(local.repo())?,
        Mode::Fixup => needs.unexpanded(),
    };
    Ok(fetch::from_all(local, targets, wants, &waiting(ui))?)
}

/// A complete run may be long: what it takes is said before it starts.
fn announced<'a>(ui: &Ui, mut job: Job<'a>, mode: Mode, how: &How) -> Result<Job<'a>, Failure> {
    if mode == Mode::Complete && !how.dry_run && !job.plan().is_empty() {
        job.survey()?;
        let plan = job.plan();
        let verb = match plan.direction {
            Direction::Push => "send",
            Direction::Pull => "get",
        };
        ui.say(format_args!(
            "to {verb}: {}, of which {} are new there",
            lobs(plan.lobs.len() as u64, plan.size()),
            Size(plan.cost.unwrap_or_default().bytes),
        ));
    }
    Ok(job)
}
