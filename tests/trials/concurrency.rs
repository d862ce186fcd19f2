//! P2, P3, P5, P7: writers, readers, and a prune and a repack that never end, at once on one store; and real
//! commands that are killed at random while they push to one, fetch from it and repack it.
//!
//! What was acknowledged and not released since reads back exactly, at any time and at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime};

use lob_store::disk::OsDisk;
use lob_store::{Effort, LobId, Store};

use crate::support::{Repo, World, noise};

use super::{Tier, report};

/// Contents that writers choose from: few, so that they meet each other and the prune all the time.
const CONTENTS: u64 = 200;
/// How much older than now something is that a prune may take: file systems' clocks are behind a little.
const LAG: Duration = Duration::from_millis(100);
/// When a run counts as one that hangs.
const HANGS: Duration = Duration::from_secs(3 * 3600);

/// What is wanted, by the content's number.
type Wanted = Mutex<BTreeMap<u64, Want>>;

/// By whom something is wanted. A writer wants before it writes, as git knows what it adds.
#[derive(Debug, Clone, Copy, Default)]
struct Want {
    writers: u32,
    acknowledged: bool,
}

#[derive(Default)]
struct Counts {
    added: AtomicU64,
    read: AtomicU64,
    pruned: AtomicU64,
    repacked: AtomicU64,
    lost: AtomicU64,
    stop: AtomicBool,
}

impl Counts {
    fn operations(&self) -> u64 {
        let all = [&self.added, &self.read, &self.pruned, &self.repacked];
        all.iter().map(|count| count.load(Relaxed)).sum()
    }
}

/// A generator that is the same for the same seed (xorshift64*, Marsaglia 2003).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// Contents share their first part with a neighbour, and so chunks.
fn content(number: u64) -> Vec<u8> {
    let mut content = noise(number / 2, 40_000);
    content.extend(noise(1000 + number, 2000 + 500 * (number as usize % 7)));
    content
}

#[test]
fn p2_p3_p5_p7_writers_readers_a_prune_and_a_repack_lose_nothing() {
    let tier = Tier::asked();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lob");
    Store::create(Arc::new(OsDisk), &root).unwrap();
    let wanted = Wanted::default();
    let counts = Counts::default();
    let (done, ended) = mpsc::channel::<()>();
    let time = tier.pick(Duration::from_secs(10), Duration::from_secs(2 * 3600));
    let least = tier.pick(500, 100_000);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Not to wait for ever is all that time is for here.
            if matches!(
                ended.recv_timeout(HANGS),
                Err(mpsc::RecvTimeoutError::Timeout)
            ) {
                eprintln!("the suite of concurrency hangs");
                std::process::abort();
            }
        });
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let (root, wanted, counts) = (&root, &wanted, &counts);
                scope.spawn(move || match worker {
                    0..4 => write(root, wanted, counts, Chance(worker + 1)),
                    4..6 => read(root, wanted, counts, Chance(worker + 1)),
                    6 => prune(root, wanted, counts),
                    _ => repack(root, counts, Chance(worker + 1)),
                })
            })
            .collect();
        let begun = Instant::now();
        while begun.elapsed() < time && (counts.operations() < least || tier == Tier::Quick) {
            std::thread::sleep(Duration::from_millis(50));
            if workers.iter().any(|worker| worker.is_finished()) {
                break;
            }
        }
        counts.stop.store(true, Relaxed);
        for worker in workers {
            worker.join().unwrap();
        }
        drop(done);
    });
    let store = Store::open(Arc::new(OsDisk), &root).unwrap();
    let wanted = wanted.into_inner().unwrap();
    for (number, _) in wanted.iter().filter(|(_, want)| want.acknowledged) {
        if !holds(&store, *number) {
            eprintln!("content {number} is lost at the end");
            counts.lost.fetch_add(1, Relaxed);
        }
    }
    report(
        "concurrency",
        &[
            ("operations", counts.operations()),
            ("lobs added", counts.added.load(Relaxed)),
            ("lobs read", counts.read.load(Relaxed)),
            ("prunes", counts.pruned.load(Relaxed)),
            ("repacks", counts.repacked.load(Relaxed)),
            ("lost", counts.lost.load(Relaxed)),
        ],
    );
    assert_eq!(counts.lost.load(Relaxed), 0);
    assert!(counts.operations() >= least, "{}", counts.operations());
    assert!(counts.pruned.load(Relaxed) >= tier.pick(5, 200));
    // It waits for the prune to let go of their lock, which it does at no time of its own.
    assert!(counts.repacked.load(Relaxed) >= tier.pick(1, 20));
}

fn open(root: &Path) -> Store {
    Store::open(Arc::new(OsDisk), root).unwrap()
}

