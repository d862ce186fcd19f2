//! Submodules: each is a repository of its own, with a store of its own.

use super::*;

#[test]
fn a_submodule_has_its_own_store_and_hooks_and_comes_with_its_content() {
    let world = World::new();
    let (origin, _) = published(&world);
    let allow = ["config", "--global", "protocol.file.allow", "always"];
    world.ok(world.command("git").args(allow));
    let outer = world.init("outer");
    let url = origin.path().to_str().unwrap();
    outer.git(&["submodule", "--quiet", "add", url, "sub dir"]);
    outer.git(&["commit", "-q", "-m", "With a submodule"]);
    let sub = world.repo("outer/sub dir");
    assert_published(&sub);
    let inside = outer.path().join(".git/modules/sub dir");
    assert!(inside.join("lob").exists() && inside.join("hooks/pre-push").exists());
    assert!(!outer.path().join(".git/lob").exists());
    assert_eq!(outer.lob(&["ls-files"]), "", "the outer one has no lobs");

    sub.write("c.bin", noise(4, 50_000));
    sub.commit("Third");
    sub.git(&["push", "-q", "origin", "HEAD:main"]);
    outer.git(&["commit", "-q", "-a", "-m", "Later"]);
    outer.assert_clean();
    let mut git = world.command("git");
    git.args(["clone", "-q", "--recurse-submodules", "outer", "again"]);
    run(&mut git, b"").ok();
    let again = world.repo("again/sub dir");
    assert_published(&again);
    assert_eq!(again.read("c.bin"), noise(4, 50_000));
    world.repo("again").assert_clean();
    again.lob(&["sync"]);
    // From the outer one git runs the filter of the inner one.
    std::fs::remove_file(again.path().join("a.bin")).unwrap();
    world
        .repo("again")
        .git(&["submodule", "--quiet", "update", "--force"]);
    assert_published(&again);
}
