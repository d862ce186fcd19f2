//! Disks that are full.

use std::fs;

use super::{pair, says};
use crate::support::{World, mounting, noise, pointer, run};

#[test]
fn an_add_that_does_not_fit_says_so_and_works_when_there_is_room() {
    let world = World::new();
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    repo.write("old.bin", noise(1, 200_000));
    repo.write("large.bin", noise(2, 4_000_000));
    repo.write("later.bin", noise(3, 500_000));
    let script = "
        mkdir .git/lob && mount -t tmpfs -o size=1500k none .git/lob
        git add old.bin && git commit -qm Old
        ! git add large.bin 2>said
        git status --porcelain old.bin large.bin >status
        rm old.bin && git checkout -q old.bin && cp old.bin old
        git add later.bin
        mount -o remount,size=10m .git/lob
        git add large.bin && git commit -qm Large
        rm large.bin later.bin && git checkout -q .
        ls .git/lob/stage >stages";
    let Some(done) = mounting(&repo, script) else {
        return;
    };
    done.ok();
    let said = String::from_utf8(repo.read("said")).unwrap();
    says(
        &said,
        &[
            "lob: warning: large.bin: ",
            "No space left on device",
            "hint: make room on that disk, then run the same command again",
        ],
    );
    assert_eq!(repo.read("status"), b"?? large.bin\n");
    assert_eq!(repo.read("old"), noise(1, 200_000), "reading needs no room");
    assert_eq!(repo.read("large.bin"), noise(2, 4_000_000));
    assert_eq!(repo.read("later.bin"), noise(3, 500_000));
    assert_eq!(repo.read("stages"), b"", "nothing takes up room for ever");
}

/// P2: what was acknowledged before the disk was full is kept, though git itself gave up.
#[test]
fn p2_what_was_added_before_the_disk_was_full_is_kept() {
    let world = World::new();
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    repo.write("a.bin", noise(1, 300_000));
    repo.write("b.bin", noise(2, 4_000_000));
    repo.write(".git/pointer", pointer(&noise(1, 300_000)));
    let script = "
        mkdir .git/lob && mount -t tmpfs -o size=1500k none .git/lob
        ! git add . 2>said
        mount -o remount,size=10m .git/lob
        lob smudge <.git/pointer >a && ls .git/lob/stage >stages";
    let Some(done) = mounting(&repo, script) else {
        return;
    };
    done.ok();
    let said = String::from_utf8(repo.read("said")).unwrap();
    says(&said, &["lob: warning: b.bin: ", "No space left on device"]);
    assert_eq!(repo.read("a"), noise(1, 300_000));
    assert_eq!(repo.read("stages"), b"");
}

#[test]
fn a_push_to_a_full_disk_moves_no_ref_and_works_when_there_is_room() {
    let world = World::new();
    let (origin, work) = pair(&world);
    work.write("a.bin", noise(1, 3_000_000));
    work.commit("First");
    let script = "
        mkdir ../origin.git/lob && mount -t tmpfs -o size=2m none ../origin.git/lob
        ! git push -q origin main 2>../said
        git -C ../origin.git for-each-ref >../refs
        mount -o remount,size=100m ../origin.git/lob
        git push -q origin main && git clone -q ../origin.git ../clone";
    let Some(done) = mounting(&work, script) else {
        return;
    };
    done.ok();
    let said = fs::read_to_string(world.path().join("said")).unwrap();
    says(
        &said,
        &[
            "lob: error: the push to origin was stopped",
            "not enough room at ",
            "origin.git/lob: ",
            "hint: make room there",
        ],
    );
    assert_eq!(fs::read(world.path().join("refs")).unwrap(), b"");
    assert_eq!(world.repo("clone").read("a.bin"), noise(1, 3_000_000));
    assert!(origin.path().join("refs/heads/main").exists());
}

/// P2: git has pointers by then, and the system will not say that their content is on the disk.
#[test]
fn p2_what_cannot_be_synced_is_named_and_can_be_added_again() {
    let world = World::new();
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    for (n, name) in (1..).zip(["first.bin", "a.bin", "b.bin"]) {
        repo.write(name, noise(n, 300_000));
    }
    repo.git(&["add", "first.bin"]);
    let traced = |words: &str| {
        let script = format!("strace -f -qq -o calls -e trace=fsync,fdatasync {words}");
        run(repo.command("sh").args(["-c", &script]), b"")
    };
    if !traced("true").success {
        eprintln!("nothing can be traced here: skipped");
        return;
    }
    let ran = traced("-e inject=fsync,fdatasync:error=EIO git add a.bin b.bin");
    assert!(String::from_utf8_lossy(&repo.read("calls")).contains("(INJECTED)"));
    says(
        &ran.stderr,
        &[
            "lob: error: the content of ",
            " files (a.bin, b.bin",
            " is not safe on disk",
            "Input/output error",
            "hint: the disk failed: see to it, then run `git add --renormalize` on these files",
        ],
    );
    repo.git(&["add", "--renormalize", "a.bin", "b.bin"]);
    repo.git(&["commit", "-qm", "All"]);
    repo.lob(&["fsck", "--deep"]);
    repo.command("rm")
        .args(["a.bin", "b.bin"])
        .status()
        .unwrap();
    repo.git(&["checkout", "-q", "."]);
    assert_eq!(repo.read("b.bin"), noise(3, 300_000));
}

/// P12: a work tree without room keeps its pointers.
#[test]
fn p12_a_checkout_to_a_full_disk_leaves_pointers_that_fixup_replaces() {
    let world = World::new();
    let (_, work) = pair(&world);
    work.write("a.bin", noise(1, 3_000_000));
    work.write("b.bin", noise(2, 1000));
    work.commit("First");
    let script = "
        mkdir ../small && mount -t tmpfs -o size=1m none ../small
        export GIT_DIR=$PWD/.git GIT_WORK_TREE=$PWD/../small
        cd ../small && git -c lob.populate=1 checkout -q -f . 2>../said
        head -c 17 a.bin >../head && cp b.bin ..
        git status --porcelain >../status
        ls -A >../files
        mount -o remount,size=10m . && lob sync --mode fixup
        git status --porcelain >>../status
        cp a.bin ..";
    let Some(done) = mounting(&work, script) else {
        return;
    };
    done.ok();
    let read = |name: &str| fs::read(world.path().join(name)).unwrap();
    says(
        &String::from_utf8(read("said")).unwrap(),
        &[
            "no content for 1 file (a.bin): it has no room in the work tree, where 0 MiB were free",
            "hint: make room on the disk of the work tree",
            "hint: pointers are in place; `lob sync --mode fixup` fills them",
        ],
    );
    assert_eq!(read("head"), b"version git-lob/2");
    assert_eq!(read("files"), b".gitattributes\na.bin\nb.bin\n");
    assert_eq!(read("status"), b"", "git sees no change");
    assert_eq!(read("a.bin"), noise(1, 3_000_000));
    assert_eq!(read("b.bin"), noise(2, 1000));
}
