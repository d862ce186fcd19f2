//! What readers of packs refuse, pass over and survive.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::{Disk, DiskFile, Map, OsDisk};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::ChunkId;
use crate::manifest::{Manifest, Parts};

/// A pack of two frames and a lob, sealed in `dir`; the bytes of the pack and of its table.
fn sealed(dir: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut pack = PackWriter::create(Arc::new(OsDisk), &dir.join("one.pack"), 0).expect("creates");
    let parts = [b"first".as_slice(), &[b'x'; 3000]];
    let chunks: Vec<_> = parts
        .iter()
        .map(|part| (ChunkId::of(part), part.len() as u32))
        .collect();
    for (chunk, part) in chunks.iter().zip(parts) {
        pack.frame(&Frame::plain(vec![*chunk], part))
            .expect("appends");
    }
    let whole = parts.concat();
    pack.manifest(&Manifest {
        id: crate::LobId::of(&whole),
        size: whole.len() as u64,
        parts: Parts::Chunks(chunks),
    })
    .expect("appends");
    let sealed = pack.seal().expect("seals");
    let read = |path: &Path| OsDisk.map(path).expect("maps").to_vec();
    (read(&sealed.pack), read(&sealed.table))
}

/// Opens a table after its closing hash was made to fit.
fn open(mut table: Vec<u8>) -> Result<Table> {
    let body = table.len() - 32;
    let hash = blake3::hash(&table[..body]);
    table[body..].copy_from_slice(hash.as_bytes());
    Table::open(Map::from(table), "table")
}

/// The records of a pack read forward.
fn records(dir: &Path, pack: &[u8]) -> (Vec<Record>, Result<()>) {
    let path = dir.join("other.pack");
    let _ = OsDisk.remove(&path);
    let file = OsDisk.create(&path).expect("creates");
    file.append(pack).expect("writes");
    let mut all = Vec::new();
    let end = salvage(&*file as &dyn DiskFile, &path, &mut |record| {
        all.push(record);
        Ok(())
    });
    (all, end)
}

/// A record of this kind, with bytes that mean nothing.
fn foreign_record(kind: u8) -> Vec<u8> {
    let mut head = b"LREC".to_vec();
    head.extend_from_slice(&[kind, 1, 2, 3]);
    head.extend_from_slice(&2u32.to_le_bytes());
    head.extend_from_slice(&5u32.to_le_bytes());
    let body = [7; 2 * 36 + 3 * 32 + 5];
    let check = blake3::hash(&[head.as_slice(), &body].concat());
    head.extend_from_slice(&check.as_bytes()[..8]);
    head.extend_from_slice(&[0; 8]);
    [head.as_slice(), &body].concat()
}

#[test]
fn unknown_records_are_passed_over_or_refused_by_their_kind() {
    let dir = tempfile::tempdir().expect("a directory");
    let (pack, _) = sealed(dir.path());
    for (kind, known) in [(0x80, true), (0x83, true), (0xff, true), (3, false)] {
        let mut bytes = pack[..32].to_vec();
        bytes.extend(foreign_record(kind));
        bytes.extend(&pack[32..]);
        let (all, end) = records(dir.path(), &bytes);
        match end {
            Ok(()) => assert!(known && all.len() == 4, "kind {kind}"),
            Err(Error::Later { .. }) => assert!(!known && all.is_empty(), "kind {kind}"),
            Err(e) => panic!("kind {kind}: {e}"),
        }
        // A damaged kind is damage, and none of a later version.
        bytes[32 + 16] ^= 1;
        let (all, end) = records(dir.path(), &bytes);
        assert!(end.is_ok() && all.is_empty(), "kind {kind}");
    }
}

#[test]
fn later_versions_and_codecs_are_told_from_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let (pack, table) = sealed(dir.path());
    let mut later = pack.clone();
    later[8] = 2;
    let (_, end) = records(dir.path(), &later);
    let said = end.expect_err("refuses").to_string();
    assert!(
        said.contains("version 2") && said.contains("newer lob"),
        "{said}"
    );

    let frames = 32 + 16;
    for (at, value, says) in [(8, 9, "version 9"), (frames + 20, 7, "codec 7")] {
        let mut later = table.clone();
        later[at] = value;
        let said = match open(later) {
            Err(e @ Error::Later { .. }) => e.to_string(),
            other => panic!("{says}: {other:?}"),
        };
        assert!(said.contains(says) && said.contains("newer lob"), "{said}");
    }
}

