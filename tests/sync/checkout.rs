//! Checkouts that fetch what they lack, through the filter.

use super::*;

/// Two repositories whose files `*.bin` are kept by the filter.
fn filtered() -> (World, Repo, Repo) {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    (world, origin, work)
}

#[test]
fn a_clone_has_the_content_of_all_files_and_a_clean_status() {
    let (world, origin, work) = filtered();
    for n in 0..50 {
        work.write(&format!("d{}/{n}.bin", n % 7), noise(n, 1000 + n as usize));
    }
    work.write("large.bin", noise(99, 3 << 20));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = world.clone_of(&origin, "clone");
    for n in 0..50 {
        let path = format!("d{}/{n}.bin", n % 7);
        assert_eq!(clone.read(&path), work.read(&path));
    }
    assert_eq!(clone.read("large.bin"), work.read("large.bin"));
    clone.assert_clean();
}

#[test]
fn what_one_remote_lacks_comes_from_another() {
    let (world, origin, work) = filtered();
    work.write("a.bin", noise(1, 5000));
    work.commit("first");
    let backup = world.init_bare("backup.git");
    let url = backup.path().to_str().unwrap().to_string();
    work.git(&["remote", "add", "backup", &url]);
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    work.lob(&["push", "backup"]);
    let clone = world.repo("clone");
    work.git(&[
        "clone",
        "-q",
        "-n",
        origin.path().to_str().unwrap(),
        "../clone",
    ]);
    clone.git(&["remote", "add", "backup", &url]);
    clone.git(&["checkout", "-q", "main"]);
    assert_eq!(clone.read("a.bin"), work.read("a.bin"));
    clone.assert_clean();
}

#[test]
fn p12_a_checkout_without_the_content_leaves_pointers_that_fixup_replaces() {
    let (world, origin, work) = filtered();
    work.write("a.bin", noise(1, 5000));
    work.write("b.bin", noise(2, 5000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let (far, aside) = (origin.path().join("lob"), origin.path().join("aside"));
    fs::rename(&far, &aside).unwrap();
    let url = origin.path().to_str().unwrap();
    let said = run(
        world.command("git").args(["clone", "-q", url, "clone"]),
        b"",
    );
    let what = "no content for 2 files (a.bin, b.bin): no remote has it";
    assert!(said.success && said.stderr.contains(what), "{said:?}");
    let clone = world.repo("clone");
    assert!(clone.read("a.bin").starts_with(b"version git-lob/2\n"));
    clone.assert_clean();
    fs::rename(&aside, &far).unwrap();
    clone.write("b.bin", "mine");
    clone.lob(&["sync", "--mode", "fixup"]);
    assert_eq!(clone.read("a.bin"), work.read("a.bin"));
    assert_eq!(clone.read("b.bin"), b"mine");
    let status = clone.git(&["status", "--porcelain"]);
    assert_eq!(status, " M b.bin\n");
}

#[test]
fn a_clone_of_pointers_has_its_hooks_when_it_is_filled() {
    let (world, origin, work) = filtered();
    work.write("a.bin", noise(1, 5000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let mut git = world.command("git");
    git.env("LOB_SKIP_SMUDGE", "1").args(["clone", "-q"]);
    world.ok(git.arg(origin.path()).arg("clone"));
    let clone = world.repo("clone");
    assert!(clone.path().join(".git/hooks/pre-push").exists());
    clone.lob(&["pull"]);
    assert_eq!(clone.read("a.bin"), work.read("a.bin"));
    clone.write("b.bin", noise(2, 5000));
    clone.commit("second");
    clone.git(&["push", "-q", "origin", "main"]);
    work.git(&["pull", "-q", "origin", "main"]);
    assert_eq!(work.read("b.bin"), clone.read("b.bin"));
}

#[test]
fn what_is_not_to_be_fetched_stays_a_pointer_and_is_no_trouble() {
    let (world, origin, work) = filtered();
    work.write("a.bin", noise(1, 5000));
    work.write("b.bin", noise(2, 5000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = |name, setting| {
        let url = origin.path().to_str().unwrap();
        let args = ["clone", "-q", "-c", setting, url, name];
        let said = run(world.command("git").args(args), b"");
        assert!(said.success, "{said:?}");
        assert!(!said.stderr.contains("warning"), "{said:?}");
        let clone = world.repo(name);
        clone.assert_clean();
        assert!(clone.read("b.bin").starts_with(b"version git-lob/2\n"));
        (clone, said.stderr)
    };
    let (without, said) = clone("without", "lob.fetchExclude=/b*");
    assert!(!said.contains("b.bin"), "{said}");
    assert_eq!(without.read("a.bin"), work.read("a.bin"));
    let (_, said) = clone("cached", "lob.smudge=cached");
    let left = "left 2 files (a.bin, b.bin) as pointers: the content is not here";
    assert!(said.contains(left) && said.contains("lob pull"), "{said}");
}
