//! P2, P3, P6, P7, P8: a service whose clients push and fetch while its store is cleaned up, on a machine
//! that dies between any two changes of its disk and a network that loses requests and answers. All of it
//! on the simulated disk, one at a time in an order that a seed decides.

mod place;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use lob::remote::{Access, Remote, Served};
use lob::sync::plan::Asking;
use lob_store::disk::SimDisk;
use lob_store::fsck::{self, Depth, Gravity};
use lob_store::{ChunkId, LobId, LobInfo, Store};

use self::place::{Link, Place, ROOT, open};
use self::turns::Turns;
use super::{Tier, report};
use crate::served::{add, carry, read};
use crate::support::noise;

const PUSHERS: usize = 3;
const FETCHER: usize = PUSHERS;
const GC: usize = PUSHERS + 1;
const ACTORS: usize = PUSHERS + 2;
/// Seeds at once: one has one thread at a time, which mostly waits for its turn.
const LANES: usize = 4;
/// What each of them does so often.
const ROUNDS: usize = 4;
/// Contents that are pushed: few, so that pushers meet each other and the gc.
const CONTENTS: u64 = 6;
/// Seconds for which a gc leaves alone what was stored or found. No command takes as long.
const GRACE: u64 = 10_000;

/// One seed's world.
struct Sim {
    place: Arc<Place>,
    wanted: Mutex<Wanted>,
}

/// Who needs which content.
#[derive(Default)]
struct Wanted {
    /// Pushed, and not released since: refs name it.
    named: BTreeSet<u64>,
    /// Pushes on their way, by what they push.
    pushed: BTreeMap<u64, usize>,
    /// Commands that may rely on the grace.
    running: usize,
}

/// What the seeds came to.
#[derive(Default)]
struct Tally {
    pushes: u64,
    failed: u64,
    fetched: u64,
    dropped: u64,
    cleaned: u64,
    crashes: u64,
    lost: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.pushes += other.pushes;
        self.failed += other.failed;
        self.fetched += other.fetched;
        self.dropped += other.dropped;
        self.cleaned += other.cleaned;
        self.crashes += other.crashes;
        self.lost += other.lost;
    }
}

/// Contents share their first chunks with a neighbour.
fn content(number: u64) -> Vec<u8> {
    let mut content = noise(number / 2, 70_000);
    content.extend(noise(100 + number, 300));
    content
}

fn lob(number: u64) -> LobInfo {
    let content = content(number);
    LobInfo {
        id: LobId::of(&content),
        size: content.len() as u64,
    }
}

fn own_store() -> Store {
    Store::create(Arc::new(SimDisk::new()), Path::new(ROOT)).unwrap()
}

impl Sim {
    fn connect(&self, actor: usize, is_bad: bool) -> Result<Served, String> {
        let link = Link {
            place: self.place.clone(),
            actor,
            is_bad,
        };
        Served::connect(Arc::new(link), Access::Write, None).map_err(|error| error.to_string())
    }

    /// Pushes one content, and the same again until that is acknowledged.
    fn push(&self, own: &Store, actor: usize, number: u64, is_bad: bool) -> u64 {
        let mut failed = 0;
        loop {
            let done = self
                .connect(actor, is_bad)
                .and_then(|remote| carry(Asking::ToPush, own, &remote, &[lob(number)]));
            match done {
                Ok(_) => return failed,
                Err(_) if is_bad => failed += 1,
                Err(error) => panic!("a good network, and {error}"),
            }
        }
    }

    fn pusher(&self, actor: usize, tally: &Mutex<Tally>) {
        let own = own_store();
        let turns = &self.place.turns;
        for _ in 0..ROUNDS {
            turns.step(actor);
            let number = turns.below(CONTENTS);
            add(&own, &content(number));
            self.begin(Some(number));
            // Who gives up at some point has told nobody that anything is there.
            let gives_up = turns.below(6) == 0;
            let mut failed = 0;
            match gives_up {
                true => {
                    let remote = self.connect(actor, true);
                    let _ = remote.and_then(|remote| self.half(&own, &remote, number));
                }
                false => failed = self.push(&own, actor, number, true),
            }
            self.ended(Some(number), !gives_up);
            let mut tally = tally.lock().unwrap();
            tally.pushes += u64::from(!gives_up);
            tally.dropped += u64::from(gives_up);
            tally.failed += failed;
            drop(tally);
            if turns.below(3) == 0 {
                self.release(turns.below(CONTENTS));
            }
        }
        turns.end(actor);
    }

