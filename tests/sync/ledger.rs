//! What is known to be there is not asked for again.

use super::*;

/// Takes the remote's store away, so that touching it would be noticed.
fn without_remote<T>(origin: &Repo, work: impl FnOnce() -> T) -> T {
    let (here, aside) = (origin.path().join("lob"), origin.path().join("aside"));
    fs::rename(&here, &aside).unwrap();
    let done = work();
    assert!(!here.exists());
    fs::rename(&aside, &here).unwrap();
    done
}

fn hook(repo: &Repo, reference: &str) -> crate::support::Run {
    let oid = repo.git(&["rev-parse", reference]);
    let zeros = "0".repeat(40);
    let line = format!("refs/heads/x {} refs/heads/x {zeros}\n", oid.trim_end());
    let mut command = repo.command("lob");
    command.args(["hook", "pre-push", "origin"]);
    command.arg(repo.git(&["remote", "get-url", "origin"]).trim_end());
    run(&mut command, line.as_bytes())
}

#[test]
fn a_push_of_what_is_known_to_be_there_does_not_touch_the_remote() {
    let (_world, origin, work) = pair();
    keep(&work, "a.bin", b"content");
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    work.git(&["branch", "another"]);
    work.git(&["tag", "-a", "-m", "x", "v1"]);
    work.write("readme", "no lob");
    work.commit("second");
    without_remote(&origin, || {
        for reference in ["main", "another", "v1"] {
            let done = hook(&work, reference);
            assert_eq!(done.stderr, "", "{reference}");
            assert!(done.success);
        }
        let said = work.try_lob(&["push"]).ok_stderr();
        assert_eq!(said, "nothing to push to origin\n");
        work.git(&["push", "-q", "origin", "another", "v1", "main"]);
    });
    keep(&work, "b.bin", b"more");
    work.commit("third");
    let said = without_remote(&origin, || hook(&work, "main").fails(1));
    assert!(said.contains("the push to origin was stopped"), "{said}");
    assert!(hook(&work, "main").success);
}

#[test]
fn a_new_clone_learns_with_one_push_what_is_there() {
    let (world, origin, work) = pair();
    keep(&work, "a.bin", b"content");
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    // The lobs of the history are not here, and need not be: the remote has them.
    assert!(hook(&clone, "main").success);
    without_remote(&origin, || assert!(hook(&clone, "main").success));
}

#[test]
fn a_store_that_was_reset_gets_everything_again() {
    let (world, origin, work) = pair();
    let old = keep(&work, "a.bin", b"content");
    work.commit("first");
    let far = origin.path().join("lob");
    fs::create_dir(&far).unwrap();
    let empty = store(&far);
    let backup = world.path().join("backup");
    copy(&far, &backup);
    drop(empty);
    work.git(&["push", "-q", "origin", "main"]);
    assert!(holds(&store(&far), old));
    // Restored from a backup: the same store at an earlier time.
    fs::remove_dir_all(&far).unwrap();
    copy(&backup, &far);
    let new = keep(&work, "b.bin", b"more");
    work.commit("second");
    work.lob(&["push"]);
    let far = store(&far);
    assert!(holds(&far, new) && holds(&far, old));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_push_of_lobs_that_nobody_has_is_stopped_until_they_are_found() {
    let (world, origin, work) = pair();
    let lost = LobInfo {
        id: LobId::of(b"lost"),
        size: 4,
    };
    work.write("lost.bin", pointer(lost));
    let kept = keep(&work, "kept.bin", b"content");
    work.commit("first");
    let said = work.try_git(&["push", "-q", "origin", "main"]).fails(1);
    assert!(said.contains("1 of the lobs"), "{said}");
    assert!(
        said.contains("\"lost.bin\": neither here nor there"),
        "{said}"
    );
    assert!(said.contains("git push --no-verify"), "{said}");
    assert_eq!(origin.git(&["for-each-ref"]), "", "no ref went");
    // On its own account lob sends what there is, and says what is missing.
    let said = work.try_lob(&["push"]).fails(3);
    assert!(said.contains("lost.bin: neither here nor there"), "{said}");
    assert!(holds(&remote_store(&origin), kept));
    // Nothing was written down as complete.
    let said = work.try_lob(&["push"]).fails(3);
    assert!(said.contains("lost.bin"), "{said}");
    // What went without it does not stop what comes later.
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    let later = keep(&work, "later.bin", b"later");
    work.commit("second");
    let said = work.try_git(&["push", "-q", "origin", "main"]).ok_stderr();
    assert!(said.contains("lost.bin: neither here nor there"), "{said}");
    assert!(holds(&remote_store(&origin), later));
    // Somebody else pushes it.
    let other = clone(&world, &origin, "other");
    add(&other, b"lost");
    other.lob(&["sync", "--mode", "complete", "--push"]);
    let said = work.try_lob(&["push"]).ok_stderr();
    assert_eq!(said, "nothing to push to origin\n");
}

#[test]
fn a_pointer_with_a_wrong_size_is_reported_by_both_ways() {
    let (world, origin, work) = pair();
    let lob = add(&work, b"content");
    let wrong = LobInfo {
        size: 1 << 40,
        ..lob
    };
    work.write("a.bin", pointer(wrong));
    work.commit("first");
    let said = work.try_lob(&["push"]).fails(3);
    assert!(
        said.contains("the pointer gives a wrong size; the lob has 7 bytes"),
        "{said}"
    );
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    work.lob(&["sync", "--mode", "complete", "--push"]);
    let clone = clone(&world, &origin, "clone");
    let said = clone.try_lob(&["pull"]).fails(3);
    assert!(said.contains("the pointer gives a wrong size"), "{said}");
    assert_eq!(clone.read("a.bin"), pointer(wrong).as_bytes());
}
