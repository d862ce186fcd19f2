//! Delta frames on their way into another store.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lob_store::disk::OsDisk;
use lob_store::fsck::{self, Depth, Gravity};
use lob_store::{ChunkId, Error, Frame, LobId, Manifest, Parts, Store, limits};

use super::{noise, open, read};

/// The next version of a content: a byte is another in every 20 KB, so no chunk stays.
pub fn scattered(content: &[u8], seed: u8) -> Vec<u8> {
    let mut next = content.to_vec();
    next.iter_mut()
        .skip(usize::from(seed) * 31)
        .step_by(20_000)
        .for_each(|byte| *byte = byte.wrapping_add(seed | 1));
    next
}

/// `count` versions of `len` bytes.
pub fn versions(count: u8, len: usize) -> Vec<Vec<u8>> {
    let mut all = vec![noise(1, len)];
    for n in 1..count {
        all.push(scattered(&all[usize::from(n) - 1], n));
    }
    all
}

fn manifest(store: &Store, content: &[u8]) -> Manifest {
    let manifest = store.manifest(&LobId::of(content)).expect("is read");
    manifest.expect("is there")
}

/// All chunks of a lob and of its manifest.
fn chunks(store: &Store, manifest: &Manifest) -> Vec<ChunkId> {
    let mut ids: Vec<_> = manifest.named_chunks().iter().map(|c| c.0).collect();
    for segment in store.segments(manifest).expect("is read") {
        let bytes = store.chunk(&segment.id).expect("is there");
        let list = segment.decode_list(&bytes).expect("is a list");
        ids.extend(list.iter().map(|c| c.0));
    }
    ids
}

/// Sends a content against another one as a push does. Returns the bytes of all frames.
pub fn send(from: &Store, to: &Store, new: &[u8], base: &[u8]) -> lob_store::Result<usize> {
    let manifest = manifest(from, new);
    let mut writer = to.writer()?;
    writer.start()?;
    let mut bytes = 0;
    let base = self::manifest(from, base);
    let sent = from.each_delta(&manifest, base, &mut |ids| to.kin(ids), &mut |frame| {
        bytes += frame.stored.len();
        writer.add_frame(frame)
    })?;
    let held = to.has_chunks(&chunks(from, &manifest))?;
    let rest: Vec<_> = chunks(from, &manifest)
        .into_iter()
        .zip(held)
        .filter(|(id, held)| !held && !sent.contains(id))
        .map(|(id, _)| id)
        .collect();
    from.each_frame(&rest, &HashSet::new(), &mut |frame| {
        bytes += frame.stored.len();
        writer.add_frame(frame)
    })?;
    writer.add_manifest(&manifest)?;
    writer.finish()?;
    Ok(bytes)
}

/// A store of these contents.
fn store_of(dir: &Path, contents: &[Vec<u8>]) -> Store {
    let store = open(dir);
    let mut writer = store.writer().expect("a writer");
    for content in contents {
        let _ = writer.add(&mut content.as_slice(), &()).expect("adds");
    }
    writer.finish().expect("publishes");
    store
}

/// Everything that is there already is old, and goes unless it is one of these.
fn prune(store: &Store, kept: &[&Vec<u8>]) {
    let young = SystemTime::now() + Duration::from_secs(1000);
    let mut prune = store.prune(young).expect("begins").expect("nobody else");
    for content in kept {
        assert!(prune.keep(&LobId::of(content)).expect("marks"));
    }
    prune.plan().expect("plans").run(&()).expect("prunes");
}

fn depths(store: &Store, content: &[u8]) -> Vec<u8> {
    let ids: Vec<_> = chunks(store, &manifest(store, content));
    let kin = store.kin(&ids).expect("are there");
    kin.into_iter().flatten().map(|kin| kin.depth).collect()
}

