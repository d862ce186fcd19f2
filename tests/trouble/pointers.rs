//! Pointers that lie, and text that is nearly one.

use std::fs;

use super::{pair, says};
use crate::support::{Repo, World, noise, pointer, run};

/// Commits this text as what git stores for a path, as no filter would.
fn store(repo: &Repo, path: &str, text: &str) {
    repo.write(".git/text", text);
    let oid = repo.git(&["hash-object", "-w", "--no-filters", ".git/text"]);
    let entry = format!("100644,{},{path}", oid.trim_end());
    repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
}

#[test]
fn a_pointer_with_a_wrong_size_stays_and_the_way_out_is_named() {
    let world = World::new();
    let (origin, work) = pair(&world);
    let content = noise(1, 300_000);
    work.write("right.bin", &content);
    work.commit("First");
    let right = pointer(&content);
    // One byte less, more than any disk has, and as much as a lob may have.
    let sizes = ["299999", "1099511627776", "17592186044416"];
    for size in sizes {
        store(
            &work,
            &format!("{size}.bin"),
            &right.replace("300000", size),
        );
    }
    work.git(&["commit", "-q", "-m", "Wrong"]);
    let way = "hint: the pointer is wrong, not the lob: make its last line `size 300000`";
    let said = work.try_git(&["push", "-q", "origin", "main"]).fails(1);
    says(
        &said,
        &["3 of the lobs", "wrong size; the lob has 300000 bytes", way],
    );
    assert_eq!(origin.git(&["for-each-ref"]), "");
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    work.lob(&["sync", "--mode", "complete", "--push"]);

    // Where one pointer is right, and where all are wrong.
    work.git(&["rm", "-q", "right.bin"]);
    work.git(&["commit", "-q", "-m", "Only wrong ones"]);
    work.git(&["push", "-q", "--no-verify", "origin", "HEAD:wrong"]);
    for (branch, name) in [("wrong", "lost"), ("main", "clone")] {
        let mut git = world.command("git");
        git.args(["clone", "-q", "-b", branch, "origin.git", name]);
        let said = run(&mut git, b"").ok_stderr();
        for size in sizes {
            let why =
                format!("({size}.bin): the pointer says {size} bytes, but the lob has 300000");
            says(&said, &[&why]);
        }
        assert_eq!(said.matches(way).count(), 1, "{said}");
    }
    let clone = world.repo("clone");
    clone.assert_clean();
    assert_eq!(clone.read("right.bin"), content);
    for verb in [&["checkout"][..], &["pull"], &["sync", "--mode", "fixup"]] {
        let said = clone.try_lob(verb).fails(3);
        says(&said, &["299999.bin: the pointer says 299999 bytes", way]);
    }
    clone.assert_clean();
    // The way out.
    clone.write("299999.bin", &right);
    clone.commit("Right");
    fs::remove_file(clone.path().join("299999.bin")).unwrap();
    clone.git(&["checkout", "-q", "299999.bin"]);
    assert_eq!(clone.read("299999.bin"), content);
}

/// What is over all limits is no pointer but content, and is kept as such.
#[test]
fn text_that_is_nearly_a_pointer_is_content() {
    let world = World::new();
    let (_, work) = pair(&world);
    let right = pointer(b"content");
    for (n, text) in [
        right.replace("size 7", "size 0"),
        right.replace("size 7", "size 07"),
        right.replace("size 7", "size 17592186044417"),
        right.replace("size 7", "size 99999999999999999999999"),
        right.replace("blake3:", "blake3:0"),
        right.replace('\n', "\r\n"),
        format!("{right}\n"),
        format!("{right}{right}"),
        right[..right.len() - 1].to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let path = format!("{n}.bin");
        work.write(&path, text);
        work.commit("Text");
        assert_eq!(
            work.stored(&format!("HEAD:{path}")),
            pointer(text.as_bytes()).as_bytes()
        );
        fs::remove_file(work.path().join(&path)).unwrap();
        work.git(&["checkout", "-q", "."]);
        assert_eq!(work.read(&path), text.as_bytes());
    }
}

#[test]
fn the_one_shot_smudge_names_what_it_was_given() {
    let world = World::new();
    let (_, work) = pair(&world);
    let lost = pointer(b"lost");
    let smudge = |args: &[&str]| {
        let done = run(
            work.command("lob").arg("smudge").args(args),
            lost.as_bytes(),
        );
        assert_eq!(done.stdout, lost.as_bytes());
        done.ok_stderr()
    };
    says(
        &smudge(&[]),
        &["no content for 1 file (stdin): no remote has it"],
    );
    says(
        &smudge(&["--", "-a.bin"]),
        &["no content for 1 file (-a.bin): no remote has it"],
    );
}
