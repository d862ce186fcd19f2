//! Windows over histories with fixed dates.

use lob_store::LobId;

use super::*;
use crate::git::Pointer;
use crate::git::fixture::Fixture;

/// Some day at noon.
const NOW: i64 = 1_700_000_000;

fn pointer(text: &str) -> Pointer {
    Pointer::Lob {
        id: LobId::of(text.as_bytes()),
        size: text.len() as u64,
    }
}

/// A history whose commits are dated by days before now.
struct History {
    fixture: Fixture,
    texts: Vec<String>,
}

impl History {
    fn new() -> History {
        History {
            fixture: Fixture::new(),
            texts: Vec::new(),
        }
    }

    fn dated(&self, days_ago: i64) -> crate::git::Git {
        let date = format!("{} +0000", NOW - days_ago * DAY);
        self.fixture
            .git()
            .clone()
            .with_env("GIT_COMMITTER_DATE", date)
    }

    /// Commits pointers with these texts at these paths.
    fn commit(&mut self, days_ago: i64, files: &[(&str, &str)]) {
        for (path, text) in files {
            self.fixture.write(path, pointer(text).print());
            self.texts.push(text.to_string());
        }
        let git = self.dated(days_ago);
        git.output(["add", "-A"]).expect("git succeeds");
        git.output(["commit", "-q", "--allow-empty", "-m", "x"])
            .expect("git succeeds");
    }

    fn run(&self, args: &[&str]) {
        self.fixture.run(args);
    }

    /// The texts of what is needed, in the order in which it is found.
    fn recent(&self, refs_days: u32, head_days: u32, other_days: u32) -> Vec<&str> {
        let repo = self.fixture.repo();
        let window = Window {
            refs_days,
            head_days,
            other_days,
        };
        let mut all = Vec::new();
        let mut seen = Seen::open(&repo);
        let each = |found: Found| all.push(found.pointer);
        recent(&repo, &mut seen, &window, NOW, each).expect("it is a repository");
        let text = |found| self.texts.iter().find(|text| pointer(text) == found);
        all.into_iter()
            .map(|found| text(found).expect("it was committed").as_str())
            .collect()
    }
}

/// One file in a version every two days, and one that never changes.
fn line() -> History {
    let mut history = History::new();
    history.commit(400, &[("still", "still"), ("file", "v0")]);
    for (days_ago, text) in [(8, "v8"), (6, "v6"), (4, "v4"), (2, "v2")] {
        history.commit(days_ago, &[("file", text)]);
    }
    history
}

#[test]
fn no_days_are_the_files_of_head() {
    assert_eq!(line().recent(0, 0, 0), ["v2", "still"]);
    let empty = History::new();
    assert_eq!(empty.recent(30, 7, 7), [""; 0]);
}

#[test]
fn days_are_those_of_any_checkout_within_them() {
    let history = line();
    // HEAD is of day 2, so three days reach to day 5, when v6 was checked out.
    assert_eq!(history.recent(0, 3, 0), ["v2", "still", "v4", "v6"]);
    assert_eq!(history.recent(0, 4, 0), ["v2", "still", "v4", "v6", "v8"]);
    let all = ["v2", "still", "v4", "v6", "v8", "v0"];
    assert_eq!(history.recent(0, 7, 0), all);
    assert_eq!(history.recent(0, 4_000_000, 0), all);
}

#[test]
fn other_refs_come_after_head_newest_first() {
    let mut history = line();
    for (days_ago, kind, text) in [(20, "old", "old"), (3, "young", "young"), (9, "tag", "tag")] {
        history.run(&["checkout", "-q", "-b", kind, "main~4"]);
        history.commit(days_ago, &[("file", text)]);
    }
    history.run(&["tag", "-a", "-m", "x", "release"]);
    history.run(&["update-ref", "refs/remotes/origin/far", "old"]);
    history.run(&["checkout", "-q", "main"]);
    history.run(&["branch", "-q", "-D", "tag", "old"]);
    assert_eq!(history.recent(0, 0, 0), ["v2", "still"]);
    assert_eq!(history.recent(5, 0, 0), ["v2", "still", "young"]);
    assert_eq!(history.recent(9, 0, 0), ["v2", "still", "young", "tag"]);
    let all = ["v2", "still", "young", "tag", "old"];
    assert_eq!(history.recent(30, 0, 0), all);
    // Each of them replaced v0, which was checked out before.
    let deep = ["v2", "still", "young", "v0", "tag", "old"];
    assert_eq!(history.recent(30, 0, 1), deep);
    history.run(&["checkout", "-q", "--detach", "origin/far"]);
    assert_eq!(history.recent(0, 0, 0), ["old", "still"]);
    assert_eq!(history.recent(5, 0, 0), ["old", "still", "v2", "young"]);
}

#[test]
fn both_sides_of_a_merge_are_needed() {
    let mut history = History::new();
    history.commit(30, &[("a", "a0"), ("b", "b0")]);
    history.run(&["checkout", "-q", "-b", "side"]);
    history.commit(4, &[("a", "a1")]);
    history.run(&["checkout", "-q", "main"]);
    history.commit(20, &[("b", "b1")]);
    let merge = ["merge", "-q", "--no-ff", "-m", "x", "side"];
    history.dated(3).output(merge).unwrap();
    history.run(&["branch", "-q", "-D", "side"]);
    // What main held (a0, b1), and side within the window (a1, b0), were checkouts.
    assert_eq!(history.recent(0, 7, 0), ["a1", "b1", "b0", "a0"]);
    let mut old = History::new();
    old.commit(30, &[("a", "a0"), ("b", "b0")]);
    old.run(&["checkout", "-q", "-b", "side"]);
    old.commit(25, &[("a", "a1")]);
    old.run(&["checkout", "-q", "main"]);
    old.commit(20, &[("b", "b1")]);
    old.dated(3).output(merge).unwrap();
    old.run(&["branch", "-q", "-D", "side"]);
    // The side branch ended before the window: b0 with it.
    assert_eq!(old.recent(0, 7, 0), ["a1", "b1", "a0"]);
}

#[test]
fn a_wider_window_goes_on_where_a_narrow_one_ended() {
    let mut history = line();
    history.run(&["branch", "other"]);
    history.run(&["checkout", "-q", "-b", "top"]);
    history.commit(1, &[("file", "v1")]);
    // HEAD goes back one day, the branch beneath it to the beginning.
    let all = ["v1", "still", "v2", "v4", "v6", "v8", "v0"];
    assert_eq!(history.recent(30, 1, 10), all);
    assert_eq!(history.recent(30, 10, 1), all);
}

#[test]
fn a_shallow_clone_ends_where_it_was_cut() {
    let history = line();
    let url = format!("file://{}", history.fixture.path().display());
    let clone = Fixture::with(&["clone", "-q", "--depth=2", &url, "."]);
    let shallow = History {
        fixture: clone,
        texts: history.texts.clone(),
    };
    assert_eq!(shallow.recent(30, 30, 30), ["v2", "still", "v4"]);
}

#[test]
fn a_clone_without_trees_gives_what_it_has() {
    let history = line();
    history.run(&["config", "uploadpack.allowFilter", "true"]);
    history.run(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let url = format!("file://{}", history.fixture.path().display());
    let clone = Fixture::with(&["clone", "-q", "--filter=tree:0", &url, "."]);
    let treeless = History {
        fixture: clone,
        texts: history.texts.clone(),
    };
    assert_eq!(treeless.recent(30, 30, 30), ["v2", "still"]);
}
