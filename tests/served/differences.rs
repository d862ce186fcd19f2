//! What a fetch gets as the difference from what is here.

use std::collections::HashSet;
use std::sync::Mutex;

use lob::remote::{Against, Error};
use lob::sync::Report;
use lob::wire::{Asked, FieldReader, FieldWriter, Tag, Welcome};
use lob_store::{ChunkId, Parts};

use super::*;
use crate::store::long;

/// Two versions of a lob of 3 MB; the second differs in a byte of every 10,000.
fn versions() -> [Vec<u8>; 2] {
    let old = noise(1, 3_000_000);
    let mut new = old.clone();
    new.iter_mut().step_by(10_000).for_each(|byte| *byte ^= 1);
    [old, new]
}

struct Scene {
    dir: tempfile::TempDir,
    local: Store,
    versions: [Vec<u8>; 2],
    old: LobId,
    new: LobId,
}

/// The remote has both versions, plainly; the local store has the first.
fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let versions = versions();
    let local = opened(&dir.path().join("local"));
    let remote = opened(&dir.path().join("remote"));
    let (old, new) = (add(&remote, &versions[0]), add(&remote, &versions[1]));
    assert_eq!(add(&local, &versions[0]), old);
    Scene {
        dir,
        local,
        versions,
        old,
        new,
    }
}

fn fetch(scene: &Scene, remote: &dyn Remote) -> lob::sync::Result<Report> {
    let info = remote.sizes(&[scene.new])?[0].unwrap();
    let id = scene.new;
    let want = Want::bare(lob_store::LobInfo { id, size: info }, Reason::Asked);
    let mut plan = Plan::make(Asking::ToPull, [want], remote, &scene.local)?;
    plan.bases.insert(scene.new, scene.old);
    let sides = Sides {
        local: &scene.local,
        remote,
        reserve: 0,
    };
    carry_out(&mut plan, sides, &Pace::unlimited(), &())
}

/// Changes greetings, and notes whether a version was named in a request.
#[derive(Debug)]
struct Older {
    inner: Arc<dyn Exchange>,
    named: Mutex<bool>,
}

impl Exchange for Older {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let Body::Bytes(bytes) = body else {
            return self.inner.exchange(verb, body);
        };
        if verb == Verb::Frames {
            let asked = Asked::read(&mut bytes.as_slice()).unwrap();
            *self.named.lock().unwrap() |= !asked.against.is_empty();
        }
        let mut answer = self.inner.exchange(verb, Body::Bytes(bytes))?;
        if verb == Verb::Hello {
            let mut welcome = Welcome::read(&mut answer).unwrap();
            welcome.can.clear();
            let mut to = FieldWriter::new(Vec::new());
            welcome.write(&mut to).unwrap();
            return Ok(Box::new(io::Cursor::new(to.end().unwrap())));
        }
        Ok(answer)
    }

    fn describe(&self) -> String {
        "test://older".into()
    }
}

#[test]
fn a_fetch_gets_the_difference_from_the_version_that_is_here() {
    let scene = scene();
    let remote = served(&scene.dir.path().join("remote"));
    let report = fetch(&scene, &remote).unwrap();
    assert!(report.bytes < 150_000, "{} bytes moved", report.bytes);
    assert_eq!(read(&scene.local, &scene.new).unwrap(), scene.versions[1]);
}

#[test]
fn a_service_that_makes_none_is_not_asked_for_differences() {
    let scene = scene();
    let older = Arc::new(Older {
        inner: direct(&scene.dir.path().join("remote"), Rights::Read),
        named: Mutex::new(false),
    });
    let remote = Served::connect(older.clone(), Access::Read, None).unwrap();
    let report = fetch(&scene, &remote).unwrap();
    assert!(report.bytes > 2_000_000, "{} bytes moved", report.bytes);
    assert!(!*older.named.lock().unwrap());
    assert_eq!(read(&scene.local, &scene.new).unwrap(), scene.versions[1]);
}

