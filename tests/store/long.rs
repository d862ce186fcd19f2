//! Lobs that are so long that their manifest lists groups of segments.

use std::time::{Duration, SystemTime};

use lob_store::{ChunkId, LobId, Manifest, Parts, Store, cut, limits};

use super::deltas::assert_whole;
use super::{noise, open};

/// Bytes of one chunk of [`content`].
pub const BLOCK: usize = limits::CHUNK_MIN + 64;

/// A content of so many segments of 2 MiB, one like the other: its chunks are about as short as may be and
/// each segment lists as few of them as may be.
pub fn content(segments: usize) -> Vec<u8> {
    let random = noise(1, 1 << 20);
    let first = cut(&random)[0];
    // Where a chunk ends is told by the last bytes of it, those beyond the shortest length.
    let end = &random[first - 64..first];
    let blocks = (2..).map(|seed| [&noise(seed, BLOCK - end.len()), end].concat());
    let mut ends = blocks.filter(|block| ChunkId::of(block).as_bytes()[0] >> 1 == 0);
    let block = ends.next().expect("there is one");
    assert_eq!(cut(&block.repeat(3)), [BLOCK; 3]);
    block.repeat(segments * limits::SEGMENT_MIN)
}

/// The manifest of a lob that must have groups.
pub fn grouped(store: &Store, id: &LobId) -> Manifest {
    let manifest = store.manifest(id).expect("is read").expect("is there");
    assert!(matches!(manifest.parts, Parts::Groups(_)), "{manifest:?}");
    manifest
}

#[test]
fn a_very_long_lob_is_kept_and_read_at_any_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut content = content(limits::SEGMENTS_MAX + 4);
    let last = content.len() - 3 * BLOCK;
    content[last] ^= 1;
    let mut writer = store.writer().expect("a writer");
    let id = writer.add(&mut &*content, &()).expect("adds").id;
    let other = writer.add(&mut &*noise(5, 1 << 20), &()).expect("adds").id;
    writer.finish().expect("publishes");
    let manifest = grouped(&store, &id);
    assert_eq!(
        store.segments(&manifest).expect("are read").len(),
        limits::SEGMENTS_MAX + 4
    );
    let young = SystemTime::now() + Duration::from_secs(1000);
    let mut prune = store.prune(young).expect("begins").expect("nobody else");
    assert!(prune.keep(&id).expect("marks"));
    prune.plan().expect("plans").run(&()).expect("prunes");
    assert_eq!(store.lob(&other).expect("looks"), None);
    assert_whole(dir.path(), &[&content]);
    for at in [0, 5, 100 << 20, last - 10, content.len() - 40] {
        let len = 40.min(content.len() - at);
        let part = store.read_range(&id, at as u64, len).expect("is read");
        assert_eq!(part, content[at..at + len]);
    }
}
