//! Stores of a million lobs: what it takes to find out that nothing differs, and what does.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lob::git::Git;
use lob::remote::http::ssh::{Program, Ssh};
use lob::remote::http::{HttpPlace, Means, Network, Patience};
use lob::remote::{Access, Lobs, Remote, Served};
use lob_store::Store;
use lob_store::disk::OsDisk;

use crate::Failure;
use crate::lab::{Lab, Timed};
use crate::link::{Ends, Link};

/// Lobs in each store, at the whole scale; each is a chunk.
const LOBS: f64 = 1_000_000.0;
/// Lobs that differ, half of them on each side.
const DIFFER: u32 = 1000;
/// Lobs that one writer adds.
const AT_ONCE: usize = 100_000;
/// How often the short ones are measured.
const RUNS: usize = 20;
/// What takes no time, and counts.
const COUNTING: Link = Link {
    delay: Duration::ZERO,
    rate: u64::MAX,
};

fn lobs(scale: f64) -> u32 {
    ((LOBS * scale) as u32).max(DIFFER)
}

/// A store of small lobs.
fn fill(dir: &Path, numbers: Range<u32>) -> Result<Store, Failure> {
    let store = Store::open_or_create(Arc::new(OsDisk), dir)?;
    for some in numbers.collect::<Vec<_>>().chunks(AT_ONCE) {
        let mut writer = store.writer()?;
        for n in some {
            let _ = writer.add(&mut &n.to_le_bytes()[..], &())?;
        }
        writer.finish()?;
    }
    Ok(store)
}

fn connect(lab: &Lab, ends: &Ends, name: &str) -> Result<Served, Failure> {
    let place = HttpPlace::parse(&format!("http://{}/{name}", ends.address))?;
    let means = Means {
        git: Git::elsewhere(&lab.path(""))?.with_env("HOME", lab.path("home")),
        patience: Patience::default(),
        own: Default::default(),
        roots: None,
        proxy: None,
        ssh: Ssh {
            program: Program::Ssh("ssh".into()),
            may_ask: false,
        },
    };
    let network = Network::over_http(&place, means).map_err(|error| format!("{error:?}"))?;
    Ok(Served::connect(Arc::new(network), Access::Read, None)?)
}

/// Nothing is new: what the whole command takes, and its way to the service and back.
pub fn known(lab: &Lab, scale: f64) -> Result<(), Failure> {
    let count = lobs(scale);
    let served = lab.serve()?;
    let work = lab.work(&[("a.bin".into(), 20 << 10)])?;
    drop(fill(&work.dir.join(".git/lob"), 0..count)?);
    drop(fill(&served.store("known"), 0..count)?);
    let ends = COUNTING.to(served.address)?;
    let url = format!("http://{}/known", ends.address);
    let sync = ["-q", "sync", "--mode", "complete", "--push", &url];
    // The first ones move the one lob of the commit, and note that nothing else differs.
    for _ in 0..2 {
        lab.run(&work.dir, "lob", &sync)?;
    }
    let before = ends.moved();
    let (mut whole, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        whole.push(lab.run(&work.dir, "lob", &sync)?);
    }
    let moved = ends.moved();
    for _ in 0..RUNS {
        let began = Instant::now();
        let remote = connect(lab, &ends, "known")?;
        let _ = remote.cursor()?;
        asked.push(began.elapsed());
    }
    println!(
        "known: {count} lobs, nothing new: {} bytes up, {} down; asking takes {}, the whole command {}",
        (moved[0] - before[0]) / RUNS as u64,
        (moved[1] - before[1]) / RUNS as u64,
        Timed::of(&mut asked),
        Timed::of(&mut whole),
    );
    Ok(())
}

/// Two stores that differ by a thousand lobs.
pub fn differ(lab: &Lab, scale: f64, runs: usize) -> Result<(), Failure> {
    let (count, half) = (lobs(scale), DIFFER / 2);
    let served = lab.serve()?;
    let mine = fill(&lab.path("mine"), 0..count)?;
    drop(fill(&served.store("differ"), half..count + half)?);
    let ends = COUNTING.to(served.address)?;
    let mut times = Vec::new();
    let (mut bytes, mut rounds) = (0, 0);
    for _ in 0..runs {
        let before = ends.moved();
        let began = Instant::now();
        let remote = connect(lab, &ends, "differ")?;
        let found = remote.differing(&Lobs(&mine))?;
        times.push(began.elapsed());
        let found = found.ok_or("it is not compared")?;
        let half = half as usize;
        if (found.here.len(), found.there.len()) != (half, half) {
            return Err("something else differs".into());
        }
        let after = ends.moved();
        bytes = bytes.max(after[0] + after[1] - before[0] - before[1]);
        // One more is the greeting.
        rounds = rounds.max(found.spent.rounds + 1);
    }
    println!(
        "differ: {DIFFER} of {count} lobs: at most {rounds} round trips and {bytes} bytes; {}",
        Timed::of(&mut times)
    );
    Ok(())
}
