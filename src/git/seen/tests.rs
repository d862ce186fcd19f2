//! Remembering over runs, processes, damage and limits.

use super::*;
use lob_store::LobId;

fn oid(number: u64) -> Oid {
    let hash = blake3::hash(&number.to_le_bytes());
    Oid::from_bytes(&hash.as_bytes()[..20]).expect("20 is a length")
}

fn lob(number: u64) -> Blob {
    Blob::Pointer(Pointer::Lob {
        id: LobId::of(&number.to_le_bytes()),
        size: number + 1,
    })
}

fn every_kind() -> Vec<Blob> {
    let lfs = |extended| Pointer::Lfs {
        sha256: [9; 32],
        size: 77,
        extended,
    };
    vec![
        Blob::Content,
        lob(5),
        Blob::Pointer(Pointer::GitLob { sha1: [8; 20] }),
        Blob::Pointer(lfs(false)),
        Blob::Pointer(lfs(true)),
    ]
}

/// A memory in which `numbers` were learnt to be lobs, saved.
fn saved(dir: &Path, numbers: std::ops::Range<u64>) -> Seen {
    let mut seen = Seen::open_in(dir, 20);
    numbers.for_each(|number| seen.learn(oid(number), lob(number)));
    seen.save().expect("the directory can be written");
    seen
}

fn count(dir: &Path, numbers: std::ops::Range<u64>) -> usize {
    let mut seen = Seen::open_in(dir, 20);
    numbers
        .filter(|&number| seen.get(&oid(number)) == Some(lob(number)))
        .count()
}

#[test]
fn what_was_learnt_is_known_at_once_and_in_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Seen::open_in(dir.path(), 20);
    for (number, blob) in every_kind().into_iter().enumerate() {
        let oid = oid(number as u64);
        assert_eq!(seen.get(&oid), None);
        seen.learn(oid, blob);
        assert_eq!(seen.get(&oid), Some(blob));
    }
    seen.save().unwrap();
    let mut next = Seen::open_in(dir.path(), 20);
    for (number, blob) in every_kind().into_iter().enumerate() {
        assert_eq!(seen.get(&oid(number as u64)), Some(blob));
        assert_eq!(next.get(&oid(number as u64)), Some(blob));
    }
    assert_eq!(next.get(&oid(99)), None);
}

#[test]
fn many_are_found_again_in_every_place() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        saved(dir.path(), round * 1000..(round + 1) * 1000);
    }
    assert_eq!(count(dir.path(), 0..4000), 4000);
    assert_eq!(count(dir.path(), 4000..5000), 0);
}

#[test]
fn nothing_new_writes_nothing_and_no_store_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    saved(&state, 0..1);
    assert!(!state.exists());
    let mut seen = saved(dir.path(), 0..1);
    fs::remove_file(dir.path().join("seen")).unwrap();
    seen.save().unwrap();
    assert!(!dir.path().join("seen").exists());
}

#[test]
fn what_another_process_wrote_meanwhile_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), 0..10);
    let mut one = Seen::open_in(dir.path(), 20);
    let mut two = Seen::open_in(dir.path(), 20);
    one.learn(oid(10), lob(10));
    two.learn(oid(11), lob(11));
    two.learn(oid(10), lob(10));
    two.save().unwrap();
    one.save().unwrap();
    assert_eq!(one.get(&oid(11)), Some(lob(11)));
    assert_eq!(count(dir.path(), 0..12), 12);
}

#[test]
fn while_another_process_writes_saving_is_put_off() {
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), 0..1);
    let lock = File::create(dir.path().join("seen.lock")).unwrap();
    lock.lock().unwrap();
    let mut seen = saved(dir.path(), 1..2);
    assert_eq!(count(dir.path(), 1..2), 0);
    drop(lock);
    seen.save().unwrap();
    assert_eq!(count(dir.path(), 1..2), 1);
}

#[test]
fn a_damaged_or_foreign_file_counts_as_empty_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seen");
    saved(dir.path(), 0..3);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        fs::write(&path, &good[..at]).unwrap();
        assert_eq!(count(dir.path(), 0..3), 0, "cut at {at}");
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        assert_eq!(count(dir.path(), 0..3), 0, "flipped at {at}");
    }
    saved(dir.path(), 3..4);
    assert_eq!(count(dir.path(), 0..4), 1);
    fs::write(&path, &good).unwrap();
    let long = Oid::from_bytes(&[7; 32]).unwrap();
    let mut sha256 = Seen::open_in(dir.path(), 32);
    assert_eq!(sha256.get(&long), None);
    sha256.learn(long, Blob::Content);
    sha256.save().unwrap();
    assert_eq!(
        Seen::open_in(dir.path(), 32).get(&long),
        Some(Blob::Content)
    );
    assert_eq!(count(dir.path(), 0..4), 0);
}

#[test]
fn records_out_of_order_are_refused() {
    let table = |bytes: &[u8]| table::Table::new(bytes.to_vec(), 1, 2).is_some();
    assert!(table(&[]) && table(&[1, 9, 2, 0]));
    assert!(!table(&[2, 0, 1, 0]) && !table(&[1, 0, 1, 1]) && !table(&[1, 0, 2]));
}

#[test]
fn a_full_memory_starts_anew_with_what_is_used() {
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), 0..100);
    let mut seen = Seen::open_in(dir.path(), 20);
    seen.image.bytes_max = 100 * 61;
    assert_eq!(seen.get(&oid(42)), Some(lob(42)));
    seen.learn(oid(100), lob(100));
    seen.save().unwrap();
    assert_eq!(count(dir.path(), 0..100), 1);
    assert_eq!(count(dir.path(), 42..43), 1);
    assert_eq!(count(dir.path(), 100..101), 1);
    // When even that is too much, only the newest stays.
    seen.image.bytes_max = 61;
    seen.get(&oid(42));
    seen.learn(oid(101), lob(101));
    seen.save().unwrap();
    assert_eq!(count(dir.path(), 0..102), 1);
}

#[test]
fn one_run_learns_so_much_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Seen::open_in(dir.path(), 20);
    seen.learnt_max = 2;
    (0..5).for_each(|number| seen.learn(oid(number), lob(number)));
    seen.save().unwrap();
    assert_eq!(count(dir.path(), 0..5), 2);
}
