//! `lob delta` and `lob patch`, on files outside any repository.

mod reader;

use std::fs;
use std::path::Path;

use crate::support::{Run, World, noise, run};

/// An old file, and a new one in which bytes were inserted, changed, moved and compress well.
fn versions() -> (Vec<u8>, Vec<u8>) {
    let old = noise(1, 3_000_000);
    let mut new = [&old[2_000_000..], &old[..1_500_000]].concat();
    new.splice(700_000..700_000, noise(2, 5000));
    for at in (1_200_000..1_500_000).step_by(3000) {
        new[at] ^= 1;
    }
    new.extend_from_slice(&b"a line of a log\n".repeat(30_000));
    new.extend_from_slice(&noise(3, 100_000));
    (old, new)
}

struct Place {
    world: World,
}

impl Place {
    fn with_versions() -> Place {
        let world = World::without_filter();
        let (old, new) = versions();
        fs::write(world.path().join("old"), old).unwrap();
        fs::write(world.path().join("new"), new).unwrap();
        Place { world }
    }

    fn lob(&self, args: &[&str], input: &[u8]) -> Run {
        run(self.world.command("lob").args(args), input)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.world.path().join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.world.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        let text = |name: std::ffi::OsString| name.into_string().unwrap();
        names
            .into_iter()
            .map(text)
            .filter(|name| name != ".gitconfig")
            .collect()
    }
}

#[test]
fn a_patch_makes_the_new_file_of_the_old_one() {
    let place = Place::with_versions();
    place.lob(&["delta", "old", "new", "-o", "d"], b"").ok();
    let delta = place.read("d");
    assert!(delta.len() < 130_000, "{}", delta.len());
    place.lob(&["patch", "old", "d", "-o", "made"], b"").ok();
    assert!(place.read("made") == place.read("new"));
    // The same through pipes.
    let piped = place.lob(&["delta", "old", "new"], b"");
    assert!(piped.stdout == delta);
    let made = place.lob(&["patch", "old"], &delta);
    assert!(made.stdout == place.read("new"));
    assert_eq!(place.names(), ["d", "made", "new", "old"]);
}

#[test]
fn a_reader_made_from_the_page_reads_it() {
    let place = Place::with_versions();
    place.lob(&["delta", "old", "new", "-o", "d"], b"").ok();
    assert!(reader::apply(&place.read("old"), &place.read("d")) == place.read("new"));
}

#[test]
fn nothing_that_exists_is_replaced_unasked() {
    let place = Place::with_versions();
    let stderr = place
        .lob(&["delta", "old", "new", "-o", "old"], b"")
        .fails(1);
    assert!(stderr.contains("--force"), "{stderr}");
    assert!(place.read("old") == versions().0);
    fs::write(place.world.path().join("d"), "something").unwrap();
    let args = ["delta", "old", "new", "-o", "d", "--force"];
    place.lob(&args, b"").ok();
    let args = ["patch", "old", "d", "-o", "old", "--force"];
    place.lob(&args, b"").ok();
    assert!(
        place.read("old") == versions().1,
        "the base itself may be replaced"
    );
}

#[test]
fn p3_what_does_not_fit_leaves_nothing() {
    let place = Place::with_versions();
    place.lob(&["delta", "old", "new", "-o", "d"], b"").ok();
    let stderr = place
        .lob(&["patch", "new", "d", "-o", "made"], b"")
        .fails(1);
    assert!(stderr.contains("another base"), "{stderr}");
    let mut delta = place.read("d");
    let half = delta.len() / 2;
    delta[half] ^= 1;
    let stderr = place.lob(&["patch", "old", "-o", "made"], &delta).fails(1);
    assert!(stderr.contains("damaged: the delta"), "{stderr}");
    let stderr = place
        .lob(&["patch", "old", "-o", "made"], &delta[..half])
        .fails(1);
    assert!(stderr.contains("ends too early"), "{stderr}");
    let stderr = place
        .lob(&["patch", "old", "new", "-o", "made"], b"")
        .fails(1);
    assert!(stderr.contains("the delta"), "{stderr}");
    let stderr = place
        .lob(&["delta", "missing", "new", "-o", "x"], b"")
        .fails(1);
    assert!(stderr.contains("missing"), "{stderr}");
    let stderr = place.lob(&["delta", "old", ".", "-o", "x"], b"").fails(2);
    assert!(stderr.contains("no regular file"), "{stderr}");
    assert_eq!(place.names(), ["d", "new", "old"]);
}

#[test]
fn programs_are_told_both_hashes() {
    let place = Place::with_versions();
    let told = place
        .lob(&["--json", "delta", "old", "new", "-o", "d"], b"")
        .ok();
    let event: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let hash = |name: &str| format!("blake3:{}", blake3::hash(&place.read(name)).to_hex());
    assert_eq!(event["event"], "delta", "{told}");
    assert_eq!(
        (&event["base"], &event["oid"]),
        (&hash("old").into(), &hash("new").into())
    );
    assert_eq!(event["stored"], place.read("d").len());
    assert!(Path::new(place.world.path()).join("d").exists());
    let told = place
        .lob(&["--json", "patch", "old", "d", "-o", "made"], b"")
        .ok();
    assert!(told.contains(&hash("new")), "{told}");
}
