//! Delta frames made by hand, and wrong ones.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use lob_store::{Error, LobId};

use super::builder::{Frame, Pack, compress, leave_in_stage, store};
use super::pack::{Id, hash};
use super::reader::{By, Reader};
use super::{open, read_by_engine};
use crate::store::noise;

/// Four versions of a chunk.
fn versions() -> [Vec<u8>; 4] {
    let mut all = vec![noise(1, 60_000)];
    for n in 1..4usize {
        let mut next = all[n - 1].clone();
        next.splice(1000 * n..1000 * n + 3, noise(7 + n as u64, 9));
        all.push(next);
    }
    all.try_into().unwrap()
}

/// Fails unless both readers read all lobs.
#[track_caller]
fn both_read(dir: &Path, contents: &[&[u8]]) {
    let engine = open(dir).unwrap();
    for by in [By::Tables, By::Records] {
        let reader = Reader::open(dir, by).unwrap();
        for content in contents {
            let id = hash(content);
            assert!(read_by_engine(&engine, &id).unwrap() == *content);
            assert!(reader.lob(&id).unwrap() == *content);
        }
    }
}

/// The errors of both readers for a lob.
#[track_caller]
fn both_refuse(dir: &Path, id: &Id) -> (Error, String) {
    let engine = open(dir).and_then(|store| read_by_engine(&store, id));
    let reader = Reader::open(dir, By::Tables).and_then(|reader| reader.lob(id));
    (engine.map(drop).unwrap_err(), reader.map(drop).unwrap_err())
}

#[test]
fn chains_of_deltas_across_packs_are_read() {
    let [v0, v1, v2, _] = versions();
    let other = noise(9, 30_000);
    let (mut plain, mut deltas) = (Pack::new([1; 16]), Pack::new([2; 16]));
    plain.frame(&Frame::raw(&[&v0]));
    plain.frame(&Frame::zstd(&[&other]));
    let first = Frame::delta(1, &[&v1], &[&v0]);
    let second = Frame::delta(2, &[&v2], &[&other, &v1]);
    assert!(first.stored.len() < 200 && second.stored.len() < 200);
    deltas.frame(&second).frame(&first);
    for content in [&v0, &v1, &v2] {
        deltas.lob_of(&[content]);
    }
    deltas.lob_of(&[&v2, &other, &v1]);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&plain, &deltas]);
    both_read(dir.path(), &[&v0, &v1, &v2, &[&*v2, &other, &v1].concat()]);
}

#[test]
fn p7_bases_stay_as_long_as_what_stands_on_them() {
    let [v0, v1, v2, _] = versions();
    let (other, waste) = (noise(9, 30_000), noise(10, 200_000));
    let (mut plain, mut deltas) = (Pack::new([1; 16]), Pack::new([2; 16]));
    plain.frame(&Frame::raw(&[&v0]));
    plain.frame(&Frame::zstd(&[&other]));
    plain.frame(&Frame::raw(&[&waste]));
    deltas.frame(&Frame::delta(1, &[&v1], &[&v0]));
    deltas.frame(&Frame::delta(2, &[&v2], &[&other, &v1]));
    for content in [&v0, &other, &waste] {
        plain.lob_of(&[content]);
    }
    for content in [&v1, &v2] {
        deltas.lob_of(&[content]);
    }
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&plain, &deltas]);
    let young = SystemTime::now() + Duration::from_secs(1000);
    for kept in [&[&v2][..], &[]] {
        let engine = open(dir.path()).unwrap();
        let mut prune = engine.prune(young).unwrap().unwrap();
        for content in kept {
            assert!(prune.keep(&LobId::of(content)).unwrap());
        }
        prune.plan().unwrap().run(&()).unwrap();
        let engine = open(dir.path()).unwrap();
        for content in [&v0, &v2, &other, &waste] {
            match (
                read_by_engine(&engine, &hash(content)),
                kept.contains(&content),
            ) {
                (Ok(bytes), true) => assert!(bytes == *content),
                (Err(Error::NoLob(_)), false) => {}
                (found, kept) => panic!("{kept}: {:?}", found.map(|bytes| bytes.len())),
            }
        }
        if !kept.is_empty() {
            both_read(dir.path(), &[&v2]);
            let left = engine.stored_bytes().unwrap();
            assert!(
                left < 100_000,
                "the waste went, and the bases did not: {left}"
            );
        }
    }
}

