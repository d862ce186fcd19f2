//! A delta for who has a signature only.

use std::io::BufRead;

use lob::remote::Error;
use lob::wire::Rolled;
use lob_store::delta::{Patch, Signature};

use super::*;

struct Scene {
    dir: tempfile::TempDir,
    content: Vec<u8>,
    lob: LobId,
    /// What somebody has that is like it.
    like: Vec<u8>,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(1, 3_000_000);
    let mut like = content.clone();
    like.iter_mut().step_by(20_000).for_each(|byte| *byte ^= 1);
    let lob = add(&opened(&dir.path().join("remote")), &content);
    Scene {
        dir,
        content,
        lob,
        like,
    }
}

fn signature(content: &[u8]) -> Signature {
    Signature::of(&mut &*content, content.len() as u64, &()).unwrap()
}

/// The length of the delta, where there is one, which must make the content.
fn delta(scene: &Scene, like: &[u8], most: u64) -> Option<u64> {
    let remote = served(&scene.dir.path().join("remote"));
    let path = scene.dir.path().join("like");
    std::fs::write(&path, like).unwrap();
    let base = || lob_store::delta::Base::open(&lob_store::disk::OsDisk, &path).unwrap();
    let mut found = None;
    let mut take = |delta: &mut dyn BufRead| {
        let mut bytes = Vec::new();
        delta.read_to_end(&mut bytes).unwrap();
        let mut made = Vec::new();
        let patch = Patch::open(bytes.as_slice()).unwrap();
        patch.apply(&base(), &mut made, &()).unwrap();
        assert!(made == scene.content);
        found = Some(bytes.len() as u64);
        Ok(())
    };
    let told = remote.delta(&scene.lob, &signature(like), most, &mut take);
    assert_eq!(told.unwrap(), found.is_some());
    found
}

#[test]
fn a_signature_is_answered_with_what_makes_the_lob() {
    let scene = scene();
    let made = delta(&scene, &scene.like, 1 << 20).unwrap();
    assert!(made < 400_000, "{made}");
    assert_eq!(delta(&scene, &scene.like, made), Some(made));
    // What would be too long is not begun, and what is like nothing is not made.
    assert_eq!(delta(&scene, &scene.like, made - 1), None);
    assert_eq!(delta(&scene, &noise(2, 3_000_000), 1 << 20), None);
}

#[test]
fn a_lob_that_is_not_there_has_no_delta() {
    let mut scene = scene();
    scene.lob = LobId::of(b"nobody has it");
    assert_eq!(delta(&scene, &scene.like, 1 << 20), None);
}

#[test]
fn p9_what_is_no_signature_is_refused() {
    let scene = scene();
    let exchange = direct(&scene.dir.path().join("remote"), Rights::Read);
    let store = opened(&scene.dir.path().join("remote")).id();
    let good = signature(&scene.like).to_bytes();
    let ask = |signature: Vec<u8>| {
        let asked = Rolled {
            store,
            lob: *scene.lob.as_bytes(),
            most: 1 << 20,
            signature,
        };
        exchange.exchange(Verb::Delta, Body::Bytes(asked.encode().unwrap()))
    };
    assert!(ask(good.clone()).is_ok());
    let mut zero = good.clone();
    // The length of a block.
    zero[92..96].fill(0);
    let cut = good[..good.len() - 1].to_vec();
    for bad in [Vec::new(), zero, cut, vec![0; (4 << 20) + 1]] {
        match ask(bad) {
            Err(ExchangeError::Refused(refusal)) => {
                assert!(refusal.to_text().starts_with("bad-request"), "{refusal:?}")
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

/// Sends another delta than was asked for.
#[derive(Debug)]
struct Liar(Arc<dyn Exchange>);

impl Exchange for Liar {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        if verb != Verb::Delta {
            return self.0.exchange(verb, body);
        }
        let mut to = lob::wire::FieldWriter::new(Vec::new());
        for _ in 0..5 {
            to.field(lob::wire::Tag::Delta, &[&[7; 100_000]]).unwrap();
        }
        Ok(Box::new(io::Cursor::new(to.end().unwrap())))
    }

    fn describe(&self) -> String {
        "test://liar".into()
    }
}

#[test]
fn p9_no_more_of_a_delta_is_taken_than_was_asked_for() {
    let scene = scene();
    let liar = Arc::new(Liar(direct(&scene.dir.path().join("remote"), Rights::Read)));
    let remote = Served::connect(liar, Access::Read, None).unwrap();
    let mut taken = 0;
    let mut take = |delta: &mut dyn BufRead| {
        taken = io::copy(delta, &mut io::sink()).unwrap_or(0);
        Ok(())
    };
    let told = remote.delta(&scene.lob, &signature(&scene.like), 250_000, &mut take);
    assert!(matches!(told, Err(Error::Unasked { .. })), "{told:?}");
    assert_eq!(taken, 0, "it ends with an error");
}
