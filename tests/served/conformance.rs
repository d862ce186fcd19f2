//! What holds of a store in a directory holds of the same store behind a service.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use lob::remote::{Error, Origin};
use lob_store::{ChunkId, Codec, Frame, Manifest, Parts};

use super::*;
#[cfg(target_os = "linux")]
use crate::network::patience;
#[cfg(target_os = "linux")]
use crate::support::World;
#[cfg(target_os = "linux")]
use crate::trials::network::far::{Carrier, Far};

/// Runs a test over an empty store that is opened directly, over one behind a service, and over one behind
/// everything that carries requests; `behind` is another opening of the same store.
fn everywhere(test: impl Fn(&dyn Remote, &Store)) {
    for is_served in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let behind = opened(&root);
        match is_served {
            true => test(&served(&root), &behind),
            false => test(&opened(&root), &behind),
        }
    }
    #[cfg(target_os = "linux")]
    for carrier in Carrier::ALL {
        let world = World::in_memory();
        let Some(far) = Far::start(carrier, &world) else {
            continue;
        };
        let behind = opened(&world.path().join("store"));
        let exchange = far.exchange(&world, "store", patience());
        test(
            &Served::connect(exchange, Access::Write, None).unwrap(),
            &behind,
        );
    }
}

fn lobs(remote: &dyn Remote) -> BTreeMap<LobId, u64> {
    let mut found = BTreeMap::new();
    let each = &mut |lob: LobInfo| {
        assert_eq!(found.insert(lob.id, lob.size), None, "each once");
        Ok(())
    };
    remote.each_lob(each).unwrap();
    found
}

/// A store with all kinds of contents.
fn source() -> (tempfile::TempDir, Store, Vec<LobId>) {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir.path().join("source"));
    let ids = contents()
        .iter()
        .map(|content| add(&store, content))
        .collect();
    (dir, store, ids)
}

#[test]
fn an_empty_store_holds_nothing() {
    everywhere(|remote, behind| {
        assert_eq!(remote.store_id(), behind.id());
        let (lob, chunk) = (LobId::of(b"no"), ChunkId::of(b"no"));
        assert_eq!(remote.sizes(&[lob]).unwrap(), [None]);
        assert_eq!(remote.recall(&[lob]).unwrap(), [None]);
        assert_eq!(remote.hold(&[lob]).unwrap(), [None]);
        assert_eq!(remote.are_aside(&[lob]).unwrap(), [false]);
        assert_eq!(remote.has_chunks(&[chunk]).unwrap(), [false]);
        assert_eq!(remote.manifests(&[lob]).unwrap(), [None]);
        assert_eq!(remote.kin(&[chunk]).unwrap(), [None]);
        assert!(lobs(remote).is_empty());
        for none in [remote.sizes(&[]), remote.hold(&[])] {
            assert_eq!(none.unwrap(), []);
        }
        let refuse = &mut |_| panic!("there is none");
        let error = remote
            .each_frame(&[chunk], &HashSet::new(), refuse)
            .unwrap_err();
        let of = |error: Error| matches!(error, Error::Store(lob_store::Error::NoChunk(id)) if id == chunk);
        assert!(of(error));
        let error = remote
            .each_chunk(&[chunk], &mut |_, _| panic!())
            .unwrap_err();
        assert!(of(error));
        assert_eq!(remote.digest(&[lob]).unwrap(), behind.digest(&[]).unwrap());
        assert_eq!(
            remote.free_space().unwrap().is_some(),
            behind.free_space().unwrap().is_some()
        );
    });
}

