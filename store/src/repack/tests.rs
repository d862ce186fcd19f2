use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::chunk::tests::noise;
use crate::disk::{Disk, OsDisk, SimDisk};
use crate::fsck::{self, Depth, Gravity};
use crate::id::ChunkId;
use crate::limits::{DELTA_DEPTH_MAX, REPACK_DEPTH};
use crate::manifest::Manifest;

/// Versions of one content, newest first: a byte is another in every 20 KB, so that no chunk stays.
fn versions(seed: u64, count: usize, len: usize) -> Vec<Vec<u8>> {
    let mut all = vec![noise(seed, len)];
    for n in 1..count {
        let mut next = all[n - 1].clone();
        let places = next.iter_mut().skip(n * 31).step_by(20_000);
        places.for_each(|byte| *byte = byte.wrapping_add(n as u8 | 1));
        all.push(next);
    }
    all.reverse();
    all
}

/// Another file that began as this content.
fn fork(content: &[u8]) -> Vec<u8> {
    let mut fork = content.to_vec();
    let other = fork.iter_mut().skip(777).step_by(25_000);
    other.for_each(|byte| *byte ^= 0x55);
    fork
}

fn ids(contents: &[Vec<u8>]) -> Vec<LobId> {
    contents.iter().map(|content| LobId::of(content)).collect()
}

fn open(dir: &Path) -> Store {
    Store::open_or_create(Arc::new(OsDisk), dir).unwrap()
}

fn add(store: &Store, contents: &[&Vec<u8>]) {
    let mut writer = store.writer().unwrap();
    for content in contents {
        let _ = writer.add(&mut content.as_slice(), &()).unwrap();
    }
    writer.finish().unwrap();
}

fn manifest(store: &Store, content: &[u8]) -> Manifest {
    store.manifest(&LobId::of(content)).unwrap().unwrap()
}

/// A store to which versions were pushed one by one, the oldest first, each against the one before.
fn pushed(dir: &Path, contents: &[Vec<u8>]) -> Store {
    let from = open(&dir.join("from"));
    let to = open(&dir.join("to"));
    for (n, content) in contents.iter().enumerate().rev() {
        add(&from, &[content]);
        push(&from, &to, content, contents.get(n + 1));
    }
    to
}

fn push(from: &Store, to: &Store, new: &[u8], base: Option<&Vec<u8>>) {
    let new = manifest(from, new);
    let mut writer = to.writer().unwrap();
    writer.start().unwrap();
    let sent = match base {
        Some(base) => {
            let base = manifest(from, base);
            let each = &mut |frame| writer.add_frame(frame);
            from.each_delta(&new, base, &mut |ids| to.kin(ids), each)
                .unwrap()
        }
        None => Default::default(),
    };
    let mut rest = chunks(from, &new);
    rest.extend(new.named_chunks().iter().map(|(id, _)| *id));
    rest.retain(|id| !sent.contains(id) && !to.has_chunks(&[*id]).unwrap()[0]);
    let each = &mut |frame| writer.add_frame(frame);
    from.each_frame(&rest, &Default::default(), each).unwrap();
    writer.add_manifest(&new).unwrap();
    writer.finish().unwrap();
}

fn chunks(store: &Store, manifest: &Manifest) -> Vec<ChunkId> {
    let mut ids = Vec::new();
    let each = &mut |chunks: Vec<(ChunkId, u32)>| {
        ids.extend(chunks.iter().map(|(id, _)| *id));
        Ok(())
    };
    store.each_window(manifest, each).unwrap();
    ids
}

fn deepest(store: &Store, content: &[u8]) -> u8 {
    let ids = chunks(store, &manifest(store, content));
    let kin = store.kin(&ids).unwrap().into_iter().flatten();
    kin.map(|kin| kin.depth).max().unwrap()
}

fn repack(store: &Store, chains: &[Vec<LobId>], effort: Effort) -> Repacked {
    let plan = store.repack(chains, effort).unwrap().expect("nobody else");
    plan.run(&mut |_| true, &()).unwrap()
}