#[track_caller]
pub fn assert_whole(store: &Path, contents: &[&Vec<u8>]) {
    let store = open(store);
    for (n, content) in contents.iter().enumerate() {
        let id = LobId::of(content);
        assert!(read(&store, &id).expect("is read") == **content, "{n}");
        let part = store.read_range(&id, 1_000_000, 70_000).expect("is read");
        assert!(part == content[1_000_000..1_070_000], "{n}");
    }
    let mut found = Vec::new();
    let each = &mut |finding: fsck::Finding| {
        // What was dropped and not deleted yet is no matter.
        found.extend((finding.gravity != Gravity::Leftover).then_some(finding));
    };
    let _ = fsck::examine(Arc::new(OsDisk), store.root(), Depth::Deep, &(), each).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// Twelve versions on top of each other, which is more than the bound on chains.
#[test]
fn chains_of_versions_are_small_bounded_and_outlast_a_prune() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(12, 1_500_000);
    let from = store_of(&dir.path().join("from"), &contents);
    let to_dir = dir.path().join("to");
    let to = store_of(&to_dir, &contents[..1]);
    for n in 1..contents.len() {
        let bytes = send(&from, &to, &contents[n], &contents[n - 1]).unwrap();
        assert!(bytes < 60_000, "version {n}: {bytes} bytes");
        let deepest = depths(&to, &contents[n]).into_iter().max();
        let bound = limits::DELTA_DEPTH_MAX.min(n as u8);
        assert!(deepest <= Some(bound), "version {n}: {deepest:?}");
    }
    let deep = depths(&to, &contents[8]);
    assert!(deep.contains(&limits::DELTA_DEPTH_MAX), "{deep:?}");
    assert_whole(&to_dir, &contents.iter().collect::<Vec<_>>());
    prune(&to, &[&contents[11], &contents[3]]);
    assert_whole(&to_dir, &[&contents[11], &contents[3]]);
    assert!(
        open(&to_dir)
            .lob(&LobId::of(&contents[7]))
            .unwrap()
            .is_none()
    );
    prune(&to, &[]);
    assert!(open(&to_dir).stored_bytes().unwrap() < 1000);
}

#[test]
fn the_same_versions_give_the_same_frames() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(2, 3_000_000);
    let frames = |name: &str| {
        let from = store_of(&dir.path().join(name), &contents);
        let (new, base) = (manifest(&from, &contents[1]), manifest(&from, &contents[0]));
        let held: HashSet<_> = chunks(&from, &base).into_iter().collect();
        let mut ask = |ids: &[ChunkId]| {
            let kin = |id| held.contains(id).then(Default::default);
            Ok(ids.iter().map(kin).collect())
        };
        let mut frames = Vec::new();
        let sent = from.each_delta(&new, base, &mut ask, &mut |frame| {
            frames.push(frame);
            Ok(())
        });
        let listed = frames.iter().map(|frame: &Frame| frame.chunks.len());
        assert_eq!(sent.unwrap().len(), listed.sum::<usize>());
        frames
    };
    let one = frames("one");
    assert!(one.len() > 5);
    assert!(one == frames("two"));
}

/// The list of the chunks of a lob is long where the lob is: it goes as a difference too.
#[test]
fn a_small_edit_of_a_long_lob_costs_little_in_lists() {
    let dir = tempfile::tempdir().unwrap();
    let mut contents = vec![noise(1, 40_000_000)];
    for (n, at) in [20_000_000, 20_000_100, 5_000_000].into_iter().enumerate() {
        let mut next = contents[n].clone();
        match n {
            2 => drop(next.splice(at..at, [7; 30])),
            _ => next[at] ^= 1,
        }
        contents.push(next);
    }
    let from = store_of(&dir.path().join("from"), &contents);
    let to_dir = dir.path().join("to");
    let to = store_of(&to_dir, &contents[..1]);
    for n in 1..contents.len() {
        let new = manifest(&from, &contents[n]);
        let Parts::Segments(lists) = &new.parts else {
            panic!("{new:?}");
        };
        let before = to.stored_bytes().unwrap();
        let held = to.has_chunks(&chunks(&from, &new)).unwrap();
        let lacking = held.iter().filter(|held| !**held).count();
        let bytes = send(&from, &to, &contents[n], &contents[n - 1]).unwrap();
        assert!(bytes < 200 * lacking, "version {n}: {bytes} for {lacking}");
        let grown = to.stored_bytes().unwrap() - before;
        assert!(grown < 3000, "version {n}: {grown} for {lacking}");
        let ids: Vec<_> = lists.iter().map(|list| list.id).collect();
        let kin = to.kin(&ids).unwrap();
        let deepest = kin.iter().flatten().map(|kin| kin.depth).max();
        assert!(deepest > Some(0), "version {n}: {kin:?}");
    }
    assert_whole(&to_dir, &contents.iter().collect::<Vec<_>>());
    prune(&to, &[&contents[3]]);
    assert_whole(&to_dir, &[&contents[3]]);
}

#[test]
fn what_has_nothing_in_common_is_left_to_be_sent_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let contents = [noise(1, 2_000_000), noise(2, 2_000_000)];
    let from = store_of(&dir.path().join("from"), &contents);
    let (new, base) = (manifest(&from, &contents[1]), manifest(&from, &contents[0]));
    let mut ask = |ids: &[ChunkId]| {
        from.kin(ids)
            .map(|kin| kin.into_iter().map(|_| None).collect())
    };
    let sent = from.each_delta(&new, base, &mut ask, &mut |_| panic!("no frame"));
    assert!(sent.unwrap().is_empty());
}