#[test]
fn what_is_pushed_is_there_and_comes_back() {
    let (_dir, source, ids) = source();
    everywhere(|remote, behind| {
        assert_eq!(replicate(Asking::ToPush, &source, remote), Ok(5));
        behind.refresh().unwrap();
        for (id, content) in ids.iter().zip(contents()) {
            assert!(read(behind, id).unwrap() == content);
        }
        assert_eq!(lobs(remote), lobs(&source));
        let all = [ids.clone(), vec![LobId::of(b"no")]].concat();
        assert_eq!(remote.sizes(&all).unwrap(), source.sizes(&all).unwrap());
        assert_eq!(remote.digest(&all).unwrap(), source.digest(&all).unwrap());
        let manifests = remote.manifests(&all).unwrap();
        assert_eq!(manifests, Remote::manifests(&source, &all).unwrap());
        let long = manifests[4].as_ref().unwrap();
        let Parts::Segments(segments) = &long.parts else {
            panic!("a long manifest")
        };
        let segments: Vec<ChunkId> = segments.iter().map(|segment| segment.id).collect();
        let mut read = Vec::new();
        let each = &mut |id, bytes: &[u8]| {
            assert_eq!(ChunkId::of(bytes), id);
            read.push(id);
            Ok(())
        };
        remote.each_chunk(&segments, each).unwrap();
        assert_eq!(read, segments);
        // Again: nothing is to move.
        assert_eq!(replicate(Asking::ToPush, &source, remote), Ok(0));

        let dir = tempfile::tempdir().unwrap();
        let back = opened(&dir.path().join("back"));
        assert_eq!(replicate(Asking::ToPull, &back, remote), Ok(5));
        for (id, content) in ids.iter().zip(contents()) {
            assert!(super::read(&back, id).unwrap() == content);
        }
    });
}

#[test]
fn a_small_change_is_one_small_pack() {
    everywhere(|remote, behind| {
        let dir = tempfile::tempdir().unwrap();
        let source = opened(&dir.path().join("source"));
        let mut content = noise(7, 4 << 20);
        add(&source, &content);
        replicate(Asking::ToPush, &source, remote).unwrap();
        let packs = || {
            let entries = std::fs::read_dir(behind.root().join("packs")).unwrap();
            let names = entries.map(|entry| entry.unwrap().path());
            let of = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "pack");
            names.filter(of).count()
        };
        let (before, stored) = (packs(), behind.stored_bytes().unwrap());
        content[2 << 20] ^= 1;
        let id = add(&source, &content);
        replicate(Asking::ToPush, &source, remote).unwrap();
        // A service does not take the sender's word for it, and names the lob when its chunks are there.
        assert!(packs() <= before + 2);
        assert!(behind.stored_bytes().unwrap() - stored < 400_000);
        behind.refresh().unwrap();
        assert!(read(behind, &id).unwrap() == content);
    });
}

fn frame(content: &[u8]) -> Frame {
    let chunks = vec![(ChunkId::of(content), content.len() as u32)];
    Frame::plain(chunks, content)
}

fn manifest(parts: &[&[u8]]) -> Manifest {
    let whole = parts.concat();
    let chunks = parts
        .iter()
        .map(|part| (ChunkId::of(part), part.len() as u32));
    Manifest {
        id: LobId::of(&whole),
        size: whole.len() as u64,
        parts: Parts::Chunks(chunks.collect()),
    }
}

#[test]
fn nothing_is_visible_before_it_is_published() {
    everywhere(|remote, behind| {
        let mut upload = remote.receive(Origin::Foreign).unwrap();
        let named = manifest(&[b"one", b"two"]);
        upload.add_frame(frame(b"one")).unwrap();
        upload.add_frame(frame(b"two")).unwrap();
        upload.add_manifest(&named).unwrap();
        assert!(lobs(behind).is_empty());
        drop(upload);
        behind.refresh().unwrap();
        assert!(lobs(behind).is_empty() && lobs(remote).is_empty());

        let mut upload = remote.receive(Origin::Foreign).unwrap();
        upload.publish().unwrap();
        upload.add_frame(frame(b"one")).unwrap();
        upload.publish().unwrap();
        assert_eq!(remote.has_chunks(&[ChunkId::of(b"one")]).unwrap(), [true]);
        upload.add_frame(frame(b"two")).unwrap();
        upload.add_manifest(&named).unwrap();
        upload.finish().unwrap();
        behind.refresh().unwrap();
        assert_eq!(read(behind, &named.id).unwrap(), b"onetwo");
    });
}

