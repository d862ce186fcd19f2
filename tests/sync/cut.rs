//! Runs that are killed, and runs that meet.

use super::modes::wait_for;
use super::*;

/// Bytes of the files beneath a directory in which a process is at work: what it moves away while they
/// are counted is not counted.
fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| match entry.metadata().ok()? {
        meta if meta.is_dir() => Some(size(&entry.path())),
        meta => Some(meta.len()),
    });
    sizes.sum()
}

/// Starts lob, kills it once so many bytes are beneath `dir`, and waits for its end.
fn kill_at(repo: &Repo, args: &[&str], dir: &Path, bytes: u64) {
    let mut command = repo.command("lob");
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for(|| {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended before it could be killed");
        (size(dir) >= bytes).then_some(())
    });
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn p6_a_push_that_was_killed_is_finished_by_the_same_command() {
    let (_world, origin, work) = pair();
    let content = noise(7, 48 << 20);
    let lob = keep(&work, "big.bin", &content);
    work.commit("first");
    let far = origin.path().join("lob");
    kill_at(
        &work,
        &["push", "--bwlimit", "24M"],
        &far.join("stage"),
        16 << 20,
    );
    assert!(!holds(&remote_store(&origin), lob), "half a lob is none");
    let done = work.lob(&["--json", "push"]);
    let summary = events(&done, "summary").remove(0);
    let moved = summary["bytes"].as_u64().unwrap();
    assert!(
        moved <= 33 << 20,
        "what had arrived is not sent again: {summary}"
    );
    let mut arrived = Vec::new();
    let store = remote_store(&origin);
    store.write_to(&lob.id, &mut arrived, &()).unwrap();
    assert_eq!(arrived, content);
}

#[test]
fn p6_a_fetch_that_was_killed_is_finished_by_the_same_command() {
    let (world, origin, work) = pair();
    let content = noise(8, 48 << 20);
    keep(&work, "big.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    let stage = clone.path().join(".git/lob/stage");
    kill_at(&clone, &["pull", "--bwlimit", "24M"], &stage, 16 << 20);
    assert!(clone.read("big.bin").starts_with(b"version git-lob/2\n"));
    let done = clone.lob(&["--json", "pull"]);
    let summary = events(&done, "summary").remove(0);
    assert!(summary["bytes"].as_u64().unwrap() <= 33 << 20, "{summary}");
    assert_eq!(clone.read("big.bin"), content);
}

#[test]
fn the_second_of_two_runs_waits_and_then_has_nothing_to_do() {
    let (_world, origin, work) = pair();
    let lob = keep(&work, "a.bin", &noise(9, 100_000));
    work.commit("first");
    work.lob(&["push"]);
    let id = remote_store(&origin).id();
    let lock = work.path().join(format!(".git/lob/state/sync-{id}.lock"));
    let held = fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    keep(&work, "b.bin", b"more");
    work.commit("second");
    let mut command = work.command("lob");
    command.args(["push"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, "another lob sync runs; waiting for it\n");
    assert!(child.try_wait().unwrap().is_none());
    drop(held);
    assert!(child.wait().unwrap().success());
    assert!(holds(&remote_store(&origin), lob));
}
