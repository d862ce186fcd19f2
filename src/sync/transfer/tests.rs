use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use std::time::{Duration, SystemTime};

use lob_store::Store;
use lob_store::disk::OsDisk;

use super::*;
use crate::remote::fixture::Memory;

#[derive(Default)]
struct Counter {
    bytes: AtomicU64,
    lobs: AtomicU64,
    stop_after: Option<u64>,
}

impl Progress for Counter {
    fn bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Relaxed);
    }

    fn lob(&self) {
        self.lobs.fetch_add(1, Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.stop_after
            .is_some_and(|limit| self.bytes.load(Relaxed) >= limit)
    }
}

fn copy(from: &Memory, to: &Memory, lobs: &[LobInfo]) -> (Result<Moved>, Counter) {
    copy_with(from, to, lobs, Counter::default())
}

fn copy_with(
    from: &Memory,
    to: &Memory,
    lobs: &[LobInfo],
    progress: Counter,
) -> (Result<Moved>, Counter) {
    let ids: Vec<LobId> = lobs.iter().map(|lob| lob.id).collect();
    let moved = Transfer {
        from,
        to,
        origin: Origin::Foreign,
        bases: &HashMap::new(),
        pace: &Pace::unlimited(),
        progress: &progress,
    }
    .run(&ids);
    (moved, progress)
}

fn content(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Prunes a store of all that is in it at a moment of a copy to it.
struct Pruner<'a> {
    store: &'a Store,
    /// When a lob is named, and not when it is known what the receiver lacks.
    late: bool,
    times: AtomicU64,
}

impl Pruner<'_> {
    fn prune(&self) {
        let left = |n: u64| n.checked_sub(1);
        if self.times.fetch_update(Relaxed, Relaxed, left).is_err() {
            return;
        }
        let other = open(self.store.root());
        let young = SystemTime::now() + Duration::from_secs(1000);
        let plan = other.prune(young).unwrap().unwrap().plan().unwrap();
        plan.run(&()).unwrap();
        if self.late {
            self.store.refresh().unwrap();
        }
    }
}

impl Progress for Pruner<'_> {
    fn bytes(&self, _: u64) {
        if !self.late {
            self.prune();
        }
    }

    fn lob(&self) {
        if self.late {
            self.prune();
        }
    }
}

fn open(dir: &Path) -> Store {
    Store::open_or_create(Arc::new(OsDisk), dir).unwrap()
}

fn add(store: &Store, content: &[u8]) -> LobId {
    let mut writer = store.writer().unwrap();
    let id = writer.add(&mut &*content, &()).unwrap().id;
    writer.finish().unwrap();
    id
}

#[test]
fn p7_what_a_copy_counts_on_may_be_pruned_meanwhile() {
    let old = content(1, 1 << 20);
    let new = [&old[..], &content(2, 300_000)].concat();
    for (late, times) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let dirs = tempfile::tempdir().unwrap();
        let (from, to) = (dirs.path().join("from"), dirs.path().join("to"));
        let (from, to) = (open(&from), open(&to));
        let (gone, lob) = (add(&to, &old), add(&from, &new));
        let pruner = Pruner {
            store: &to,
            late,
            times: AtomicU64::new(times),
        };
        let copy = Transfer {
            from: &from,
            to: &to,
            origin: Origin::Own,
            bases: &HashMap::new(),
            pace: &Pace::unlimited(),
            progress: &pruner,
        };
        copy.run(&[lob]).unwrap();
        assert_eq!(pruner.times.into_inner(), 0, "it was pruned");
        let mut came = Vec::new();
        open(to.root()).write_to(&lob, &mut came, &()).unwrap();
        assert!(came == new);
        assert_eq!(open(to.root()).lob(&gone).unwrap(), None);
    }
}

/// Small lobs are compressed together, and a frame is sent as it is stored.
#[test]
fn what_comes_along_in_a_frame_does_not_count() {
    let dirs = tempfile::tempdir().unwrap();
    let (from, to) = (dirs.path().join("from"), dirs.path().join("to"));
    let (from, to) = (open(&from), open(&to));
    let mut writer = from.writer().unwrap();
    let mut add = |content: &[u8]| writer.add(&mut &*content, &()).unwrap().id;
    let (wanted, other) = (add(&content(1, 3000)), add(&content(2, 2000)));
    writer.finish().unwrap();
    let progress = Counter::default();
    let copy = Transfer {
        from: &from,
        to: &to,
        origin: Origin::Own,
        bases: &HashMap::new(),
        pace: &Pace::unlimited(),
        progress: &progress,
    };
    copy.run(&[wanted]).unwrap();
    let came = |id| to.manifest(&id).unwrap().is_some();
    assert!(came(wanted) && !came(other));
    assert_eq!(progress.bytes.into_inner(), 3000);
}

#[test]
fn only_chunks_that_the_receiver_lacks_move() {
    let (from, to) = (Memory::default(), Memory::default());
    let old = content(1, 160);
    let mut new = old.clone();
    new[40] ^= 1;
    to.add(&old);
    let lob = from.add(&new);
    let (moved, progress) = copy(&from, &to, &[lob]);
    let moved = moved.unwrap();
    assert_eq!((moved.chunks, moved.bytes, moved.size()), (1, 16 + 68, 160));
    assert_eq!(to.get(&lob.id), Some(new));
    assert_eq!(
        progress.bytes.into_inner(),
        160,
        "what need not move counts"
    );
    assert_eq!(progress.lobs.into_inner(), 1);
}

