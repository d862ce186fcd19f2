//! Paths that lead out of the work tree.

use std::fs;
use std::os::unix::fs::symlink;

use sha1::{Digest, Sha1};

use super::{pair, says, wire};
use crate::support::{Repo, World, noise, pointer, run};

const CONTENT: usize = 3000;

/// A clone whose files are pointers, with their content in its store.
fn clone_of_pointers(world: &World) -> Repo {
    let (origin, work) = pair(world);
    work.write("a.bin", noise(1, CONTENT));
    work.write("dir/b.bin", noise(1, CONTENT));
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = world.path().join("clone");
    let mut git = world.command("git");
    git.env("LOB_SKIP_SMUDGE", "1").args(["clone", "-q"]);
    world.ok(git.arg(origin.path()).arg(&clone));
    let clone = world.repo("clone");
    clone.lob(&["fetch"]);
    clone
}

/// Renames a path in git's index behind git's back, which would not do it.
fn forge(repo: &Repo, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let index = repo.path().join(".git/index");
    let mut bytes = fs::read(&index).unwrap();
    bytes.truncate(bytes.len() - 20);
    let at = bytes
        .windows(from.len())
        .position(|part| part == from.as_bytes());
    bytes[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
    let sum = Sha1::digest(&bytes);
    bytes.extend_from_slice(&sum);
    fs::write(index, bytes).unwrap();
}

const OUTSIDE: [&str; 6] = [
    "../out/evil.bin",
    ".git/hooks/evil.bin",
    ".GIT/hooks/evil.bin",
    "dir/../../out/evil.bin",
    "dir/../evil.bin",
    "git~1/evil.bin",
];

/// P10: a pointer that lies where such a path leads is not replaced, whoever asks for it.
#[test]
fn p10_no_path_of_the_index_leads_out_of_the_work_tree() {
    let world = World::new();
    let clone = clone_of_pointers(&world);
    let text = pointer(&noise(1, CONTENT));
    let oid = clone.git(&["rev-parse", "HEAD:a.bin"]);
    let harmless = |n: usize| format!("{n}{}", "x".repeat(OUTSIDE[n].len() - 1));
    for (n, path) in OUTSIDE.iter().enumerate() {
        let entry = format!("100644,{},{}", oid.trim_end(), harmless(n));
        clone.git(&["update-index", "--add", "--cacheinfo", &entry]);
        clone.write(path, &text);
    }
    for (n, path) in OUTSIDE.iter().enumerate() {
        forge(&clone, &harmless(n), path);
    }
    for verb in [&["checkout"][..], &["pull"], &["sync", "--mode", "fixup"]] {
        clone.write("a.bin", &text);
        let said = clone.try_lob(verb).fails(3);
        assert_eq!(clone.read("a.bin"), noise(1, CONTENT), "others are filled");
        clone.lob(&["status"]);
        clone.lob(&["ls-files"]);
        for path in OUTSIDE {
            says(
                &said,
                &[&format!("{path}\" is no path that lob may write to")],
            );
            assert_eq!(clone.read(path), text.as_bytes(), "{path}");
        }
    }
}

/// P10: nor does one that the filter is told, which writes files when git has ended.
#[test]
fn p10_no_path_that_the_filter_is_told_leads_out_of_the_work_tree() {
    let world = World::new();
    let clone = clone_of_pointers(&world);
    clone.git(&["config", "lob.populate", "1"]);
    let text = pointer(&noise(1, CONTENT));
    let absolute = world.path().join("out/evil.bin");
    let outside = OUTSIDE.into_iter().chain(absolute.to_str());
    let mut session = wire::hello();
    for path in outside.clone().chain(["a.bin"]) {
        fs::create_dir_all(clone.path().join(path).parent().unwrap()).unwrap();
        fs::write(clone.path().join(path), &text).unwrap();
        session.extend(wire::request("smudge", path, text.as_bytes()));
    }
    let done = run(
        clone.command("lob").arg("filter-process"),
        &session.concat(),
    );
    let said = done.ok_stderr();
    for path in outside {
        let kept = fs::read(clone.path().join(path)).unwrap();
        assert_eq!(kept, text.as_bytes(), "{path}");
        says(&said, &[path]);
    }
    assert_eq!(clone.read("a.bin"), noise(1, CONTENT), "others are filled");
}

/// P10: a directory of the work tree, or a file, became a link since git wrote it.
#[test]
fn p10_links_are_not_followed_out_of_the_work_tree() {
    let world = World::new();
    let clone = clone_of_pointers(&world);
    let text = pointer(&noise(1, CONTENT));
    let out = world.path().join("out");
    fs::create_dir(&out).unwrap();
    for name in ["a.bin", "b.bin"] {
        fs::write(out.join(name), &text).unwrap();
    }
    fs::remove_dir_all(clone.path().join("dir")).unwrap();
    symlink(&out, clone.path().join("dir")).unwrap();
    fs::remove_file(clone.path().join("a.bin")).unwrap();
    symlink(out.join("a.bin"), clone.path().join("a.bin")).unwrap();
    for verb in [
        &["checkout"][..],
        &["checkout", "."],
        &["pull"],
        &["sync", "--mode", "fixup"],
        &["hook", "post-checkout", "0", "0", "1"],
    ] {
        clone.try_lob(verb);
        for name in ["a.bin", "b.bin"] {
            assert_eq!(
                fs::read(out.join(name)).unwrap(),
                text.as_bytes(),
                "{verb:?}"
            );
        }
    }
    let session = [
        wire::hello(),
        wire::request("smudge", "dir/b.bin", text.as_bytes()),
    ];
    clone.git(&["config", "lob.populate", "1"]);
    run(
        clone.command("lob").arg("filter-process"),
        &session.concat().concat(),
    );
    assert_eq!(fs::read(out.join("b.bin")).unwrap(), text.as_bytes());
}
