//! Files that may not be as long as they need to be: as a full disk, on every machine and for every
//! user. The limit is one of the shell's blocks, of 512 or 1024 bytes.

use super::{pair, says, shell};
use crate::support::{World, noise};

const LIMIT: &str = "ulimit -f 1000; ";

#[test]
fn an_add_over_the_limit_says_so_and_works_without_it() {
    let world = World::new();
    let (_, work) = pair(&world);
    work.write("a.bin", noise(1, 4_000_000));
    let said = shell(&work, &format!("{LIMIT} git add a.bin")).fails(128);
    says(
        &said,
        &[
            "lob: warning: a.bin: ",
            ".git/lob/stage/",
            "File too large",
            "hint: raise the limit on the size of files",
        ],
    );
    assert!(!work.path().join(".git/index.lock").exists());
    work.commit("First");
    std::fs::remove_file(work.path().join("a.bin")).unwrap();
    work.git(&["checkout", "-q", "."]);
    assert_eq!(work.read("a.bin"), noise(1, 4_000_000));
    work.assert_clean();
}

#[test]
fn a_push_over_the_limit_moves_no_ref_and_works_without_it() {
    let world = World::new();
    let (origin, work) = pair(&world);
    work.write("a.bin", noise(1, 4_000_000));
    work.commit("First");
    let said = shell(&work, &format!("{LIMIT} git push -q origin main")).fails(1);
    says(
        &said,
        &[
            "lob: error: the push to origin was stopped",
            "origin.git/lob/stage/",
            "File too large",
            "hint: raise the limit on the size of files",
        ],
    );
    assert_eq!(origin.git(&["for-each-ref"]), "");
    work.git(&["push", "-q", "origin", "main"]);
    let stages = std::fs::read_dir(origin.path().join("lob/stage")).unwrap();
    assert_eq!(stages.count(), 0);
    let clone = world.clone_of(&origin, "clone");
    assert_eq!(clone.read("a.bin"), noise(1, 4_000_000));
}

/// P12: neither a store nor a work tree that can't take the content stops a checkout.
#[test]
fn p12_a_checkout_over_the_limit_leaves_pointers_that_fixup_replaces() {
    let world = World::new();
    let (_, work) = pair(&world);
    work.write("a.bin", noise(1, 4_000_000));
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = format!("{LIMIT} cd ..; git clone -q origin.git clone");
    let said = shell(&work, &clone).ok_stderr();
    says(
        &said,
        &[
            "fetching from origin failed: ",
            "clone/.git/lob/stage/",
            "File too large",
            "no content for 1 file (a.bin): it can't be had now",
            "hint: raise the limit on the size of files",
        ],
    );
    let clone = world.repo("clone");
    clone.assert_clean();
    clone.lob(&["fetch"]);
    let said = shell(&clone, &format!("{LIMIT} lob sync --mode fixup")).fails(3);
    says(&said, &["a.bin: ", "File too large"]);
    assert!(clone.read("a.bin").starts_with(b"version git-lob/2\n"));
    clone.assert_clean();
    clone.lob(&["sync", "--mode", "fixup"]);
    assert_eq!(clone.read("a.bin"), noise(1, 4_000_000));
    clone.assert_clean();
}