fn is_done(store: &Store, chains: &[Vec<LobId>], effort: Effort) -> bool {
    let plan = store.repack(chains, effort).unwrap().expect("nobody else");
    plan.cost() == RepackCost::default()
}

/// All of it is read, nothing is to be found fault with, and every frame stands on what is less deep.
#[track_caller]
fn assert_whole(dir: &Path, contents: &[Vec<u8>]) {
    let store = open(dir);
    for (n, content) in contents.iter().enumerate() {
        let mut out = Vec::new();
        store.write_to(&LobId::of(content), &mut out, &()).unwrap();
        assert!(out == *content, "version {n}");
    }
    let mut found = Vec::new();
    let each = &mut |finding: fsck::Finding| {
        found.extend((finding.gravity != Gravity::Leftover).then_some(finding));
    };
    let _ = fsck::examine(Arc::new(OsDisk), dir, Depth::Deep, &(), each).unwrap();
    assert!(found.is_empty(), "{found:?}");
    assert_descends(&store);
}

#[track_caller]
fn assert_descends(store: &Store) {
    let view = store.view();
    for pack in view.packs() {
        let table = store.packs().table(&pack).unwrap();
        for frame in (0..table.frame_count()).filter_map(|n| table.frame(n)) {
            assert!(frame.depth <= DELTA_DEPTH_MAX);
            let kin = store.kin(&table.bases(&frame)).unwrap();
            let below = kin
                .iter()
                .all(|kin| kin.as_ref().unwrap().depth < frame.depth);
            assert!(below, "{frame:?} on {kin:?}");
        }
    }
}

#[test]
fn p2_the_newest_gets_plain_and_older_ones_become_small() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 10, 700_000);
    let to = pushed(dir.path(), &contents);
    let chain = vec![ids(&contents)];
    assert!(deepest(&to, &contents[0]) > REPACK_DEPTH);
    let before = to.stored_bytes().unwrap();
    for effort in [Effort::Fast, Effort::Deep] {
        let done = repack(&to, &chain, effort);
        assert_eq!(
            (done.versions, done.left, done.unreadable),
            (10, 0, 0),
            "{done:?}"
        );
        assert_whole(to.root(), &contents);
        assert_eq!(deepest(&to, &contents[0]), 0);
        for content in &contents[1..] {
            let deepest = deepest(&to, content);
            assert!((1..=REPACK_DEPTH).contains(&deepest), "{deepest}");
        }
        let after = to.stored_bytes().unwrap();
        assert!(after < before + before / 20, "{before} to {after}");
        assert!(is_done(&to, &chain, effort), "nothing is left to do");
    }
    assert!(
        is_done(&to, &chain, Effort::Fast),
        "nor after more than that"
    );
}

#[test]
fn a_store_of_plain_versions_gets_small() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (versions(1, 5, 800_000), versions(2, 4, 800_000));
    let alone = noise(9, 300_000);
    let store = open(dir.path());
    let all: Vec<&Vec<u8>> = one.iter().rev().chain(two.iter().rev()).collect();
    add(&store, &all);
    add(&store, &[&alone]);
    let before = store.stored_bytes().unwrap();
    let _ = repack(&store, &[ids(&one), ids(&two)], Effort::Fast);
    let after = store.stored_bytes().unwrap();
    assert!(after * 3 < before, "{before} to {after}");
    let contents = [one.clone(), two.clone(), vec![alone]].concat();
    assert_whole(dir.path(), &contents);
    assert_eq!([deepest(&store, &one[0]), deepest(&store, &two[0])], [0, 0]);
}