#[test]
fn a_chunk_that_many_lobs_share_moves_and_counts_once() {
    let (from, to) = (Memory::default(), Memory::default());
    let shared = content(2, 32);
    let lobs: Vec<LobInfo> = (0..3)
        .map(|n| from.add(&[&shared[..], &content(n + 10, 16)].concat()))
        .collect();
    let ids: Vec<LobId> = lobs.iter().map(|lob| lob.id).collect();
    let transfer = Transfer {
        from: &from,
        to: &to,
        origin: Origin::Own,
        bases: &HashMap::new(),
        pace: &Pace::unlimited(),
        progress: &(),
    };
    let expected = Cost {
        chunks: 5,
        bytes: 80,
    };
    assert_eq!(transfer.cost(&ids).unwrap(), expected);
    assert_eq!(to.count("receive"), 0, "an estimate writes nothing");
    let (moved, _) = copy(&from, &to, &lobs);
    assert_eq!(moved.unwrap().chunks, 5);
}

#[test]
fn chunks_that_two_runs_share_move_once() {
    let (from, to) = (Memory::default(), Memory::default());
    let shared = content(1, WINDOW_CHUNKS * 16);
    let more = |seed| [&shared[..], &content(seed, 160)].concat();
    // One run each, and the end of the second.
    let lobs = [from.add(&shared), from.add(&more(2)), from.add(&more(3))];
    let (moved, _) = copy(&from, &to, &lobs);
    assert_eq!(from.count("each_frame"), 3, "runs");
    assert_eq!(moved.unwrap().chunks, WINDOW_CHUNKS as u64 + 20);
    for lob in &lobs {
        assert_eq!(
            to.get(&lob.id).map(|bytes| bytes.len() as u64),
            Some(lob.size)
        );
    }
}

#[test]
fn many_lobs_go_in_windows_with_few_exchanges_each() {
    let (from, to) = (Memory::default(), Memory::default());
    let lobs: Vec<LobInfo> = (0..WINDOW_LOBS as u64 + 10)
        .map(|n| from.add(&n.to_le_bytes()))
        .collect();
    let (moved, _) = copy(&from, &to, &lobs);
    assert_eq!(moved.unwrap().lobs.len(), lobs.len());
    for (side, call) in [
        (&from, "manifests"),
        (&from, "each_frame"),
        (&to, "has_chunks"),
    ] {
        assert_eq!(side.count(call), 2, "{call}");
    }
}

/// P9: manifests may be long, and then there are few at once.
#[test]
fn p9_lobs_whose_manifests_do_not_come_at_once_move_all_the_same() {
    let from = Memory {
        manifests_most: Some(3),
        ..Memory::default()
    };
    let to = Memory::default();
    let lobs: Vec<LobInfo> = (0..10).map(|n| from.add(&content(n, 48))).collect();
    from.forget(&lobs[4].id);
    let moved = copy(&from, &to, &lobs).0.unwrap();
    assert_eq!((moved.lobs.len(), moved.vanished), (9, vec![lobs[4].id]));
    assert_eq!((from.count("manifests"), to.count("receive")), (4, 4));
    let none = Memory {
        manifests_most: Some(0),
        ..Memory::default()
    };
    let error = copy(&none, &to, &lobs).0.unwrap_err();
    assert!(matches!(error, Error::Unasked { .. }), "{error}");
}

#[test]
fn a_window_with_a_transient_error_is_tried_again() {
    let (from, to) = (Memory::default(), Memory::default());
    let lobs: Vec<LobInfo> = (0..4).map(|n| from.add(&content(n, 16))).collect();
    let kind = io::ErrorKind::StaleNetworkFileHandle;
    to.faults.lock().unwrap().extend([None, Some(kind)]);
    let (moved, _) = copy(&from, &to, &lobs);
    assert_eq!(moved.unwrap().lobs.len(), 4);
    assert_eq!(to.count("receive"), 2);
}

#[test]
fn an_error_that_lasts_ends_the_copy_and_names_itself() {
    let (from, to) = (Memory::default(), Memory::default());
    let lobs: Vec<LobInfo> = (0..60).map(|n| from.add(&content(n, 16))).collect();
    let kind = io::ErrorKind::StorageFull;
    to.faults.lock().unwrap().extend([Some(kind)]);
    let error = copy(&from, &to, &lobs).0.unwrap_err();
    assert!(
        matches!(&error, Error::Store(lob_store::Error::Io { source, .. }) if source.kind() == kind),
        "the writer's error counts, not that the reader had to stop: {error}"
    );
    assert_eq!(to.count("receive"), 1);
}

#[test]
fn what_the_sender_lost_is_reported_and_the_rest_moves() {
    let (from, to) = (Memory::default(), Memory::default());
    let (lost, kept) = (from.add(b"lost"), from.add(b"kept"));
    from.forget(&lost.id);
    let moved = copy(&from, &to, &[lost, kept]).0.unwrap();
    assert_eq!(moved.vanished, [lost.id]);
    assert_eq!(moved.lobs, [kept]);
}

#[test]
fn a_manifest_of_another_lob_is_refused() {
    let (from, to) = (Memory::default(), Memory::default());
    let lob = from.add(b"asked for");
    let other = Manifest {
        id: LobId::of(b"other"),
        size: 5,
        parts: Parts::Chunks(vec![(ChunkId::of(b"other"), 5)]),
    };
    from.corrupt(lob.id, other);
    let error = copy(&from, &to, &[lob]).0.unwrap_err();
    assert!(matches!(error, Error::Unasked { .. }), "{error}");
}

#[test]
fn a_copy_that_is_cancelled_is_an_interruption() {
    let (from, to) = (Memory::default(), Memory::default());
    let lobs: Vec<LobInfo> = (0..60).map(|n| from.add(&content(n, 16))).collect();
    let stop = Counter {
        stop_after: Some(64),
        ..Counter::default()
    };
    let error = copy_with(&from, &to, &lobs, stop).0.unwrap_err();
    assert!(error.is_interrupted(), "{error}");
}
