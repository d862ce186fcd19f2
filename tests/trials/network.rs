//! Networks that break, at every place that a push or a fetch comes by.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use lob::remote::http::Patience;
use lob::remote::{Access, Served};
use lob::sync::plan::Asking;
use lob_store::{LobId, Store};

use super::{Tier, report};
use crate::network::{Serving, means, over_http};
use crate::served::{add, opened, read, replicate};
use crate::support::proxy::{Fault, Kind, Proxy, Way};
use crate::support::{World, noise};

/// What both sides of a trial start from.
struct Scene {
    world: World,
    server: Serving,
    proxy: Proxy,
    source: Store,
    contents: BTreeMap<LobId, Vec<u8>>,
    trials: u64,
}

/// What the trials came to.
#[derive(Default)]
struct Outcome {
    trials: u64,
    unharmed: u64,
    violations: Vec<String>,
}

/// Trials at once: nearly all of their time they wait.
const LANES: usize = 8;

/// So short that a stall is over soon; nothing else here waits.
fn hasty() -> Patience {
    Patience {
        connect: Duration::from_millis(400),
        first_byte: Duration::from_millis(400),
        stall: Duration::from_millis(400),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(4),
        budget: Duration::from_secs(10),
    }
}

impl Scene {
    fn new() -> Scene {
        let world = World::in_memory();
        let server = Serving::start(&world, world.path(), &["--anonymous", "append"]);
        let proxy = Proxy::to(server.address);
        let source = opened(&world.path().join("source"));
        let contents = [
            noise(1, 300),
            noise(2, 90_000),
            vec![7; 40_000],
            noise(3, 120_000),
        ];
        let contents = contents.map(|content| (add(&source, &content), content));
        let scene = Scene {
            world,
            server,
            proxy,
            source,
            contents: contents.into(),
            trials: 0,
        };
        scene.push("whole", false).unwrap();
        scene
    }

    /// A name that no trial has used.
    fn fresh(&mut self) -> String {
        self.trials += 1;
        format!("trial-{}", self.trials)
    }

    fn connect(&self, name: &str, through_proxy: bool) -> Result<Served, String> {
        let address = match through_proxy {
            true => self.proxy.address,
            false => self.server.address,
        };
        let exchange = over_http(
            &format!("http://{address}/{name}"),
            means(&self.world, hasty()),
        );
        Served::connect(exchange, Access::Write, None).map_err(|error| error.to_string())
    }

    fn push(&self, name: &str, through_proxy: bool) -> Result<u64, String> {
        let remote = self.connect(name, through_proxy)?;
        replicate(Asking::ToPush, &self.source, &remote)
    }

    fn fetch(&self, from: &str, to: &str, through_proxy: bool) -> Result<u64, String> {
        let remote = self.connect(from, through_proxy)?;
        let local = opened(&self.world.path().join(to));
        replicate(Asking::ToPull, &local, &remote)
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
                Err(_) if is_partial => {}
                Err(error) => return Some(format!("{name}: {id}: {error}")),
            }
        }
        None
    }

    /// Lets one thing happen to a push or a fetch, and runs it again.
    fn trial(&mut self, asking: Asking, fault: Fault, outcome: &mut Outcome) {
        let (there, name) = ("whole".to_owned(), self.fresh());
        let run = |scene: &Scene, through: bool| match asking {
            Asking::ToPull => scene.fetch(&there, &name, through),
            _ => scene.push(&name, through),
        };
        let before = self.proxy.injected();
        self.proxy.inject(fault);
        let first = run(self, true);
        let struck = !self.proxy.clear() && self.proxy.injected() > before;
        self.proxy.cut_all();
        outcome.trials += u64::from(struck);
        outcome.unharmed += u64::from(struck && first.is_ok());
        let mut wrong = self.wrong(&name, first.is_err());
        if wrong.is_none() {
            let again = run(self, false).err();
            wrong = again.or_else(|| self.wrong(&name, false));
        }
        if let Some(wrong) = wrong {
            outcome
                .violations
                .push(format!("{fault:?}: {first:?}: {wrong}"));
        }
        // Trials by the thousand must not fill the disk.
        let _ = std::fs::remove_dir_all(self.world.path().join(&name));
    }
}

/// Every place of a stream of so many bytes in so many steps, its begin and its end more closely.
fn places(len: u64, steps: u64) -> Vec<u64> {
    let close = (0..steps).flat_map(|n| [n * 7, len.saturating_sub(1 + n * 5)]);
    let all = (0..steps).map(|n| n * len / steps).chain(close);
    let mut all: Vec<u64> = all.filter(|at| *at < len).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What a push and a fetch come by, each place with each kind.
fn faults(scene: &mut Scene, tier: Tier) -> Vec<(Asking, Fault)> {
    let mut all = Vec::new();
    for asking in [Asking::ToPush, Asking::ToPull] {
        // How much goes each way where nothing happens.
        let moved = [Way::Up, Way::Down].map(|way| scene.proxy.moved(way));
        let name = scene.fresh();
        match asking {
            Asking::ToPull => scene.fetch("whole", &name, true).unwrap(),
            _ => scene.push(&name, true).unwrap(),
        };
        for way in [Way::Up, Way::Down] {
            let len = scene.proxy.moved(way) - moved[way as usize];
            for at in places(len, tier.pick(25, 300)) {
                for kind in Kind::ALL {
                    // A stall takes as long as the limits; a few in the quick tier say as much.
                    if kind != Kind::Stall || tier == Tier::Full || at % 3 == 0 {
                        all.push((asking, Fault { way, at, kind }));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn p3_p6_p8_a_network_may_break_at_any_place() {
    let tier = Tier::asked();
    let all = faults(&mut Scene::new(), tier);
    let share = all.len().div_ceil(LANES);
    let outcomes = thread::scope(|scope| {
        let lanes = all.chunks(share).map(|share| {
            scope.spawn(move || {
                let (mut scene, mut outcome) = (Scene::new(), Outcome::default());
                for (asking, fault) in share {
                    scene.trial(*asking, *fault, &mut outcome);
                }
                outcome
            })
        });
        let lanes: Vec<_> = lanes.collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().unwrap())
            .collect::<Vec<_>>()
    });
    let trials = outcomes.iter().map(|outcome| outcome.trials).sum();
    let unharmed = outcomes.iter().map(|outcome| outcome.unharmed).sum();
    report(
        "network",
        &[
            ("faults", trials),
            ("faults after which the same run went on", unharmed),
        ],
    );
    let violations: Vec<_> = outcomes
        .into_iter()
        .flat_map(|outcome| outcome.violations)
        .collect();
    let count = violations.len();
    assert!(count == 0, "{count} violations:\n{}", violations.join("\n"));
    assert!(trials >= tier.pick(800, 8000), "only {trials} faults");
    assert!(unharmed > 0);
}