    /// Sends the frames of a content, and never names it.
    fn half(&self, own: &Store, remote: &Served, number: u64) -> Result<(), String> {
        let told = |error: lob::remote::Error| error.to_string();
        let manifest = Remote::manifests(own, &[lob(number).id]).map_err(told)?;
        let parts = manifest[0].as_ref().map(|manifest| manifest.parts.clone());
        let Some(lob_store::Parts::Chunks(chunks)) = parts else {
            panic!("a short lob")
        };
        let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
        let mut upload = remote.receive(lob::remote::Origin::Foreign).map_err(told)?;
        let each = &mut |frame| upload.add_frame(frame);
        Remote::each_frame(own, &ids, &Default::default(), each).map_err(told)?;
        match self.place.turns.below(2) {
            // The request is whole, but names nothing; or it is cut.
            0 => upload.publish().map_err(told),
            _ => Ok(()),
        }
    }

    fn begin(&self, pushed: Option<u64>) {
        let mut wanted = self.wanted.lock().unwrap();
        wanted.running += 1;
        if let Some(number) = pushed {
            *wanted.pushed.entry(number).or_default() += 1;
        }
    }

    fn ended(&self, pushed: Option<u64>, is_named: bool) {
        let mut wanted = self.wanted.lock().unwrap();
        wanted.running -= 1;
        if let Some(number) = pushed {
            *wanted.pushed.get_mut(&number).unwrap() -= 1;
            if is_named {
                wanted.named.insert(number);
            }
        }
    }

    /// Nobody needs it any more, unless somebody pushes it just now.
    fn release(&self, number: u64) {
        let mut wanted = self.wanted.lock().unwrap();
        if wanted.pushed.get(&number).is_none_or(|count| *count == 0) {
            wanted.named.remove(&number);
        }
    }

    fn named(&self) -> BTreeSet<u64> {
        self.wanted.lock().unwrap().named.clone()
    }

    /// Fetches what is named; what is so before and after has to come.
    fn fetcher(&self, tally: &Mutex<Tally>) {
        let turns = &self.place.turns;
        for _ in 0..ROUNDS * 2 {
            turns.step(FETCHER);
            let own = own_store();
            self.begin(None);
            let named = self.named();
            let lobs: Vec<LobInfo> = named.iter().map(|number| lob(*number)).collect();
            let fetch = |remote: Served| carry(Asking::ToPull, &own, &remote, &lobs);
            let mut done = self.connect(FETCHER, true).and_then(fetch);
            let mut tries = 0;
            while done.is_err() && tries < 60 {
                tries += 1;
                done = self.connect(FETCHER, true).and_then(fetch);
            }
            let still = self.named();
            self.ended(None, false);
            match done {
                Ok(_) => {
                    let came = named.iter().all(|number| holds(&own, *number));
                    assert!(came, "not all came, and nobody says so");
                    tally.lock().unwrap().fetched += named.len() as u64;
                }
                // What was released meanwhile may have gone.
                Err(error) => assert!(!named.is_subset(&still), "{error}"),
            }
        }
        turns.end(FETCHER);
    }

    /// Takes out what nobody needs, with others at work between its steps.
    fn gc(&self, tally: &Mutex<Tally>) {
        let turns = &self.place.turns;
        for _ in 0..ROUNDS * 2 {
            turns.step(GC);
            let is_quiet = self.wanted.lock().unwrap().running == 0;
            if is_quiet && turns.below(2) == 0 {
                self.place.pass(2 * GRACE);
            }
            let (disk, crashes) = (self.place.disk(), self.place.harm().crashes);
            let before = disk.changes();
            let cleaned = self.clean(&disk, &|| turns.step(GC));
            tally.lock().unwrap().cleaned += u64::from(cleaned);
            if self.place.harm().crashes == crashes && turns.below(6) == 0 {
                self.place.crash(before);
            }
            self.check();
        }
        turns.end(GC);
    }

