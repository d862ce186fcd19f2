//! Stores behind HTTP and ssh that are looked after from elsewhere.

use std::fs;
use std::path::Path;

use super::Serving;
use super::ssh::Sshd;
use super::tokens::token;
use crate::support::{Repo, Run, World, noise};

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

fn damage(store: &Path) {
    for entry in fs::read_dir(store.join("packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
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
    damage(store);
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
