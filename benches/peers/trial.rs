//! One tool through one workload.

use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::failure::Failure;
use crate::figures::{Figures, Measure};
use crate::step::{self, Step};
use crate::tool::Tool;
use crate::tree;
use crate::workload::Workload;
use crate::world::World;

/// Files are this much older than the run: where the index is as new as a file, git reads the
/// file again, and whether it is would be chance.
const AGE: Duration = Duration::from_secs(24 * 3600);

/// The steps of one kind, one after the other.
#[derive(Default)]
struct Steps {
    first: Option<Step>,
    later: Option<Step>,
}

impl Steps {
    fn add(&mut self, nth: usize, step: Option<Step>) {
        let to = if nth == 0 {
            &mut self.first
        } else {
            &mut self.later
        };
        *to = join(*to, step);
    }

    fn all(&self) -> Option<Step> {
        join(self.first, self.later)
    }
}

fn join(one: Option<Step>, two: Option<Step>) -> Option<Step> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.then(two)),
        (one, two) => one.or(two),
    }
}

/// Adds and pushes every version, looks at the status, clones, and compares the clone with the
/// source.
pub fn run(tool: &dyn Tool, workload: &Workload, world: &World) -> Result<Figures, Failure> {
    tool.set_up(world)?;
    let measure = |commands: Vec<Command>| step(commands, tool, world);
    let mut figures = Figures::default();
    let (mut adds, mut pushes) = (Steps::default(), Steps::default());
    let (mut remote, mut local) = (0, 0);
    let begin = SystemTime::now() - AGE;
    for (nth, version) in workload.versions.iter().enumerate() {
        let modified = begin + Duration::from_secs(nth as u64);
        for (path, source) in &version.files {
            tree::put(source, &world.tree().join(path), modified)?;
        }
        adds.add(nth, measure(tool.add(world, nth))?);
        pushes.add(nth, measure(tool.push(world, nth))?);
        if nth == 0 {
            remote = tree::size(&world.remote())?;
            local = tree::size(&tool.local(world))?;
        }
    }
    let status = measure(tool.status(world))?;
    let last = workload.versions.len().saturating_sub(1);
    let clone = measure(tool.clone(world, last))?;

    saved(&mut figures, &adds, &pushes);
    figures.time(Measure::Status, status.map(|step| step.wall));
    figures.time(Measure::Clone, clone.map(|step| step.wall));
    figures.size(Measure::PeakClone, clone.and_then(|step| step.peak));
    let all = [adds.all(), pushes.all(), status, clone];
    let all = all.into_iter().fold(None, join);
    figures.time(Measure::Cpu, all.and_then(|step| step.cpu));
    figures.size(Measure::RemoteFirst, remote);
    figures.size(Measure::LocalFirst, local);
    let growth = |now: u64, then: u64| now.saturating_sub(then);
    let remote = growth(tree::size(&world.remote())?, remote);
    let local = growth(tree::size(&tool.local(world))?, local);
    figures.size(Measure::RemoteGrowth, remote);
    figures.size(Measure::LocalGrowth, local);

    tree::compare(
        &world.clone(),
        workload
            .last()
            .iter()
            .map(|(p, s)| (p.as_path(), s.as_path())),
    )?;
    tool.check(world, workload.example()?)?;
    Ok(figures)
}

/// What adding and pushing took.
fn saved(figures: &mut Figures, adds: &Steps, pushes: &Steps) {
    let wall = |step: Option<Step>| step.map(|step| step.wall);
    figures.time(Measure::AddFirst, wall(adds.first));
    figures.time(Measure::AddLater, wall(adds.later));
    // For a backup, to push is all there is.
    if adds.first.is_some() {
        figures.time(Measure::PushFirst, wall(pushes.first));
        figures.time(Measure::PushLater, wall(pushes.later));
    }
    let first = join(adds.first, pushes.first);
    let later = join(adds.later, pushes.later);
    figures.time(Measure::SaveFirst, wall(first));
    figures.time(Measure::SaveLater, wall(later));
    figures.time(Measure::SyncedFirst, first.map(|step| step.synced));
    figures.time(Measure::SyncedLater, later.map(|step| step.synced));
    figures.size(Measure::PeakAdd, adds.all().and_then(|step| step.peak));
    figures.size(Measure::PeakPush, pushes.all().and_then(|step| step.peak));
}

/// Measures the programs of a step, if the tool has it.
fn step(
    mut commands: Vec<Command>,
    tool: &dyn Tool,
    world: &World,
) -> Result<Option<Step>, Failure> {
    if commands.is_empty() {
        return Ok(None);
    }
    step::measure(&mut commands, tool.programs(), &world.notes()).map(Some)
}