/// A base that the receiver lost in the meantime is an error and no hole.
#[test]
fn a_base_that_is_gone_stops_the_frame() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(2, 1_500_000);
    let from = store_of(&dir.path().join("from"), &contents);
    let to_dir = dir.path().join("to");
    let to = store_of(&to_dir, &contents[..1]);
    let kin = |ids: &[ChunkId]| to.kin(ids);
    let (new, base) = (manifest(&from, &contents[1]), manifest(&from, &contents[0]));
    let mut frames = Vec::new();
    let _ = from
        .each_delta(&new, base, &mut |ids| kin(ids), &mut |frame| {
            frames.push(frame);
            Ok(())
        })
        .unwrap();
    prune(&to, &[]);
    let to = open(&to_dir);
    let mut writer = to.writer().unwrap();
    let done = frames
        .into_iter()
        .try_for_each(|frame| writer.add_frame(frame))
        .and_then(|()| writer.sync());
    assert!(matches!(done, Err(Error::NoChunk(_))), "{done:?}");
}

/// What a writer saw when it began stays for it, whatever a prune takes.
#[test]
fn p7_a_base_that_is_pruned_under_a_push_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(2, 1_500_000);
    let from = store_of(&dir.path().join("from"), &contents);
    let to_dir = dir.path().join("to");
    let to = store_of(&to_dir, &contents[..1]);
    let (new, base) = (manifest(&from, &contents[1]), manifest(&from, &contents[0]));
    let mut writer = to.writer().unwrap();
    writer.start().unwrap();
    let mut bytes = 0;
    let sent = from
        .each_delta(&new, base, &mut |ids| to.kin(ids), &mut |frame| {
            bytes += frame.stored.len();
            writer.add_frame(frame)
        })
        .unwrap();
    assert!(bytes < 60_000 && sent.len() > 10);
    writer.sync().unwrap();
    prune(&open(&to_dir), &[]);
    writer.add_manifest(&new).unwrap();
    writer.finish().unwrap();
    assert_whole(&to_dir, &[&contents[1]]);
}

/// A frame tells a depth; what counts is where its bases are in the store that takes it.
#[test]
fn depths_are_found_out_and_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(2, 1_500_000);
    let from = store_of(&dir.path().join("from"), &contents);
    let to = store_of(&dir.path().join("to"), &contents[..1]);
    let (new, base) = (manifest(&from, &contents[1]), manifest(&from, &contents[0]));
    let mut writer = to.writer().unwrap();
    let _ = from
        .each_delta(&new, base, &mut |ids| to.kin(ids), &mut |mut frame| {
            frame.depth = limits::DELTA_DEPTH_MAX;
            writer.add_frame(frame)
        })
        .unwrap();
    writer.add_manifest(&new).unwrap();
    writer.finish().unwrap();
    assert!(depths(&to, &contents[1]).iter().all(|&depth| depth <= 1));
}

/// The receiver has the base at the end of a chain that can get no longer.
#[test]
fn a_frame_on_a_base_at_the_bound_is_stored_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(10, 1_500_000);
    let from = store_of(&dir.path().join("from"), &contents);
    let to_dir = dir.path().join("to");
    let to = store_of(&to_dir, &contents[..1]);
    for n in 1..9 {
        send(&from, &to, &contents[n], &contents[n - 1]).unwrap();
    }
    assert!(depths(&to, &contents[8]).contains(&limits::DELTA_DEPTH_MAX));
    let (new, base) = (manifest(&from, &contents[9]), manifest(&from, &contents[8]));
    let mut writer = to.writer().unwrap();
    let (mut frames, mut depth) = (0, 0);
    // A sender that does not ask how deep they are.
    let mut ask = |ids: &[ChunkId]| {
        let kin = to.kin(ids)?.into_iter();
        Ok(kin.map(|kin| kin.map(|_| Default::default())).collect())
    };
    let _ = from
        .each_delta(&new, base, &mut ask, &mut |frame| {
            frames += 1;
            writer.add_frame(frame)
        })
        .unwrap();
    writer.add_manifest(&new).unwrap();
    writer.finish().unwrap();
    assert!(frames > 2);
    for found in depths(&to, &contents[9]) {
        depth = depth.max(found);
    }
    assert!(depth <= limits::DELTA_DEPTH_MAX);
    assert_whole(&to_dir, &[&contents[9], &contents[8]]);
}
