//! `lob prune --shared`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{content, has_own, holds, id, packed, share, store, users};
use crate::support::{Repo, World, run};

const DAY: u64 = 86_400;

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Writes the next version of `a.bin` and commits it, as of so many days ago.
fn version(repo: &Repo, name: &str, days_ago: u64) {
    repo.write("a.bin", content(name));
    let date = format!("{} +0000", now() - days_ago * DAY);
    repo.git(&["add", "-A"]);
    let mut git = repo.command("git");
    git.args(["commit", "-q", "-m", name]);
    git.env("GIT_COMMITTER_DATE", &date)
        .env("GIT_AUTHOR_DATE", &date);
    run(&mut git, b"").ok();
}

/// Two clones that share a store, with four versions of a file that are pushed: two of them are old.
fn pushed() -> (World, Repo, Repo, Repo) {
    let world = super::sharing();
    let (origin, a) = world.pair();
    a.track(&["*.bin"]);
    for (name, days_ago) in [("v1", 100), ("v2", 50), ("v3", 20), ("v4", 1)] {
        version(&a, name, days_ago);
    }
    a.git(&["push", "-q", "-u", "origin", "main"]);
    let b = world.clone_of(&origin, "b");
    (world, origin, a, b)
}

/// What a run says of each lob: why it stays, or `drop`.
fn said(repo: &Repo, args: &[&str]) -> BTreeMap<String, String> {
    let words = [&["--json", "prune", "--shared", "--grace", "0"], args].concat();
    let events = repo.lob(&words);
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lobs = events.filter(|event: &Value| event["event"] == "lob");
    let text = |value: &Value| value.as_str().map(str::to_string);
    lobs.map(|lob| {
        let why = text(&lob["reason"]).unwrap_or("drop".into());
        (text(&lob["id"]).unwrap(), why)
    })
    .collect()
}

fn refused(repo: &Repo, args: &[&str]) -> String {
    let words = [&["prune", "--shared", "--grace", "0"], args].concat();
    repo.try_lob(&words).fails(1)
}

#[track_caller]
fn assert_said(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, why) in expected {
        let found = found.get(&id(name)).map(String::as_str);
        assert_eq!(found, Some(*why), "{name}");
    }
}

#[test]
fn p7_a_prune_keeps_what_only_another_clone_needs() {
    let (world, _origin, a, b) = pushed();
    // Only an index, a stash and a commit lead there, all of another clone.
    b.write("stash.bin", content("stashed"));
    b.git(&["add", "-A"]);
    b.git(&["stash", "-q"]);
    b.git(&["checkout", "-q", "-b", "topic"]);
    version(&b, "unpushed", 90);
    b.git(&["checkout", "-q", "main"]);
    b.write("index.bin", content("staged"));
    b.git(&["add", "-A"]);
    let linked = world.path().join("linked");
    let linked = linked.to_str().unwrap();
    b.git(&["worktree", "add", "-q", "--detach", linked, "main~3"]);
    let dry = said(&a, &["--dry-run"]);
    let expected = [
        ("v1", "clone"),
        ("v2", "drop"),
        ("v3", "recent"),
        ("v4", "head"),
        ("stashed", "clone"),
        ("unpushed", "clone"),
        ("staged", "clone"),
    ];
    assert_said(&dry, &expected);
    let before = packed(&world);
    assert_eq!(said(&a, &[]), dry, "the run does what the dry run said");
    assert!(packed(&world) < before - 30_000 && !holds(&world, "v2"));
    // All that stayed can be had there, without the remote.
    fs::rename(world.path().join("origin.git"), world.path().join("away")).unwrap();
    b.git(&["checkout", "-q", "-f", "topic"]);
    assert_eq!(b.read("a.bin"), content("unpushed"));
    b.git(&["checkout", "-q", "main"]);
    b.git(&["stash", "pop", "-q"]);
    assert_eq!(b.read("stash.bin"), content("stashed"));
    b.lob(&["fsck", "--deep"]);
}

#[test]
fn p7_a_plain_prune_takes_nothing_from_a_shared_store() {
    let (world, _origin, a, _b) = pushed();
    let before = packed(&world);
    let said = a.try_lob(&["prune", "--grace", "0"]).fails(2);
    assert!(
        said.contains("shared by 2 clones") && said.contains("lob prune --shared"),
        "{said}"
    );
    assert_eq!(packed(&world), before);
    let alone = World::new().init("alone");
    alone.lob(&["init"]);
    let said = alone.try_lob(&["prune", "--shared"]).fails(2);
    assert!(said.contains("of this repository alone"), "{said}");
}