fn write(root: &Path, wanted: &Wanted, counts: &Counts, mut chance: Chance) {
    while !counts.stop.load(Relaxed) {
        let store = open(root);
        let mut writer = store.writer().unwrap();
        let numbers: Vec<u64> = (0..1 + chance.below(4))
            .map(|_| chance.below(CONTENTS))
            .collect();
        for number in &numbers {
            wanted.lock().unwrap().entry(*number).or_default().writers += 1;
            writer.add(&mut &content(*number)[..], &()).unwrap();
        }
        // A writer that gives up: nothing of it was acknowledged.
        let gives_up = chance.below(8) == 0;
        match gives_up {
            true => drop(writer),
            false => writer.finish().unwrap(),
        }
        let mut wanted = wanted.lock().unwrap();
        for number in &numbers {
            let want = wanted.get_mut(number).unwrap();
            want.writers -= 1;
            want.acknowledged |= !gives_up;
        }
        if !gives_up {
            counts.added.fetch_add(numbers.len() as u64, Relaxed);
        }
        let released = chance.below(CONTENTS);
        if wanted.get(&released).is_some_and(|want| want.writers == 0) {
            wanted.remove(&released);
        }
    }
}

fn holds(store: &Store, number: u64) -> bool {
    let content = content(number);
    let mut found = Vec::new();
    let read = store.write_to(&LobId::of(&content), &mut found, &());
    // What is wrong is worse than what is not there, and never right.
    assert!(read.is_err() || found == content, "{number} is another");
    read.is_ok()
}

