//! What runs no filter and touches no remote, as there is nothing to do.

use std::time::{Duration, SystemTime};

use super::*;

const COUNT: u64 = 300;

/// A bare repository, and one with many lobs in three commits, whose files are a day old: what git
/// finds in the same second as its index it reads again, whatever filter there is.
fn many(world: &World) -> (Repo, Repo) {
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    let day = SystemTime::now() - Duration::from_secs(86_400);
    for n in 0..COUNT {
        let path = format!("dir{}/{n}.bin", n % 7);
        work.write(&path, noise(n, 2000));
        let file = fs::File::options()
            .write(true)
            .open(work.path().join(&path));
        file.unwrap().set_modified(day).unwrap();
        if n % (COUNT / 3) == 0 {
            work.commit("Some of them");
        }
    }
    work.commit("All of them");
    (origin, work)
}

#[test]
fn git_cleans_nothing_again_that_was_added_and_committed() {
    let world = World::new();
    let (_, work) = many(&world);
    let starts = Starts::count_in(&world);
    for _ in 0..2 {
        work.assert_clean();
        assert_eq!(work.git(&["diff", "HEAD"]), "");
    }
    work.git(&["add", "-A"]);
    work.git(&["commit", "-q", "--allow-empty", "-m", "Nothing"]);
    assert_eq!(starts.take(), 0);
}

#[test]
fn git_cleans_nothing_in_a_fresh_clone() {
    for populate in ["false", "1"] {
        let world = World::new();
        let (origin, work) = many(&world);
        work.git(&["push", "-q", "origin", "main"]);
        let set = ["config", "--global", "lob.populate", populate];
        world.ok(world.command("git").args(set));
        let starts = Starts::count_in(&world);
        let clone = world.clone_of(&origin, "clone");
        assert_eq!(starts.take(), 1, "one filter for the whole checkout");
        assert!(clone.read("dir1/1.bin") == noise(1, 2000));
        // As if the checkout had taken until a later second: git trusts what the index says then.
        let index = clone.path().join(".git/index");
        let index = fs::File::options().write(true).open(index).unwrap();
        index
            .set_modified(SystemTime::now() + Duration::from_secs(2))
            .unwrap();
        for _ in 0..2 {
            clone.assert_clean();
            assert_eq!(clone.git(&["diff", "HEAD"]), "");
        }
        assert_eq!(starts.take(), 0, "populate {populate}");
    }
}

#[test]
fn a_push_with_nothing_to_send_touches_no_remote() {
    let world = World::new();
    let (origin, work) = many(&world);
    work.git(&["push", "-q", "origin", "main"]);
    work.git(&["branch", "old", "HEAD~1"]);
    work.git(&["tag", "-a", "-m", "x", "v1", "HEAD~2"]);
    work.git(&["mv", "dir1", "moved"]);
    work.write("text", "no lob");
    work.git(&["add", "text"]);
    work.git(&["commit", "-q", "-m", "Moved"]);
    let (here, aside) = (origin.path().join("lob"), origin.path().join("aside"));
    fs::rename(&here, &aside).unwrap();
    let push = [
        "push",
        "-q",
        "origin",
        "main",
        "old",
        "v1",
        "main:refs/heads/again",
    ];
    assert_eq!(work.try_git(&push).ok_stderr(), "");
    work.git(&["push", "-q", "origin", ":old"]);
    assert!(!here.exists(), "nothing was made there");
    work.write("new.bin", noise(COUNT, 2000));
    work.git(&["add", "."]);
    work.git(&["commit", "-q", "-m", "One more"]);
    work.try_git(&["push", "-q", "origin", "main"]).fails(1);
    fs::rename(&aside, &here).unwrap();
    let said = work.try_git(&["push", "origin", "main"]).ok_stderr();
    assert!(said.contains("pushed 1 lob, 2.0 kB"), "{said}");
}

/// How often git was asked for patience about a file, by what it writes of its packets.
fn delays(trace: &std::path::Path) -> usize {
    let text = fs::read_to_string(trace).unwrap_or_default();
    fs::remove_file(trace).ok();
    assert!(text.contains("command=smudge"), "nothing was traced");
    text.matches("< status=delayed").count()
}

#[test]
fn git_asks_once_for_each_file_of_a_clone_and_twice_where_few_are_new() {
    let world = World::new();
    let (origin, work) = many(&world);
    work.git(&["push", "-q", "origin", "main"]);
    let trace = world.path().join("trace");
    let traced = |dir: &std::path::Path, args: &[&str]| {
        let mut git = world.command("git");
        world.ok(git
            .current_dir(dir)
            .args(args)
            .env("GIT_TRACE_PACKET", &trace));
    };
    let from = origin.path().to_str().expect("UTF-8");
    traced(world.path(), &["clone", "-q", from, "clone"]);
    assert_eq!(delays(&trace), 0);
    let clone = world.repo("clone");
    clone.assert_clean();
    assert!(clone.read("dir1/1.bin") == noise(1, 2000));
    work.git(&["switch", "-q", "-c", "more"]);
    for n in 0..3 {
        work.write(&format!("new{n}.bin"), noise(1000 + n, 2000));
    }
    work.commit("More");
    work.git(&["push", "-q", "origin", "more"]);
    clone.git(&["fetch", "-q"]);
    traced(clone.path(), &["switch", "-q", "more"]);
    assert_eq!(delays(&trace), 3, "they are fetched together");
    clone.assert_clean();
}
