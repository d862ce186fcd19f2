//! How long it takes to find out what differs between two sets, in memory and in stores, both sides one
//! after the other.
//!
//! `cargo bench --bench reconcile`; `LOB_BENCH_LOBS=10000000` sets the size of the sets in memory.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use lob_store::disk::OsDisk;
use lob_store::reconcile::{Difference, How, Initiator, LobSet, Peer, Question};
use lob_store::{Error, LobId, LobInfo, Result, Store};

fn main() {
    divan::main();
}

/// The other side, in the same process.
struct Direct<'a>(&'a dyn LobSet);

impl Peer for Direct<'_> {
    type Error = Error;

    fn exchange(&mut self, request: &[u8], _: usize) -> Result<Vec<u8>> {
        Question::decode(request)?.answer(self.0)
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

/// Lobs in the stores: making them takes longer than all the rest.
const STORED: u32 = 100_000;

/// A store of small lobs, in packs of some thousands.
fn store(dir: &Path, numbers: Range<u32>) -> Store {
    let store = Store::open_or_create(Arc::new(OsDisk), dir).expect("a store");
    for some in numbers.collect::<Vec<_>>().chunks(5000) {
        let mut writer = store.writer().expect("a writer");
        for n in some {
            let _ = writer.add(&mut &n.to_le_bytes()[..], &()).expect("adds");
        }
        writer.finish().expect("publishes");
    }
    store
}

#[divan::bench(sample_count = 3)]
fn list_of_a_store(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir.path().join("s"), 0..STORED);
    bencher.counter(ItemsCount::new(STORED)).bench_local(|| {
        let mut count = 0;
        let each = LobSet::each(&store, &mut |_| {
            count += 1;
            Ok(())
        });
        each.expect("lists");
        assert_eq!(count, STORED);
    });
}

#[divan::bench(sample_count = 3)]
fn stores_differ_by_1000(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a directory");
    let mine = store(&dir.path().join("mine"), 0..STORED);
    let theirs = store(&dir.path().join("theirs"), 500..STORED + 500);
    bencher.counter(ItemsCount::new(STORED)).bench_local(|| {
        let initiator = Initiator::seeded(&mine, [1; 32]);
        let found = initiator.run(&mut Direct(&theirs)).expect("compares");
        assert_eq!((found.here.len(), found.there.len()), (500, 500));
    });
}