#[test]
fn p7_what_only_the_remote_of_another_clone_holds_goes_and_what_none_holds_stays() {
    let (world, _origin, a, _b) = pushed();
    let other = world.init_bare("other.git");
    let c = world.init("c");
    c.track(&["*.bin"]);
    for (name, days_ago) in [("w1", 100), ("w2", 50), ("w3", 1)] {
        version(&c, name, days_ago);
    }
    c.git(&["remote", "add", "origin", other.path().to_str().unwrap()]);
    c.git(&["push", "-q", "-u", "origin", "main"]);
    run(a.command("lob").args(["clean"]), &content("nowhere")).ok();
    let dry = said(&a, &["--dry-run"]);
    let expected = [
        ("w1", "drop"),
        ("w3", "clone"),
        ("v1", "drop"),
        ("nowhere", "not-on-remote"),
    ];
    assert_said(&dry, &expected);
    // A remote that is away proves nothing, and the others do.
    fs::rename(other.path(), world.path().join("away.git")).unwrap();
    let dry = said(&a, &["--dry-run"]);
    assert_said(&dry, &[("w1", "not-on-remote"), ("v1", "drop")]);
    let named = said(&a, &["--dry-run", "--verify-remote", "origin"]);
    assert_said(&named, &[("w1", "not-on-remote"), ("v1", "drop")]);
}

/// The registration of a clone, and its lines.
fn signature(world: &World, name: &str) -> (PathBuf, Vec<String>) {
    let part = format!("/{name}/.git\"");
    let mut found = users(world).into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("check "));
        (path, lines.map(str::to_string).collect::<Vec<_>>())
    });
    found
        .find(|(_, lines)| lines[1].contains(&part))
        .expect("it has signed")
}

/// Writes a registration as lob does, sealed.
fn sign(path: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let seal = blake3::hash(text.as_bytes()).to_hex();
    fs::write(path, format!("{text}check {seal}\n")).unwrap();
}

fn away(world: &World, name: &str) -> bool {
    let (_, lines) = signature(world, name);
    lines.iter().any(|line| line.starts_with("away "))
}

/// Lets a clone be known to be away for so long.
fn age(world: &World, name: &str, days: u64) {
    let (path, mut lines) = signature(world, name);
    lines.retain(|line| !line.starts_with("away "));
    lines.push(format!("away {}", now() - days * DAY));
    sign(&path, &lines);
}

#[test]
fn p7_a_clone_that_is_not_there_is_waited_for_and_then_done_without() {
    let (world, _origin, a, b) = pushed();
    b.git(&["checkout", "-q", "--detach", "main~3"]);
    b.write("index.bin", content("staged"));
    b.git(&["add", "-A"]);
    let elsewhere = world.path().join("elsewhere");
    fs::rename(b.path(), &elsewhere).unwrap();
    let before = packed(&world);
    let said_dry = refused(&a, &["--dry-run"]);
    assert!(
        said_dry.contains("b/.git: it is not there")
            && said_dry.contains("for 14 more days")
            && said_dry.contains("--forget"),
        "{said_dry}"
    );
    assert!(!away(&world, "b"), "a dry run notes nothing");
    refused(&a, &[]);
    assert!(away(&world, "b"));
    age(&world, "b", 13);
    let still = refused(&a, &[]);
    assert!(still.contains("since 13 days"), "{still}");
    assert_eq!(packed(&world), before);
    // It is back, and so it is a clone like any other.
    fs::rename(&elsewhere, b.path()).unwrap();
    assert_said(&said(&a, &["--dry-run"]), &[("v1", "clone")]);
    b.lob(&["pull"]);
    b.git(&["add", "-A"]);
    assert!(!away(&world, "b"));
    fs::rename(b.path(), &elsewhere).unwrap();
    refused(&a, &[]);
    age(&world, "b", 14);
    let dry = a.try_lob(&["prune", "--shared", "--grace", "0", "--dry-run"]);
    let dry = dry.ok_stderr();
    assert!(dry.contains("since 14 days, and is done without"), "{dry}");
    assert!(away(&world, "b"), "a dry run forgets nothing");
    let done = said(&a, &[]);
    assert_said(&done, &[("v1", "drop"), ("staged", "not-on-remote")]);
    assert_eq!(users(&world).len(), 1);
    assert!(!holds(&world, "v1"));
    // Where it is now it says so itself.
    let b = world.repo("elsewhere");
    assert_eq!(b.git(&["status", "--porcelain"]), "A  index.bin\n");
    b.lob(&["pull"]);
    b.write("more.bin", content("more"));
    b.git(&["add", "-A"]);
    signature(&world, "elsewhere");
}

