use std::io::Cursor;

use crate::chunk::tests::noise;
use crate::disk::OsDisk;

use super::*;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn base(&self, content: &[u8]) -> Base<'static> {
        let path = self.dir.path().join("base");
        std::fs::write(&path, content).unwrap();
        Base::open(&OsDisk, &path).unwrap()
    }
}

fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    Files { dir }
}

fn delta_of(base: &Base<'_>, new: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let size = new.len() as u64;
    let made = make(base, &mut Cursor::new(new), size, &mut out, &()).unwrap();
    assert_eq!(made.stored, out.len() as u64);
    assert_eq!((made.size, made.id), (size, crate::LobId::of(new)));
    out
}

fn applied(base: &Base<'_>, delta: &[u8]) -> crate::Result<Vec<u8>> {
    let mut out = Vec::new();
    let id = Patch::open(delta)?.apply(base, &mut out, &())?;
    assert_eq!(id, crate::LobId::of(&out));
    Ok(out)
}

/// The delta between two contents, which is applied too.
#[track_caller]
fn round_trip(base: &[u8], new: &[u8]) -> Vec<u8> {
    let files = files();
    let base = files.base(base);
    let delta = delta_of(&base, new);
    assert!(applied(&base, &delta).unwrap() == new);
    assert!(delta == delta_of(&base, new), "the same again");
    delta
}

#[test]
fn empty_and_short_contents_come_back() {
    for (base, new) in [
        ("", ""),
        ("", "new"),
        ("old", ""),
        ("old", "new"),
        ("a", "a"),
    ] {
        let delta = round_trip(base.as_bytes(), new.as_bytes());
        assert!(delta.len() < 150, "{}", delta.len());
    }
}

#[test]
fn what_moved_is_copied() {
    let base = noise(1, 9 << 20);
    assert!(round_trip(&base, &base).len() < 150);
    let turned = [&base[5 << 20..], &base[..5 << 20]].concat();
    let delta = round_trip(&base, &turned);
    assert!(delta.len() < 300_000, "{}", delta.len());
    let mut inserted = base.clone();
    inserted.splice(4_000_000..4_000_000, noise(2, 4096));
    let delta = round_trip(&base, &inserted);
    assert!(delta.len() < 4096 + 1000, "{}", delta.len());
}

#[test]
fn small_edits_everywhere_cost_little() {
    // Every chunk is another one, and what follows is moved by ever more.
    let base = noise(1, 6 << 20);
    let mut new = Vec::new();
    for (n, part) in base.chunks(10_000).enumerate() {
        new.extend_from_slice(part);
        new.extend_from_slice(&noise(100 + n as u64, 7));
    }
    let delta = round_trip(&base, &new);
    assert!(delta.len() < new.len() / 50, "{}", delta.len());
    // And a part of it somewhere else.
    let moved = [&noise(3, 3 << 20), &new[2 << 20..]].concat();
    let delta = round_trip(&base, &moved);
    assert!(delta.len() < (3 << 20) + new.len() / 50, "{}", delta.len());
}

#[test]
fn what_is_like_nothing_costs_no_more_than_itself() {
    let delta = round_trip(&noise(1, 3 << 20), &noise(2, 3 << 20));
    assert!(delta.len() < (3 << 20) + 4000, "{}", delta.len());
    let text = "a line that compresses\n".repeat(200_000);
    let delta = round_trip(b"", text.as_bytes());
    assert!(delta.len() < 20_000, "{}", delta.len());
}

#[test]
fn p3_another_base_is_noticed() {
    let base = noise(1, 300_000);
    let mut new = base.clone();
    new[1000] ^= 1;
    let delta = delta_of(&files().base(&base), &new);
    let mut other = base.clone();
    other[200_000] ^= 1;
    for wrong in [&other[..], &base[1..], b""] {
        let error = applied(&files().base(wrong), &delta).unwrap_err();
        assert!(error.to_string().contains("another base"), "{error}");
    }
}

#[test]
fn p3_a_changed_or_cut_delta_is_noticed() {
    let base = noise(1, 200_000);
    let mut new = base.clone();
    new.splice(50_000..50_000, *b"inserted");
    new.extend_from_slice(&b"text ".repeat(1000));
    let files = files();
    let base = files.base(&base);
    let delta = delta_of(&base, &new);
    for len in 0..delta.len() {
        applied(&base, &delta[..len]).unwrap_err();
    }
    for at in 0..delta.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bad = delta.clone();
            bad[at] ^= change;
            // Some bits of a zstd header do not matter.
            if let Ok(made) = applied(&base, &bad) {
                assert!(made == new, "byte {at}");
            }
        }
    }
    let longer = [&delta[..], b"x"].concat();
    assert!(applied(&base, &longer).is_err());
}

/// A delta made by hand.
fn by_hand(base: &Base<'_>, size: u64, instructions: &[u8]) -> Vec<u8> {
    let lengths = [base.len().to_le_bytes(), size.to_le_bytes()].concat();
    let id = base.id().unwrap();
    let head = [
        MAGIC,
        &VERSION.to_le_bytes()[..],
        &[0; 6],
        &lengths,
        id.as_bytes(),
    ];
    [&head.concat()[..], instructions].concat()
}

#[test]
fn p9_hostile_deltas_make_no_more_than_they_say() {
    let files = files();
    let base = files.base(&noise(1, 100_000));
    let copy = |at: u64, len: u64| [&[COPY][..], &at.to_le_bytes(), &len.to_le_bytes()].concat();
    let refused = |size: u64, instructions: &[u8]| {
        let mut out = Vec::new();
        let delta = by_hand(&base, size, instructions);
        let error = Patch::open(&delta[..]).and_then(|patch| patch.apply(&base, &mut out, &()));
        assert!(out.len() as u64 <= size);
        error.map(drop).unwrap_err().to_string()
    };
    let twice = [copy(0, 100_000), copy(0, 100_000)].concat();
    assert!(refused(150_000, &twice).contains("more than it says"));
    assert!(refused(300_000, &[&twice[..], &[END], &[0; 32]].concat()).contains("less than"));
    assert!(refused(10, &copy(99_999, 2)).contains("does not have"));
    assert!(refused(10, &copy(u64::MAX, 2)).contains("does not have"));
    assert!(refused(10, &copy(0, 0)).contains("does not have"));
    assert!(refused(10, &[9]).contains("unknown instruction"));
    assert!(refused(u64::MAX, &[]).contains("too long"));
    let lengths = |a: u32, b: u32| [a.to_le_bytes(), b.to_le_bytes()].concat();
    assert!(refused(10, &[&[ZSTD][..], &lengths(u32::MAX, 1)].concat()).contains("a length"));
    assert!(refused(10, &[&[ZSTD][..], &lengths(1, u32::MAX)].concat()).contains("a length"));
    let far = [
        &[PREFIXED][..],
        &lengths(1, 1),
        &99_999u64.to_le_bytes(),
        &2u32.to_le_bytes(),
    ];
    assert!(refused(10, &far.concat()).contains("does not have"));
    // A bomb: the zstd frame holds more than the instruction says.
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
    let frame = [&[ZSTD][..], &lengths(10, bomb.len() as u32), &bomb].concat();
    assert!(refused(10, &frame).contains("declared length"));
}

#[test]
fn a_source_that_ends_early_is_an_error() {
    let files = files();
    let base = files.base(b"base");
    let mut out = Vec::new();
    let made = make(&base, &mut Cursor::new(b"short"), 6, &mut out, &());
    assert!(matches!(made, Err(crate::Error::Source(_))));
}
