//! Setting up: install, init, track, and what doctor says at each step.

use std::fs;

use crate::support::{Repo, World, noise, run};

fn events(stdout: &str, name: &str) -> Vec<serde_json::Value> {
    let events = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &serde_json::Value| event["event"] == name)
        .collect()
}

fn attributes(repo: &Repo) -> String {
    String::from_utf8(repo.read(".gitattributes")).unwrap()
}

#[test]
fn install_and_uninstall_leave_no_trace() {
    let world = World::without_filter();
    let config = world.path().join(".gitconfig");
    let before = fs::read(&config).unwrap();
    world.ok(world.command("lob").arg("install"));
    let get = |key| world.ok(world.command("git").args(["config", "--global", key]));
    assert_eq!(get("filter.lob.process"), "lob filter-process\n");
    assert_eq!(get("filter.lob.required"), "true\n");
    let set = fs::read(&config).unwrap();
    world.ok(world.command("lob").arg("install"));
    assert_eq!(
        fs::read(&config).unwrap(),
        set,
        "a second run changes nothing"
    );
    world.ok(world.command("lob").arg("uninstall"));
    assert_eq!(fs::read(&config).unwrap(), before);
}

#[test]
fn install_can_leave_content_unfetched() {
    let world = World::without_filter();
    world.ok(world.command("lob").args(["install", "--skip-smudge"]));
    let smudge = || run(world.command("git").args(["config", "lob.smudge"]), b"");
    assert_eq!(smudge().ok(), "pointer\n");
    world.ok(world.command("lob").arg("uninstall"));
    smudge().fails(1);
}

#[test]
fn a_filter_of_somebody_else_is_kept() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.git(&["config", "filter.lob.clean", "other %f"]);
    for verb in [&["install", "--local"][..], &["init"]] {
        let stderr = repo.try_lob(verb).fails(1);
        assert!(
            stderr.contains("filter.lob.clean is set to `other %f`"),
            "{stderr}"
        );
        assert!(stderr.contains("--force"), "{stderr}");
        repo.try_git(&["config", "filter.lob.process"]).fails(1);
    }
    repo.lob(&["install", "--local", "--force"]);
    assert_eq!(
        repo.git(&["config", "filter.lob.clean"]),
        "lob clean -- %f\n"
    );
}

#[test]
fn init_makes_what_is_missing_and_nothing_twice() {
    let world = World::without_filter();
    let repo = world.init("repo");
    let said = repo.try_lob(&["init"]);
    assert!(said.stderr.contains(": filter, store, hooks\n"), "{said:?}");
    assert!(said.stderr.contains("hint: choose the files"), "{said:?}");
    assert!(repo.path().join(".git/lob/state/format").exists());
    assert!(repo.path().join(".git/hooks/pre-push").exists());
    let said = repo.try_lob(&["init"]);
    assert!(said.stderr.contains("already"), "{said:?}");
    fs::remove_file(repo.path().join(".git/hooks/post-merge")).unwrap();
    let said = repo.try_lob(&["init"]);
    assert!(said.stderr.contains(": hooks\n"), "{said:?}");
    repo.lob(&["uninstall", "--local"]);
    assert!(!repo.path().join(".git/hooks/pre-push").exists());
    repo.try_git(&["config", "filter.lob.process"]).fails(1);
}

#[test]
fn a_hook_of_somebody_else_is_kept_and_told_how_to_call_lob() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.write(".git/hooks/pre-push", "#!/bin/sh\nexit 0\n");
    let mark = repo.path().join(".git/hooks/pre-push");
    let mut mode = fs::metadata(&mark).unwrap().permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&mark, mode).unwrap();
    let stderr = repo.try_lob(&["init"]).fails(1);
    assert!(stderr.contains("lob hook pre-push"), "{stderr}");
    assert_eq!(repo.read(".git/hooks/pre-push"), b"#!/bin/sh\nexit 0\n");
    repo.lob(&["init", "--force"]);
    assert!(
        repo.read(".git/hooks/pre-push")
            .starts_with(b"#!/bin/sh\n# lob hook")
    );
    repo.lob(&["uninstall", "--local"]);
    assert_eq!(repo.read(".git/hooks/pre-push"), b"#!/bin/sh\nexit 0\n");
}

