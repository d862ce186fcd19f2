//! What is to stay, and what is written down of all changes.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use lob::serve::{Change, Shares, What, Witness};
use lob::sync::complete::everything;
use lob::wire::{Refusal, RefusalKind};
use lob_store::LobInfo;

use super::*;

/// Remembers what it is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<(What, Vec<LobId>, u64)>>);

impl Witness for Notes {
    fn changed(&self, change: &Change<'_>) -> io::Result<()> {
        assert_eq!(
            (&*change.caller.name, &*change.caller.from),
            ("tester", "here")
        );
        let ids = change.lobs.iter().map(|lob| lob.id).collect();
        let noted = (change.what, ids, change.bytes);
        self.0.lock().unwrap().push(noted);
        Ok(())
    }
}

impl Notes {
    fn take(&self) -> Vec<(What, Vec<LobId>, u64)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn noted(dir: &Path, rights: Rights) -> (Arc<Notes>, Arc<dyn Exchange>) {
    let notes = Arc::new(Notes::default());
    let service = Service::of_dir(dir.to_path_buf()).with_witness(notes.clone());
    let exchange = Direct {
        service: Arc::new(service),
        rights,
    };
    (notes, Arc::new(exchange))
}

fn set_aside(store: &Store) {
    store.refresh().unwrap();
    let young = SystemTime::now() + Duration::from_secs(1000);
    let mut prune = store.prune(young).unwrap().unwrap();
    prune.set_aside(Duration::from_secs(86_400));
    prune.plan().unwrap().run(&()).unwrap();
}

#[test]
fn every_change_is_told_with_what_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("remote");
    let local = opened(&dir.path().join("local"));
    let id = add(&local, &noise(1, 300_000));
    let (notes, exchange) = noted(&root, Rights::Append);
    let remote = Served::connect(exchange, Access::Write, None).unwrap();
    replicate(Asking::ToPush, &local, &remote).unwrap();
    match notes.take().as_slice() {
        [(What::Stored, ids, bytes)] => assert!(ids == &[id] && *bytes > 300_000),
        other => panic!("{other:?}"),
    }
    remote.hold(&[id, LobId::of(b"nobody has it")]).unwrap();
    assert_eq!(notes.take(), [(What::Held, vec![id], 0)]);
    remote.sizes(&[id]).unwrap();
    remote.recall(&[id]).unwrap();
    assert_eq!(notes.take(), [], "nothing has changed");
    let behind = opened(&root);
    set_aside(&behind);
    assert_eq!(remote.recall(&[id]).unwrap(), [Some(300_000)]);
    assert_eq!(notes.take(), [(What::Recalled, vec![id], 0)]);
}

#[test]
fn who_may_only_read_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("remote");
    let behind = opened(&root);
    let id = add(&behind, b"seldom used, and seldom missed");
    set_aside(&behind);
    let (notes, exchange) = noted(&root, Rights::Read);
    let reader = Served::connect(exchange, Access::Read, None).unwrap();
    let cursor = behind.cursor().unwrap();
    assert_eq!(reader.recall(&[id]).unwrap(), [None]);
    behind.refresh().unwrap();
    assert_eq!(behind.cursor().unwrap(), cursor, "it is as it was");
    assert_eq!(notes.take(), []);
    // A fetch says what became of it.
    let local = opened(&dir.path().join("local"));
    let want = Want::bare(LobInfo { id, size: 30 }, Reason::Asked);
    let plan = Plan::make(Asking::ToPull, [want], &reader, &local).unwrap();
    let why = plan.missing[0].why.to_string();
    assert!(why.contains("set aside there"), "{why}");
}

#[test]
fn a_push_that_breaks_off_is_told_and_leaves_what_a_gc_takes_away() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("remote");
    let local = opened(&dir.path().join("local"));
    let id = add(&local, &noise(1, 3_000_000));
    let notes = Arc::new(Notes::default());
    let shares = Arc::new(Shares::with_stage(2 << 20));
    let service = Service::of_dir(root.clone())
        .with_witness(notes.clone())
        .with_shares(shares.clone());
    let exchange = Direct {
        service: Arc::new(service),
        rights: Rights::Append,
    };
    let remote = Served::connect(Arc::new(exchange), Access::Write, None).unwrap();
    let error = replicate(Asking::ToPush, &local, &remote).unwrap_err();
    assert!(error.contains("stage-bytes"), "{error}");
    assert_eq!(shares.stage.bytes(), 0, "what is over is given back");
    match notes.take().as_slice() {
        [(What::Cut, ids, bytes)] => assert!(ids.is_empty() && (1..=2 << 20).contains(bytes)),
        other => panic!("{other:?}"),
    }
    let behind = opened(&root);
    assert_eq!(behind.lobs(&[id]).unwrap(), [None], "no lob is named");
    let left = behind.stored_bytes().unwrap();
    assert!(left > 500_000, "{left} bytes need not come again");
    let stage = std::fs::read_dir(root.join("stage")).unwrap().count();
    assert_eq!(stage, 0, "nobody has to remove a stage");
    // The same push goes on, and nothing of it is ever in the way of a gc.
    let young = SystemTime::now() + Duration::from_secs(1000);
    let prune = behind.prune(young).unwrap().unwrap();
    prune.plan().unwrap().run(&()).unwrap();
    assert!(behind.stored_bytes().unwrap() < 1000);
    let again = |_| replicate(Asking::ToPush, &local, &remote).is_ok();
    assert!((0..4).any(again), "each try brings the next part");
    behind.refresh().unwrap();
    assert_eq!(read(&behind, &id).unwrap(), noise(1, 3_000_000));
}

