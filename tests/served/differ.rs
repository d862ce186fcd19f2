//! What a run in complete mode asks a service: bytes that follow what differs, and not what is there.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lob::sync::complete::{self, everything};
use lob::sync::state::State;
use lob_store::LobInfo;

use super::*;

/// Counts requests, and the bytes of them and of their answers.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn Exchange>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Exchange for Counting {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let Body::Bytes(request) = body else {
            panic!("short requests alone")
        };
        self.requests.fetch_add(1, Relaxed);
        self.bytes.fetch_add(request.len() as u64, Relaxed);
        let mut answer = Vec::new();
        let mut from = self.inner.exchange(verb, Body::Bytes(request))?;
        from.read_to_end(&mut answer).unwrap();
        self.bytes.fetch_add(answer.len() as u64, Relaxed);
        Ok(Box::new(io::Cursor::new(answer)))
    }

    fn describe(&self) -> String {
        "test://counted".into()
    }
}

/// A store with a small lob for each number.
fn store(dir: &Path, numbers: impl IntoIterator<Item = u32>) -> Store {
    let store = opened(dir);
    let mut writer = store.writer().unwrap();
    for n in numbers {
        writer.add(&mut n.to_le_bytes().as_slice(), &()).unwrap();
    }
    writer.finish().unwrap();
    store
}

fn plan(asking: Asking, local: &Store, remote: &Served) -> Vec<LobInfo> {
    let plan = match asking {
        Asking::ToPull => everything(asking, remote, local),
        _ => everything(asking, local, remote),
    };
    let plan = plan.unwrap();
    assert!(plan.missing.is_empty());
    plan.sorted()
}

fn lobs(numbers: std::ops::Range<u32>) -> Vec<LobInfo> {
    let lob = |n: u32| LobInfo {
        id: LobId::of(&n.to_le_bytes()),
        size: 4,
    };
    let mut lobs: Vec<_> = numbers.map(lob).collect();
    lobs.sort_unstable_by_key(|lob| lob.id);
    lobs
}

/// What was asked since: requests and bytes.
fn asked(counting: &Counting) -> (u64, u64) {
    (
        counting.requests.swap(0, Relaxed),
        counting.bytes.swap(0, Relaxed),
    )
}

#[test]
fn a_complete_run_asks_about_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let [near, far] = ["near", "far"].map(|name| dir.path().join(name));
    let local = store(&near, (0..5000).chain(6000..6030));
    drop(store(&far, (0..5000).chain(7000..7020)));
    let counting = Arc::new(Counting {
        inner: direct(&far, Rights::Write),
        requests: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    });
    let remote = Served::connect(counting.clone(), Access::Write, None).unwrap();
    let (requests, bytes) = asked(&counting);
    assert!(requests == 1 && bytes < 600, "{requests} {bytes}");

    // Which differ, which lobs these are, and whether they are there still.
    assert_eq!(plan(Asking::ToPull, &local, &remote), lobs(7000..7020));
    let (requests, bytes) = asked(&counting);
    assert!(requests == 3 && bytes < 8000, "{requests} {bytes}");
    // A push says too that the rest is to stay.
    assert_eq!(plan(Asking::ToPush, &local, &remote), lobs(6000..6030));
    let (requests, bytes) = asked(&counting);
    assert!(requests == 4 && bytes < 9000, "{requests} {bytes}");

    // A list of them takes 200,000 bytes.
    assert_eq!(replicate(Asking::ToPull, &local, &remote), Ok(20));
    drop(store(&far, 6000..6030));
    asked(&counting);
    for (asking, most) in [(Asking::ToPull, 1), (Asking::ToPush, 2)] {
        assert_eq!(plan(asking, &local, &remote), []);
        let (requests, bytes) = asked(&counting);
        assert!(requests == most && bytes < 500, "{requests} {bytes}");
    }
}

#[test]
fn stores_that_stand_where_they_stood_are_not_compared_again() {
    let dir = tempfile::tempdir().unwrap();
    let [near, far] = ["near", "far"].map(|name| dir.path().join(name));
    let local = store(&near, 0..100);
    drop(store(&far, 0..110));
    let state = State::of(&near);
    let counting = Arc::new(Counting {
        inner: direct(&far, Rights::Write),
        requests: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    });
    // A run of its own each time: lobs to move, requests, bytes.
    let run = |asking| {
        asked(&counting);
        let remote = Served::connect(counting.clone(), Access::Write, None).unwrap();
        let plan = complete::plan(asking, &local, &remote, &state).unwrap();
        let (requests, bytes) = asked(&counting);
        assert!(requests > 1 || bytes < 600, "{bytes}");
        (plan.lobs.len(), requests)
    };
    for _ in 0..2 {
        // What is only shown is not remembered.
        assert_eq!(run(Asking::ToSee), (0, 3));
    }
    assert_eq!(run(Asking::ToPush), (0, 4));
    assert_eq!(run(Asking::ToPush), (0, 1));
    // The other direction is another matter.
    for _ in 0..2 {
        assert_eq!(run(Asking::ToPull), (10, 4));
    }
    // Something new here, and there.
    drop(store(&near, 200..201));
    assert_eq!(run(Asking::ToPush), (1, 5));
    drop(store(&far, 200..202));
    assert_eq!(run(Asking::ToPush), (0, 4));
    assert_eq!(run(Asking::ToPush), (0, 1));
    drop(store(&far, 300..301));
    assert_eq!(run(Asking::ToPush), (0, 4));
}

#[test]
fn stores_with_nothing_in_common_are_compared_too() {
    let dir = tempfile::tempdir().unwrap();
    let [empty, near, far] = ["empty", "near", "far"].map(|name| dir.path().join(name));
    let (empty, local) = (store(&empty, 0..0), store(&near, 0..300));
    drop(store(&far, 300..1000));
    let remote = served(&far);
    assert_eq!(plan(Asking::ToPull, &empty, &remote), lobs(300..1000));
    assert_eq!(plan(Asking::ToPush, &empty, &remote), []);
    assert_eq!(plan(Asking::ToPull, &local, &remote), lobs(300..1000));
    assert_eq!(plan(Asking::ToPush, &local, &remote), lobs(0..300));
    let remote = served(&dir.path().join("new"));
    assert_eq!(plan(Asking::ToPush, &local, &remote), lobs(0..300));
    assert_eq!(plan(Asking::ToPull, &local, &remote), []);
}

/// Answers what differs with something else.
#[derive(Debug)]
struct Lying(Arc<dyn Exchange>, Vec<u8>);

impl Exchange for Lying {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        if verb != Verb::Differ {
            return self.0.exchange(verb, body);
        }
        let mut to = lob::wire::FieldWriter::new(Vec::new());
        to.field(lob::wire::Tag::Differ, &[&self.1]).unwrap();
        Ok(Box::new(io::Cursor::new(to.end().unwrap())))
    }

    fn describe(&self) -> String {
        "test://lying".into()
    }
}

#[test]
fn wrong_answers_are_the_fault_of_the_remote() {
    let dir = tempfile::tempdir().unwrap();
    let [near, far] = ["near", "far"].map(|name| dir.path().join(name));
    let local = store(&near, 0..10);
    drop(store(&far, 5..15));
    for lie in [Vec::new(), vec![0; 4], vec![1; 100], vec![7; 10_000]] {
        let lying = Arc::new(Lying(direct(&far, Rights::Write), lie));
        let remote = Served::connect(lying, Access::Write, None).unwrap();
        let error = everything(Asking::ToPush, &local, &remote).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("test://lying"), "{text}");
    }
}