    /// Whether there was no other who did; `pause` lets others have their turns.
    fn clean(&self, disk: &SimDisk, pause: &dyn Fn()) -> bool {
        let store = open(disk);
        let young = UNIX_EPOCH + Duration::from_secs(self.place.now().saturating_sub(GRACE));
        let Some(mut prune) = store.prune(young).unwrap() else {
            return false;
        };
        if self.place.turns.below(2) == 0 {
            prune.set_aside(Duration::from_secs(GRACE));
        }
        pause();
        // What is named from here on was stored or found after `young`.
        for number in self.named() {
            prune.keep(&lob(number).id).unwrap();
        }
        pause();
        match prune.plan().and_then(|plan| {
            pause();
            plan.run(&())
        }) {
            Ok(_) => true,
            // The others write all the time, as it says.
            Err(lob_store::Error::Busy) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// All that is named is there, and all that is listed can be read.
    fn check(&self) {
        let store = open(&self.place.disk());
        for number in self.named() {
            assert!(holds(&store, number), "{number} is lost");
        }
        Store::each_lob(&store, &mut |lob| {
            let found = read(&store, &lob.id);
            assert!(found.is_ok(), "{} is listed: {found:?}", lob.id);
            Ok(())
        })
        .unwrap();
    }

    /// Once nothing goes wrong any more: what was dropped is gone after the grace, and nothing else.
    fn settle(&self) {
        self.check();
        for _ in 0..2 {
            self.place.pass(2 * GRACE);
            assert!(
                self.clean(&self.place.disk(), &|| ()),
                "nobody else cleans up"
            );
        }
        self.check();
        let store = open(&self.place.disk());
        let named: BTreeSet<LobId> = self.named().into_iter().map(|n| lob(n).id).collect();
        let mut there = BTreeSet::new();
        Store::each_lob(&store, &mut |lob| {
            there.insert(lob.id);
            Ok(())
        })
        .unwrap();
        assert!(there.is_superset(&named), "what is needed is gone");
        let is_needed = |number: &u64| self.named().contains(number);
        for number in 0..CONTENTS {
            // A lob is in the pack of its chunks, which stays where its neighbour needs most of it.
            let is_near = [number & !1, number | 1].iter().any(is_needed);
            let is_there = there.contains(&lob(number).id);
            assert!(
                is_near || !is_there,
                "{number}, which nobody needs, is left"
            );
        }
        for number in (0..CONTENTS).step_by(2) {
            // Neighbours share frames, which go as a whole.
            if [number, number + 1].iter().any(is_needed) {
                continue;
            }
            let ids = [chunks_of(number), chunks_of(number + 1)].concat();
            let left = Remote::has_chunks(&store, &ids).unwrap();
            assert!(!left.contains(&true), "chunks of {number} are left");
        }
        let mut bad = Vec::new();
        let disk = Arc::new(self.place.disk());
        fsck::examine(disk, Path::new(ROOT), Depth::Deep, &(), &mut |finding| {
            if finding.gravity <= Gravity::Damage {
                bad.push(finding);
            }
        })
        .unwrap();
        assert_eq!(bad, []);
    }
}

fn chunks_of(number: u64) -> Vec<ChunkId> {
    let store = own_store();
    let id = add(&store, &content(number));
    match store.manifest(&id).unwrap().unwrap().parts {
        lob_store::Parts::Chunks(chunks) => chunks.into_iter().map(|(id, _)| id).collect(),
        _ => panic!("a short lob"),
    }
}

/// Whether a store has a content; another in its place is worse than none.
fn holds(store: &Store, number: u64) -> bool {
    let found = read(store, &lob(number).id);
    assert!(
        found
            .as_ref()
            .map_or(true, |found| *found == content(number))
    );
    found.is_ok()
}

/// Runs what one seed decides; gives what it came to and in which order.
fn run(seed: u64) -> (Tally, [u8; 32]) {
    let turns = Arc::new(Turns::new(ACTORS, seed));
    let sim = Sim {
        place: Arc::new(Place::new(turns.clone())),
        wanted: Mutex::default(),
    };
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        let (sim, tally) = (&sim, &tally);
        for actor in 0..PUSHERS {
            scope.spawn(move || ending(sim, actor, || sim.pusher(actor, tally)));
        }
        scope.spawn(move || ending(sim, FETCHER, || sim.fetcher(tally)));
        scope.spawn(move || ending(sim, GC, || sim.gc(tally)));
    });
    sim.settle();
    let mut tally = tally.into_inner().unwrap();
    let harm = sim.place.harm();
    (tally.crashes, tally.lost) = (harm.crashes, harm.lost);
    (tally, turns.order())
}

/// Who fails must not keep the others waiting.
fn ending(sim: &Sim, actor: usize, work: impl FnOnce()) {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    if let Err(panic) = done {
        sim.place.turns.end(actor);
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn p2_p3_p6_p7_p8_a_service_keeps_its_promises_in_any_order_of_things() {
    let tier = Tier::asked();
    let seeds = tier.pick(60, 20_000);
    let next = AtomicU64::new(1);
    let lane = || {
        let mut all = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                return all;
            }
            let ran = std::panic::catch_unwind(|| run(seed));
            let Ok((tally, _)) = ran else {
                next.store(seeds + 1, Ordering::Relaxed);
                panic!("seed {seed}: as told above");
            };
            all.add(&tally);
        }
    };
    let mut all = Tally::default();
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            all.add(&lane.join().expect("all seeds hold"));
        }
    });
    report(
        "service",
        &[
            ("seeds", seeds),
            ("pushes", all.pushes),
            ("pushes that were given up", all.dropped),
            ("runs that broke and were run again", all.failed),
            ("lobs fetched and compared", all.fetched),
            ("prunes", all.cleaned),
            ("crashes of the server", all.crashes),
            ("requests and answers lost", all.lost),
        ],
    );
    assert!(all.pushes > seeds && all.dropped > seeds / 10);
    assert!(all.failed > seeds && all.cleaned > seeds && all.fetched > seeds);
    assert!(all.crashes > seeds && all.lost > seeds);
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in [3, 4] {
        let (one, two) = (run(seed), run(seed));
        assert_eq!(one.1, two.1, "{seed}");
        assert_eq!(one.0.crashes, two.0.crashes, "{seed}");
    }
}
