//! Networks that break, at every place that a push or a fetch comes by, whatever carries it.

pub mod far;
mod places;
mod resent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lob::remote::http::Patience;
use lob::remote::{Access, Served};
use lob::sync::plan::Asking;
use lob_store::disk::OsDisk;
use lob_store::fsck::{self, Depth, Gravity};
use lob_store::{LobId, Store};

use self::far::{Carrier, Far};
use super::{Tier, report};
use crate::served::{add, opened, read, replicate};
use crate::support::proxy::{Fault, Kind, Way};
use crate::support::{World, noise};

/// Trials at once: nearly all of their time they wait.
const LANES: usize = 8;
/// Longest that a run may take, whatever happens to it: its limits are far less, but the machine may have
/// other things to do.
const LONGEST: Duration = Duration::from_secs(90);
/// Bytes of greetings and heads that come anew with each connection, and of questions that are asked again.
const TALK: u64 = 64 << 10;

/// What both sides of a trial start from.
struct Scene {
    world: World,
    far: Far,
    source: Store,
    contents: BTreeMap<LobId, Vec<u8>>,
    trials: u64,
    /// Bytes both ways where nothing happens.
    whole: BTreeMap<bool, u64>,
}

/// What came of one thing that happened.
struct Tried {
    struck: bool,
    first: Result<u64, String>,
    longest: Duration,
    /// Bytes both ways, of all runs.
    moved: u64,
    wrong: Option<String>,
}

/// What trials came to.
#[derive(Default)]
struct Outcome {
    trials: u64,
    unharmed: u64,
    /// Those that were made again since the machine may have been too busy.
    busy: u64,
    violations: Vec<String>,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.trials += other.trials;
        self.unharmed += other.unharmed;
        self.busy += other.busy;
        self.violations.extend(other.violations);
    }
}

fn is_push(asking: Asking) -> bool {
    !matches!(asking, Asking::ToPull)
}

impl Scene {
    /// `None`, and said aloud, where this machine has nothing that carries requests so.
    fn start(carrier: Carrier, contents: &[Vec<u8>]) -> Option<Scene> {
        let world = World::in_memory();
        let far = Far::start(carrier, &world)?;
        let source = opened(&world.path().join("source"));
        let contents = contents.iter().cloned();
        let contents = contents.map(|content| (add(&source, &content), content));
        let mut scene = Scene {
            contents: contents.collect(),
            world,
            far,
            source,
            trials: 0,
            whole: BTreeMap::new(),
        };
        scene.run(Asking::ToPush, "whole").unwrap();
        for asking in [Asking::ToPush, Asking::ToPull] {
            let (before, name) = (scene.far.proxy.moved_in_all(), scene.fresh());
            scene.run(asking, &name).unwrap();
            let moved = scene.far.proxy.moved_in_all() - before;
            scene.whole.insert(is_push(asking), moved);
        }
        Some(scene)
    }

    fn small(carrier: Carrier) -> Option<Scene> {
        let contents = [
            noise(1, 300),
            noise(2, 90_000),
            vec![7; 40_000],
            noise(3, 120_000),
        ];
        Scene::start(carrier, &contents)
    }

    /// A name that no trial has used.
    fn fresh(&mut self) -> String {
        self.trials += 1;
        format!("trial-{}", self.trials)
    }

    /// Pushes all there is to a store of this name, or fetches all into it.
    fn run(&self, asking: Asking, name: &str) -> Result<u64, String> {
        self.run_with(asking, name, self.far.patience())
    }

    fn run_with(&self, asking: Asking, name: &str, patience: Patience) -> Result<u64, String> {
        let there = if is_push(asking) { name } else { "whole" };
        let exchange = self.far.exchange(&self.world, there, patience);
        let remote = Served::connect(exchange, Access::Write, None);
        let remote = remote.map_err(|error| error.to_string())?;
        match is_push(asking) {
            true => replicate(asking, &self.source, &remote),
            false => {
                let local = opened(&self.world.path().join(name));
                replicate(asking, &local, &remote)
            }
        }
    }