/// Lobs so long that their lists are chunks too, which get bases like others, but not for the newest.
#[test]
fn lists_of_long_lobs_are_turned_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(4, 4, 9_000_000);
    let to = pushed(dir.path(), &contents);
    let lists = |content: &[u8]| -> Vec<u8> {
        let named = manifest(&to, content).named_chunks();
        let ids: Vec<_> = named.iter().map(|(id, _)| *id).collect();
        let kin = to.kin(&ids).unwrap().into_iter().flatten();
        kin.map(|kin| kin.depth).collect()
    };
    let done = repack(&to, &[ids(&contents)], Effort::Fast);
    assert_eq!(done.versions, 4);
    assert!(lists(&contents[0]).iter().all(|depth| *depth == 0));
    assert!(contents.iter().all(|one| deepest(&to, one) <= REPACK_DEPTH));
    assert!(is_done(&to, &[ids(&contents)], Effort::Fast));
    assert_whole(to.root(), &contents);
}

/// Again and again a version comes, and all is put into shape each time.
#[test]
fn versions_that_come_later_take_the_place_of_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(3, 12, 400_000);
    let (from, to) = (open(&dir.path().join("from")), open(&dir.path().join("to")));
    for n in (0..contents.len()).rev() {
        add(&from, &[&contents[n]]);
        push(&from, &to, &contents[n], contents.get(n + 1));
        let chain = vec![ids(&contents[n..])];
        let effort = if n % 5 == 0 {
            Effort::Deep
        } else {
            Effort::Fast
        };
        let _ = repack(&to, &chain, effort);
        assert_eq!(deepest(&to, &contents[n]), 0, "version {n}");
        assert!(
            contents[n..]
                .iter()
                .all(|one| deepest(&to, one) <= REPACK_DEPTH)
        );
        assert!(is_done(&to, &chain, effort), "version {n}");
        assert_whole(to.root(), &contents[n..]);
    }
    let stored = to.stored_bytes().unwrap();
    assert!(stored < 3 * 450_000, "{stored}");
}

/// Each version has most chunks in common with some others, so that packs hold parts of many.
#[test]
fn versions_that_share_packs_are_turned_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut contents = vec![noise(1, 1_500_000)];
    for n in 1..8usize {
        let mut next = contents[n - 1].clone();
        for (at, byte) in next.iter_mut().enumerate().skip(n * 31).step_by(9_000) {
            if (at / 120_000) % 3 == n % 3 {
                *byte = byte.wrapping_add(n as u8 | 1);
            }
        }
        contents.push(next);
    }
    contents.reverse();
    let to = pushed(dir.path(), &contents);
    let chain = [ids(&contents)];
    let plan = to.repack_in_steps(&chain, Effort::Fast, 1 << 20).unwrap();
    let done = plan.unwrap().run(&mut |_| true, &()).unwrap();
    assert_eq!(done.versions, 8, "{done:?}");
    assert!(done.after < done.before + done.before / 10, "{done:?}");
    assert!(is_done(&to, &chain, Effort::Fast));
    assert_whole(to.root(), &contents);
    assert!(contents.iter().all(|one| deepest(&to, one) <= REPACK_DEPTH));
}

/// In the smallest units, of which each may be the last.
#[test]
fn p6_what_is_left_after_each_unit_is_whole_and_the_rest_is_done_later() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 7, 900_000);
    let to = pushed(dir.path(), &contents);
    let chain = vec![ids(&contents)];
    let mut rounds = 0;
    loop {
        let plan = to
            .repack_in_steps(&chain, Effort::Fast, 1)
            .unwrap()
            .unwrap();
        if plan.cost() == RepackCost::default() {
            break;
        }
        let mut units = 0;
        let one = &mut |_| {
            units += 1;
            units <= 1
        };
        let done = plan.run(one, &()).unwrap();
        assert!(done.packs > 0);
        assert_whole(to.root(), &contents);
        rounds += 1;
        assert!(rounds < 20, "it comes to an end");
    }
    assert!(rounds > 3, "{rounds}");
    assert_eq!(deepest(&to, &contents[0]), 0);
    assert!(contents.iter().all(|one| deepest(&to, one) <= REPACK_DEPTH));
}