/// A service of somebody whose right is taken back while a request of this verb is under way.
struct Revoking(Verb, Service);

impl Serve for Revoking {
    fn serve(
        &self,
        caller: &Caller,
        verb: Verb,
        body: &mut dyn Read,
        answer: &mut dyn io::Write,
    ) -> Result<(), Refusal> {
        let gone = || Err(Refusal::new(RefusalKind::Unauthorized, "revoked"));
        let mut caller = caller.clone();
        if verb == self.0 {
            caller.standing = Standing::told_by(gone);
        }
        self.1.serve(&caller, verb, body, answer)
    }
}

#[test]
fn whose_right_is_taken_back_meanwhile_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("remote");
    let local = opened(&dir.path().join("local"));
    let behind = opened(&root);
    let aside = add(&behind, b"set aside, and to be brought back");
    set_aside(&behind);
    let there = add(&behind, b"there already");
    let id = add(&local, &noise(1, 300_000));
    let notes = Arc::new(Notes::default());
    let losing = |verb| {
        let service = Service::of_dir(root.clone()).with_witness(notes.clone());
        let exchange = Direct {
            service: Arc::new(Revoking(verb, service)),
            rights: Rights::Append,
        };
        Served::connect(Arc::new(exchange), Access::Write, None).unwrap()
    };
    let refused = |error: String| assert!(error.ends_with(": revoked"), "{error}");
    refused(replicate(Asking::ToPush, &local, &losing(Verb::Put)).unwrap_err());
    match notes.take().as_slice() {
        [(What::Cut, ids, bytes)] => assert!(ids.is_empty() && *bytes > 300_000),
        other => panic!("{other:?}"),
    }
    refused(losing(Verb::Hold).hold(&[there]).unwrap_err().to_string());
    refused(
        losing(Verb::Recall)
            .recall(&[aside])
            .unwrap_err()
            .to_string(),
    );
    assert_eq!(notes.take(), [], "nothing has changed");
    behind.refresh().unwrap();
    assert_eq!(behind.lobs(&[id, aside]).unwrap(), [None, None]);
    assert!(behind.stored_bytes().unwrap() > 300_000, "the chunks stay");
}

/// Makes all packs as old as can be.
fn age(root: &Path) {
    for file in std::fs::read_dir(root.join("packs")).unwrap() {
        let file = std::fs::File::open(file.unwrap().path()).unwrap();
        let old = SystemTime::now() - Duration::from_secs(1_000_000);
        file.set_modified(old).unwrap();
    }
}

#[test]
fn p7_a_complete_push_holds_what_both_sides_have() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("remote");
    let local = opened(&dir.path().join("local"));
    let both = add(&local, &noise(1, 300_000));
    let (notes, exchange) = noted(&root, Rights::Append);
    let remote = Served::connect(exchange, Access::Write, None).unwrap();
    replicate(Asking::ToPush, &local, &remote).unwrap();
    let behind = opened(&root);
    let theirs = add(&behind, &noise(2, 300_000));
    age(&root);
    notes.take();
    let mine = add(&local, &noise(3, 300_000));
    let plan = everything(Asking::ToPush, &local, &remote).unwrap();
    assert_eq!(plan.ids(), [mine]);
    assert_eq!(notes.take(), [(What::HeldOthers, vec![theirs], 0)]);
    let young = SystemTime::now() - Duration::from_secs(1000);
    behind.refresh().unwrap();
    let prune = behind.prune(young).unwrap().unwrap();
    prune.plan().unwrap().run(&()).unwrap();
    behind.refresh().unwrap();
    let held = behind.lobs(&[both, theirs]).unwrap();
    assert_eq!(
        held.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false]
    );
}