#[test]
fn p7_a_clone_that_was_back_is_waited_for_anew() {
    let (world, _origin, a, b) = pushed();
    age(&world, "b", 20);
    said(&a, &["--dry-run"]);
    assert!(away(&world, "b"), "a dry run notes nothing");
    said(&a, &[]);
    assert!(!away(&world, "b"));
    fs::rename(b.path(), world.path().join("elsewhere")).unwrap();
    let waits = refused(&a, &[]);
    assert!(waits.contains("for 14 more days"), "{waits}");
}

#[test]
fn p7_a_clone_that_is_gone_is_forgotten_when_somebody_says_so() {
    let (world, _origin, a, b) = pushed();
    let place = b.path().canonicalize().unwrap().join(".git");
    let place = place.to_str().unwrap();
    b.git(&["checkout", "-q", "--detach", "main~3"]);
    fs::remove_dir_all(b.path()).unwrap();
    let said_by = refused(&a, &[]);
    assert!(
        said_by.contains(&format!("--forget {place:?}")),
        "{said_by}"
    );
    let dry = said(&a, &["--dry-run", "--forget", place]);
    assert_said(&dry, &[("v1", "drop")]);
    assert_eq!(users(&world).len(), 2);
    assert_eq!(said(&a, &["--forget", place]), dry);
    assert_eq!(users(&world).len(), 1);
    let words = ["prune", "--shared", "--forget", place];
    let unknown = a.try_lob(&words).fails(2);
    assert!(unknown.contains("nobody at"), "{unknown}");
    // Without any patience it need not be said.
    let _ = world.clone_of(&world.repo("origin.git"), "c");
    fs::remove_dir_all(world.path().join("c")).unwrap();
    a.git(&["config", "lob.pruneClonesDays", "0"]);
    said(&a, &[]);
    assert_eq!(users(&world).len(), 1);
}

#[test]
fn p7_a_clone_that_cannot_be_read_stops_the_prune() {
    let (world, _origin, a, b) = pushed();
    // Git would go on to this one, which knows nothing of what the clone in it needs.
    world.init(".");
    let before = packed(&world);
    let head = fs::read(b.path().join(".git/HEAD")).unwrap();
    fs::remove_file(b.path().join(".git/HEAD")).unwrap();
    let said_by = refused(&a, &[]);
    assert!(
        said_by.contains("b/.git: there is no git repository any more"),
        "{said_by}"
    );
    fs::write(b.path().join(".git/HEAD"), head).unwrap();
    // Objects are lost.
    let objects = b.path().join(".git/objects");
    fs::rename(&objects, world.path().join("objects")).unwrap();
    fs::create_dir(&objects).unwrap();
    refused(&a, &[]);
    fs::remove_dir(&objects).unwrap();
    fs::rename(world.path().join("objects"), &objects).unwrap();
    // It is another machine's.
    let (path, mut lines) = signature(&world, "b");
    let good = lines.clone();
    let mut user: Vec<String> = serde_json::from_str(&lines[1]).unwrap();
    user[1] = "mars".into();
    lines[1] = serde_json::to_string(&user).unwrap();
    sign(&path, &lines);
    let said_by = refused(&a, &[]);
    assert!(said_by.contains("run this on mars"), "{said_by}");
    // Nobody knows who it was.
    fs::write(&path, "x").unwrap();
    let said_by = refused(&a, &[]);
    assert!(said_by.contains("it is damaged"), "{said_by}");
    assert_eq!(packed(&world), before);
    sign(&path, &good);
    assert_said(&said(&a, &[]), &[("v1", "drop")]);
}

#[test]
fn what_is_written_of_a_clone_does_no_harm() {
    let (world, _origin, a, _b) = pushed();
    let (path, mut lines) = signature(&world, "b");
    let mut user: Vec<String> = serde_json::from_str(&lines[1]).unwrap();
    for place in ["--upload-pack=touch x", "/no\u{1b}[31m\nsuch", "", "."] {
        user[2] = place.into();
        lines[1] = serde_json::to_string(&user).unwrap();
        sign(&path, &lines);
        let run = a.try_lob(&["prune", "--shared", "--grace", "0"]);
        let said = run.fails(1);
        assert!(
            !said.contains('\u{1b}') && !said.contains("damaged"),
            "{said}"
        );
    }
    assert!(!a.path().join("x").exists());
}