#[test]
fn several_chunks_on_eight_bases_are_read() {
    let bases: Vec<_> = (0..8).map(|n| noise(n, 200_000 + n as usize)).collect();
    let mut pieces = bases.concat();
    pieces.truncate(500_000);
    pieces.splice(250_000..250_000, noise(20, 100));
    let chunks = [&pieces[..240_000], &pieces[240_000..]];
    let all: Vec<&[u8]> = bases.iter().map(Vec::as_slice).collect();
    let mut pack = Pack::new([1; 16]);
    for base in &all {
        pack.frame(&Frame::raw(&[base]));
    }
    let chunks = [chunks[0], &chunks[1][..200_000]];
    pack.frame(&Frame::delta(1, &chunks, &all));
    pack.lob_of(&chunks);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&pack]);
    both_read(dir.path(), &[&chunks.concat()]);
}

#[test]
fn deltas_of_the_engine_s_own_chunks_are_read_and_move_on() {
    let [v0, v1, ..] = versions();
    let mut pack = Pack::new([1; 16]);
    pack.frame(&Frame::raw(&[&v0]));
    pack.frame(&Frame::delta(1, &[&v1], &[&v0]));
    pack.lob_of(&[&v1]);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&pack]);
    let from = open(dir.path()).unwrap();
    let manifest = from.manifest(&LobId::of(&v1)).unwrap().unwrap();
    let other = tempfile::tempdir().unwrap();
    let to = crate::store::open(&other.path().join("store"));
    let mut writer = to.writer().unwrap();
    let chunks: Vec<_> = manifest.named_chunks().iter().map(|&(id, _)| id).collect();
    from.each_frame(&chunks, &HashSet::new(), &mut |frame| {
        writer.add_frame(frame)
    })
    .unwrap();
    writer.add_manifest(&manifest).unwrap();
    writer.finish().unwrap();
    assert!(read_by_engine(&to, LobId::of(&v1).as_bytes()).unwrap() == v1);
}

/// The stage of a writer that was killed holds bases and what is built on them, in any order.
#[test]
fn deltas_in_a_stage_are_taken_over() {
    let [v0, v1, v2, _] = versions();
    let mut pack = Pack::new([1; 16]);
    pack.frame(&Frame::delta(2, &[&v2], &[&v1]));
    pack.frame(&Frame::delta(1, &[&v1], &[&v0]));
    for content in [&v0, &v1, &v2] {
        pack.lob_of(&[content]);
    }
    pack.frame(&Frame::raw(&[&v0]));
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[]);
    let stage = leave_in_stage(dir.path(), &pack.bytes);
    both_read(dir.path(), &[&v0, &v1, &v2]);
    assert!(!stage.exists());
}

#[test]
fn a_base_that_is_missing_is_named() {
    let [v0, v1, ..] = versions();
    let mut pack = Pack::new([1; 16]);
    pack.frame(&Frame::delta(1, &[&v1], &[&v0]));
    let id = pack.lob_of(&[&v1]);
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), &[&pack]);
    let (engine, reader) = both_refuse(dir.path(), &id);
    assert!(matches!(engine, Error::NoChunk(base) if *base.as_bytes() == hash(&v0)));
    assert_eq!(reader, "no such chunk");
}

