//! What a store elsewhere may send or hold to do harm.

use lob_store::{ChunkId, Codec, Error, Frame, LobId, Manifest, Parts};

use super::{noise, open, read};

/// A frame of the given parts, one chunk each.
fn frame_of(parts: &[&[u8]]) -> Frame {
    let chunks = parts
        .iter()
        .map(|part| (ChunkId::of(part), part.len() as u32));
    Frame::plain(chunks.collect(), &parts.concat())
}

/// The id of a lob of one chunk is that of the chunk, but its size is not in the id. Were a lie about
/// it believed, the true content could never be added: the store would say that it has it.
#[test]
fn a_manifest_that_lies_about_a_length_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let content = noise(1, 5000);
    let (one, two) = content.split_at(2000);
    let mut writer = store.writer().expect("a writer");
    writer
        .add_frame(frame_of(&[&content, one, two]))
        .expect("takes");
    let id = LobId::of(&content);
    let single = |len| Manifest {
        id,
        size: u64::from(len),
        parts: Parts::Chunks(vec![(ChunkId::of(&content), len)]),
    };
    let pair = |first, second| Manifest {
        id,
        size: u64::from(first + second),
        parts: Parts::Chunks(vec![(ChunkId::of(one), first), (ChunkId::of(two), second)]),
    };
    for lie in [single(4999), single(5001), pair(1999, 3001)] {
        for own in [true, false] {
            let said = match own {
                true => writer.add_own_manifest(&lie),
                false => writer.add_manifest(&lie),
            };
            assert!(matches!(said, Err(Error::Damaged { .. })), "{said:?}");
        }
    }
    writer.publish().expect("publishes");
    // The same for chunks that are visible already.
    let said = writer.add_manifest(&single(4999));
    assert!(matches!(said, Err(Error::Damaged { .. })), "{said:?}");
    assert_eq!(store.lob(&id).expect("looks"), None);
    let added = writer.add(&mut content.as_slice(), &()).expect("adds");
    assert_eq!((added.id, added.new_bytes), (id, 0));
    writer.finish().expect("publishes");
    assert_eq!(read(&store, &id).expect("reads"), content);
}

/// A few bytes each of large frames, in turn: the work must follow the bytes, not the frames.
#[test]
fn scattered_chunks_are_read_with_each_frame_decoded_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut writer = store.writer().expect("a writer");
    let filler = vec![0; 255 << 10];
    let grains: Vec<_> = (0..4u8).map(|n| vec![n; 3]).collect();
    for grain in &grains {
        let mut parts = vec![grain.as_slice()];
        parts.extend([filler.as_slice(); 4]);
        writer.add_frame(frame_of(&parts)).expect("takes");
    }
    // Were a frame decoded for each chunk, this would take minutes and gigabytes.
    let count = 20_000;
    let content: Vec<u8> = (0..count).flat_map(|n| grains[n % 4].clone()).collect();
    let chunks = (0..count).map(|n| (ChunkId::of(&grains[n % 4]), 3));
    let manifest = Manifest {
        id: LobId::of(&content),
        size: content.len() as u64,
        parts: Parts::Chunks(chunks.collect()),
    };
    writer.add_manifest(&manifest).expect("takes");
    writer.finish().expect("publishes");
    assert!(read(&store, &manifest.id).expect("reads") == content);
}

#[test]
fn a_frame_of_more_bytes_than_its_chunks_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut frame = frame_of(&[b"some bytes"]);
    assert_eq!(frame.codec, Codec::Raw);
    frame.stored.push(0);
    let mut writer = store.writer().expect("a writer");
    let said = writer.add_frame(frame).and_then(|()| writer.publish());
    assert!(matches!(said, Err(Error::Damaged { .. })), "{said:?}");
}