#[test]
fn what_is_a_lie_is_refused_and_not_stored() {
    let lie = Frame {
        chunks: vec![(ChunkId::of(b"other"), 5)],
        ..frame(b"these")
    };
    let wrong = Manifest {
        id: LobId::of(b"something else"),
        ..manifest(&[b"one", b"two"])
    };
    let mut long = manifest(&[b"one", b"two"]);
    long.size += 1;
    long.parts = Parts::Chunks(vec![(ChunkId::of(b"one"), 3), (ChunkId::of(b"two"), 4)]);
    everywhere(|remote, behind| {
        let mut upload = remote.receive(Origin::Foreign).unwrap();
        let told = upload.add_frame(lie.clone()).and_then(|()| upload.finish());
        let damaged = |error| {
            matches!(
                error,
                Error::Store(
                    lob_store::Error::Damaged { .. } | lob_store::Error::WrongContent { .. }
                )
            )
        };
        assert!(damaged(told.unwrap_err()));
        for bad in [&wrong, &long] {
            let mut upload = remote.receive(Origin::Foreign).unwrap();
            upload.add_frame(frame(b"one")).unwrap();
            upload.add_frame(frame(b"two")).unwrap();
            let told = upload.add_manifest(bad).and_then(|()| upload.finish());
            assert!(damaged(told.unwrap_err()));
        }
        let mut upload = remote.receive(Origin::Foreign).unwrap();
        let gone = manifest(&[b"one", b"gone"]);
        let told = upload.add_manifest(&gone).and_then(|()| upload.finish());
        let chunk = ChunkId::of(b"gone");
        assert!(
            matches!(told, Err(Error::Store(lob_store::Error::NoChunk(id))) if id == chunk),
            "{told:?}"
        );
        behind.refresh().unwrap();
        assert!(lobs(behind).is_empty());
        assert_eq!(
            behind.has_chunks(&[ChunkId::of(b"other"), chunk]).unwrap(),
            [false; 2]
        );
    });
}

/// A frame that stands on another.
#[test]
fn frames_stand_only_on_what_the_receiver_says_it_has() {
    let (old, mut new) = (noise(1, 30_000), noise(1, 30_000));
    new[15_000] ^= 1;
    let [base, next] = [&old, &new].map(|content| ChunkId::of(content));
    everywhere(|remote, _| {
        let dir = tempfile::tempdir().unwrap();
        let source = opened(&dir.path().join("source"));
        add(&source, &old);
        replicate(Asking::ToPush, &source, remote).unwrap();
        let new_id = add(&source, &new);
        let manifest = |id| Store::manifest(&source, id).unwrap().unwrap();
        let (to, from) = (manifest(&new_id), manifest(&LobId::of(&old)));
        let mut upload = remote.receive(Origin::Own).unwrap();
        let mut ask = |ids: &[ChunkId]| remote.kin(ids);
        let take = &mut |frame: Frame| {
            assert_eq!(frame.bases, [base]);
            upload.add_frame(frame)
        };
        let sent = Remote::each_delta(&source, &to, from, &mut ask, take).unwrap();
        assert_eq!(sent.len(), 1);
        upload.add_manifest(&to).unwrap();
        upload.finish().unwrap();
        let kin = remote.kin(&[base, next]).unwrap();
        assert_eq!(kin[0].as_ref().unwrap().depth, 0);
        assert_eq!(kin[1].as_ref().unwrap().bases, [base]);
        for (relied, codec) in [(vec![base], Codec::ZstdPrefix), (vec![], Codec::Raw)] {
            let relied: HashSet<ChunkId> = relied.into_iter().collect();
            let mut seen = BTreeSet::new();
            let each = &mut |frame: Frame| {
                assert_eq!(frame.codec, codec);
                seen.extend(frame.chunks.iter().map(|(id, _)| *id));
                Ok(())
            };
            remote.each_frame(&[next], &relied, each).unwrap();
            assert!(seen.contains(&next));
        }
    });
}

