//! Names that are no words: spaces, newlines, bytes that are no text, dashes that look like options.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::*;

const NAMES: [&[u8]; 9] = [
    b"with space/a b.bin",
    b"new\nline/x\ny.bin",
    b"-n.bin",
    b"--force/--output=x.bin",
    b"\xff\xfe.bin",
    b"esc\x1b[31m.bin",
    b"\"quote\\.bin",
    b"tab\t.bin",
    b":(top).bin",
];

fn content(n: usize) -> Vec<u8> {
    noise(n as u64, 1000 + n)
}

fn path(repo: &Repo, name: &[u8]) -> std::path::PathBuf {
    repo.path().join(OsStr::from_bytes(name))
}

#[track_caller]
fn assert_all(repo: &Repo) {
    for (n, name) in NAMES.iter().enumerate() {
        let found = fs::read(path(repo, name)).unwrap();
        assert!(found == content(n), "{}", name.escape_ascii());
    }
    repo.assert_clean();
}

#[test]
fn names_of_all_kinds_are_added_pushed_cloned_listed_and_filled() {
    let world = World::new();
    let (_, work) = world.pair();
    work.track(&["*.bin"]);
    for (n, name) in NAMES.iter().enumerate() {
        let file = path(&work, name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content(n)).unwrap();
    }
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    assert_all(&clone_with(&world, &["-c", "lob.populate=false"], "by-git"));
    assert_all(&clone_with(&world, &["-c", "lob.populate=1"], "by-lob"));
    let clone = clone_with(&world, &["-c", "lob.smudge=pointer"], "clone");
    let listed = clone.try_lob(&["ls-files", "-z", "--missing"]).stdout;
    for name in NAMES {
        let entry = [b"\t", name, b"\0"].concat();
        let found = listed.windows(entry.len()).any(|part| part == entry);
        assert!(found, "{}", name.escape_ascii());
    }
    let said = clone.try_lob(&["pull"]).ok_stderr();
    assert!(!said.contains('\x1b'), "{said}");
    assert_all(&clone);
    // As a user names them.
    let mut lob = clone.command("lob");
    lob.env("GIT_LITERAL_PATHSPECS", "1")
        .args(["checkout", "--"]);
    for name in NAMES {
        fs::remove_file(path(&clone, name)).unwrap();
        lob.arg(OsStr::from_bytes(name));
    }
    run(&mut lob, b"").ok();
    assert_all(&clone);
}