/// A program `git` that runs a script before its first call in a directory, and then always the real one.
#[cfg(unix)]
fn intrude(world: &World, dir: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let bin = world.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let real = world.ok(world.command("sh").args(["-c", "command -v git"]));
    let text = format!(
        "#!/bin/sh\nif [ \"$(pwd -P)\" = '{}' ] && mkdir '{}' 2>/dev/null; then\n{script}\nfi >&2\nexec '{}' \"$@\"\n",
        dir.display(),
        world.path().join("once").display(),
        real.trim_end(),
    );
    let path = bin.join("git");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

#[cfg(unix)]
#[test]
fn p7_a_clone_that_comes_while_others_are_asked_is_asked_too() {
    let (world, origin, a, b) = pushed();
    let (c, d) = (world.path().join("c"), world.init("d"));
    d.track(&["*.bin"]);
    d.write("d.bin", content("v2"));
    // One has an old version for its HEAD and only reads, another one adds what is there already.
    let script = format!(
        "env -u GIT_DIR PATH=\"$OLD\" git clone -q -n '{0}' '{1}' && cd '{1}' && env -u GIT_DIR PATH=\"$OLD\" git checkout -q --detach main~3 || exit 9\ncd '{2}' && env -u GIT_DIR PATH=\"$OLD\" git add -A || exit 9\ncd '{3}'",
        origin.path().display(),
        c.display(),
        d.path().display(),
        b.path().join(".git").display(),
    );
    let bin = intrude(
        &world,
        &b.path().canonicalize().unwrap().join(".git"),
        &script,
    );
    let mut lob = a.command("lob");
    lob.args(["--json", "prune", "--shared", "--grace", "0"]);
    let old = lob.get_envs().find(|(name, _)| *name == "PATH");
    let old = old.and_then(|(_, path)| path).unwrap().to_os_string();
    let mut path = bin.into_os_string();
    path.push(":");
    path.push(&old);
    lob.env("OLD", &old).env("PATH", path);
    let events = run(&mut lob, b"").ok();
    assert!(world.path().join("once").exists(), "they came meanwhile");
    assert_eq!(users(&world).len(), 4);
    assert!(!events.contains("\"drop\""), "{events}");
    assert!(holds(&world, "v1") && holds(&world, "v2"));
    let c = world.repo("c");
    assert_eq!(c.read("a.bin"), content("v1"));
    fs::remove_dir_all(origin.path()).unwrap();
    fs::remove_file(d.path().join("d.bin")).unwrap();
    d.git(&["checkout", "-q", "--", "d.bin"]);
    assert_eq!(d.read("d.bin"), content("v2"));
}

#[test]
fn p7_who_pushes_to_a_shared_store_keeps_all_that_he_pushed() {
    let (world, _origin, a, _b) = pushed();
    let other = World::new();
    let other = other.init("other");
    other.git(&["config", "lob.store", ""]);
    other.track(&["*.bin"]);
    for (name, days_ago) in [("o1", 100), ("o2", 1)] {
        version(&other, name, days_ago);
    }
    other.lob(&["push", store(&world).to_str().unwrap()]);
    let found = said(&a, &["--dry-run"]);
    assert_said(&found, &[("o1", "referenced"), ("o2", "referenced")]);
    // And who cleans it up as a remote asks those who share it.
    let place = store(&world);
    let gc = ["gc", "--grace", "0", "--remote", place.to_str().unwrap()];
    let events = other.lob(&[&["--json"], &gc[..]].concat());
    assert!(!events.contains("\"drop\""), "{events}");
    let said_by = a.try_lob(&gc);
    assert!(said_by.fails(2).contains("lob prune"));
}

#[test]
fn a_clone_that_shares_and_one_that_does_not() {
    let world = World::new();
    let (origin, a) = world.pair();
    a.track(&["*.bin"]);
    a.write("a.bin", content("first"));
    a.commit("first");
    a.git(&["push", "-q", "-u", "origin", "main"]);
    share(&world);
    let b = world.clone_of(&origin, "b");
    assert!(has_own(&a) && !has_own(&b));
    // Its lobs are found by who fetches from it.
    let c = world.path().join("c");
    let url = b.path().to_str().unwrap();
    let mut git = world.command("git");
    git.args(["-c", "lob.store=", "clone", "-q", url]).arg(&c);
    world.ok(&mut git);
    let c = world.repo("c");
    assert_eq!(c.read("a.bin"), content("first"));
    assert!(has_own(&c));
    // And by who pushes to it.
    c.git(&["config", "lob.store", ""]);
    c.write("b.bin", content("second"));
    c.commit("second");
    c.git(&["push", "-q", "origin", "main:refs/heads/theirs"]);
    assert!(holds(&world, "second") && !has_own(&b));
}
