//! Index files that real git wrote, and damage.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::patch::patch;
use super::*;
use crate::git::fixture::Fixture;

/// Real git's view of the index, in the format of `ls-files -s -z`.
fn listed(bytes: &[u8], oid_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let walked = walk(bytes, oid_len, &mut |entry| {
        let head = format!("{:06o} {} {}\t", entry.mode, entry.oid, entry.stage);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(entry.path);
        out.push(0);
    });
    walked.expect("git wrote it");
    out
}

fn index_bytes(fixture: &Fixture) -> Vec<u8> {
    fs::read(fixture.repo().index_file()).expect("there is an index")
}

/// Files whose names are as odd as git allows.
pub(super) fn odd(fixture: &Fixture) {
    for (name, content) in [
        ("a", "1"),
        ("dir/sub/file", "2"),
        ("dir/sub/file2", "3"),
        ("dir/new\nline \"quoted\"", "4"),
        ("dir2/x", "5"),
        (" ", "6"),
    ] {
        fixture.write(name, content);
    }
    fixture.write(&["long"; 40].join("/"), "7");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9\xff");
        fs::write(fixture.path().join(name), "8").expect("the file system takes any bytes");
    }
    // Longer than the length field of an entry can say.
    let long = ["n".repeat(200); 1].concat();
    let deep = vec![long; 16].join("/");
    let odd = fixture.run(&["hash-object", "-w", "a"]);
    let info = format!("100644,{},{deep}/{}", odd.trim_end(), "z".repeat(950));
    fixture.run(&["update-index", "--add", "--cacheinfo", &info]);
    fixture.run(&["add", "."]);
}

/// The same repository in every format that is read.
fn formats() -> Vec<(&'static str, Fixture)> {
    let mut all = Vec::new();
    for (name, format, config) in [
        ("version 2", "sha1", ("index.version", "2")),
        ("version 4", "sha1", ("index.version", "4")),
        ("sha256", "sha256", ("index.version", "2")),
        ("sha256 version 4", "sha256", ("index.version", "4")),
        ("without a checksum", "sha1", ("index.skipHash", "true")),
        ("untracked cache", "sha1", ("core.untrackedCache", "true")),
        ("two threads", "sha1", ("index.threads", "2")),
    ] {
        let format = format!("--object-format={format}");
        let fixture = Fixture::with(&["init", "-q", "-b", "main", &format, "."]);
        fixture.run(&["config", config.0, config.1]);
        all.push((name, fixture));
    }
    all
}

#[test]
fn what_git_wrote_is_read_as_git_reads_it() {
    for (name, fixture) in formats() {
        odd(&fixture);
        fixture.run(&["commit", "-q", "-m", "x"]);
        fixture.write("only-named", "9");
        fixture.run(&["add", "-N", "only-named"]);
        fixture.run(&["update-index", "--skip-worktree", "dir2/x"]);
        fixture.run(&["update-index", "--assume-unchanged", "a"]);
        fixture.run(&["status", "--porcelain"]);
        let bytes = index_bytes(&fixture);
        let repo = fixture.repo();
        let git = repo.git().output(["ls-files", "-s", "-z"]).unwrap();
        assert!(listed(&bytes, repo.object_len()) == git, "{name}");
        let mut flagged = Vec::new();
        let extensions = walk(&bytes, repo.object_len(), &mut |entry| {
            let flags = (entry.assume_valid, entry.skip_worktree, entry.intent_to_add);
            if flags != (false, false, false) {
                flagged.push((String::from_utf8_lossy(entry.path).into_owned(), flags));
            }
        });
        assert_eq!(extensions, Ok(Extensions::default()), "{name}");
        let expected = [
            ("a".to_string(), (true, false, false)),
            ("dir2/x".to_string(), (false, true, false)),
            ("only-named".to_string(), (false, false, true)),
        ];
        assert_eq!(flagged, expected, "{name}");
    }
}

#[test]
fn stages_of_a_merge_are_told_apart() {
    let fixture = conflict();
    let bytes = index_bytes(&fixture);
    let git = fixture.run(&["ls-files", "-s", "-z"]).into_bytes();
    assert!(git.windows(3).any(|word| word == b" 3\t"));
    assert_eq!(listed(&bytes, 20), git);
}

/// A repository in the middle of a merge that needs a hand.
pub(super) fn conflict() -> Fixture {
    let fixture = Fixture::new();
    for (branch, content) in [("main", "0"), ("one", "1"), ("two", "2")] {
        if branch != "main" {
            fixture.run(&["checkout", "-q", "-b", branch, "main"]);
        }
        fixture.write("f", content);
        fixture.commit(branch);
    }
    assert!(fixture.git().status(["merge", "-q", "one"]).unwrap() == 1);
    fixture
}

