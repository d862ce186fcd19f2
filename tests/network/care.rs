//! Stores behind HTTP and ssh that are looked after from elsewhere.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use lob_store::LobId;

use super::Serving;
use super::ssh::Sshd;
use super::tokens::token;
use crate::served::opened;
use crate::support::{Repo, Run, World, damage_packs, noise};

/// A repository with a lob that was pushed to `url`, and a git remote in the directory `git`.
fn pushed(world: &World, git: &Path, url: &str) -> Repo {
    let work = world.init("work");
    work.lob(&["init"]);
    work.git(&["remote", "add", "origin", git.to_str().unwrap()]);
    work.git(&["config", "remote.origin.lobUrl", url]);
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 300_000));
    work.commit("first");
    work.git(&["push", "-q", "-u", "origin", "main"]);
    work
}

fn bare(world: &World, path: &Path) {
    let mut command = world.command("git");
    world.ok(command.args(["init", "-q", "--bare"]).arg(path));
}

#[track_caller]
fn said(run: &Run, code: i32) -> String {
    assert_eq!(run.code, Some(code), "{run:?}");
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    out + &run.stderr
}

/// An examination finds nothing wrong with a store that is well, and what is wrong with one that is not.
fn examine(work: &Repo, store: &Path) {
    let fsck = |args: &[&str]| work.try_lob(&[&["fsck", "--remote", "origin"], args].concat());
    let well = said(&fsck(&["--deep"]), 0);
    assert!(well.contains("all is well"), "{well}");
    damage_packs(store);
    let found = said(&fsck(&["--deep"]), 3);
    assert!(
        found.contains("origin: ") && found.contains("chunk"),
        "{found}"
    );
    let json = work.try_lob(&["--json", "fsck", "--deep", "--remote", "origin"]);
    let json = said(&json, 3);
    assert!(json.contains("\"store\":\"origin\""), "{json}");
    assert!(json.contains("\"fault\":\"damaged\""), "{json}");
}

#[test]
fn who_has_the_right_examines_a_store_over_http() {
    let world = World::new();
    let root = world.path().join("served");
    bare(&world, &root.join("team/game.git"));
    let tokens =
        ["append", "admin"].map(|rights| token(&world, &root, &[rights, "--rights", rights]));
    let server = Serving::start(&world, &root, &[]);
    let at = |token: &str| format!("http://x:{token}@{}/team/game", server.address);
    let work = pushed(&world, &root.join("team/game.git"), &at(&tokens[0]));
    let refused = said(&work.try_lob(&["fsck", "--remote", "origin"]), 1);
    assert!(refused.contains("takes the right admin"), "{refused}");
    work.git(&["config", "remote.origin.lobUrl", &at(&tokens[1])]);
    examine(&work, &root.join("team/game.git/lob"));
    let audit = fs::read_to_string(root.join(".lob-serve/audit.log")).unwrap();
    assert!(
        !audit.contains("fsck"),
        "to examine changes nothing: {audit}"
    );
}

#[test]
fn nobody_looks_after_stores_without_a_token() {
    let world = World::without_filter();
    let mut command = world.command("lob");
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--anonymous",
        "admin",
        "--root",
        ".",
    ];
    let said = crate::support::run(command.args(args), b"").fails(2);
    assert!(said.contains("--rights admin"), "{said}");
}

#[test]
fn a_store_behind_ssh_is_examined_by_its_account_and_by_a_forced_command_that_says_so() {
    let world = World::new();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let root = world.path().join("served");
    let origin = root.join("game.git");
    bare(&world, &origin);
    let mut config = world.command("git");
    world.ok(config.args(["config", "--global", "core.sshCommand", &sshd.client()]));
    let work = pushed(&world, &origin, &sshd.url(&origin));
    let well = said(&work.try_lob(&["fsck", "--remote", "origin"]), 0);
    assert!(well.contains("all is well"), "{well}");

    let command = format!("lob serve --stdio --root {}", root.display());
    sshd.force(&command);
    let url = sshd.url(Path::new("/game.git"));
    work.git(&["config", "remote.origin.lobUrl", &url]);
    let refused = said(&work.try_lob(&["fsck", "--remote", "origin"]), 1);
    assert!(refused.contains("takes the right admin"), "{refused}");
    // Nor does a forced command without a root give it to those whom it was set for.
    sshd.force(&format!("lob serve --stdio {}", origin.display()));
    let refused = said(&work.try_lob(&["fsck", "--remote", "origin"]), 1);
    assert!(refused.contains("takes the right admin"), "{refused}");
    sshd.force(&format!("{command} --admin"));
    examine(&work, &origin.join("lob"));
}

