//! `lob checkout`: what is still a pointer is filled.

use std::fs;

use super::{FILES, assert_version, two_versions};
use crate::support::{Repo, World, noise, run};

/// A repository on the branch `first` whose files are all pointers.
fn all_pointers(world: &World) -> Repo {
    let repo = two_versions(world);
    let mut skip = repo.command("git");
    skip.args(["checkout", "-q", "first"])
        .env("LOB_SKIP_SMUDGE", "1");
    assert!(run(&mut skip, b"").success);
    repo
}

#[test]
fn lob_checkout_fills_what_is_a_pointer() {
    let world = World::new();
    let repo = all_pointers(&world);
    repo.write("large.bin", "my work");
    fs::remove_file(repo.path().join("larger.bin")).unwrap();
    let talk = repo.try_lob(&["checkout"]);
    assert!(talk.success, "{talk:?}");
    assert!(
        talk.stderr.contains("wrote 4 files, 421.0 kB"),
        "{}",
        talk.stderr
    );
    assert_eq!(repo.read("large.bin"), b"my work");
    assert!(!repo.path().join("larger.bin").exists());
    assert_eq!(
        repo.git(&["status", "--porcelain"]),
        " M large.bin\n D larger.bin\n"
    );
    let talk = repo.try_lob(&["checkout"]);
    assert!(talk.stderr.contains("nothing to write"), "{}", talk.stderr);
    let mut beneath = repo.command("lob");
    beneath.current_dir(repo.path().join("dir"));
    let talk = run(beneath.args(["checkout", "../large*", "sub"]), b"");
    assert!(talk.success, "{talk:?}");
    assert_eq!(repo.read("large.bin"), b"my work");
    assert!(repo.read("larger.bin") == noise(5, FILES[5].1));
    let unknown = repo.try_lob(&["checkout", "no-such-file"]).fails(1);
    assert!(unknown.contains("no-such-file"), "{unknown}");
}

#[test]
fn lob_checkout_says_what_is_missing() {
    let world = World::new();
    let repo = all_pointers(&world);
    let lost = format!(
        "version git-lob/2\noid blake3:{}\nsize 7\n",
        "cd".repeat(32)
    );
    repo.write("lost.bin", &lost);
    repo.git(&["add", "lost.bin"]);
    let talk = repo.try_lob(&["checkout", "--json"]);
    assert_eq!(talk.code, Some(3), "{talk:?}");
    let stdout = String::from_utf8(talk.stdout).unwrap();
    assert!(
        stdout.contains(r#"{"event":"missing","path":"lost.bin","oid":"blake3:cdcd"#),
        "{stdout}"
    );
    assert!(
        stdout
            .contains(r#"{"event":"checkout","written":6,"bytes":6121026,"missing":1,"failed":0}"#),
        "{stdout}"
    );
    assert_version(&repo, 0);
    assert_eq!(repo.read("lost.bin"), lost.as_bytes());
}

/// What git calls modified, though it is not, as a run was killed before it had told the index.
#[test]
fn lob_checkout_settles_what_a_killed_run_left() {
    let world = World::new();
    let repo = all_pointers(&world);
    for (seed, (path, len)) in FILES.iter().enumerate() {
        repo.write(path, noise(seed as u64, *len));
    }
    let stuck = repo.try_git(&["checkout", "main"]).fails(1);
    assert!(stuck.contains("would be overwritten"), "{stuck}");
    repo.lob(&["checkout"]);
    repo.git(&["checkout", "-q", "main"]);
    assert_version(&repo, 100);
}
