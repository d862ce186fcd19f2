//! Limits of the format that writers hold.

use std::fs;

use lob_store::{ChunkId, Frame, LobId, Manifest, Parts, Segment, limits};

use super::{noise, open};

#[test]
fn no_pack_is_over_the_hard_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let list = noise(1, 36);
    let mut writer = store.writer().expect("a writer");
    let chunk = (ChunkId::of(&list), 36);
    writer
        .add_frame(Frame::plain(vec![chunk], &list))
        .expect("takes");
    // Nearly a full pack, and then a manifest that is itself longer than a pack should be.
    writer
        .add(&mut noise(2, 31 << 20).as_slice(), &())
        .expect("adds");
    let segment = Segment {
        id: chunk.0,
        items: 1,
        bytes: 1000,
    };
    let count = (40 << 20) / 44;
    let manifest = Manifest {
        id: LobId::of(b"a very long lob"),
        size: 1000 * count as u64,
        parts: Parts::Segments(vec![segment; count]),
    };
    writer.add_own_manifest(&manifest).expect("takes");
    writer.finish().expect("publishes");
    let back = store.manifest(&manifest.id).expect("reads");
    assert!(back == Some(manifest));
    for entry in fs::read_dir(dir.path().join("packs")).expect("lists") {
        let len = entry.and_then(|e| e.metadata()).expect("a file").len();
        assert!(len <= limits::PACK_HARD, "a pack of {len} bytes");
    }
}