#[test]
fn p6_a_version_that_is_damaged_here_stops_no_fetch() {
    let scene = scene();
    let packs = scene.dir.path().join("local/packs");
    for file in std::fs::read_dir(packs).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            let mut bytes = std::fs::read(&path).unwrap();
            // The table and what says which chunks there are stay as they are.
            let middle = bytes.iter_mut().skip(1000).take(2_000_000);
            middle.step_by(1000).for_each(|byte| *byte ^= 1);
            let mut mode = std::fs::metadata(&path).unwrap().permissions();
            #[allow(clippy::permissions_set_readonly_false)]
            mode.set_readonly(false);
            std::fs::set_permissions(&path, mode).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let local = opened(&scene.dir.path().join("local"));
    let scene = Scene { local, ..scene };
    let remote = served(&scene.dir.path().join("remote"));
    let report = fetch(&scene, &remote).unwrap();
    assert!(report.bytes > 2_000_000, "{} bytes moved", report.bytes);
    assert_eq!(read(&scene.local, &scene.new).unwrap(), scene.versions[1]);
}

#[test]
fn p10_no_frame_is_taken_that_stands_on_what_was_not_named() {
    let scene = scene();
    let remote = served(&scene.dir.path().join("remote"));
    let manifest = remote.manifests(&[scene.new]).unwrap().pop().flatten();
    let Parts::Chunks(chunks) = manifest.unwrap().parts else {
        panic!("it is short")
    };
    let ids: Vec<ChunkId> = chunks.into_iter().map(|(id, _)| id).collect();
    // It says that it holds the version, and does not know its chunks.
    let against = Against {
        versions: vec![(scene.new, scene.old)],
        chunks: HashSet::new(),
    };
    let error = remote
        .each_frame_against(&ids, &HashSet::new(), &against, &mut |_| Ok(()))
        .unwrap_err();
    assert!(matches!(&error, Error::Unasked { .. }), "{error}");
    assert!(error.to_string().contains("stands on chunk"), "{error}");
}

#[test]
fn p9_more_versions_than_one_request_may_name_are_refused() {
    let scene = scene();
    let exchange = direct(&scene.dir.path().join("remote"), Rights::Read);
    let store = opened(&scene.dir.path().join("remote")).id();
    let ask = |count: usize| {
        let asked = Asked {
            against: vec![[[2; 32], [3; 32]]; count],
            ..Asked::about(store, vec![[1; 32]])
        };
        exchange.exchange(Verb::Frames, Body::Bytes(asked.encode().unwrap()))
    };
    let refused = |answer: Result<_, ExchangeError>| match answer {
        Err(ExchangeError::Refused(refusal)) => refusal.to_text(),
        other => panic!("{:?}", other.map(|_: Box<dyn Read + Send>| ())),
    };
    assert!(refused(ask(16 << 10)).starts_with("missing-chunk"));
    assert!(refused(ask((16 << 10) + 1)).starts_with("bad-request"));
    // Half a pair.
    let mut to = FieldWriter::new(Vec::new());
    to.field(Tag::Store, &[store.as_bytes()]).unwrap();
    to.field(Tag::Against, &[&[7; 32]]).unwrap();
    let body = Body::Bytes(to.end().unwrap());
    assert!(refused(exchange.exchange(Verb::Frames, body)).starts_with("bad-request"));
    // Who asks about nothing gets nothing, whatever he holds.
    let asked = Asked {
        against: vec![[*scene.new.as_bytes(), *scene.old.as_bytes()]],
        ..Asked::about(store, Vec::new())
    };
    let body = Body::Bytes(asked.encode().unwrap());
    let mut answer = exchange.exchange(Verb::Frames, body).unwrap();
    assert_eq!(
        FieldReader::new(&mut answer).next(&[Tag::Frame]).unwrap(),
        None
    );
}

#[test]
fn a_very_long_lob_comes_as_the_difference_too() {
    let dir = tempfile::tempdir().unwrap();
    let old = long::content(lob_store::limits::SEGMENTS_MAX + 4);
    let mut new = old.clone();
    // A byte in each of 40 chunks, far from each other.
    for n in 0..40 {
        new[(n * 400 + 7) * long::BLOCK + 1000 + n] ^= 1;
    }
    let local = opened(&dir.path().join("local"));
    let remote = opened(&dir.path().join("remote"));
    let versions = [old, new];
    let [old, new] = [0, 1].map(|n| add(&remote, &versions[n]));
    assert_eq!(add(&local, &versions[0]), old);
    drop(long::grouped(&remote, &new));
    let scene = Scene {
        dir,
        local,
        versions,
        old,
        new,
    };
    let remote = served(&scene.dir.path().join("remote"));
    let report = fetch(&scene, &remote).unwrap();
    // The chunks alone are 1.3 MB.
    assert!(report.bytes < 300_000, "{} bytes moved", report.bytes);
    assert!(read(&scene.local, &scene.new).unwrap() == scene.versions[1]);
}
