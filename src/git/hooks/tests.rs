use super::super::fixture::Fixture;
use super::*;

fn hooks(fixture: &Fixture) -> Hooks {
    Hooks::of(&fixture.repo()).unwrap()
}

fn states(hooks: &Hooks) -> [State; 3] {
    Hook::ALL.map(|hook| hooks.state(hook).unwrap())
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    rewrite::write(path, text.as_bytes(), true).unwrap();
}

#[test]
fn hooks_are_installed_once_and_removed() {
    let fixture = Fixture::new();
    let hooks = hooks(&fixture);
    fs::remove_dir_all(hooks.dir()).unwrap();
    assert_eq!(states(&hooks), [State::Missing; 3]);
    assert_eq!(hooks.install(false).unwrap(), Hook::ALL);
    assert_eq!(states(&hooks), [State::Ours; 3]);
    assert_eq!(hooks.install(false).unwrap(), []);
    assert_eq!(hooks.uninstall().unwrap(), Hook::ALL);
    assert_eq!(states(&hooks), [State::Missing; 3]);
    assert_eq!(hooks.uninstall().unwrap(), []);
}

#[test]
fn the_hook_of_somebody_else_is_kept() {
    let fixture = Fixture::new();
    let hooks = hooks(&fixture);
    let path = hooks.dir().join("post-merge");
    let theirs = "#!/bin/sh\n# lob hook post-merge is not called here\nmake\n";
    put(&path, theirs);
    let error = hooks.install(false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("post-merge is a hook that is not lob's")
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("`lob hook post-merge \"$@\"`")
    );
    assert_eq!(
        states(&hooks),
        [State::Missing, State::Missing, State::Foreign],
        "nothing was half done"
    );
    assert_eq!(hooks.install(true).unwrap(), Hook::ALL);
    assert_eq!(states(&hooks), [State::Ours; 3]);
    let saved = hooks.dir().join("post-merge.before-lob");
    assert_eq!(fs::read_to_string(&saved).unwrap(), theirs);
    hooks.uninstall().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    assert!(!saved.exists() && is_executable(&path));
    put(&saved, "older");
    let error = hooks.install(true).unwrap_err();
    assert!(matches!(error, GitError::Saved(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
}

#[test]
fn a_hook_that_calls_lob_will_do() {
    let fixture = Fixture::new();
    let hooks = hooks(&fixture);
    for hook in Hook::ALL {
        let path = hooks.dir().join(hook.name());
        put(&path, &format!("#!/bin/sh\nmake\n{}\n", hook.line()));
    }
    assert_eq!(states(&hooks), [State::Calls; 3]);
    assert_eq!(hooks.install(false).unwrap(), []);
    assert_eq!(hooks.uninstall().unwrap(), []);
}

#[test]
fn an_older_hook_of_ours_is_renewed_and_an_edited_one_is_theirs() {
    let fixture = Fixture::new();
    let hooks = hooks(&fixture);
    hooks.install(false).unwrap();
    let script = Hook::PrePush.script();
    let path = hooks.dir().join("pre-push");
    let version = format!("version {VERSION}:");
    put(&path, &script.replace(&version, "version 0:"));
    assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::OursOlder);
    assert_eq!(hooks.install(false).unwrap(), [Hook::PrePush]);
    assert_eq!(fs::read_to_string(&path).unwrap(), script);
    put(&path, &script.replace(&version, "version 99:"));
    assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Ours);
    put(&path, &format!("{script}more\n"));
    assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Calls);
    put(&path, &script.replace("exec lob hook pre-push", "true"));
    assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Foreign);
}

#[cfg(unix)]
#[test]
fn a_hook_that_git_cannot_run_is_seen() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let fixture = Fixture::new();
    let hooks = hooks(&fixture);
    hooks.install(false).unwrap();
    let path = hooks.dir().join("post-merge");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(hooks.state(Hook::PostMerge).unwrap(), State::OursOlder);
    assert_eq!(hooks.install(false).unwrap(), [Hook::PostMerge]);
    assert_eq!(hooks.state(Hook::PostMerge).unwrap(), State::Ours);
    fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    assert_eq!(hooks.state(Hook::PostMerge).unwrap(), State::Foreign);
}

