//! Repositories that are not the usual clone: everything works in them too.

mod bare;
mod partial;
mod paths;
mod sparse;
mod submodules;
mod unborn;
mod worktrees;

use crate::support::{Repo, World, noise, run};

/// A bare repository and one that has pushed two versions of `a.bin` and a `dir/b.bin` to it.
fn published(world: &World) -> (Repo, Repo) {
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 100_000));
    work.commit("First");
    work.write("a.bin", noise(2, 100_000));
    work.write("dir/b.bin", noise(3, 2_000_000));
    work.commit("Second");
    work.git(&["push", "-q", "origin", "main"]);
    (origin, work)
}

/// Fails unless the current files of [`published`] are there and git finds them unchanged.
#[track_caller]
fn assert_published(clone: &Repo) {
    assert_eq!(clone.read("a.bin"), noise(2, 100_000));
    assert_eq!(clone.read("dir/b.bin"), noise(3, 2_000_000));
    clone.assert_clean();
}

/// A clone of `origin.git` with more options of git's, over a transport and not by links.
#[track_caller]
fn clone_with(world: &World, options: &[&str], name: &str) -> Repo {
    let url = format!("file://{}", world.path().join("origin.git").display());
    let mut git = world.command("git");
    git.args(["clone", "-q"]).args(options).args([&url, name]);
    run(&mut git, b"").ok();
    world.repo(name)
}

/// Takes the stores of these repositories away while `work` runs, which must not need them.
fn without<T>(repos: &[&Repo], work: impl FnOnce() -> T) -> T {
    let places = || {
        repos
            .iter()
            .map(|repo| (repo.path().join("lob"), repo.path().join("aside")))
    };
    places().for_each(|(here, aside)| std::fs::rename(here, aside).unwrap());
    let done = work();
    places().for_each(|(here, aside)| std::fs::rename(aside, here).unwrap());
    done
}

/// SHA-256 is the format of git's objects; lob's own ids are the same.
#[test]
fn sha256_repositories_push_clone_and_fetch() {
    let world = World::new();
    let format = ["config", "--global", "init.defaultObjectFormat", "sha256"];
    world.ok(world.command("git").args(format));
    let (origin, work) = published(&world);
    assert_eq!(work.git(&["rev-parse", "HEAD"]).trim_end().len(), 64);
    assert!(work.lob(&["status"]).ends_with(": all here and pushed\n"));
    // Known to be there, by ids of this length.
    without(&[&origin], || {
        work.git(&["push", "-q", "origin", "main:again"])
    });
    let clone = clone_with(&world, &[], "clone");
    assert_published(&clone);
    clone.lob(&["fetch", "origin", "HEAD~1"]);
    without(&[&origin], || clone.git(&["checkout", "-q", "HEAD~1"]));
    assert_eq!(clone.read("a.bin"), noise(1, 100_000));
    clone.assert_clean();
}
