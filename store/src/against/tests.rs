use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::chunk::tests::noise;
use crate::disk::{OsDisk, SimDisk};
use crate::error::Error;
use crate::id::LobId;

/// A store of two versions, and their manifests.
fn store_of(old: &[u8], new: &[u8]) -> (Store, Manifest, Manifest) {
    let store = Store::create(Arc::new(SimDisk::new()), Path::new("/lob")).unwrap();
    let mut writer = store.writer().unwrap();
    for mut content in [old, new] {
        let _ = writer.add(&mut content, &()).unwrap();
    }
    writer.finish().unwrap();
    let manifest = |content| store.manifest(&LobId::of(content)).unwrap().unwrap();
    let (old, new) = (manifest(old), manifest(new));
    (store, old, new)
}

fn chunks(store: &Store, manifest: &Manifest) -> Vec<ChunkId> {
    let mut all = Vec::new();
    let each = &mut |chunks: Vec<(ChunkId, u32)>| {
        all.extend(chunks.into_iter().map(|(id, _)| id));
        Ok(())
    };
    store.each_window(manifest, each).unwrap();
    all
}

/// What is sent of `new` to who has `old`: delta frames, and frames of the rest.
fn sent(store: &Store, old: &Manifest, new: &Manifest) -> (Vec<Frame>, Vec<Frame>) {
    let held: HashSet<_> = chunks(store, old).into_iter().collect();
    let kin = |id: &ChunkId| held.contains(id).then(Kin::default);
    let mut ask = |ids: &[ChunkId]| Ok(ids.iter().map(kin).collect());
    let (mut deltas, mut plain) = (Vec::new(), Vec::new());
    let take = &mut |frame| {
        deltas.push(frame);
        Ok(())
    };
    let sent = store.each_delta(new, old.clone(), &mut ask, take).unwrap();
    let mut rest = chunks(store, new);
    rest.retain(|id| !held.contains(id) && !sent.contains(id));
    let take = &mut |frame| {
        plain.push(frame);
        Ok(())
    };
    store.each_frame(&rest, &HashSet::new(), take).unwrap();
    (deltas, plain)
}

/// With what the frame and the table of a pack say of each.
fn cost<'f>(frames: impl IntoIterator<Item = &'f Frame>) -> usize {
    let cost =
        |frame: &Frame| frame.stored.len() + 64 * frame.bases.len() + 80 * frame.chunks.len();
    frames.into_iter().map(cost).sum()
}

/// Lines of a few kinds, in any order.
fn log(seed: u64, len: usize) -> Vec<u8> {
    let lines = noise(seed, len / 40)
        .into_iter()
        .map(|byte| match byte % 8 {
            0 => "GET /index.html 200 in 3 ms\n",
            1 => "GET /style.css 304 in 1 ms\n",
            2 => "GET /api/v1/items?page=2 200 in 12 ms\n",
            3 => "POST /api/v1/items 201 in 35 ms\n",
            4 => "warning: the connection was closed by the peer, trying again\n",
            5 => "GET /favicon.ico 404 in 1 ms\n",
            6 => "worker 3 has taken up job 17 of the queue of thumbnails\n",
            _ => "DELETE /api/v1/items/17 204 in 21 ms\n",
        });
    lines.collect::<String>().into_bytes()
}

/// Much of it together gets shorter than each chunk with the names of its bases.
#[test]
fn text_that_compresses_very_well_costs_no_more_than_without_bases() {
    let (store, old, new) = store_of(&log(1, 3_000_000), &log(2, 3_000_000));
    let (deltas, plain) = sent(&store, &old, &new);
    let with = cost(deltas.iter().chain(&plain));
    let mut alone = Vec::new();
    let take = &mut |frame| {
        alone.push(frame);
        Ok(())
    };
    let all = chunks(&store, &new);
    store.each_frame(&all, &HashSet::new(), take).unwrap();
    let without = cost(&alone);
    assert!(
        with <= without + without / 100,
        "{with}, and without {without}"
    );
}

