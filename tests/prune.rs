//! `lob prune` with real git: what stays, what goes, and that nothing goes which no remote holds.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use lob_store::LobId;
use serde_json::Value;

use crate::support::{Repo, World, mounting, noise, run};

/// Some content of its own for each name.
fn content(name: &str) -> Vec<u8> {
    let seed = name
        .bytes()
        .fold(7, |seed, byte| seed * 31 + u64::from(byte));
    noise(seed, 40_000)
}

/// Commits all that is in the work tree, as of so many days ago.
fn commit(repo: &Repo, message: &str, days_ago: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let date = format!("{} +0000", now.as_secs() - days_ago * 86_400);
    repo.git(&["add", "-A"]);
    let mut git = repo.command("git");
    git.args(["commit", "-q", "-m", message]);
    git.env("GIT_COMMITTER_DATE", &date)
        .env("GIT_AUTHOR_DATE", &date);
    run(&mut git, b"").ok();
}

/// Writes the next version of `a.bin` and commits it.
fn version(repo: &Repo, name: &str, days_ago: u64) {
    repo.write("a.bin", content(name));
    commit(repo, name, days_ago);
}

/// A repository with four versions of a file, all pushed. Of the last two, one is checked out and one
/// was until yesterday.
fn pushed() -> (World, Repo, Repo) {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    for (name, days_ago) in [("v1", 100), ("v2", 50), ("v3", 20), ("v4", 1)] {
        version(&work, name, days_ago);
    }
    push(&work);
    (world, origin, work)
}

fn push(work: &Repo) {
    work.git(&["push", "-q", "origin", "main"]);
}

/// What a run says of each lob: why it stays, or `drop`.
fn said(repo: &Repo, args: &[&str]) -> BTreeMap<String, String> {
    let words = [&["--json", "prune", "--grace", "0"], args].concat();
    let events = repo.lob(&words);
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lobs = events.filter(|event: &Value| event["event"] == "lob");
    let text = |value: &Value| value.as_str().unwrap().to_string();
    lobs.map(|lob| {
        let stays = lob["action"] == "keep";
        let why = if stays {
            text(&lob["reason"])
        } else {
            "drop".to_string()
        };
        (text(&lob["id"]), why)
    })
    .collect()
}

fn id(name: &str) -> String {
    LobId::of(&content(name)).to_string()
}

#[track_caller]
fn assert_said(repo: &Repo, expected: &[(&str, &str)]) {
    let found = said(repo, &["--dry-run"]);
    for (name, why) in expected {
        let found = found.get(&id(name)).map(String::as_str);
        assert_eq!(found, Some(*why), "{name}");
    }
}

