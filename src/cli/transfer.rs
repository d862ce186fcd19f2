//! What the verbs of replication share: their options, their dry runs, their reports.

use std::path::Path;

use serde::Serialize;

use super::{Outcome, remedy};
use crate::git::Repo;
use crate::remote::Access;
use crate::sync::convert::said;
use crate::sync::plan::{Direction, Missing, Plan};
use crate::sync::wanted::Want;
use crate::sync::{Job, Local, Pace, Report, Target};
use crate::ui::bytes::{Size, duration, rate};
use crate::ui::{Exit, Failure, Ui, escape, json};

/// Lobs that cannot be had which are named; the rest is counted.
const NAMED: usize = 20;

/// How a transfer is made.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct How {
    /// Show what would be moved, and move nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// Move at most so many bytes a second, such as 500K or 10M; wins over lob.bwlimit
    #[arg(long, value_name = "RATE")]
    pub(super) bwlimit: Option<Size>,
}

impl How {
    /// The limit that holds.
    pub(super) fn pace(&self, local: &Local) -> Result<Pace, Failure> {
        let set = local.repo().settings()?.bwlimit;
        let limit = self.bwlimit.map_or(set, |Size(limit)| Some(limit));
        Ok(Pace::of(limit.filter(|limit| *limit > 0)))
    }
}

/// The repository here.
pub(super) fn local() -> Result<Local, Failure> {
    Ok(Local::discover(Path::new("."))?)
}

/// The remote that was named, if one was.
pub(super) fn named(
    repo: &Repo,
    name: Option<&str>,
    access: Access,
) -> Result<Option<Target>, Failure> {
    let target = name.map(|name| Target::named(repo, name, access));
    Ok(target.transpose()?)
}

/// Tells that another run has the turn.
pub(super) fn waiting(ui: &Ui) -> impl Fn() + '_ {
    || ui.say("another lob sync runs; waiting for it")
}

/// Carries a job out, or shows what it would do.
pub(super) fn carry_out(ui: &Ui, local: &Local, mut job: Job<'_>, how: &How) -> Outcome {
    if how.dry_run {
        return show(ui, job);
    }
    let plan = job.plan();
    // What others may have counts too.
    let missing: u64 = plan.missing.iter().map(|missing| missing.want.size).sum();
    let size = plan.size() + missing;
    let lobs = (plan.lobs.len() + plan.missing.len()) as u64;
    let task = match plan.direction {
        Direction::Push => "Sending",
        Direction::Pull => "Receiving",
    };
    let pace = how.pace(local)?;
    let report = match lobs {
        0 => job.run(&pace, &())?,
        _ => {
            let bar = ui.bar(task, Some(size), Some(lobs));
            let report = job.run(&pace, &bar)?;
            bar.finish();
            report
        }
    };
    match report {
        Some(report) => tell(ui, &job, &report)?,
        None => nothing(ui, &job)?,
    }
    tell_trouble(ui, &job);
    tell_missing(ui, &job.plan().missing)
}

/// Says which remotes could not be asked; what they have others gave, or it is missing.
fn tell_trouble(ui: &Ui, job: &Job<'_>) {
    for (name, error) in job.trouble() {
        ui.warn(format_args!("{name} cannot be asked: {}", said(error)));
    }
    remedy::show(job.trouble().iter().map(|(_, error)| error as _), ui);
}

/// The event `plan`.
#[derive(Serialize)]
struct Planned<'a> {
    direction: &'static str,
    remote: &'a str,
    place: String,
    lobs: usize,
    size: u64,
    chunks: u64,
    bytes: u64,
    held: usize,
    missing: usize,
    /// Whether the store holds more than is planned together.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_part: bool,
}

/// The events `lob` and `missing`.
#[derive(Serialize)]
struct Lob<'a> {
    direction: &'static str,
    id: String,
    size: u64,
    #[serde(flatten)]
    path: json::Path<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

fn show(ui: &Ui, mut job: Job<'_>) -> Outcome {
    job.survey()?;
    let plan = job.plan();
    let cost = plan.cost.unwrap_or_default();
    let direction = plan.direction.name();
    ui.record(
        "plan",
        Planned {
            direction,
            remote: &job.target().name,
            place: job.target().describe(),
            lobs: plan.lobs.len(),
            size: plan.size(),
            chunks: cost.chunks,
            bytes: cost.bytes,
            held: plan.held.len() + plan.held_too,
            missing: plan.missing.len(),
            is_part: plan.is_part,
        },
    )?;
    match plan.is_empty() {
        true => say_nothing(ui, &job),
        false => ui.say(format_args!(
            "would {direction} {}; not there yet: {} in {}",
            lobs(plan.lobs.len() as u64, plan.size()),
            Size(cost.bytes),
            count(cost.chunks, "chunk"),
        )),
    }
    for want in &plan.lobs {
        list(ui, plan, want)?;
    }
    if plan.is_part {
        ui.say(format_args!(
            "and more: what comes after these is planned when they are here"
        ));
    }
    tell_trouble(ui, &job);
    tell_missing(ui, &plan.missing)
}