/// A text of which a little changed still goes as a difference.
#[test]
fn a_little_change_of_text_costs_little() {
    let numbers = noise(3, 400_000);
    let lines = numbers.chunks_exact(4).map(|number| {
        let number = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
        format!("GET /api/v1/items/{number} 200 in {} ms\n", number % 50)
    });
    let old = lines.collect::<String>().into_bytes();
    let mut new = old.clone();
    for at in (0..new.len()).step_by(50_000) {
        new[at] = b'#';
    }
    let (store, old, new) = store_of(&old, &new);
    let (deltas, plain) = sent(&store, &old, &new);
    assert!(plain.is_empty());
    assert!(cost(&deltas) < 30_000, "{}", cost(&deltas));
}

/// What is side by side goes together, and what is not does not.
#[test]
fn neighbours_share_their_bases() {
    let old = noise(1, 6_000_000);
    let mut new = old.clone();
    for at in (1_000_000..3_000_000).step_by(20_000).chain([5_000_000]) {
        new[at] ^= 1;
    }
    let (store, old, new) = store_of(&old, &new);
    let (deltas, plain) = sent(&store, &old, &new);
    assert!(plain.is_empty());
    let counts: Vec<_> = deltas.iter().map(|frame| frame.chunks.len()).collect();
    assert!(
        counts.iter().sum::<usize>() > 2 * counts.len(),
        "{counts:?}"
    );
    assert_eq!(counts.last(), Some(&1), "far from the others");
    for frame in &deltas {
        assert!(frame.bases.len() <= FRAME_BASES_MAX);
        assert!(frame.chunks.len() == 1 || frame.raw_len() <= FRAME_TARGET);
        store.verify_frame(frame).unwrap();
    }
}

/// Bases are not looked at while what is made of them is right.
#[test]
fn a_damaged_base_is_told_by_name_and_nothing_wrong_is_read() {
    let old = noise(1, 3_000_000);
    let mut new = old.clone();
    new.iter_mut().step_by(20_000).for_each(|byte| *byte ^= 1);
    let (from, base, manifest) = store_of(&old, &new);
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open_or_create(Arc::new(OsDisk), &dir.path().join("s")).unwrap();
    let to = open();
    let mut writer = to.writer().unwrap();
    let _ = writer.add(&mut old.as_slice(), &()).unwrap();
    writer.finish().unwrap();
    let (pack, _) = to.packs().on_disk().unwrap()[0];
    let mut writer = to.writer().unwrap();
    let (deltas, plain) = sent(&from, &base, &manifest);
    for frame in deltas.into_iter().chain(plain) {
        writer.add_frame(frame).unwrap();
    }
    writer.add_manifest(&manifest).unwrap();
    writer.finish().unwrap();
    let read = |store: &Store, content: &[u8]| {
        let mut out = Vec::new();
        let id = LobId::of(content);
        store.write_to(&id, &mut out, &()).map(|_| out == content)
    };
    assert!(read(&to, &new).unwrap() && read(&to, &new).unwrap());
    let path = to.packs().path(&pack);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_500_000] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    match read(&open(), &new) {
        Err(Error::Damaged { what, .. }) => assert_eq!(what, path.display().to_string()),
        other => panic!("{other:?}"),
    }
}

/// Text gets shorter behind any base, and no shorter than without one.
#[test]
fn a_base_that_does_not_help_is_done_without() {
    let hex = |seed| {
        let bytes = noise(seed, 40_000).into_iter();
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let old = hex(1).into_bytes();
    let (store, manifest, _) = store_of(&old, &old);
    let base = chunks(&store, &manifest)[0];
    let bases = store.bases([base].into_iter(), 0).unwrap();
    let frame = |bytes: Vec<u8>| {
        let missed = Missed::new(ChunkId::of(&bytes), bytes, vec![base]);
        missed.frame(&[vec![base]], |id| bases.get(id), DELTA_LEVEL)
    };
    assert!(frame(hex(2).into_bytes()).is_none());
    let mut like = store.chunk(&base).unwrap();
    like[100] ^= 1;
    assert!(frame(like).is_some());
}