/// Another file was stored against a version that now becomes a difference itself.
#[test]
fn what_stands_on_an_old_version_goes_on_to_stand() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 5, 900_000);
    let to = pushed(dir.path(), &contents);
    let from = open(&dir.path().join("from"));
    let fork = fork(&contents[3]);
    add(&from, &[&fork]);
    push(&from, &to, &fork, Some(&contents[3]));
    assert!(deepest(&to, &fork) > 0);
    for step in [1, REPACK_STEP] {
        let chain = [ids(&contents)];
        let plan = to.repack_in_steps(&chain, Effort::Fast, step).unwrap();
        let _ = plan.unwrap().run(&mut |_| true, &()).unwrap();
        assert_whole(to.root(), &[contents.clone(), vec![fork.clone()]].concat());
    }
    assert_eq!(deepest(&to, &contents[0]), 0);
}

#[test]
fn only_one_is_at_it_and_no_prune_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 3, 400_000);
    let to = pushed(dir.path(), &contents);
    let chain = [ids(&contents)];
    let plan = to.repack(&chain, Effort::Fast).unwrap().unwrap();
    let other = open(to.root());
    assert!(other.repack(&chain, Effort::Fast).unwrap().is_none());
    assert!(other.prune(SystemTime::now()).unwrap().is_none());
    let _ = plan.run(&mut |_| true, &()).unwrap();
    assert!(other.prune(SystemTime::now()).unwrap().is_some());
    assert_whole(to.root(), &contents);
}

/// Another run finds whatever a kill left of one, pack by pack, and no lock of it.
#[test]
fn p2_p5_p6_one_that_is_killed_at_any_point_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let on = |disk: &SimDisk| {
        let disk = Arc::new(disk.clone());
        Store::open_or_create(disk, Path::new("/lob")).unwrap()
    };
    let contents = versions(1, 4, 30_000);
    let from = open(dir.path());
    for (n, content) in contents.iter().enumerate().rev() {
        add(&from, &[content]);
        push(&from, &on(&disk), content, contents.get(n + 1));
    }
    let chain = [ids(&contents)];
    let run = |store: &Store| {
        let plan = store.repack_in_steps(&chain, Effort::Fast, 1).unwrap();
        plan.expect("nobody else").run(&mut |_| true, &()).unwrap()
    };
    let begun = disk.changes();
    assert_eq!(run(&on(&disk)).versions, 4);
    assert!(disk.changes() > begun + 100, "that many kills");
    for at in begun..=disk.changes() {
        let killed = disk.killed(at);
        let store = on(&killed);
        assert!(contents.iter().all(|one| reads(&store, one)), "{at}");
        let _ = run(&store);
        let store = on(&killed);
        assert!(contents.iter().all(|one| reads(&store, one)), "{at}");
        assert_eq!(deepest(&store, &contents[0]), 0, "{at}");
        assert!(is_done(&store, &chain, Effort::Fast), "{at}");
    }
}

/// A push is under way while the packs that it relies on are exchanged.
#[test]
fn p2_a_push_that_goes_on_meanwhile_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 4, 900_000);
    let to = pushed(dir.path(), &contents[1..]);
    let from = open(&dir.path().join("from"));
    add(&from, &[&contents[0]]);
    let (new, base) = (manifest(&from, &contents[0]), manifest(&from, &contents[1]));
    let other = open(to.root());
    let mut writer = other.writer().unwrap();
    writer.start().unwrap();
    let each = &mut |frame| writer.add_frame(frame);
    let sent = from.each_delta(&new, base, &mut |ids| other.kin(ids), each);
    let sent = sent.unwrap();
    let _ = repack(&to, &[ids(&contents[1..])], Effort::Fast);
    let mut rest = chunks(&from, &new);
    rest.extend(new.named_chunks().iter().map(|(id, _)| *id));
    rest.retain(|id| !sent.contains(id) && !other.has_chunks(&[*id]).unwrap()[0]);
    let each = &mut |frame| writer.add_frame(frame);
    from.each_frame(&rest, &Default::default(), each).unwrap();
    writer.add_manifest(&new).unwrap();
    writer.finish().unwrap();
    assert_whole(to.root(), &contents);
}

