//! Micro-benchmarks of the engine: cutting, hashing, adding, reading, looking up.
//!
//! `cargo bench --bench engine`; `LOB_BENCH_CHUNKS=100000000` sets the size of the simulated index.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use lob_store::disk::OsDisk;
use lob_store::index::simulate::Simulated;
use lob_store::{LobId, Store};

const MIB: usize = 1 << 20;

fn main() {
    divan::main();
}

/// Bytes that look random: the output of BLAKE3 for a seed.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Bytes about as compressible as programs are: random words between repeated ones.
fn mixed(len: usize) -> Vec<u8> {
    let random = noise(len / 4);
    let words: Vec<_> = random.chunks_exact(8).collect();
    words
        .iter()
        .flat_map(|word| {
            [
                *word,
                words[usize::from(word[0])],
                words[usize::from(word[1])],
                &[0; 8],
            ]
        })
        .flatten()
        .copied()
        .collect()
}

fn content(kind: &str) -> Vec<u8> {
    if kind == "random" {
        noise(256 * MIB)
    } else {
        mixed(256 * MIB)
    }
}

fn store(dir: &Path) -> Store {
    Store::open_or_create(Arc::new(OsDisk), dir).expect("a store")
}

fn add(store: &Store, content: &[u8]) -> LobId {
    let mut writer = store.writer().expect("a writer");
    let added = writer.add(&mut &content[..], &()).expect("adds");
    writer.finish().expect("publishes");
    added.id
}

#[divan::bench]
fn cut(bencher: Bencher) {
    let content = noise(64 * MIB);
    bencher
        .counter(BytesCount::of_slice(&content))
        .bench(|| lob_store::cut(black_box(&content)));
}

#[divan::bench]
fn hash(bencher: Bencher) {
    let content = noise(64 * MIB);
    bencher
        .counter(BytesCount::of_slice(&content))
        .bench(|| LobId::of(black_box(&content)));
}

#[divan::bench(sample_count = 5, args = ["random", "mixed"])]
fn add_new(bencher: Bencher, kind: &str) {
    let content = content(kind);
    bencher
        .counter(BytesCount::of_slice(&content))
        .with_inputs(|| tempfile::tempdir().expect("a directory"))
        .bench_values(|dir| {
            let _ = add(&store(dir.path()), &content);
            dir
        });
}

#[divan::bench(sample_count = 5)]
fn add_present(bencher: Bencher) {
    let content = noise(256 * MIB);
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path());
    let _ = add(&store, &content);
    bencher
        .counter(BytesCount::of_slice(&content))
        .bench(|| add(&store, &content));
}

#[divan::bench(sample_count = 5, args = ["random", "mixed"])]
fn read(bencher: Bencher, kind: &str) {
    let content = content(kind);
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(dir.path());
    let id = add(&store, &content);
    bencher.counter(BytesCount::of_slice(&content)).bench(|| {
        store
            .write_to(&id, &mut std::io::sink(), &())
            .expect("reads")
    });
}

#[divan::bench(sample_count = 5)]
fn add_many_small(bencher: Bencher) {
    let content = noise(20 * MIB);
    bencher
        .counter(ItemsCount::new(1024usize))
        .with_inputs(|| tempfile::tempdir().expect("a directory"))
        .bench_values(|dir| {
            let store = store(dir.path());
            let mut writer = store.writer().expect("a writer");
            for file in content.chunks_exact(20 << 10) {
                let _ = writer.add(&mut &file[..], &()).expect("adds");
            }
            writer.finish().expect("publishes");
            dir
        });
}

#[divan::bench(sample_count = 3, args = ["hit", "miss"])]
fn look_up(bencher: Bencher, kind: &str) {
    let chunks = std::env::var("LOB_BENCH_CHUNKS")
        .ok()
        .and_then(|n| n.parse().ok());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run");
    let run = Simulated::create(&path, chunks.unwrap_or(1_000_000)).expect("a run");
    let key = |n: u64| n.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(29);
    bencher.counter(ItemsCount::new(1_000_000usize)).bench(|| {
        let found = match kind {
            "hit" => (0..1_000_000).filter(|&n| run.hit(key(n))).count(),
            _ => (0..1_000_000).filter(|&n| run.miss(key(n))).count(),
        };
        assert_eq!(found == 1_000_000, kind == "hit");
    });
}
