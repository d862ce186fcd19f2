//! How fast delta frames are made, over the bytes that the new version has and the old one has not.
//!
//! `RAYON_NUM_THREADS=1 taskset -c 0 cargo bench --bench delta -- [OLD NEW]...`
//!
//! Everything that a push does is in it, from reading both versions and looking for what is alike to the
//! frames, but for what goes over the link. After it the same without the time that reading and verifying
//! both versions takes, and the compression of the same chunks alone. Counted is the time that the process
//! had a core, so that other work beside it matters less; the best of five. Without files a made-up pair
//! serves: every 2 KB a byte changed.

use std::collections::HashSet;
use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{ChunkId, Frame, Kin, LobId, Manifest, Parts, Store, compress_with_prefix};

/// Levels of zstd: that of plain frames, and that of the delta frames of a push.
const LEVELS: [i32; 2] = [3, 6];
const RUNS: usize = 5;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let files: Vec<_> = files.iter().filter(|arg| *arg != "--bench").collect();
    if files.is_empty() {
        let old = made_up(24 << 20);
        let mut new = old.clone();
        new.iter_mut().step_by(2000).for_each(|byte| *byte ^= 1);
        pair("made up", &old, &new);
    }
    for two in files.chunks_exact(2) {
        let [old, new] = [two[0], two[1]].map(|path| std::fs::read(path).expect("is read"));
        pair(&format!("{} to {}", two[0], two[1]), &old, &new);
    }
}

fn pair(name: &str, old: &[u8], new: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open_or_create(Arc::new(OsDisk), &dir.path().join("s")).expect("a store");
    // Whoever reads a lob to its end hashes the whole too, and a push does not.
    let hashing = best(|| {
        let _ = [old, new].map(blake3::hash);
    });
    let [old, new] = [old, new].map(|content| add(&store, content));
    let reading = best(|| [&old, &new].into_iter().for_each(|lob| read(&store, lob)));
    let reading = reading.saturating_sub(hashing);
    let held: HashSet<_> = list(&store, &old).into_iter().map(|(id, _)| id).collect();
    let missed = list(&store, &new)
        .into_iter()
        .filter(|(id, _)| !held.contains(id));
    let missed: u64 = missed.map(|(_, len)| u64::from(len)).sum();
    for level in LEVELS {
        let mut made = Vec::new();
        let all = best(|| made = frames(&store, &old, &new, &held, level));
        let cost = |frame: &Frame| frame.stored.len() + 64 * frame.bases.len();
        let bytes: usize = made.iter().map(cost).sum();
        let coded: Vec<_> = made.iter().map(|frame| contents(&store, frame)).collect();
        let raw: usize = made.iter().map(Frame::raw_len).sum();
        let alone = best(|| {
            for ((bytes, prefix), frame) in coded.iter().zip(&made) {
                let again = compress_with_prefix(bytes, *prefix, level);
                assert_eq!(again.as_ref(), Some(&frame.stored));
            }
        });
        println!(
            "{name}, level {level}: {missed} bytes to {bytes} in {} frames, {:.0} MB/s; {:.0} MB/s without reading, compression alone {:.0} MB/s",
            made.len(),
            speed(missed, all),
            speed(missed, all.saturating_sub(reading)),
            speed(raw as u64, alone),
        );
    }
}

fn read(store: &Store, lob: &Manifest) {
    let written = store.write_to(&lob.id, &mut std::io::sink(), &());
    assert_eq!(written.expect("is read"), lob.size);
}

/// Least nanoseconds of a core.
fn best(mut run: impl FnMut()) -> u64 {
    let runs = (0..RUNS).map(|_| {
        let before = nanos();
        run();
        nanos() - before
    });
    runs.min().unwrap_or_default()
}

/// MB a second.
fn speed(bytes: u64, nanos: u64) -> f64 {
    bytes as f64 * 1000.0 / nanos.max(1) as f64
}

/// The bytes of a frame's bases and chunks, and how many of them are the bases'.
fn contents(store: &Store, frame: &Frame) -> (Vec<u8>, usize) {
    let join = |ids: &mut dyn Iterator<Item = ChunkId>| -> Vec<u8> {
        ids.flat_map(|id| store.chunk(&id).expect("is there"))
            .collect()
    };
    let mut bytes = join(&mut frame.bases.iter().copied());
    let prefix = bytes.len();
    bytes.extend(join(&mut frame.chunks.iter().map(|(id, _)| *id)));
    (bytes, prefix)
}

/// The frames of what the new version has and the old one has not.
fn frames(
    store: &Store,
    old: &Manifest,
    new: &Manifest,
    held: &HashSet<ChunkId>,
    level: i32,
) -> Vec<Frame> {
    let kin = |id: &ChunkId| held.contains(id).then(Kin::default);
    let mut ask = |ids: &[ChunkId]| Ok(ids.iter().map(kin).collect());
    let mut frames = Vec::new();
    let made = store.each_delta_at(level, new, old.clone(), &mut ask, &mut |frame| {
        frames.push(frame);
        Ok(())
    });
    let _ = made.expect("makes frames");
    frames
}

/// How long all threads of this process have had a core, where the system tells; else the time.
fn nanos() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let told =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    let nanos = told.filter_map(|told| told.split(' ').next()?.parse::<u64>().ok());
    match nanos.sum() {
        0 => std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_nanos() as u64),
        nanos => nanos,
    }
}

fn add(store: &Store, content: &[u8]) -> Manifest {
    let mut writer = store.writer().expect("a writer");
    let added = writer.add(&mut &*content, &()).expect("adds");
    writer.finish().expect("publishes");
    let manifest = store.manifest(&LobId::of(content)).expect("is read");
    assert_eq!(added.size, content.len() as u64);
    manifest.expect("is there")
}

/// The chunks of a lob.
fn list(store: &Store, manifest: &Manifest) -> Vec<(ChunkId, u32)> {
    if let Parts::Chunks(chunks) = &manifest.parts {
        return chunks.clone();
    }
    let segments = store.segments(manifest).expect("is read");
    let lists = segments.iter().map(|segment| {
        let bytes = store.chunk(&segment.id).expect("is there");
        segment.decode_list(&bytes).expect("is a list")
    });
    lists.flatten().collect()
}

/// Words of which some come again, about as compressible as programs are.
fn made_up(len: usize) -> Vec<u8> {
    let mut random = vec![0; len / 4];
    blake3::Hasher::new().finalize_xof().fill(&mut random);
    let words: Vec<_> = random.chunks_exact(8).collect();
    let again = |word: &[u8]| words[usize::from(word[0]) * 7].to_vec();
    let four = words
        .iter()
        .flat_map(|word| [word.to_vec(), again(word), vec![0; 8], again(&word[1..])]);
    four.flatten().collect()
}