#[test]
fn unknown_sections_are_passed_over_when_they_say_that_they_may() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, table) = sealed(dir.path());
    let with = |section: &[u8]| {
        let mut longer = table.clone();
        longer[12] += 1;
        longer.splice(32..32, section.iter().copied());
        open(longer)
    };
    let section = |tag: &[u8; 4], flags: u32| {
        let mut bytes = tag.to_vec();
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&3u64.to_le_bytes());
        bytes.extend_from_slice(b"abc");
        bytes
    };
    assert_eq!(with(&section(b"ALIA", 1)).expect("opens").chunk_count(), 2);
    let said = with(&section(b"X\x1bYZ", 0)).expect_err("refuses");
    assert!(matches!(&said, Error::Later { what, why }
        if what == "table" && why == "section X\\x1bYZ with flags 0"));
    assert!(matches!(
        with(&section(b"LOBS", 1)),
        Err(Error::Later { .. } | Error::Damaged { .. })
    ));
    // Twice the same, of which readers could take one or the other.
    let chunks = table[32..].windows(4).position(|tag| tag == b"CHNK");
    let at = 32 + chunks.expect("a section");
    let twice = with(&table[at..at + 16 + 2 * 44]).expect_err("refuses");
    assert!(matches!(twice, Error::Damaged { .. }), "{twice}");
}

#[test]
fn fields_of_a_table_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, table) = sealed(dir.path());
    let frame = 32 + 16;
    let chunk = frame + 2 * 32 + 16 + 16;
    let lob = chunk + 2 * 44 + 16;
    let faults: [(&str, usize, u8); 14] = [
        ("a frame in the header of the pack", frame, 31),
        ("a frame beyond the longest pack", frame + 4, 1),
        ("a frame over the one before it", frame + 32, 33),
        ("a head of another length", frame + 8, 69),
        ("no raw bytes", frame + 12, 0),
        ("a raw frame that is stored shorter", frame + 16, 4),
        ("a depth without bases", frame + 21, 1),
        ("a base that is not there", frame + 22, 1),
        ("more chunks than the head has", frame + 28, 2),
        ("a chunk of no bytes", chunk + 40, 0),
        ("a chunk in no frame", chunk + 32, 2),
        ("a lob beyond the longest pack", lob + 44, 1),
        ("a manifest of no length", lob + 48, 0),
        ("reserved bytes", lob + 55, 1),
    ];
    for (what, at, value) in faults {
        let mut bad = table.clone();
        assert_ne!(bad[at], value, "{what}");
        bad[at] = value;
        if what == "a chunk of no bytes" {
            bad[at + 1] = 0;
        }
        assert!(
            matches!(open(bad), Err(Error::Damaged { .. })),
            "{what} is refused"
        );
    }
    open(table).expect("the table itself opens");
}

#[test]
fn no_change_of_a_table_brings_its_reader_down() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, table) = sealed(dir.path());
    let mut opened = 0;
    for at in 0..table.len() - 32 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = table.clone();
            bad[at] ^= value;
            let Ok(table) = open(bad) else { continue };
            opened += 1;
            for n in 0..table.chunk_count() {
                let chunk = table.chunk(n);
                let frame = table.frame(chunk.frame as usize).expect("a frame");
                assert!(chunk.offset + chunk.len <= frame.raw);
            }
        }
    }
    assert!(opened > table.len() / 2, "ids may be anything: {opened}");
}

#[test]
fn a_manifest_record_has_no_fields_of_a_frame() {
    let dir = tempfile::tempdir().expect("a directory");
    let (pack, _) = sealed(dir.path());
    let at = (32..pack.len())
        .find(|&at| pack[at..].starts_with(b"LREC\x02"))
        .expect("a manifest");
    let len = 32 + 48 + 2 * 36;
    let mut bad = pack[..at + len].to_vec();
    bad[at + 5] = 1;
    let body = [&bad[at..at + 16], &bad[at + 32..]].concat();
    bad[at + 16..at + 24].copy_from_slice(&blake3::hash(&body).as_bytes()[..8]);
    let (all, end) = records(dir.path(), &bad);
    end.expect("reads up to it");
    assert_eq!(all.len(), 2);
}

/// A record as it comes from elsewhere: its header, what is in its head, the rest.
fn decode(record: &[u8]) -> Result<Frame> {
    let cut = || Error::damaged("record", "it is cut off");
    let header = record.first_chunk().ok_or_else(cut)?;
    let head = Frame::head_len(header)?;
    let (head, stored) = record.split_at_checked(head).ok_or_else(cut)?;
    Frame::of_record(head, stored.to_vec())
}

#[test]
fn the_record_of_a_frame_comes_back_alone() {
    let raw = vec![b'x'; 3000];
    let chunks = vec![(ChunkId::of(&raw), 3000)];
    let mut delta = Frame::plain(chunks, &raw);
    delta.codec = crate::frame::Codec::ZstdPrefix;
    delta.depth = 1;
    delta.bases = vec![ChunkId::of(b"base")];
    for frame in [Frame::plain(vec![(ChunkId::of(b"a"), 1)], b"a"), delta] {
        let bytes = [frame.head().as_slice(), &frame.stored].concat();
        assert_eq!(bytes.len() as u64, frame.record_len());
        assert_eq!(decode(&bytes).expect("decodes"), frame);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let long = [bytes.as_slice(), &[0]].concat();
        assert!(decode(&long).is_err());
    }
    assert!(decode(&foreign_record(0x80)).is_err());
    assert!(decode(&foreign_record(2)).is_err());
}
