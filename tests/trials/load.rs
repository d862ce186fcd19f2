//! P2, P9: many push to one server and fetch from it at once, as users do: no error, bounded memory, and
//! nothing is lost.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lob::remote::http::Patience;
use lob::remote::{Access, Served};
use lob::sync::plan::Asking;
use lob_store::disk::OsDisk;
use lob_store::fsck::{self, Depth, Gravity};
use lob_store::{LobInfo, Store};

use super::{Tier, report};
use crate::network::{Serving, means, over_http};
use crate::served::{add, carry, opened, read};
use crate::support::{World, noise};

const CLIENTS: u64 = 64;
/// KiB of memory that the server may take.
const MEMORY: u64 = 512 << 10;
/// Lobs of others that are fetched after each push.
const FETCHED: usize = 3;
/// Lengths of what is pushed, in turn: in one frame with others, of some chunks, of many.
const LENGTHS: [usize; 4] = [2000, 200_000, 1_500_000, 20_000];

/// A lob that a push was acknowledged of, and the seed of its content.
#[derive(Clone, Copy)]
struct Pushed {
    lob: LobInfo,
    seed: u64,
}

impl Pushed {
    fn content(&self) -> Vec<u8> {
        noise(self.seed, self.lob.size as usize)
    }
}

struct Load {
    world: World,
    server: Serving,
    pushed: Mutex<Vec<Pushed>>,
    fetched: AtomicU64,
}

impl Load {
    fn connect(&self) -> Result<Served, String> {
        let exchange = over_http(
            &self.server.url("store"),
            means(&self.world, Patience::default()),
        );
        Served::connect(exchange, Access::Write, None).map_err(|error| error.to_string())
    }

    /// One command after the other, each with connections of its own.
    fn round(&self, own: &Store, client: u64, round: u64) -> Result<(), String> {
        let seed = client << 32 | round;
        let content = noise(seed, LENGTHS[(client + round) as usize % LENGTHS.len()]);
        let lob = LobInfo {
            id: add(own, &content),
            size: content.len() as u64,
        };
        carry(Asking::ToPush, own, &self.connect()?, &[lob])?;
        self.pushed.lock().unwrap().push(Pushed { lob, seed });
        let some = self.some(seed);
        let lobs: Vec<LobInfo> = some.iter().map(|pushed| pushed.lob).collect();
        carry(Asking::ToPull, own, &self.connect()?, &lobs)?;
        for pushed in some {
            let found = read(own, &pushed.lob.id).map_err(|error| error.to_string())?;
            if found != pushed.content() {
                return Err(format!("{} came as something else", pushed.lob.id));
            }
            self.fetched.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Some of what is there.
    fn some(&self, seed: u64) -> Vec<Pushed> {
        let pushed = self.pushed.lock().unwrap();
        let pick = |n: usize| {
            let hash = blake3::hash(format!("{seed} {n}").as_bytes());
            let at = hash.as_bytes()[..8].iter().fold(0, |at: usize, byte| {
                (at << 8 | usize::from(*byte)) % pushed.len()
            });
            pushed[at]
        };
        (0..FETCHED).map(pick).collect()
    }

    fn client(&self, client: u64, goes_on: &(dyn Fn(u64) -> bool + Sync)) -> Result<(), String> {
        let own = opened(&self.world.path().join(format!("client-{client}")));
        let mut rounds = 0..;
        rounds
            .by_ref()
            .take_while(|round| goes_on(*round))
            .try_for_each(|round| self.round(&own, client, round))
    }

    /// How many of the lobs are not there.
    fn lost(&self) -> u64 {
        let store = opened(&self.world.path().join("store"));
        let pushed = self.pushed.lock().unwrap();
        let is_lost = |pushed: &&Pushed| {
            !read(&store, &pushed.lob.id).is_ok_and(|found| found == pushed.content())
        };
        pushed.iter().filter(is_lost).count() as u64
    }
}

#[test]
fn p2_p9_many_push_and_fetch_at_once_and_nothing_is_lost() {
    let tier = Tier::asked();
    let world = World::in_memory();
    let load = Load {
        server: Serving::start(&world, world.path(), &["--anonymous", "append"]),
        world,
        pushed: Mutex::default(),
        fetched: AtomicU64::new(0),
    };
    drop(load.connect().unwrap());
    let began = Instant::now();
    let goes_on = |round| match tier {
        Tier::Quick => round < 2,
        Tier::Full => began.elapsed() < Duration::from_secs(60),
    };
    let errors: Vec<String> = thread::scope(|scope| {
        let (load, goes_on) = (&load, &goes_on);
        let clients = (0..CLIENTS).map(|client| scope.spawn(move || load.client(client, goes_on)));
        let clients: Vec<_> = clients.collect();
        let ended = clients.into_iter().map(|client| client.join().unwrap());
        ended.filter_map(Result::err).collect()
    });
    let seconds = began.elapsed().as_secs();
    let (lost, peak) = (load.lost(), load.server.peak());
    let pushed = load.pushed.lock().unwrap().len() as u64;
    report(
        "load",
        &[
            ("clients at once", CLIENTS),
            ("seconds", seconds),
            ("pushes", pushed),
            (
                "fetched lobs that were compared",
                load.fetched.load(Relaxed),
            ),
            ("errors", errors.len() as u64),
            ("lost", lost),
            ("peak KiB of the server", peak),
        ],
    );
    assert!(
        errors.is_empty(),
        "{} errors: {:?}",
        errors.len(),
        errors[0]
    );
    assert_eq!(lost, 0);
    assert!(pushed >= CLIENTS * 2, "{pushed} pushes");
    assert!(peak <= MEMORY, "{peak} KiB");
    let mut bad = Vec::new();
    let store = load.world.path().join("store");
    fsck::examine(Arc::new(OsDisk), &store, Depth::Deep, &(), &mut |finding| {
        if matches!(finding.gravity, Gravity::Loss | Gravity::Damage) {
            bad.push(finding);
        }
    })
    .unwrap();
    assert_eq!(bad, []);
}
