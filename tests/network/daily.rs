//! git and lob together, as they are used every day, with the remote behind ssh and behind HTTP.

use std::fs;

use super::ssh::Sshd;
use super::{Serving, tokens};
use crate::support::{Repo, World, noise};

/// A repository with a lob in a first commit.
fn work(world: &World, url: &str) -> Repo {
    let (_, work) = world.pair();
    work.git(&["remote", "set-url", "origin", url]);
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 3_000_000));
    work.commit("first");
    work
}

#[test]
fn a_git_remote_behind_ssh_needs_nothing_configured() {
    let world = World::new();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let origin = world.path().join("origin.git");
    let url = sshd.url(&origin);
    let work = work(&world, &url);
    work.git(&["config", "core.sshCommand", &sshd.client()]);
    work.git(&["push", "-q", "origin", "main"]);
    assert!(
        origin.join("lob/packs").is_dir(),
        "the lobs came with the commits"
    );

    let clone = world.repo("clone");
    let mut command = world.command("git");
    command.env("GIT_SSH_COMMAND", sshd.client());
    world.ok(command.args(["clone", "-q", &url]).arg(clone.path()));
    assert!(clone.read("a.bin") == noise(1, 3_000_000));
    clone.assert_clean();

    // A new version goes back, and comes.
    clone.git(&["config", "core.sshCommand", &sshd.client()]);
    let mut content = noise(1, 3_000_000);
    content[1_000_000..1_000_010].fill(7);
    clone.write("a.bin", &content);
    clone.commit("second");
    clone.lob(&["init"]);
    clone.git(&["push", "-q", "origin", "main"]);
    work.git(&["pull", "-q", "origin", "main"]);
    assert!(work.read("a.bin") == content);
    let said = work.lob(&["--json", "sync"]);
    assert!(
        !said.contains("\"event\":\"lob\""),
        "nothing is left to move: {said}"
    );
}

#[test]
fn a_store_behind_http_gets_its_token_from_git() {
    let world = World::new();
    let root = world.path().join("served");
    fs::create_dir_all(&root).unwrap();
    let token = tokens::token(&world, &root, &["alice", "--rights", "append"]);
    let server = Serving::start(&world, &root, &[]);
    let kept = world.path().join("credentials");
    let login = format!(
        "http://alice:{token}@127.0.0.1%3a{}\n",
        server.address.port()
    );
    fs::write(&kept, login).unwrap();
    let helper = format!("store --file={}", kept.display());
    for (key, value) in [
        ("credential.helper", helper),
        ("lob.url", server.url("game")),
    ] {
        world.ok(world
            .command("git")
            .args(["config", "--global", key, &value]));
    }
    let origin = world.path().join("origin.git");
    let work = work(&world, origin.to_str().unwrap());
    let pushed = work.try_git(&["push", "origin", "main"]);
    assert!(pushed.success, "{pushed:?}");
    assert!(!format!("{pushed:?}").contains(&token));
    assert!(root.join("game/packs").is_dir() && !origin.join("lob/packs").exists());

    let clone = world.clone_of(&world.repo("origin.git"), "clone");
    assert!(clone.read("a.bin") == noise(1, 3_000_000));
    clone.assert_clean();

    // Without the token it says what is wanting, and the commits stay here.
    fs::write(&kept, "").unwrap();
    work.write("b.bin", noise(2, 100_000));
    work.commit("second");
    let refused = work.try_git(&["push", "origin", "main"]);
    assert!(!refused.success);
    assert!(
        refused.stderr.contains("wants to know who asks"),
        "{}",
        refused.stderr
    );
}