fn list(ui: &Ui, plan: &Plan, want: &Want) -> Result<(), Failure> {
    let direction = plan.direction.name();
    if ui.is_json() {
        return ui.record("lob", Lob::of(direction, want, None));
    }
    let size = Size(want.size);
    match want.path.is_empty() {
        true => ui.line(format_args!("{direction} {size:>9} {}", want.id)),
        false => ui.line(format_args!(
            "{direction} {size:>9} {}",
            escape::path(&want.path)
        )),
    }
}

impl<'a> Lob<'a> {
    fn of(direction: &'static str, want: &'a Want, why: Option<String>) -> Lob<'a> {
        Lob {
            direction,
            id: want.id.to_string(),
            size: want.size,
            path: json::Path(&want.path),
            why,
        }
    }
}

/// The event `summary`.
#[derive(Serialize)]
struct Summary<'a> {
    direction: &'static str,
    remote: &'a str,
    place: String,
    lobs: u64,
    size: u64,
    chunks: u64,
    bytes: u64,
    saved: u64,
    seconds: f64,
    digest: Option<String>,
    missing: usize,
}

fn tell(ui: &Ui, job: &Job<'_>, report: &Report) -> Result<(), Failure> {
    let name = &job.target().name;
    let digest = report.digest.map(|digest| digest.to_string());
    let done = match report.direction {
        Direction::Push => "pushed",
        Direction::Pull => "fetched",
    };
    ui.say(format_args!(
        "{done} {}: {} moved, {} saved, {}, {}",
        lobs(report.lobs, report.size),
        Size(report.bytes),
        Size(report.saved()),
        duration(report.time),
        rate(report.bytes, report.time),
    ));
    if let Some(digest) = &digest {
        let short: String = digest.chars().take(12).collect();
        ui.say(format_args!(
            "in sync with {name}: both sides have digest {short}"
        ));
    }
    ui.event(
        "summary",
        Summary {
            direction: report.direction.name(),
            remote: name,
            place: job.target().describe(),
            lobs: report.lobs,
            size: report.size,
            chunks: report.chunks,
            bytes: report.bytes,
            saved: report.saved(),
            seconds: report.time.as_secs_f64(),
            digest,
            missing: job.plan().missing.len(),
        },
    )
}

fn nothing(ui: &Ui, job: &Job<'_>) -> Result<(), Failure> {
    say_nothing(ui, job);
    ui.event(
        "summary",
        Summary {
            direction: job.plan().direction.name(),
            remote: &job.target().name,
            place: job.target().describe(),
            lobs: 0,
            size: 0,
            chunks: 0,
            bytes: 0,
            saved: 0,
            seconds: 0.0,
            digest: None,
            missing: job.plan().missing.len(),
        },
    )
}

fn say_nothing(ui: &Ui, job: &Job<'_>) {
    let name = &job.target().name;
    match job.plan().direction {
        Direction::Push => ui.say(format_args!("nothing to push to {name}")),
        Direction::Pull => ui.say(format_args!("nothing to fetch from {name}")),
    }
}

fn tell_missing(ui: &Ui, missing: &[Missing]) -> Outcome {
    for Missing { want, why } in missing {
        ui.record("missing", Lob::of("none", want, Some(why.to_string())))?;
    }
    if missing.is_empty() {
        return Ok(Exit::Done);
    }
    let total = count(missing.len() as u64, "lob");
    let mut text = format!("{total} cannot be had:");
    for Missing { want, why } in missing.iter().take(NAMED) {
        let place = match want.path.is_empty() {
            true => want.id.to_string(),
            false => escape::path(&want.path).to_string(),
        };
        text.push_str(&format!("\n{place}: {why}"));
    }
    if missing.len() > NAMED {
        text.push_str(&format!("\nand {} more", missing.len() - NAMED));
    }
    ui.warn(text);
    let mut hints: Vec<String> = missing.iter().map(|one| one.why.hint()).collect();
    hints.sort();
    hints.dedup();
    hints.iter().take(NAMED).for_each(|hint| ui.hint(hint));
    Ok(Exit::Incomplete)
}

/// `3 lobs, 12.3 MB`.
pub(super) fn lobs(n: u64, size: u64) -> String {
    format!("{}, {}", count(n, "lob"), Size(size))
}

/// `1 chunk`, `3 chunks`.
pub(super) fn count(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// The worse of two ends.
pub(super) fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Done, Exit::Done) => Exit::Done,
        _ => Exit::Incomplete,
    }
}
