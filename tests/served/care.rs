//! Looking after a store behind a service: who may, and what comes of it.

use std::fs;
use std::sync::{Mutex, mpsc};

use lob::remote::{Care, Cleaned, Cleaning, End, Error, Listener, Order};
use lob::serve::{CareError, Cleaner};
use lob::wire::RefusalKind;
use lob_store::Progress;
use lob_store::disk::OsDisk;
use lob_store::fsck::{Depth, Finding, examine};

use super::*;
use crate::support::damage_packs;

fn care(dir: &Path, rights: Rights) -> Care {
    Care::over(direct(dir, rights))
}

fn kind(error: &Error) -> Option<RefusalKind> {
    match error {
        Error::Refused { refusal, .. } => Some(refusal.kind),
        _ => None,
    }
}

/// What an examination finds, and what it sums up to; here and behind a service it is the same.
fn examined(dir: &Path, depth: Depth) -> Vec<Finding> {
    let mut here = Vec::new();
    let disk = Arc::new(OsDisk);
    let sums = examine(disk, dir, depth, &(), &mut |finding| here.push(finding)).unwrap();
    let mut there = Vec::new();
    let care = care(dir, Rights::Admin);
    let told = care.examine(None, depth, &(), &mut |finding| there.push(finding));
    assert_eq!(told.unwrap(), sums);
    assert_eq!(there, here);
    there
}

#[test]
fn a_store_is_examined_where_it_is_as_it_would_be_here() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    for content in [noise(1, 300), noise(2, 1 << 20)] {
        add(&store, &content);
    }
    drop(store);
    let sample = Depth::Sample {
        percent: 50,
        seed: 7,
    };
    for depth in [Depth::Quick, Depth::Deep, sample] {
        assert_eq!(examined(dir.path(), depth), []);
    }
    damage_packs(dir.path());
    assert_eq!(examined(dir.path(), Depth::Quick), []);
    assert!(!examined(dir.path(), Depth::Deep).is_empty());
    // So damaged that nobody can open it any more, which is what it is examined for.
    for entry in fs::read_dir(dir.path().join("packs")).unwrap() {
        let path = entry.unwrap().path();
        fs::remove_file(path).unwrap();
    }
    assert!(!examined(dir.path(), Depth::Quick).is_empty());
}

#[test]
fn only_who_has_the_right_looks_after_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let each = &mut |_| ();
    let absent = care(&root, Rights::Admin).examine(None, Depth::Quick, &(), each);
    assert!(matches!(absent, Err(Error::NoStore(_))), "{absent:?}");
    drop(opened(&root));
    for rights in [Rights::Read, Rights::Append, Rights::Write] {
        let refused = care(&root, rights).examine(None, Depth::Deep, &(), each);
        let error = refused.unwrap_err();
        assert_eq!(kind(&error), Some(RefusalKind::Forbidden), "{error}");
        assert!(error.to_string().contains("the right admin"), "{error}");
        assert!(error.hint().is_some());
        // Nor does the service believe who asks without having looked.
        let asked = direct(&root, rights).exchange(Verb::Fsck, Body::Bytes(Vec::new()));
        let Err(ExchangeError::Refused(refusal)) = asked else {
            panic!("it is done for {rights:?}");
        };
        assert_eq!(refusal.kind, RefusalKind::Forbidden);
    }
    let other = lob_store::StoreId::from_bytes([1; 32]);
    let other = care(&root, Rights::Admin).examine(Some(other), Depth::Quick, &(), each);
    assert!(matches!(other, Err(Error::OtherStore { .. })), "{other:?}");
}

/// A service of before stores were looked after: it knows neither the verbs nor the name of that.
#[derive(Debug)]
struct Older(Arc<dyn Exchange>, Mutex<Vec<Verb>>);