#[test]
fn a_bare_repository_gets_a_store_and_linked_work_trees_share_one() {
    let world = World::new();
    let bare = world.init_bare("bare.git");
    bare.lob(&["init"]);
    assert!(bare.path().join("lob/state/format").exists());
    let repo = world.init("repo");
    repo.write("a", "a");
    repo.commit("First");
    repo.git(&["worktree", "add", "-q", "../linked"]);
    world.repo("linked").lob(&["init"]);
    assert!(repo.path().join(".git/lob/state/format").exists());
    assert!(!repo.path().join(".git/worktrees/linked/lob").exists());
}

#[test]
fn patterns_are_tracked_listed_and_untracked() {
    let world = World::new();
    let repo = world.init("repo");
    repo.write(".gitattributes", "*.c text\n");
    repo.lob(&["track", "--dry-run", "*.psd"]);
    assert_eq!(attributes(&repo), "*.c text\n");
    repo.lob(&["track", "*.psd", "./a b.bin"]);
    assert_eq!(
        attributes(&repo),
        "*.c text\n*.psd filter=lob diff=lob merge=lob -text -delta\n\
         \"a b.bin\" filter=lob diff=lob merge=lob -text -delta\n"
    );
    let again = attributes(&repo);
    repo.lob(&["track", "*.psd"]);
    assert_eq!(attributes(&repo), again);
    assert_eq!(
        repo.lob(&["track"]),
        "*.psd  (.gitattributes:2)\na b.bin  (.gitattributes:3)\n"
    );
    let listed = repo.lob(&["track", "--json"]);
    let listed = events(&listed, "pattern");
    assert_eq!(listed[1]["pattern"], "a b.bin");
    assert_eq!(listed[1]["line"], 3);
    let stderr = repo.try_lob(&["untrack", "*.psd", "*.none"]).fails(1);
    assert!(stderr.contains("*.none is not tracked"), "{stderr}");
    assert_eq!(attributes(&repo), again, "all or nothing");
    repo.lob(&["untrack", "--dry-run", "*.psd"]);
    assert_eq!(attributes(&repo), again);
    repo.lob(&["untrack", "*.psd", "a b.bin"]);
    assert_eq!(attributes(&repo), "*.c text\n");
}

#[test]
fn the_last_pattern_holds_no_more_though_git_has_its_file() {
    let world = World::new();
    let repo = world.init("repo");
    repo.lob(&["track", "*.bin"]);
    repo.git(&["add", "."]);
    repo.lob(&["untrack", "*.bin"]);
    assert_eq!(attributes(&repo), "");
    repo.git(&["add", "--renormalize", "."]);
    let check = ["check-attr", "--cached", "filter", "--", "a.bin"];
    assert!(repo.git(&check).ends_with("filter: unspecified\n"));
}

#[test]
fn a_pattern_for_everything_leaves_gits_own_files_to_git() {
    let world = World::new();
    let repo = world.init("repo");
    repo.lob(&["track", "*"]);
    let check = |path: &str| {
        let answer = repo.git(&["check-attr", "filter", "--", path]);
        answer.trim_end().ends_with(": lob")
    };
    for lob in ["a.bin", "deep/b", ".hidden", "git"] {
        assert!(check(lob), "{lob}");
    }
    for own in [
        ".gitattributes",
        "sub/.gitignore",
        ".gitmodules",
        ".lobconfig",
    ] {
        assert!(!check(own), "{own}");
    }
}

#[test]
fn a_name_is_tracked_whatever_characters_it_has() {
    let world = World::new();
    let repo = world.init("repo");
    let odd = "we[i]rd *name?\\ \"x\"";
    repo.write(odd, "content");
    repo.lob(&["track", "--literal", odd]);
    let check = |path| repo.git(&["check-attr", "-z", "filter", "--", path]);
    assert!(check(odd).ends_with("lob\0"));
    assert!(!check("weird xname?\\ \"x\"").ends_with("lob\0"));
    repo.lob(&["untrack", "--literal", odd]);
    assert!(!repo.path().join(".gitattributes").exists());
}

#[test]
fn hints_lead_somewhere() {
    let world = World::new();
    let repo = world.init("repo");
    let said = repo.try_lob(&["track", "!x"]).fails(1);
    assert!(said.contains("no patterns that negate"), "{said}");
    assert!(!said.contains("hint:"), "{said}");
    let said = run(world.command("lob").arg("ls-files"), b"").fails(1);
    let top = world.path().to_str().unwrap();
    assert!(said.contains(top), "the directory is named: {said}");
}

