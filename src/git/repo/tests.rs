use std::fs;

use super::super::fixture::{Fixture, isolate};
use super::*;

fn bound(git: Git) -> Repo {
    Repo::find(git).unwrap()
}

#[test]
fn a_plain_repository_is_found_from_beneath() {
    let fixture = Fixture::new();
    fixture.write("a/b/file", "");
    let repo = Repo::discover(&fixture.path().join("a/b")).unwrap();
    let git_dir = fixture.path().join(".git");
    assert_eq!(repo.work_tree(), Some(fixture.path()));
    assert_eq!(repo.git_dir(), git_dir);
    assert_eq!(repo.common_dir(), git_dir);
    assert_eq!(repo.index_file(), git_dir.join("index"));
    assert_eq!(repo.lob_dir(), git_dir.join("lob"));
    assert_eq!(repo.object_len(), 20);
    assert_eq!(repo.git().dir(), fixture.path());
}

#[test]
fn a_linked_work_tree_shares_the_store() {
    let fixture = Fixture::new();
    fixture.commit("first");
    let linked = fixture.beside("linked");
    fixture.run(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "other",
        linked.to_str().unwrap(),
    ]);
    let repo = Repo::discover(&linked).unwrap();
    let git_dir = fixture.path().join(".git");
    assert_eq!(repo.work_tree(), Some(linked.as_path()));
    assert_eq!(repo.git_dir(), git_dir.join("worktrees/linked"));
    assert_eq!(repo.lob_dir(), git_dir.join("lob"));
    assert_eq!(repo.index_file(), repo.git_dir().join("index"));
    assert_eq!(
        repo.git().line(["branch", "--show-current"]).unwrap(),
        b"other"
    );
}

#[test]
fn a_bare_repository_has_no_work_tree() {
    let fixture = Fixture::bare();
    let repo = fixture.repo();
    assert_eq!(repo.git_dir(), fixture.path());
    assert_eq!(repo.work_tree(), None);
    let error = repo.need_work_tree().unwrap_err();
    assert!(error.to_string().contains("it has no work tree"));
    let bare = repo
        .git()
        .line(["rev-parse", "--is-bare-repository"])
        .unwrap();
    assert_eq!(bare, b"true");
}

#[test]
fn the_git_directory_is_no_work_tree() {
    let fixture = Fixture::new();
    let git_dir = fixture.path().join(".git");
    assert_eq!(Repo::discover(&git_dir).unwrap().work_tree(), None);
    let git = fixture
        .git()
        .clone()
        .in_dir(&git_dir)
        .with_env("GIT_DIR", ".");
    let repo = bound(git);
    assert_eq!(repo.git_dir(), git_dir);
    assert_eq!(repo.work_tree(), None);
}

#[test]
fn sha256_repositories_have_longer_ids() {
    let fixture = Fixture::with(&["init", "-q", "--object-format=sha256", "."]);
    assert_eq!(fixture.repo().object_len(), 32);
}

#[test]
fn what_git_tells_a_hook_is_kept() {
    let fixture = Fixture::new();
    fixture.write("dir/file", "");
    let git = fixture.git().clone().with_env("GIT_DIR", ".git");
    let repo = bound(git.with_env("GIT_INDEX_FILE", ".git/next-index-7.lock"));
    let index = fixture.path().join(".git/next-index-7.lock");
    assert_eq!(repo.index_file(), index);
    assert_eq!(
        repo.git().env("GIT_INDEX_FILE").as_deref(),
        Some(index.as_os_str())
    );
    let below = repo.git().clone().in_dir(&fixture.path().join("dir"));
    let top = below.line(["rev-parse", "--show-toplevel"]).unwrap();
    assert_eq!(path_buf(&top), fixture.path());
}

#[test]
fn another_repository_is_found_in_spite_of_a_hook() {
    let (here, there) = (Fixture::new(), Fixture::new());
    let git = Git::elsewhere(there.path()).unwrap();
    let repo = bound(isolate(git));
    assert_eq!(repo.work_tree(), Some(there.path()));
    assert_ne!(here.path(), there.path());
    let hook = here.git().clone().in_dir(there.path());
    let hook = hook.with_env("GIT_DIR", here.path().join(".git"));
    let repo = Repo::find(hook.foreign()).unwrap();
    assert_eq!(repo.git_dir(), there.path().join(".git"));
}

#[test]
fn a_work_tree_apart_from_its_git_directory_works_in_both() {
    let fixture = Fixture::new();
    let apart = fixture.beside("apart");
    fs::create_dir(&apart).unwrap();
    fixture.git().set_config("core.worktree", &apart).unwrap();
    let repo = bound(fixture.git().clone().in_dir(&fixture.path().join(".git")));
    assert_eq!(repo.work_tree(), Some(apart.as_path()));
    fs::write(apart.join("file"), "x").unwrap();
    repo.git().output(["add", "file"]).unwrap();
    assert_eq!(repo.git().line(["ls-files"]).unwrap(), b"file");
}

#[cfg(unix)]
#[test]
fn a_path_may_hold_any_byte() {
    let fixture = Fixture::new();
    let odd = fixture.beside("").join(path_buf(b"a\n--between--x\n \xe9"));
    fs::create_dir_all(&odd).unwrap();
    let git = fixture.git().clone().in_dir(&odd);
    git.output(["init", "-q", "."]).unwrap();
    let repo = bound(git);
    assert_eq!(repo.work_tree(), Some(odd.as_path()));
    assert_eq!(repo.git_dir(), odd.join(".git"));
}

#[test]
fn outside_of_a_repository_the_error_has_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let error = Repo::discover(dir.path()).unwrap_err();
    assert!(matches!(error, GitError::NoRepository { .. }), "{error}");
    assert!(error.hint().unwrap().contains("git init"));
}

#[test]
fn an_answer_of_an_old_git_is_understood() {
    let answer = b"--path-format=absolute\n.git\n--between--\n.git\n--between--\n.git/index\n\
        --between--\nsha1\n--between--\n/top\n";
    let answers = split(answer);
    assert_eq!(
        answers,
        [&b".git"[..], b".git", b".git/index", b"sha1", b"/top"]
    );
}

#[test]
fn settings_are_read_once() {
    let fixture = Fixture::new();
    fixture.git().set_config("lob.remote", "upstream").unwrap();
    let repo = fixture.repo();
    assert_eq!(repo.settings().unwrap().remote.as_deref(), Some("upstream"));
    fixture.git().set_config("lob.remote", "other").unwrap();
    assert_eq!(repo.settings().unwrap().remote.as_deref(), Some("upstream"));
}
