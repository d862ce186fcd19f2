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
fn a_signature_serves_where_the_base_is_elsewhere() {
    let place = Place::with_versions();
    place.lob(&["signature", "old", "-o", "s"], b"").ok();
    let signature = place.read("s");
    assert!(signature.len() < 80_000, "{}", signature.len());
    place.lob(&["delta", "s", "new", "-o", "d"], b"").ok();
    let delta = place.read("d");
    assert!(delta.len() < 350_000, "{}", delta.len());
    place.lob(&["patch", "old", "d", "-o", "made"], b"").ok();
    assert!(place.read("made") == place.read("new"));
    assert!(reader::apply(&place.read("old"), &delta) == place.read("new"));
    // The same through pipes.
    let piped = place.lob(&["signature", "old"], b"");
    assert!(piped.stdout == signature);
    let piped = place.lob(&["delta", "-", "new"], &signature);
    assert!(piped.stdout == delta);
    assert_eq!(place.names(), ["d", "made", "new", "old", "s"]);
}

#[test]
fn a_signature_is_what_the_page_says() {
    let place = Place::with_versions();
    place.lob(&["signature", "old", "-o", "s"], b"").ok();
    let old = place.read("old");
    let (block, hashes) = reader::blocks(&old, &place.read("s"));
    assert_eq!((block, hashes[0].1.len()), (512, 8));
    for (n, (short, _)) in hashes.iter().enumerate() {
        assert_eq!(*short, reader::short(&old[n * block..(n + 1) * block]));
    }
}

#[test]
fn a_difference_to_what_is_not_alike_is_the_new_file_compressed() {
    let place = Place::with_versions();
    fs::write(place.world.path().join("other"), noise(9, 4_000_000)).unwrap();
    place.lob(&["signature", "other", "-o", "s"], b"").ok();
    let said = place
        .lob(&["--json", "delta", "s", "new", "-o", "d"], b"")
        .ok();
    let event: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(event["copied"], 0, "{said}");
    place.lob(&["patch", "other", "d", "-o", "made"], b"").ok();
    assert!(place.read("made") == place.read("new"));
}

#[test]
fn a_file_that_looks_like_a_signature_is_one_unless_told_otherwise() {
    let place = Place::with_versions();
    place.lob(&["signature", "old", "-o", "s"], b"").ok();
    let mut other = place.read("s");
    other[50_000] ^= 1;
    fs::write(place.world.path().join("t"), &other).unwrap();
    let args = ["delta", "t", "s", "-o", "d"];
    let stderr = place.lob(&args, b"").fails(1);
    assert!(stderr.contains("damaged: the signature"), "{stderr}");
    let args = ["delta", "--no-signature", "t", "s", "-o", "d"];
    place.lob(&args, b"").ok();
    place.lob(&["patch", "t", "d", "-o", "made"], b"").ok();
    assert!(place.read("made") == place.read("s"));
    // What is cut off, no signature at all, or a directory.
    let stderr = place
        .lob(&["delta", "-", "new", "-o", "x"], &other[..999])
        .fails(1);
    assert!(stderr.contains("ends too early"), "{stderr}");
    let stderr = place
        .lob(&["delta", "-", "new", "-o", "x"], b"old")
        .fails(1);
    assert!(stderr.contains("the signature"), "{stderr}");
    for args in [["signature", "."], ["signature", "missing"]] {
        let stderr = place.lob(&[&args[..], &["-o", "x"]].concat(), b"");
        let code = if args[1] == "." { 2 } else { 1 };
        let _ = stderr.fails(code);
    }
    assert!(!place.names().contains(&"x".to_string()));
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