#[test]
fn circles_and_deep_chains_end() {
    let [v0, _, v2, v3] = versions();
    // The last of them is v3.
    let mut line: Vec<Vec<u8>> = (0..17).map(|n| [&v0[..], &[n]].concat()).collect();
    line.push(v3.clone());
    let mut chain = vec![Frame::raw(&[&line[0]])];
    for pair in line.windows(2) {
        chain.push(Frame::delta(1, &[&pair[1]], &[&pair[0]]));
    }
    let cases: [(&str, Vec<Frame>); 4] = [
        (
            "a frame that names itself",
            vec![Frame::delta(1, &[&v3], &[&v3])],
        ),
        (
            "a frame that names itself eight times",
            vec![Frame::delta(2, &[&v3], &[v3.as_slice(); 8])],
        ),
        (
            "a circle of two",
            vec![
                Frame::delta(1, &[&v3], &[&v2]),
                Frame::delta(1, &[&v2], &[&v3]),
            ],
        ),
        ("seventeen deltas on each other that say otherwise", chain),
    ];
    for (what, frames) in cases {
        let mut pack = Pack::new([1; 16]);
        for frame in &frames {
            pack.frame(frame);
        }
        let id = pack.lob_of(&[&v3]);
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &[&pack]);
        let (engine, reader) = both_refuse(dir.path(), &id);
        let said = engine.to_string();
        assert!(said.contains("bases are too deep"), "{what}: {said}");
        assert_eq!(reader, "bases too deep", "{what}");
    }
}

#[test]
fn lies_about_lengths_are_refused() {
    let [v0, v1, v2, _] = versions();
    let honest = Frame::delta(1, &[&v1], &[&v0]);
    let id = hash(&v1);
    let with = |change: &dyn Fn(&mut Frame)| {
        let mut frame = honest.clone();
        change(&mut frame);
        frame
    };
    let lies = [
        with(&|f| f.chunks[0].1 += 1),
        with(&|f| f.chunks[0].1 -= 1),
        with(&|f| f.chunks[0].1 = 1),
        // Another content of the same length, decoded with the right base and with a wrong one.
        with(&|f| f.stored = compress(&noise(3, v1.len()), &v0)),
        with(&|f| f.stored = compress(&v1, &v2)),
        with(&|f| f.stored.push(0)),
        with(&|f| f.stored.truncate(f.stored.len() - 1)),
        with(&|f| f.stored = zstd_of_undeclared_size(&v1)),
        // A frame that zstd skips, before one that it does not.
        with(&|f| {
            let empty = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
            f.stored.splice(0..0, empty);
        }),
    ];
    for (n, lie) in lies.iter().enumerate() {
        let mut pack = Pack::new([1; 16]);
        pack.frame(&Frame::raw(&[&v0])).frame(lie);
        pack.lob(id, &lie.chunks);
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &[&pack]);
        let (engine, _) = both_refuse(dir.path(), &id);
        assert!(matches!(engine, Error::Damaged { .. }), "lie {n}: {engine}");
    }
}

/// A zstd frame that does not say how long its content is.
fn zstd_of_undeclared_size(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Frames whose headers contradict themselves make the whole table one that no reader believes.
#[test]
fn a_delta_without_bases_and_bases_without_a_delta_are_refused() {
    let [v0, v1, ..] = versions();
    let honest = Frame::delta(1, &[&v1], &[&v0]);
    let with = |change: &dyn Fn(&mut Frame)| {
        let mut frame = honest.clone();
        change(&mut frame);
        frame
    };
    for lie in [
        with(&|f| f.bases.clear()),
        with(&|f| f.depth = 0),
        with(&|f| f.depth = 9),
        with(&|f| f.bases = vec![hash(&v0); 9]),
        Frame {
            bases: vec![hash(&v0)],
            ..Frame::raw(&[&v1])
        },
        Frame {
            depth: 1,
            ..Frame::raw(&[&v1])
        },
    ] {
        let mut pack = Pack::new([1; 16]);
        pack.frame(&Frame::raw(&[&v0])).frame(&lie);
        let id = pack.lob_of(&[&v1]);
        let dir = tempfile::tempdir().unwrap();
        store(dir.path(), &[&pack]);
        let refused = open(dir.path()).and_then(|store| read_by_engine(&store, &id));
        assert!(refused.is_err(), "{lie:?}");
    }
}