#[test]
fn the_path_of_the_hooks_is_honoured() {
    let fixture = Fixture::new();
    fixture.write("sub/file", "");
    fixture.run(&["config", "core.hooksPath", ".githooks"]);
    let repo = Repo::discover(&fixture.path().join("sub")).unwrap();
    let hooks = Hooks::of(&repo).unwrap();
    assert_eq!(hooks.dir(), fixture.path().join(".githooks"));
    assert_eq!(hooks.install(false).unwrap(), Hook::ALL);
    assert!(fixture.path().join(".githooks/pre-push").exists());
}

#[test]
fn hooks_that_others_share_are_not_touched() {
    let fixture = Fixture::new();
    let shared = fixture.beside("shared");
    fs::create_dir(&shared).unwrap();
    fixture.git().set_config("core.hooksPath", &shared).unwrap();
    for force in [false, true] {
        let error = hooks(&fixture).install(force).unwrap_err();
        assert!(
            error.to_string().contains("not this repository's alone"),
            "{error}"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("`lob hook pre-push \"$@\" || exit` to pre-push"),
            "{hint}"
        );
        assert!(hint.contains("core.hooksPath"), "{hint}");
    }
    put(&shared.join("pre-push"), "#!/bin/sh\nmake\n");
    let error = hooks(&fixture).install(false).unwrap_err();
    assert!(matches!(error, GitError::HooksElsewhere { .. }), "{error}");
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 1);
    for hook in Hook::ALL {
        put(
            &shared.join(hook.name()),
            &format!("#!/bin/sh\n{}\n", hook.line()),
        );
    }
    assert_eq!(hooks(&fixture).install(false).unwrap(), []);

    fixture.run(&["config", "core.hooksPath", ".husky/_"]);
    let error = hooks(&fixture).install(true).unwrap_err().to_string();
    assert!(error.contains("husky"), "{error}");
    #[cfg(unix)]
    {
        fixture.run(&["config", "core.hooksPath", "/dev/null"]);
        assert_eq!(states(&hooks(&fixture)), [State::Missing; 3]);
        let error = hooks(&fixture).install(true).unwrap_err().to_string();
        assert!(error.contains("switched off"), "{error}");
    }
}

#[test]
fn all_work_trees_have_the_same_hooks() {
    let fixture = Fixture::new();
    fixture.commit("first");
    let linked = fixture.beside("linked");
    fixture.run(&["worktree", "add", "-q", linked.to_str().unwrap()]);
    let repo = Repo::discover(&linked).unwrap();
    assert_eq!(Hooks::of(&repo).unwrap().dir(), hooks(&fixture).dir());
    let bare = Fixture::bare();
    assert_eq!(hooks(&bare).dir(), bare.path().join("hooks"));
    assert_eq!(hooks(&bare).install(false).unwrap(), Hook::ALL);
}

/// Git itself runs the scripts, with a `lob` on PATH that notes its arguments, and with none.
#[cfg(unix)]
#[test]
fn git_runs_the_scripts() {
    let fixture = Fixture::new();
    hooks(&fixture).install(false).unwrap();
    let (bin, log) = (fixture.beside("bin"), fixture.beside("log"));
    let note = format!(
        "#!/bin/sh\necho \"$@\" >>'{}'\nwhile read -r line; do :; done\n",
        log.display()
    );
    put(&bin.join("lob"), &note);
    fixture.commit("first");
    fixture.run(&["init", "-q", "--bare", "../other.git"]);
    let with = fixture.git().clone().with_env("PATH", &bin);
    with.output(["checkout", "-q", "-b", "topic"]).unwrap();
    with.output(["push", "-q", "../other.git", "topic"])
        .unwrap();
    let notes = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = notes.lines().collect();
    assert!(lines[0].starts_with("hook post-checkout ") && lines[0].ends_with(" 1"));
    assert_eq!(lines[1], "hook pre-push ../other.git ../other.git");
    assert_eq!(lines.len(), 2);

    fixture.commit("second");
    let without = fixture
        .git()
        .clone()
        .with_env("PATH", fixture.beside("none"));
    without.output(["checkout", "-q", "main"]).unwrap();
    let error = without
        .output(["push", "-q", "../other.git", "topic"])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("lob is not on PATH: nothing was pushed"),
        "{text}"
    );
    assert!(
        text.contains("remove this hook: .git/hooks/pre-push"),
        "{text}"
    );
}