    /// What is wrong with a store that has to have everything, or with `is_partial` nothing else.
    fn wrong(&self, name: &str, is_partial: bool) -> Option<String> {
        let path = self.world.path().join(name);
        if is_partial && !path.join("state/format").is_file() {
            return None;
        }
        let store = opened(&path);
        for (id, content) in &self.contents {
            match read(&store, id) {
                Ok(found) if found == *content => {}
                Ok(_) => return Some(format!("{name}: {id} is wrong")),
                Err(_) if is_partial && matches!(store.lob(id), Ok(None)) => {}
                Err(error) => return Some(format!("{name}: {id}: {error}")),
            }
        }
        let mut bad = None;
        let examined = fsck::examine(Arc::new(OsDisk), &path, Depth::Deep, &(), &mut |finding| {
            if matches!(finding.gravity, Gravity::Loss | Gravity::Damage) {
                bad = Some(format!("{name}: {finding:?}"));
            }
        });
        examined.err().map(|error| error.to_string()).or(bad)
    }

    /// Lets one thing happen to a push or a fetch, and runs it again. No more than `again` bytes may have
    /// to go twice.
    fn trial(&mut self, asking: Asking, fault: Fault, again: u64, outcome: &mut Outcome) {
        let patience = self.far.patience();
        let mut tried = self.try_once(asking, fault, &patience);
        let most = self.whole[&is_push(asking)] + again + TALK;
        if tried.wrong.is_none() && tried.moved > most {
            // A machine that is busy for longer than the limits of a trial is one more fault, of which each
            // may send as much twice. One that was asked for does so also with time enough.
            outcome.busy += 1;
            tried = self.try_once(asking, fault, &far::long(patience));
        }
        let Tried {
            struck,
            first,
            longest,
            moved,
            mut wrong,
        } = tried;
        outcome.trials += u64::from(struck);
        outcome.unharmed += u64::from(struck && first.is_ok());
        if wrong.is_none() && moved > most {
            wrong = Some(format!("{moved} bytes moved, not {most}"));
        }
        if wrong.is_none() && longest > LONGEST {
            wrong = Some(format!("a run took {longest:?}"));
        }
        if let Some(wrong) = wrong {
            let what = if is_push(asking) { "push" } else { "fetch" };
            let carrier = self.far.carrier();
            outcome
                .violations
                .push(format!("{carrier:?} {what} {fault:?}: {first:?}: {wrong}"));
        }
    }

    fn try_once(&mut self, asking: Asking, fault: Fault, patience: &Patience) -> Tried {
        let name = self.fresh();
        let proxy = &self.far.proxy;
        let (before, moved) = (proxy.injected(), proxy.moved_in_all());
        proxy.inject(fault);
        let began = Instant::now();
        let first = self.run_with(asking, &name, patience.clone());
        let struck = !proxy.clear() && proxy.injected() > before;
        let longest = began.elapsed();
        // What hangs in a stall is over.
        proxy.cut_all();
        let wrong = self.wrong(&name, first.is_err());
        let began = Instant::now();
        let second = self.run_with(asking, &name, patience.clone());
        let longest = longest.max(began.elapsed());
        let wrong = wrong
            .or_else(|| second.err())
            .or_else(|| self.wrong(&name, false));
        let moved = proxy.moved_in_all() - moved;
        // Trials by the thousand must not fill the disk.
        let _ = std::fs::remove_dir_all(self.world.path().join(&name));
        Tried {
            struck,
            first,
            longest,
            moved,
            wrong,
        }
    }
}

/// How many faults are tried of a carrier.
fn count(carrier: Carrier, tier: Tier) -> usize {
    match carrier {
        Carrier::Http => tier.pick(700, 10_500),
        Carrier::Tls => tier.pick(280, 8500),
        // A program starts for each connection.
        Carrier::Pipe => tier.pick(100, 2000),
        Carrier::Ssh => tier.pick(16, 300),
    }
}

