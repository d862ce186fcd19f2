//! `lob prefetch`: what is likely to be needed next comes, in the background if asked.

use super::fetch::recent;
use super::push::sources;
use super::transfer::{How, carry_out, lobs, local, waiting};
use super::{Outcome, background};
use crate::sync::background::{Run, Work, is_running};
use crate::sync::convert::said;
use crate::sync::{Job, Local, Target, fetch};
use crate::ui::bytes::{Size, duration};
use crate::ui::{Exit, Explain, Failure, Ui};

/// Get what is likely to be needed next
///
/// Gets what checkouts of recent branches and recent versions need: the same as lob fetch --recent, from all
/// remotes by what that costs, or from the one that is named.
/// With --background it does so at low priority after the command has ended; lob status shows how far
/// it is. One runs at a time. With lob.prefetch=true a checkout, a merge and a pull start it.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Examples:
  lob prefetch
  lob prefetch --background && lob status")]
pub(super) struct Args {
    /// The remote, or the path or URL of a store
    remote: Option<String>,
    /// Go on in the background
    #[arg(long)]
    background: bool,
    /// This is the process in the background
    #[arg(long, hide = true)]
    detached: bool,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    let local = local()?;
    if args.background && !args.how.dry_run {
        return start(&local, &args, ui);
    }
    if args.detached {
        background::leave_the_terminal();
    }
    let targets = sources(local.repo(), args.remote.as_deref())?;
    if args.how.dry_run {
        let job = plan(&local, targets, ui)?;
        return carry_out(ui, &local, job, &args.how);
    }
    // The file that tells how far it is stands beneath the store.
    local.store()?;
    let state = local.repo().lob_dir().join("state");
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let Some(run) = Run::start(local.repo(), Work::Prefetch, &names.join(", "))
        .because(format_args!("cannot write {}", state.display()))?
    else {
        ui.say("a prefetch is already running; lob status shows how far it is");
        return Ok(Exit::Done);
    };
    let done = plan(&local, targets, ui).and_then(|job| match args.detached {
        true => quietly(&local, job, &run, &args.how),
        false => carry_out(ui, &local, job, &args.how).map(|exit| (exit, String::from("done"))),
    });
    background::end(run, done)
}

fn plan<'a>(local: &'a Local, targets: Vec<Target>, ui: &Ui) -> Result<Job<'a>, Failure> {
    let wants = recent(local.repo())?;
    Ok(fetch::from_all(local, targets, wants, &waiting(ui))?)
}

/// Without a terminal: how far it is goes into the file of the run.
fn quietly(
    local: &Local,
    mut job: Job<'_>,
    run: &Run,
    how: &How,
) -> Result<(Exit, String), Failure> {
    let plan = job.plan();
    run.expect(plan.lobs.len() as u64, plan.size())
        .because("cannot write how far it is")?;
    let report = job.run(&how.pace(local)?, run)?;
    let mut summary = match report {
        Some(report) => format!(
            "fetched {}: {} moved in {}",
            lobs(report.lobs, report.size),
            Size(report.bytes),
            duration(report.time)
        ),
        None => "nothing to fetch".to_string(),
    };
    for (name, error) in job.trouble() {
        summary.push_str(&format!("; {name} cannot be asked: {}", said(error)));
    }
    let missing = job.plan().missing.len();
    if missing == 0 {
        return Ok((Exit::Done, summary));
    }
    summary.push_str(&format!("; {missing} cannot be had"));
    Ok((Exit::Incomplete, summary))
}

/// Starts this program anew, so that the command can end: nothing of it keeps git or a terminal
/// waiting.
pub(super) fn start(local: &Local, args: &Args, ui: &Ui) -> Outcome {
    if is_running(local.repo(), Work::Prefetch) {
        ui.say("a prefetch is already running; lob status shows how far it is");
        return Ok(Exit::Done);
    }
    let mut words: Vec<String> = ["prefetch", "--detached", "--quiet"]
        .map(String::from)
        .into();
    if let Some(Size(limit)) = args.how.bwlimit {
        words.push(format!("--bwlimit={limit}"));
    }
    if let Some(remote) = &args.remote {
        words.extend(["--".into(), remote.clone()]);
    }
    background::start(&words)?;
    ui.say("prefetching in the background; lob status shows how far it is");
    Ok(Exit::Done)
}