fn packs(repo: &Repo) -> u64 {
    let files = fs::read_dir(repo.path().join(".git/lob/packs")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn p7_what_is_outside_the_window_goes_as_the_dry_run_says_and_comes_back() {
    let (_world, _origin, work) = pushed();
    let before = packs(&work);
    let dry = said(&work, &["--dry-run"]);
    let expected = [
        ("v1", "drop"),
        ("v2", "drop"),
        ("v3", "recent"),
        ("v4", "head"),
    ];
    assert_said(&work, &expected);
    assert_eq!(packs(&work), before, "a dry run changes nothing");
    assert_eq!(said(&work, &[]), dry, "the run does what the dry run said");
    assert!(packs(&work) < before - 80_000);
    let again = said(&work, &[]);
    assert_eq!(again.len(), 2, "{again:?}");
    // Git has the pointers still, and a checkout gets the content again.
    work.git(&["checkout", "-q", "HEAD~3"]);
    assert_eq!(work.read("a.bin"), content("v1"));
}

#[test]
fn p7_the_window_of_head_has_its_edge_where_git_lob_had_it() {
    let (_world, _origin, work) = pushed();
    // Until 19 days before HEAD's commit: what was checked out then was made 19 days before it, and
    // one day more needs the version before that.
    work.git(&["config", "lob.pruneCommitsHeadDays", "18"]);
    assert_said(&work, &[("v2", "drop"), ("v3", "recent")]);
    work.git(&["config", "lob.pruneCommitsHeadDays", "20"]);
    assert_said(&work, &[("v1", "drop"), ("v2", "recent"), ("v3", "recent")]);
    work.git(&["config", "lob.pruneCommitsHeadDays", "60"]);
    assert_said(&work, &[("v1", "recent")]);
    work.git(&["config", "--unset", "lob.pruneCommitsHeadDays"]);
    // Another branch counts for as long as it is recent.
    work.git(&["branch", "old", "HEAD~2"]);
    assert_said(&work, &[("v2", "drop")]);
    work.git(&["config", "lob.pruneRefsDays", "60"]);
    assert_said(&work, &[("v1", "drop"), ("v2", "recent")]);
}

#[test]
fn a_prune_window_shorter_than_the_fetch_window_is_refused() {
    let (_world, _origin, work) = pushed();
    work.git(&["config", "lob.pruneRefsDays", "1"]);
    let said = work.try_lob(&["prune", "--grace", "0"]).fails(1);
    assert!(
        said.contains("lob.pruneRefsDays") && said.contains("lob.fetchRefsDays"),
        "{said}"
    );
    assert!(said.contains("hint: "), "{said}");
}

#[test]
fn p7_the_index_stashes_and_what_only_a_reflog_leads_to_stay() {
    let (_world, _origin, work) = pushed();
    work.write("stashed.bin", content("stashed"));
    work.git(&["add", "-A"]);
    work.git(&["stash", "-q"]);
    work.write("older.bin", content("older stash"));
    work.git(&["stash", "-q", "-u"]);
    version(&work, "reset", 90);
    work.git(&["reset", "-q", "--hard", "HEAD~1"]);
    work.git(&["update-ref", "-d", "ORIG_HEAD"]);
    work.write("staged.bin", content("staged"));
    work.git(&["add", "-A"]);
    assert_said(
        &work,
        &[
            ("stashed", "stash"),
            ("older stash", "stash"),
            ("reset", "reflog"),
            ("staged", "index"),
            ("v1", "drop"),
        ],
    );
}

#[test]
fn p7_other_work_trees_and_their_indexes_stay() {
    let (world, _origin, work) = pushed();
    let other = world.path().join("other");
    let path = other.to_str().unwrap();
    work.git(&["worktree", "add", "-q", "--detach", path, "HEAD~3"]);
    let other = world.repo("other");
    other.write("b.bin", content("staged there"));
    other.git(&["add", "-A"]);
    let expected = [
        ("v1", "work-tree"),
        ("staged there", "work-tree"),
        ("v2", "drop"),
    ];
    assert_said(&work, &expected);
    // Seen from there it is the other way round.
    assert_said(
        &other,
        &[("v1", "head"), ("v4", "work-tree"), ("v2", "drop")],
    );
    // A work tree that is not mounted now needs what it has all the same.
    fs::rename(other.path(), world.path().join("moved")).unwrap();
    assert_said(&work, &expected);
}

#[test]
fn p7_commits_that_were_not_pushed_stay_however_old() {
    let (_world, origin, work) = pushed();
    work.git(&["checkout", "-q", "-b", "topic", "HEAD~3"]);
    version(&work, "local", 95);
    version(&work, "tip", 94);
    work.git(&["checkout", "-q", "main"]);
    assert_said(
        &work,
        &[("local", "unpushed"), ("tip", "unpushed"), ("v1", "drop")],
    );
    work.git(&["push", "-q", "origin", "topic"]);
    assert_said(&work, &[("local", "drop"), ("tip", "drop")]);
    // Git took the push, but the store has lost what came with it.
    fs::remove_dir_all(origin.path().join("lob/packs")).unwrap();
    fs::create_dir(origin.path().join("lob/packs")).unwrap();
    assert_said(
        &work,
        &[("local", "not-on-remote"), ("v1", "not-on-remote")],
    );
}

#[test]
fn p7_an_unfinished_rebase_and_a_bisect_keep_what_they_need() {
    let (_world, _origin, work) = pushed();
    let mut rebase = work.command("git");
    rebase.args(["rebase", "-q", "-i", "HEAD~3"]);
    rebase.env("GIT_SEQUENCE_EDITOR", "sed -i -e 1s/pick/edit/");
    run(&mut rebase, b"").ok();
    // It stands at v2, and goes on with v3 and v4.
    let expected = [("v2", "head"), ("v1", "recent"), ("v3", "unfinished")];
    assert_said(&work, &expected);
    assert_said(&work, &[("v4", "recent")]);
    for key in ["lob.fetchRefsDays", "lob.pruneRefsDays"] {
        work.git(&["config", key, "0"]);
    }
    assert_said(&work, &expected);
    assert_said(&work, &[("v4", "unfinished")]);
    work.git(&["rebase", "--abort"]);
    work.git(&["update-ref", "-d", "ORIG_HEAD"]);
    assert_said(&work, &[("v1", "drop"), ("v2", "drop")]);
    work.git(&["bisect", "start", "HEAD", "HEAD~3"]);
    let found = said(&work, &["--dry-run"]);
    assert!(found.values().all(|why| why != "drop"), "{found:?}");
}

#[test]
fn p7_what_no_remote_has_stays() {
    let (world, _origin, work) = pushed();
    // Content that git stored a pointer to, and then forgot.
    run(work.command("lob").args(["clean"]), &content("nowhere")).ok();
    assert_said(&work, &[("nowhere", "not-on-remote"), ("v1", "drop")]);
    let empty = world.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let away = work.try_lob(&[
        "prune",
        "--grace=0",
        "--verify-remote",
        empty.to_str().unwrap(),
    ]);
    assert!(
        away.fails(1).contains("no lob store"),
        "a remote without a store is named"
    );
    let own = work.path().join(".git/lob");
    let own = ["--dry-run", "--verify-remote", own.to_str().unwrap()];
    assert_eq!(
        said(&work, &own)[&id("v1")],
        "not-on-remote",
        "its own store proves nothing"
    );
    work.git(&[
        "remote",
        "add",
        "away",
        world.path().join("gone.git").to_str().unwrap(),
    ]);
    let any = said(&work, &["--dry-run", "--verify-remote", "*"]);
    assert_eq!(any[&id("v1")], "drop", "any remote may have it");
    for name in ["origin", "away"] {
        work.git(&["remote", "remove", name]);
    }
    let said = work.try_lob(&["prune", "--grace", "0"]).ok_stderr();
    assert!(said.contains("no remote"), "{said}");
    assert!(said.contains("nothing to prune"), "{said}");
}

#[test]
fn p7_a_remote_that_lies_is_believed_nothing() {
    let (_world, origin, work) = pushed();
    let mut damaged = 0;
    for file in fs::read_dir(origin.path().join("lob/packs")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let some = content("v1")[..100].to_vec();
        if let Some(at) = bytes.windows(100).position(|window| window == some) {
            bytes[at + 50] ^= 1;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    let before = packs(&work);
    let run = work.try_lob(&["prune", "--grace", "0"]).ok_stderr();
    assert!(run.contains("is not believed"), "{run}");
    assert_eq!(packs(&work), before);
    assert_said(&work, &[("v1", "not-on-remote"), ("v2", "not-on-remote")]);
}

#[test]
fn what_was_just_stored_is_young_and_the_reasons_are_told() {
    let (_world, _origin, work) = pushed();
    let said = work.try_lob(&["prune", "--dry-run"]).ok_stderr();
    assert!(said.contains("short time ago"), "{said}");
    assert!(said.contains("nothing would go"), "{said}");
    let dry = work.try_lob(&["prune", "--dry-run", "--grace", "0", "--verbose"]);
    let (text, said) = (dry.stdout.clone(), dry.ok_stderr());
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains(&format!("drop   40.0 kB {}", id("v1"))),
        "{text}"
    );
    assert!(text.contains("a.bin (recent)"), "{text}");
    assert!(said.contains("2 lobs, 80.0 kB would go"), "{said}");
    let done = work.try_lob(&["prune", "--grace", "0"]).ok_stderr();
    assert!(done.contains("pruned 2 lobs, 80.0 kB"), "{done}");
    let nothing = work.try_lob(&["prune", "--grace", "0"]).ok_stderr();
    assert!(nothing.contains("nothing to prune"), "{nothing}");
}

/// What is dead as a whole goes where there is no room at all, and makes room for what has to be moved.
#[test]
fn a_full_disk_gets_room_again() {
    let world = World::new();
    let (_, work) = world.pair();
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 900_000));
    commit(&work, "One pack", 100);
    work.write("c.bin", noise(3, 400_000));
    work.write("d.bin", noise(4, 400_000));
    commit(&work, "Another", 100);
    for name in ["a.bin", "c.bin"] {
        work.write(name, "now small");
    }
    commit(&work, "Less", 90);
    work.write("new.bin", "new");
    commit(&work, "New", 1);
    push(&work);
    let script = "
        mv .git/lob ../kept && mkdir .git/lob
        mount -t tmpfs -o size=4m none .git/lob && cp -a ../kept/. .git/lob
        ! cat /dev/zero >.git/lob/state/filler 2>/dev/null
        df --output=avail .git/lob | tail -1 >../before
        lob prune --grace 0
        df --output=avail .git/lob | tail -1 >../after
        rm .git/lob/state/filler
        rm d.bin && git checkout -q . && lob fsck --deep";
    let Some(done) = mounting(&work, script) else {
        return;
    };
    done.ok();
    let kib = |name: &str| {
        let text = fs::read_to_string(world.path().join(name)).unwrap();
        text.trim().parse::<u64>().unwrap()
    };
    assert_eq!(kib("before"), 0);
    assert!(kib("after") > 1200, "{} KiB", kib("after"));
    assert_eq!(work.read("d.bin"), noise(4, 400_000));
}