/// Lets all packs of a store be older than any grace.
fn age(store: &Path) {
    for entry in fs::read_dir(store.join("packs")).unwrap() {
        let file = fs::File::options().append(true).open(entry.unwrap().path());
        let old = SystemTime::now() - Duration::from_secs(100 * 86_400);
        file.unwrap().set_modified(old).unwrap();
    }
}

fn holds(store: &Path, seed: u64) -> bool {
    let id = LobId::of(&noise(seed, 300_000));
    opened(store).lob(&id).unwrap().is_some()
}

/// Pushes a lob on a branch that everybody forgets then, and lets all be old.
fn leave(work: &Repo, store: &Path, seed: u64) {
    work.git(&["checkout", "-q", "-b", "topic"]);
    work.write("b.bin", noise(seed, 300_000));
    work.commit("topic");
    work.git(&["push", "-q", "origin", "topic"]);
    work.git(&["checkout", "-q", "main"]);
    work.git(&["push", "-q", "origin", "--delete", "topic"]);
    work.git(&["branch", "-q", "-D", "topic"]);
    work.git(&["reflog", "expire", "--expire=all", "--all"]);
    age(store);
}

/// What a run says of each lob: why it stays, or `drop`.
fn fates(work: &Repo, args: &[&str]) -> Vec<(String, String)> {
    let events = work.lob(&[&["--json", "gc", "--remote", "origin"], args].concat());
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lobs = events.filter(|event: &serde_json::Value| event["event"] == "lob");
    let mut fates: Vec<_> = lobs
        .map(|lob| {
            let reason = lob["reason"].as_str().unwrap_or("drop");
            (lob["id"].as_str().unwrap().into(), reason.into())
        })
        .collect();
    fates.sort();
    fates
}

fn expected(mut fates: Vec<(u64, &str)>) -> Vec<(String, String)> {
    fates.sort();
    let id = |seed| LobId::of(&noise(seed, 300_000)).to_string();
    let mut fates: Vec<_> = fates
        .into_iter()
        .map(|(seed, why)| (id(seed), why.to_string()))
        .collect();
    fates.sort();
    fates
}

#[test]
fn p7_a_store_in_a_git_repository_is_cleaned_up_over_http_by_its_refs() {
    let world = World::new();
    let root = world.path().join("served");
    let origin = root.join("team/game.git");
    let store = origin.join("lob");
    bare(&world, &origin);
    let tokens =
        ["append", "admin"].map(|rights| token(&world, &root, &[rights, "--rights", rights]));
    let server = Serving::start(&world, &root, &[]);
    let at = |token: &str| format!("http://x:{token}@{}/team/game", server.address);
    // As where git's own server has the same repository: the lobs go where the commits go.
    let work = pushed(&world, &origin, &at(&tokens[0]));
    let clone = world.init("clone");
    clone.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
    clone.git(&["pull", "-q", "origin", "main"]);
    leave(&work, &store, 2);
    let said_of = |run: &Run, code| said(run, code);
    let refused = said_of(&work.try_lob(&["gc", "--remote", "origin"]), 1);
    assert!(refused.contains("takes the right admin"), "{refused}");
    work.git(&["config", "remote.origin.lobUrl", &at(&tokens[1])]);
    // Whose commits go elsewhere, as this says, cannot be asked there.
    let unknown = said_of(&work.try_lob(&["gc", "--remote", "origin"]), 1);
    assert!(unknown.contains("--forget \"lob serve\""), "{unknown}");
    assert!(holds(&store, 1) && holds(&store, 2), "nothing was done");
    let forget = ["--forget", "lob serve"];
    let dry = fates(&work, &[&forget[..], &["--dry-run"]].concat());
    assert_eq!(dry, expected(vec![(1, "referenced"), (2, "drop")]));
    assert!(holds(&store, 2), "a dry run changes nothing");
    let text = said_of(
        &work.try_lob(&[&["gc", "--remote", "origin"], &forget[..]].concat()),
        0,
    );
    assert!(text.contains("set aside 1 lob"), "{text}");
    assert!(holds(&store, 1) && !holds(&store, 2));
    let audit = fs::read_to_string(root.join(".lob-serve/audit.log")).unwrap();
    let gone = LobId::of(&noise(2, 300_000)).to_string();
    let line = audit.lines().find(|line| line.contains("set-aside"));
    let line = line.expect("it is noted what was set aside");
    assert!(
        line.contains("\"who\":\"admin\"") && line.contains(&gone),
        "{line}"
    );
    // What is referenced after all comes back, and what is not goes in time.
    work.git(&["config", "remote.origin.lobUrl", &at(&tokens[0])]);
    leave(&work, &store, 3);
    work.git(&["config", "remote.origin.lobUrl", &at(&tokens[1])]);
    let gone = [&["gc", "--remote", "origin", "--grace", "0"], &forget[..]].concat();
    let text = said_of(&work.try_lob(&gone), 0);
    assert!(text.contains("given back"), "{text}");
    assert!(holds(&store, 1) && !holds(&store, 3));
    let clean = said_of(&work.try_lob(&["gc", "--remote", "origin"]), 0);
    assert!(clean.contains("nothing to clean up"), "{clean}");
}

