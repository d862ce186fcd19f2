//! git and lob together, as they are used every day, with the remote behind ssh and behind HTTP.

use std::fs;

use lob_store::LobId;

use super::ssh::Sshd;
use super::{Serving, certificate, tokens};
use crate::served::{opened, read};
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

/// What users do every day, where `work` has everything set to reach `url`, and so has the world.
fn every_day(world: &World, work: &Repo, url: &str) {
    work.git(&["push", "-q", "origin", "main"]);
    let clone = world.repo("clone");
    let mut command = world.command("git");
    world.ok(command.args(["clone", "-q", url]).arg(clone.path()));
    assert!(clone.read("a.bin") == noise(1, 3_000_000));
    clone.assert_clean();

    // A new version goes back, and comes.
    let mut content = noise(1, 3_000_000);
    content[1_000_000..1_000_010].fill(7);
    clone.write("a.bin", &content);
    clone.commit("second");
    clone.lob(&["init"]);
    clone.git(&["push", "-q", "origin", "main"]);
    work.git(&["pull", "-q", "origin", "main"]);
    assert!(work.read("a.bin") == content);
    work.assert_clean();
    let said = work.lob(&["--json", "sync"]);
    assert!(
        !said.contains("\"event\":\"lob\""),
        "nothing is left to move: {said}"
    );

    // Both have something new, and all of it is a mirror's too.
    for (repo, path, seed) in [(work, "b.bin", 5), (&clone, "c.bin", 6)] {
        repo.write(path, noise(seed, 200_000));
        repo.commit("of both");
        repo.git(&["pull", "-q", "--rebase", "origin", "main"]);
        repo.git(&["push", "-q", "origin", "main"]);
    }
    work.git(&["pull", "-q", "origin", "main"]);
    assert!(work.read("c.bin") == noise(6, 200_000));
    let mirror = world.init("mirror");
    mirror.lob(&["init"]);
    mirror.git(&["remote", "add", "origin", url]);
    mirror.lob(&["sync", "--mode", "complete", "--pull"]);
    mirror.lob(&["fsck", "--deep"]);
    let store = opened(&mirror.path().join(".git/lob"));
    for lob in [
        noise(1, 3_000_000),
        content,
        noise(5, 200_000),
        noise(6, 200_000),
    ] {
        assert!(read(&store, &LobId::of(&lob)).unwrap() == lob);
    }
}

fn configure(world: &World, key: &str, value: &str) {
    let words = ["config", "--global", key, value];
    world.ok(world.command("git").args(words));
}

#[test]
fn a_git_remote_behind_ssh_needs_nothing_configured() {
    let world = World::new();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let origin = world.path().join("origin.git");
    let url = sshd.url(&origin);
    configure(&world, "core.sshCommand", &sshd.client());
    let work = work(&world, &url);
    every_day(&world, &work, &url);
    assert!(
        origin.join("lob/packs").is_dir(),
        "the lobs came with the commits"
    );
}

#[test]
fn a_store_behind_http_is_used_like_one_behind_ssh() {
    let world = World::new();
    let root = world.path().join("served");
    fs::create_dir_all(&root).unwrap();
    let [cert, key] = certificate(&root);
    let [cert, key] = [cert, key].map(|path| path.display().to_string());
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    for more in [&[][..], &tls] {
        let world = World::new();
        let server = Serving::start(&world, &root, &[&["--anonymous", "append"], more].concat());
        let scheme = if more.is_empty() { "http" } else { "https" };
        let store = format!("{scheme}://{}/{scheme}", server.address);
        configure(&world, "lob.url", &store);
        configure(&world, "http.sslCAInfo", &cert);
        let origin = world.path().join("origin.git");
        let url = origin.to_str().unwrap();
        let work = work(&world, url);
        every_day(&world, &work, url);
        assert!(root.join(scheme).join("packs").is_dir());
        assert!(!origin.join("lob/packs").exists());
    }
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
    configure(&world, "credential.helper", &helper);
    configure(&world, "lob.url", &server.url("game"));
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