fn read(root: &Path, wanted: &Wanted, counts: &Counts, mut chance: Chance) {
    let mut store = open(root);
    while !counts.stop.load(Relaxed) {
        if chance.below(20) == 0 {
            store = open(root);
        }
        let from = chance.below(CONTENTS);
        let next = |from| {
            let wanted = wanted.lock().unwrap();
            let mut acknowledged = wanted.range(from..).filter(|(_, want)| want.acknowledged);
            acknowledged.next().map(|(number, _)| *number)
        };
        let Some(number) = next(from) else {
            continue;
        };
        counts.read.fetch_add(1, Relaxed);
        if !holds(&store, number) {
            // Released meanwhile, perhaps, and wanted again: then it is there by now.
            let _ = store.refresh();
            let before = is_released(wanted, number);
            let is_held = holds(&open(root), number);
            if !is_held && !before && !is_released(wanted, number) {
                eprintln!("content {number} is lost");
                counts.lost.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Whether nobody wants it now who was told that it is there.
fn is_released(wanted: &Wanted, number: u64) -> bool {
    let wanted = wanted.lock().unwrap();
    !wanted.get(&number).is_some_and(|want| want.acknowledged)
}

fn prune(root: &Path, wanted: &Wanted, counts: &Counts) {
    while !counts.stop.load(Relaxed) {
        let store = open(root);
        let young = SystemTime::now() - LAG;
        let Some(mut prune) = store.prune(young).unwrap() else {
            continue;
        };
        // What is acknowledged from here on was stored or found after `young`.
        let kept: Vec<u64> = wanted.lock().unwrap().keys().copied().collect();
        for number in kept {
            prune.keep(&LobId::of(&content(number))).unwrap();
        }
        let ran = prune.plan().and_then(|plan| plan.run(&()));
        match ran {
            Ok(_) => drop(counts.pruned.fetch_add(1, Relaxed)),
            // The others write all the time, as it says.
            Err(lob_store::Error::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Turns neighbours round, now the one and now the other being the newer one; those that wrote something
/// anew count.
fn repack(root: &Path, counts: &Counts, mut chance: Chance) {
    while !counts.stop.load(Relaxed) {
        let store = open(root);
        let pair = |number: u64| {
            let newest = number + chance.below(2);
            [newest, newest ^ 1].map(|number| LobId::of(&content(number)))
        };
        let pairs = (0..CONTENTS).step_by(2).map(pair);
        let chains: Vec<_> = pairs.map(Vec::from).collect();
        // The prune has the same lock, and says when it lets go of it to nobody.
        let Some(plan) = store.repack(&chains, Effort::Fast).unwrap() else {
            std::thread::yield_now();
            continue;
        };
        match plan.run(&mut |_| true, &()) {
            Ok(done) => {
                assert_eq!(done.unreadable, 0, "{done:?}");
                let any = u64::from(done.versions > 0);
                counts.repacked.fetch_add(any, Relaxed);
            }
            Err(lob_store::Error::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// What real commands came to.
#[derive(Default)]
struct Commands {
    ended: AtomicU64,
    kills: AtomicU64,
    repacked: AtomicU64,
    /// The contents of which git was told that they are pushed.
    acknowledged: Mutex<Vec<Vec<u8>>>,
}

#[test]
fn p2_p3_p5_p6_real_commands_are_killed_while_they_share_a_remote() {
    let tier = Tier::asked();
    let rounds = tier.pick(6, 300);
    let world = World::in_memory();
    let (origin, first) = world.pair();
    first.track(&["*.bin"]);
    first.write("a.bin", noise(1, 50_000));
    first.commit("The first version");
    first.git(&["push", "-q", "origin", "main"]);
    let member = |name: &str| member(&world, &origin, name);
    let pushers: Vec<Repo> = (0..4).map(|n| member(&format!("p{n}"))).collect();
    let (prefetcher, mirror, repacker) = (member("f"), member("m"), member("r"));
    let all = Commands::default();
    std::thread::scope(|scope| {
        let all = &all;
        let pushers = (1..).zip(&pushers);
        let pushers = pushers.map(|(n, repo)| scope.spawn(move || all.push(repo, n, rounds)));
        let pushers: Vec<_> = pushers.collect();
        scope.spawn(|| all.fetch(&prefetcher, &["prefetch"], Chance(200), rounds));
        let mirrors = &["sync", "--mode", "complete", "--pull"];
        scope.spawn(|| all.fetch(&mirror, mirrors, Chance(201), rounds));
        let is_over = move || pushers.iter().all(|pusher| pusher.is_finished());
        scope.spawn(|| all.repack(&repacker, Chance(300), is_over));
    });
    let lost = lost(&origin, &all.acknowledged.into_inner().unwrap());
    let [ended, kills, repacked] = [all.ended, all.kills, all.repacked].map(AtomicU64::into_inner);
    report(
        "concurrency_of_commands",
        &[
            ("commands", ended),
            ("kills", kills),
            ("versions repacked", repacked),
            ("lost", lost),
        ],
    );
    assert_eq!(lost, 0);
    assert!(kills > rounds, "only {kills} kills");
    assert!(repacked > rounds, "only {repacked} versions");
}

impl Commands {
    /// Runs lob, kills it at any moment, and does the same plainly. Returns what that said.
    fn twice(&self, repo: &Repo, args: &[&str], chance: &mut Chance) -> String {
        let was_killed = killed(repo, args, chance.below(60));
        self.kills.fetch_add(u64::from(was_killed), Relaxed);
        self.ended.fetch_add(2, Relaxed);
        repo.lob(args)
    }

    fn git(&self, repo: &Repo, args: &[&str]) {
        let _ = repo.git(args);
        self.ended.fetch_add(1, Relaxed);
    }

    /// Commits and pushes one version after the other, and makes its own store small after each.
    fn push(&self, repo: &Repo, number: u64, rounds: u64) {
        let mut chance = Chance(100 + number);
        let branch = format!("HEAD:refs/heads/p{number}");
        for round in 0..rounds {
            let bytes = [noise(1, 50_000), noise(10_000 * number + round, 20_000)].concat();
            repo.write("a.bin", &bytes);
            repo.commit("A version");
            let _ = self.twice(repo, &["push", "origin"], &mut chance);
            self.git(repo, &["push", "-q", "-f", "origin", &branch]);
            self.acknowledged.lock().unwrap().push(bytes);
            let _ = self.twice(repo, &["prune", "--grace", "0"], &mut chance);
            let _ = self.twice(repo, &["repack"], &mut chance);
        }
    }

    fn fetch(&self, repo: &Repo, args: &[&str], mut chance: Chance, rounds: u64) {
        for _ in 0..rounds {
            self.git(repo, &["fetch", "-q"]);
            let _ = self.twice(repo, args, &mut chance);
        }
    }

    /// Turns the versions of all others round in the remote, once more when it is over.
    fn repack(&self, repo: &Repo, mut chance: Chance, is_over: impl Fn() -> bool) {
        let mut is_last = false;
        while !is_last {
            is_last = is_over();
            self.git(repo, &["fetch", "-q"]);
            let args = ["--json", "repack", "--remote", "origin"];
            let said = self.twice(repo, &args, &mut chance);
            self.repacked.fetch_add(versions(&said), Relaxed);
        }
    }
}

/// How many versions a repack says it wrote anew.
fn versions(said: &str) -> u64 {
    let events = said.lines().map(|line| serde_json::from_str(line).unwrap());
    let summary = { events }.find(|event: &serde_json::Value| event["event"] == "summary");
    // There is none where nothing was planned.
    summary.map_or(0, |summary| summary["versions"].as_u64().unwrap())
}

/// How many of the contents do not read back from a remote.
fn lost(origin: &Repo, contents: &[Vec<u8>]) -> u64 {
    let store = open(&origin.path().join("lob"));
    let is_lost = |content: &&Vec<u8>| {
        let mut found = Vec::new();
        let read = store.write_to(&LobId::of(content), &mut found, &());
        read.is_err() || found != **content
    };
    contents.iter().filter(is_lost).count() as u64
}

fn member(world: &World, origin: &Repo, name: &str) -> Repo {
    let repo = world.clone_of(origin, name);
    repo.lob(&["init"]);
    repo
}

/// Starts lob and kills it after so many milliseconds. Returns whether it still ran then.
fn killed(repo: &Repo, args: &[&str], after: u64) -> bool {
    let mut command = repo.command("lob");
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // When, is what the seed decides; that it matters nothing is what is shown.
    std::thread::sleep(Duration::from_millis(after));
    let ran_still = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let _ = child.wait();
    ran_still
}