/// What a push and a fetch come by, each place with each kind: at the edges of all that is sent and
/// within, and evenly between where more are wanted. Where fewer are, any of them, the same each time.
fn faults(scene: &mut Scene, carrier: Carrier, tier: Tier) -> Vec<(Asking, Fault)> {
    let wanted = count(carrier, tier);
    let mut all = Vec::new();
    for asking in [Asking::ToPush, Asking::ToPull] {
        scene.far.proxy.record();
        let name = scene.fresh();
        scene.run(asking, &name).unwrap();
        let recorded = scene.far.proxy.recorded();
        for way in [Way::Up, Way::Down] {
            let mut places: Vec<u64> = Vec::new();
            for connection in &recorded {
                let edges = places::edges(carrier, way, connection);
                places.extend(places::around(&edges));
                let (len, steps) = (edges.last().unwrap(), wanted as u64 / 24);
                places.extend((0..steps).map(|n| n * len / steps));
            }
            places.sort_unstable();
            places.dedup();
            let each = places.into_iter().flat_map(|at| {
                let kinds = Kind::ALL.into_iter();
                kinds.map(move |kind| (asking, Fault { way, at, kind }))
            });
            all.extend(each);
        }
    }
    let order =
        |(_, fault): &(Asking, Fault)| *blake3::hash(format!("{fault:?}").as_bytes()).as_bytes();
    all.sort_by_cached_key(order);
    // A stall takes as long as the limits; a few in the quick tier say as much.
    let mut stalls = 0;
    let few = tier.pick(wanted / 20, wanted);
    all.retain(|(_, fault)| {
        stalls += usize::from(fault.kind == Kind::Stall);
        fault.kind != Kind::Stall || stalls <= few
    });
    all.truncate(wanted);
    all
}

/// All trials of one carrier, in lanes that have their own scenes.
fn tried(carrier: Carrier, tier: Tier) -> Outcome {
    let Some(mut first) = Scene::small(carrier) else {
        return Outcome::default();
    };
    let all = faults(&mut first, carrier, tier);
    drop(first);
    let next = AtomicUsize::new(0);
    let lane = || {
        let (mut scene, mut outcome) = (Scene::small(carrier).unwrap(), Outcome::default());
        // All of it may have to be sent again: it is less than what is stored together.
        let again = *scene.whole.values().max().unwrap();
        while let Some((asking, fault)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            scene.trial(*asking, *fault, again, &mut outcome);
        }
        outcome
    };
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            outcome.add(lane.join().unwrap());
        }
    });
    outcome
}

#[test]
fn p3_p6_p8_a_network_may_break_at_any_place() {
    let tier = Tier::asked();
    let (mut all, mut figures) = (Outcome::default(), Vec::new());
    for carrier in Carrier::ALL {
        let began = Instant::now();
        let outcome = tried(carrier, tier);
        println!("{carrier:?}: {} in {:?}", outcome.trials, began.elapsed());
        figures.push((carrier.figure(), outcome.trials));
        let least = count(carrier, tier) as u64 * 3 / 4;
        let is_there = carrier != Carrier::Ssh || outcome.trials > 0;
        assert!(
            !is_there || outcome.trials >= least,
            "{carrier:?}: {}",
            outcome.trials
        );
        all.add(outcome);
    }
    figures.insert(0, ("faults", all.trials));
    figures.push(("faults after which the same run went on", all.unharmed));
    figures.push(("faults tried again with more time", all.busy));
    figures.push(("violations", all.violations.len() as u64));
    report("network", &figures);
    let violations = all.violations.join("\n");
    assert!(violations.is_empty(), "violations:\n{violations}");
    assert!(
        all.trials >= tier.pick(1000, 20_000),
        "only {} faults",
        all.trials
    );
    assert!(all.unharmed > 0);
}