/// One comes between the filling of a unit and its root: what it stands on has just got deeper.
#[test]
fn p2_what_is_published_in_the_last_moment_is_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 4, 900_000);
    let to = pushed(dir.path(), &contents);
    let from = open(&dir.path().join("from"));
    let fork = fork(&contents[3]);
    add(&from, &[&fork]);
    let chain = [ids(&contents)];
    let mut plan = to.repack(&chain, Effort::Fast).unwrap().unwrap();
    let unit = plan.units.concat();
    let filled = Unit::fill(&plan.plan, &unit, &()).unwrap();
    push(&from, &open(to.root()), &fork, Some(&contents[3]));
    let _ = filled.publish(&mut plan.plan).unwrap();
    drop(plan);
    assert_whole(to.root(), &[contents.clone(), vec![fork]].concat());
    assert_eq!(deepest(&to, &contents[0]), 0);
}

/// A chunk of the oldest version is damaged: it stays as it is, and nothing else is lost.
#[test]
fn what_is_damaged_stays_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 4, 900_000);
    let to = pushed(dir.path(), &contents);
    let oldest = to.view().packs().next().unwrap();
    let path = to.packs().path(&oldest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let before: Vec<bool> = contents.iter().map(|one| reads(&to, one)).collect();
    assert!(before.contains(&false));
    let to = open(to.root());
    let done = repack(&to, &[ids(&contents)], Effort::Fast);
    assert!(done.unreadable > 0, "{done:?}");
    let to = open(to.root());
    let after: Vec<bool> = contents.iter().map(|one| reads(&to, one)).collect();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| after >= before)
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "for a repair");
}

/// It is not written down that nothing helps: perhaps it can be read later.
#[test]
fn what_could_not_be_read_as_a_base_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 3, 900_000);
    let store = open(dir.path());
    contents.iter().rev().for_each(|one| add(&store, &[one]));
    let newest = store.view().packs().last().unwrap();
    let path = store.packs().path(&newest);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, good.iter().map(|byte| !byte).collect::<Vec<_>>()).unwrap();
    let chain = [ids(&contents)];
    let done = repack(&open(dir.path()), &chain, Effort::Fast);
    assert!(done.passed > 0, "{done:?}");
    std::fs::write(&path, good).unwrap();
    let store = open(dir.path());
    let done = repack(&store, &chain, Effort::Fast);
    assert_eq!((done.passed, done.unreadable), (0, 0), "{done:?}");
    let depths = [0, 1, 2].map(|n| deepest(&store, &contents[n]));
    assert!(
        depths[0] == 0 && depths[1] > 0 && depths[2] > 0,
        "{depths:?}"
    );
    assert!(is_done(&store, &chain, Effort::Fast));
    assert_whole(dir.path(), &contents);
}

fn reads(store: &Store, content: &[u8]) -> bool {
    let mut out = Vec::new();
    let read = store.write_to(&LobId::of(content), &mut out, &());
    read.is_ok() && out == content
}

/// What was written down of earlier runs is no more than a hint.
#[test]
fn a_ledger_that_is_lost_or_garbage_costs_time_alone() {
    let dir = tempfile::tempdir().unwrap();
    let contents = versions(1, 4, 500_000);
    let to = pushed(dir.path(), &contents);
    let chain = [ids(&contents)];
    let _ = repack(&to, &chain, Effort::Fast);
    let ledger = to.root().join("state/repacked");
    let good = std::fs::read(&ledger).unwrap();
    for bad in [b"".as_slice(), b"nonsense", &good[..good.len() - 3]] {
        std::fs::write(&ledger, bad).unwrap();
        let _ = repack(&to, &chain, Effort::Fast);
        assert_whole(to.root(), &contents);
        assert_eq!(std::fs::read(&ledger).unwrap(), good);
    }
    let left = to.root().join("state/repacked.new");
    std::fs::write(&left, "what one was killed at").unwrap();
    assert_eq!(repack(&to, &chain, Effort::Fast), Repacked::default());
    assert!(OsDisk.len(&left).unwrap().is_none());
}
