//! How long it takes to find out what differs between two sets in memory, both sides one after the other.
//!
//! `cargo bench --bench reconcile`; `LOB_BENCH_LOBS=10000000` sets the size of the sets.

use divan::Bencher;
use divan::counter::ItemsCount;
use lob_store::reconcile::{Difference, How, Initiator, LobSet, Peer, answer};
use lob_store::{Error, LobId, LobInfo, Result};

fn main() {
    divan::main();
}

/// The other side, in the same process.
struct Direct<'a>(&'a Vec<LobInfo>);

impl Peer for Direct<'_> {
    type Error = Error;

    fn exchange(&mut self, request: &[u8], _: usize) -> Result<Vec<u8>> {
        answer(self.0, request)
    }

    fn each_lob(&mut self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.0.each(each)
    }
}

/// Two sets that differ by so many lobs, half of them on each side.
fn pair(differ: usize) -> [Vec<LobInfo>; 2] {
    let asked = std::env::var("LOB_BENCH_LOBS").ok();
    let count = asked.and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let mut random = blake3::Hasher::new().finalize_xof();
    let lob = |_| {
        let mut id = [0; 32];
        random.fill(&mut id);
        LobInfo {
            id: LobId::from_bytes(id),
            size: u64::from(id[0]),
        }
    };
    let mut mine: Vec<_> = (0..count + differ / 2).map(lob).collect();
    let theirs = mine[differ / 2..].to_vec();
    mine.truncate(count);
    [mine, theirs]
}

fn compare(mine: &Vec<LobInfo>, theirs: &Vec<LobInfo>) -> Difference {
    let initiator = Initiator::seeded(mine, [1; 32]);
    initiator.run(&mut Direct(theirs)).expect("compares")
}

#[divan::bench(sample_count = 5, args = [0, 100, 1000, 10_000, 100_000])]
fn differ_by(bencher: Bencher, differ: usize) {
    let [mine, theirs] = pair(differ);
    let found = compare(&mine, &theirs);
    assert_eq!(found.here.len() + found.there.len(), differ);
    let spent = found.spent;
    println!(
        "{} rounds, {} bytes",
        spent.rounds,
        spent.sent + spent.received
    );
    bencher
        .counter(ItemsCount::new(mine.len()))
        .bench_local(|| compare(&mine, &theirs));
}

#[divan::bench(sample_count = 5)]
fn nothing_in_common(bencher: Bencher) {
    let [mine, theirs] = pair(0);
    let other = |lob: &LobInfo| LobInfo {
        size: lob.size + 1000,
        ..*lob
    };
    let theirs: Vec<_> = theirs.iter().map(other).collect();
    assert_eq!(compare(&mine, &theirs).how, How::List);
    bencher
        .counter(ItemsCount::new(mine.len()))
        .bench_local(|| compare(&mine, &theirs));
}