#[test]
fn every_cut_and_every_flipped_byte_is_refused() {
    let fixture = Fixture::new();
    fixture.write("dir/file", "1");
    fixture.write("file", "2");
    fixture.commit("x");
    let bytes = index_bytes(&fixture);
    let refused = |bytes: &[u8]| matches!(walk(bytes, 20, &mut |_| {}), Err(Fault::Damaged(_)));
    assert!(!refused(&bytes));
    for at in 0..bytes.len() {
        assert!(refused(&bytes[..at]), "cut at {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(refused(&flipped), "flipped at {at}");
    }
}

#[test]
fn newer_formats_are_left_to_git() {
    let fixture = Fixture::new();
    fixture.write("file", "2");
    fixture.commit("x");
    let bytes = unsealed(&index_bytes(&fixture));
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        walk(&bytes, 20, &mut |_| {})
    };
    assert!(matches!(with(4, &[0, 0, 0, 5]), Err(Fault::Unsupported(_))));
    // One entry of 40 + 20 + 2 bytes and a name of 4, padded: then the extensions begin.
    let tree = 12 + 72;
    assert_eq!(&bytes[tree..tree + 4], b"TREE");
    assert!(matches!(with(tree, b"tree"), Err(Fault::Unsupported(_))));
    assert_eq!(with(tree, b"XTRA"), Ok(Extensions::default()));
}

#[test]
fn an_entry_that_contradicts_itself_is_damage() {
    // One entry: 40 bytes, an id of 20, flags of 2, then the path.
    let (flags, name) = (12 + 60, 12 + 62);
    for (version, at, new) in [
        ("2", flags, &[0, 5][..]),
        ("2", flags, &[0x40, 4]),
        ("2", name + 4, &[0, 1]),
        ("4", flags, &[0, 5]),
        ("4", name, &[1]),
        ("4", name, &[0x80, 0x80, 0x80, 0x80]),
    ] {
        let fixture = Fixture::new();
        fixture.run(&["config", "index.version", version]);
        fixture.write("file", "2");
        fixture.commit("x");
        let mut bytes = unsealed(&index_bytes(&fixture));
        assert!(walk(&bytes, 20, &mut |_| {}).is_ok());
        bytes[at..at + new.len()].copy_from_slice(new);
        let walked = walk(&bytes, 20, &mut |_| {});
        assert!(
            matches!(walked, Err(Fault::Damaged(_))),
            "{version} {new:?}"
        );
    }
}

/// The same index, marked as one without a checksum, so that damage is seen by the parser.
fn unsealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let cut = bytes.len() - 20;
    bytes[cut..].fill(0);
    bytes
}

/// An index of each version, with extensions.
fn samples() -> Vec<Vec<u8>> {
    ["2", "4"]
        .iter()
        .map(|version| {
            let fixture = Fixture::new();
            fixture.run(&["config", "index.version", version]);
            odd(&fixture);
            fixture.run(&["commit", "-q", "-m", "x"]);
            fixture.run(&["add", "-N", "."]);
            unsealed(&index_bytes(&fixture))
        })
        .collect()
}

#[test]
fn hostile_bytes_never_panic_and_never_grow() {
    let samples = samples();
    let strategy = (
        0..samples.len(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    proptest!(|((which, flips, cut, cuts) in strategy)| {
        let mut bytes = samples[which].clone();
        for (at, byte) in flips {
            let at = at.index(bytes.len() - 20);
            bytes[at] = byte;
        }
        if cuts {
            let keep = cut.index(bytes.len());
            bytes.drain(keep..bytes.len() - 20.min(bytes.len() - keep));
        }
        let mut entries = 0;
        let _ = walk(&bytes, 20, &mut |entry| {
            entries += 1;
            assert!(entry.path.len() <= bytes.len());
        });
        prop_assert!(entries <= bytes.len() / 62);
        let len = bytes.len();
        if let Ok(patched) = patch(bytes, 20, &Default::default(), |_| true) {
            prop_assert_eq!(patched.bytes.len(), len);
        }
    });
}

#[test]
fn garbage_never_panics() {
    proptest!(|(bytes: Vec<u8>, version in 0..6u8, count: u32)| {
        let _ = walk(&bytes, 20, &mut |_| {});
        let mut framed = b"DIRC\0\0\0".to_vec();
        framed.push(version);
        framed.extend(count.to_be_bytes());
        framed.extend(&bytes);
        framed.extend([0; 32]);
        let _ = walk(&framed, 20, &mut |_| {});
        let _ = walk(&framed, 32, &mut |_| {});
    });
}

/// Sets the mtime of a file, and nothing else that can be set.
pub(super) fn set_mtime(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(time).expect("it is ours");
}

/// A whole second some time ago.
pub(super) fn some_time_ago() -> SystemTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = since.expect("it is past 1970").as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(now - 100)
}