#[test]
fn p7_a_store_behind_ssh_is_cleaned_up_by_the_refs_around_it() {
    let world = World::new();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let origin = world.path().join("origin.git");
    bare(&world, &origin);
    let mut config = world.command("git");
    world.ok(config.args(["config", "--global", "core.sshCommand", &sshd.client()]));
    let work = world.init("work");
    work.lob(&["init"]);
    work.git(&["remote", "add", "origin", &sshd.url(&origin)]);
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 300_000));
    work.commit("first");
    work.git(&["push", "-q", "-u", "origin", "main"]);
    let store = origin.join("lob");
    leave(&work, &store, 2);
    // What only this repository needs stays too, though no ref there leads to it.
    work.write("c.bin", noise(3, 300_000));
    work.commit("not pushed");
    let mut far = world.command("lob");
    world.ok(far
        .args(["push", "origin", "HEAD"])
        .current_dir(work.path()));
    age(&store);
    let fates = fates(&work, &["--dry-run"]);
    let all = vec![(1, "referenced"), (2, "drop"), (3, "referenced")];
    assert_eq!(fates, expected(all));
    let text = said(&work.try_lob(&["gc", "--remote", "origin"]), 0);
    assert!(text.contains("set aside 1 lob"), "{text}");
    assert!(holds(&store, 1) && !holds(&store, 2) && holds(&store, 3));
    let nobody = work.try_lob(&["gc", "--remote", "origin", "--forget", "/nowhere"]);
    let text = said(&nobody, 2);
    assert!(
        text.contains("nobody at \"/nowhere\" uses this store"),
        "{text}"
    );
}

#[test]
fn p7_a_store_by_itself_is_cleaned_up_by_the_git_remote_of_who_asks() {
    let world = World::new();
    let root = world.path().join("served");
    let origin = world.path().join("origin.git");
    bare(&world, &origin);
    fs::create_dir_all(root.join("team")).unwrap();
    let admin = token(&world, &root, &["admin", "--rights", "admin"]);
    let server = Serving::start(&world, &root, &[]);
    let url = format!("http://x:{admin}@{}/team/game", server.address);
    let work = pushed(&world, &origin, &url);
    let store = root.join("team/game");
    leave(&work, &store, 2);
    let gc = |args: &[&str]| work.try_lob(&[&["gc", "--remote", "origin"], args].concat());
    let unknown = said(&gc(&[]), 1);
    assert!(unknown.contains("--forget \"lob serve\""), "{unknown}");
    let gone = said(&gc(&["--forget", "lob serve"]), 0);
    assert!(gone.contains("set aside 1 lob"), "{gone}");
    assert!(holds(&store, 1) && !holds(&store, 2));
    // Nobody is known to use it any more, and the git remote answers for all.
    let again = said(&gc(&[]), 0);
    assert!(
        again.contains("come back when lob gc is run later"),
        "{again}"
    );
    // Who names the store alone cannot tell who needs it.
    let alone = work.try_lob(&["gc", "--remote", &url]);
    let alone = said(&alone, 1);
    assert!(alone.contains("nobody has signed"), "{alone}");
}