impl Exchange for Older {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        self.1.lock().unwrap().push(verb);
        let mut answer = self.0.exchange(verb, body)?;
        let mut welcome = lob::wire::Welcome::read(&mut answer).unwrap();
        welcome.verbs.retain(|verb| verb != "fsck" && verb != "gc");
        welcome.can.clear();
        let mut to = lob::wire::FieldWriter::new(Vec::new());
        welcome.write(&mut to).unwrap();
        Ok(Box::new(io::Cursor::new(to.end().unwrap())))
    }

    fn describe(&self) -> String {
        "test://older".into()
    }
}

#[test]
fn an_older_service_is_not_asked_for_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    drop(opened(dir.path()));
    let older = Arc::new(Older(direct(dir.path(), Rights::Admin), Mutex::default()));
    let care = Care::over(older.clone());
    let error = care.examine(None, Depth::Quick, &(), &mut |_| ());
    let error = error.unwrap_err();
    assert_eq!(kind(&error), Some(RefusalKind::Unsupported), "{error}");
    assert!(error.hint().unwrap().contains("same lob on both sides"));
    assert_eq!(*older.1.lock().unwrap(), [Verb::Hello]);
}

/// Sets aside what it is told to by no rule of its own, and waits in the midst of it.
struct Slow(Mutex<mpsc::Sender<()>>);

impl Cleaner for Slow {
    fn clean(&self, _: &Path, _: &Cleaning, listener: &dyn Listener) -> Result<(), CareError> {
        listener.hear(Cleaned::Begins).map_err(interrupted)?;
        while !listener.cancelled() {
            listener.bytes(1);
        }
        self.0.lock().unwrap().send(()).unwrap();
        listener
            .hear(Cleaned::Ended(End::Busy))
            .map_err(interrupted)
    }
}

fn interrupted(error: lob_store::Error) -> CareError {
    CareError::Store(error.into())
}

/// Takes a few bytes of an answer and goes away.
struct Gone(usize);

impl io::Write for Gone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(())
    }
}

#[test]
fn a_run_stops_when_who_asked_for_it_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path()).id();
    let (sender, stopped) = mpsc::channel();
    let service = Service::of_dir(dir.path().to_path_buf());
    let service = service.with_cleaner(Arc::new(Slow(Mutex::new(sender))));
    let caller = Caller {
        name: "tester".into(),
        from: "here".into(),
        rights: Rights::Admin,
        standing: Standing::default(),
    };
    let cleaning = Cleaning {
        store,
        order: Order::default(),
        needed: Vec::new(),
        vouched: Vec::new(),
    };
    let body = cleaning.encode().unwrap();
    let _ = service.serve(&caller, Verb::Gc, &mut body.as_slice(), &mut Gone(2));
    stopped.recv().unwrap();
}

/// Hears nothing.
pub struct Deaf;

impl Progress for Deaf {
    fn bytes(&self, _: u64) {}
}

impl Listener for Deaf {
    fn hear(&self, _: Cleaned) -> lob_store::Result<()> {
        Ok(())
    }
}

#[test]
fn a_store_is_cleaned_up_only_where_somebody_knows_who_needs_what_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let id = add(&store, b"a lob");
    let nothing = || (Vec::new(), Vec::new());
    for rights in [Rights::Read, Rights::Append, Rights::Write] {
        let care = care(dir.path(), rights);
        let error = care.clean(None, &Order::default(), nothing(), &Deaf);
        assert_eq!(kind(&error.unwrap_err()), Some(RefusalKind::Forbidden));
    }
    let care = care(dir.path(), Rights::Admin);
    let error = care.clean(None, &Order::default(), nothing(), &Deaf);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("not cleaned up here")
    );
    let many = (vec![[0; 32]; lob::wire::care::NEEDED_MAX + 1], Vec::new());
    let error = care.clean(None, &Order::default(), many, &Deaf);
    assert_eq!(kind(&error.unwrap_err()), Some(RefusalKind::TooLarge));
    assert_eq!(read(&store, &id).unwrap(), b"a lob");
}