#[test]
fn what_was_set_aside_comes_back_when_it_is_asked_for() {
    everywhere(|remote, behind| {
        let id = add(behind, b"seldom used, and seldom missed");
        let prune = || {
            let young = SystemTime::now() + Duration::from_secs(1000);
            let mut prune = behind.prune(young).unwrap().unwrap();
            prune.set_aside(Duration::from_secs(86_400));
            prune.plan().unwrap().run(&()).unwrap();
        };
        let epoch = remote.epoch().unwrap();
        prune();
        remote.refresh().unwrap();
        assert_ne!(remote.epoch().unwrap(), epoch, "lobs have left");
        assert_eq!(remote.sizes(&[id]).unwrap(), [None]);
        assert_eq!(remote.are_aside(&[id]).unwrap(), [true]);
        assert_eq!(remote.recall(&[id]).unwrap(), [Some(30)]);
        prune();
        remote.refresh().unwrap();
        assert_eq!(remote.hold(&[id]).unwrap(), [Some(30)]);
        assert_eq!(remote.sizes(&[id]).unwrap(), [Some(30)]);
    });
}

#[test]
fn what_others_publish_is_seen_after_a_refresh() {
    everywhere(|remote, behind| {
        let before = remote.cursor().unwrap();
        remote.refresh().unwrap();
        assert_eq!(remote.cursor().unwrap(), before);
        let id = add(behind, b"news");
        remote.refresh().unwrap();
        assert_ne!(remote.cursor().unwrap(), before);
        assert_eq!(remote.cursor().unwrap(), behind.cursor().unwrap());
        assert_eq!(remote.sizes(&[id]).unwrap(), [Some(4)]);
    });
}

#[test]
fn the_store_must_be_the_one_that_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let connect = |rights, access, expected| {
        Served::connect(direct(&root, rights), access, expected).map(|served| served.store_id())
    };
    let id = lob_store::StoreId::from_bytes([1; 32]);
    let absent = connect(Rights::Write, Access::Read, None);
    assert!(matches!(absent, Err(Error::NoStore(_))), "{absent:?}");
    let gone = connect(Rights::Write, Access::Write, Some(id));
    assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
    let forbidden = connect(Rights::Read, Access::Write, None);
    assert!(
        matches!(forbidden, Err(Error::Refused { .. })),
        "{forbidden:?}"
    );
    assert!(!root.exists(), "nobody has made it");
    let made = connect(Rights::Append, Access::Write, None).unwrap();
    assert_eq!(
        connect(Rights::Read, Access::Read, Some(made)).unwrap(),
        made
    );
    let other = connect(Rights::Write, Access::Write, Some(id));
    assert!(matches!(other, Err(Error::OtherStore { found, .. }) if found == made));
    // A store that takes the place of another while somebody is connected.
    let served = served(&root);
    let other = dir.path().join("other");
    let exchange = Direct {
        service: Arc::new(Service::of_dir(root.clone())),
        rights: Rights::Write,
    };
    opened(&other);
    std::fs::rename(&root, dir.path().join("away")).unwrap();
    std::fs::rename(&other, &root).unwrap();
    let body = lob::wire::Asked::about(served.store_id(), vec![[1; 32]]);
    let asked = exchange.exchange(Verb::Sizes, Body::Bytes(body.encode().unwrap()));
    assert!(
        matches!(asked, Err(ExchangeError::Refused(refusal)) if refusal.to_text().starts_with("conflict"))
    );
}

#[test]
fn who_may_only_read_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let behind = opened(&root);
    let id = add(&behind, b"content");
    let cursor = behind.cursor().unwrap();
    let reader = Served::connect(direct(&root, Rights::Read), Access::Read, None).unwrap();
    assert_eq!(reader.sizes(&[id]).unwrap(), [Some(7)]);
    let refused = |error: Error| {
        assert!(error.hint().is_some(), "{error}");
        error.to_string().contains("may not write")
    };
    assert!(refused(reader.hold(&[id]).unwrap_err()));
    let mut upload = reader.receive(Origin::Foreign).unwrap();
    let told = upload.add_frame(frame(b"x")).and_then(|()| upload.finish());
    assert!(refused(told.unwrap_err()));
    behind.refresh().unwrap();
    assert_eq!(behind.cursor().unwrap(), cursor);
}