#[test]
fn track_writes_to_the_directory_where_it_is_run() {
    let world = World::new();
    let repo = world.init("repo");
    fs::create_dir(repo.path().join("sub")).unwrap();
    repo.lob(&["-C", "sub", "track", "*.bin"]);
    assert!(repo.path().join("sub/.gitattributes").exists());
    assert_eq!(repo.lob(&["track"]), "*.bin  (sub/.gitattributes:1)\n");
    let stderr = repo.try_lob(&["untrack", "*.bin"]).fails(1);
    assert!(
        stderr.contains("hint: it is in sub/.gitattributes"),
        "{stderr}"
    );
    let bare = world.init_bare("bare.git");
    let stderr = bare.try_lob(&["track", "*.bin"]).fails(1);
    assert!(stderr.contains("no work tree"), "{stderr}");
}

#[test]
fn doctor_names_the_remedy_and_is_content_after_it() {
    let world = World::without_filter();
    let repo = world.init("repo");
    let run = repo.try_lob(&["doctor"]);
    let stdout = String::from_utf8(run.stdout.clone()).unwrap();
    assert!(
        stdout.contains("WRONG filter: git does not know lob"),
        "{stdout}"
    );
    assert!(stdout.contains("-> lob install"), "{stdout}");
    run.fails(3);
    let quiet = repo.try_lob(&["doctor", "--quiet"]).stdout;
    let quiet = String::from_utf8(quiet).unwrap();
    assert!(quiet.starts_with("WRONG filter"), "{quiet}");
    assert!(!quiet.contains("\nok "), "{quiet}");
    repo.lob(&["install"]);
    repo.lob(&["init"]);
    repo.lob(&["track", "*.bin"]);
    let stdout = repo.lob(&["doctor", "--json"]);
    let findings = events(&stdout, "finding");
    assert!(findings.len() >= 8, "{stdout}");
    assert!(
        findings.iter().all(|finding| finding["state"] != "wrong"),
        "{stdout}"
    );
}

#[test]
fn doctor_finds_what_was_broken_since() {
    let world = World::new();
    let repo = world.init("repo");
    repo.lob(&["init"]);
    repo.write("x.bin", "x");
    repo.git(&["add", "x.bin"]);
    repo.write(".gitattributes", "*.bin filter=lob\n");
    fs::write(repo.path().join(".git/lob/state/format"), "nonsense").unwrap();
    fs::remove_file(repo.path().join(".git/hooks/pre-push")).unwrap();
    repo.git(&["remote", "add", "origin", "/no/such/place"]);
    repo.git(&["config", "lob.smudge", "sometimes"]);
    let run = repo.try_lob(&["doctor", "--json"]);
    let stdout = String::from_utf8(run.stdout.clone()).unwrap();
    let findings = events(&stdout, "finding");
    for check in ["store", "hooks", "remote", "settings", "attributes"] {
        let wrong =
            |finding: &&serde_json::Value| finding["check"] == check && finding["state"] == "wrong";
        let finding = findings.iter().find(wrong);
        assert!(finding.is_some(), "{check}: {stdout}");
    }
    run.fails(3);
}

#[test]
fn two_versions_of_a_lob_meet_in_a_conflict_that_keeps_ours() {
    let world = World::without_filter();
    world.ok(world.command("lob").arg("install"));
    let repo = world.init("repo");
    repo.lob(&["init"]);
    repo.lob(&["track", "*.bin"]);
    let [base, ours, theirs] = [1, 2, 3].map(|seed| noise(seed, 40_000));
    repo.write("a.bin", &base);
    repo.commit("Base");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.write("a.bin", &theirs);
    repo.commit("Theirs");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a.bin", &ours);
    repo.commit("Ours");
    repo.try_git(&["merge", "-q", "side"]).fails(1);
    assert_eq!(repo.read("a.bin"), ours);
    assert_eq!(repo.git(&["status", "--porcelain"]), "UU a.bin\n");
    repo.git(&["checkout", "-q", "--theirs", "a.bin"]);
    assert_eq!(repo.read("a.bin"), theirs);
    repo.git(&["add", "a.bin"]);
    repo.git(&["commit", "-q", "-m", "Merged"]);
    assert_eq!(repo.stored("HEAD:a.bin"), repo.stored("side:a.bin"));
    repo.assert_clean();
}
