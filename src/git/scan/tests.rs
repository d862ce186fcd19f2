//! Pointers found in real repositories of all kinds.

use std::fs;
use std::path::Path;

use lob_store::LobId;

use super::objects::{Filter, filtered};
use super::*;
use crate::git::Blob;
use crate::git::fixture::Fixture;

const OLD: &str = "git-lob: aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

fn lob(text: &str) -> Pointer {
    Pointer::Lob {
        id: LobId::of(text.as_bytes()),
        size: text.len() as u64,
    }
}

/// Writes the pointer of a lob.
fn place(fixture: &Fixture, path: &str, text: &str) {
    fixture.write(path, lob(text).print());
}

fn oid(fixture: &Fixture, name: &str) -> Oid {
    let hex = fixture.run(&["rev-parse", name]);
    Oid::from_hex(hex.trim_end().as_bytes()).expect("git prints ids")
}

fn scope(repo: &Repo) -> Scope {
    Scope::of(repo).expect("the configuration is readable")
}

/// The same repository, seen by a git that logs what it starts.
fn traced(fixture: &Fixture) -> (Repo, std::path::PathBuf) {
    let log = fixture.beside("trace");
    let _ = fs::remove_file(&log);
    let git = fixture.git().clone().with_env("GIT_TRACE", &log);
    (Repo::find(git).expect("it is a repository"), log)
}

fn starts(log: &Path, verb: &str) -> usize {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.matches(&format!("built-in: git {verb}")).count()
}

fn index_paths(repo: &Repo, seen: &mut Seen) -> Vec<String> {
    let found = index_pointers(repo, seen).expect("the index is readable");
    let paths = found.iter().map(|tracked| &tracked.path);
    paths
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

/// The paths and the pointers of a walk.
fn in_commits(repo: &Repo, include: &[Oid], exclude: &[Oid]) -> Vec<(String, Pointer)> {
    let mut seen = Seen::open(repo);
    let mut all = Vec::new();
    let each = |found: Found| {
        let path = String::from_utf8_lossy(&found.path).into_owned();
        all.push((path, found.pointer));
    };
    commit_pointers(repo, &mut seen, include, exclude, each).expect("the walk succeeds");
    all.sort_by_key(|(path, pointer)| (path.clone(), pointer.to_string()));
    all
}

#[test]
fn pointers_of_all_kinds_are_found_in_the_index_and_nothing_else_is() {
    for format in ["sha1", "sha256"] {
        let format = format!("--object-format={format}");
        let fixture = Fixture::with(&["init", "-q", "-b", "main", &format, "."]);
        let repo = fixture.repo();
        fs::create_dir_all(repo.lob_dir().join("state")).unwrap();
        assert_eq!(index_paths(&repo, &mut Seen::open(&repo)), [""; 0]);

        let lfs = Pointer::Lfs {
            sha256: [7; 32],
            size: 9,
            extended: false,
        };
        place(&fixture, "dir/new\nline \"quoted\"", "one");
        place(&fixture, "same content", "one");
        fixture.write("lfs", lfs.print());
        fixture.write("old", OLD);
        fixture.write("empty", "");
        fixture.write("text", "plain");
        fixture.write("long", format!("{OLD}{}", "\n".repeat(2000)));
        fixture.run(&["add", "."]);
        let blob = oid(&fixture, ":old");
        for (mode, path) in [("120000", "link"), ("160000", "module"), ("100755", "tool")] {
            let info = format!("{mode},{blob},{path}");
            fixture.run(&["update-index", "--add", "--cacheinfo", &info]);
        }
        fixture.run(&["update-index", "--skip-worktree", "lfs"]);
        fixture.write("named", OLD);
        fixture.run(&["add", "-N", "named"]);

        let (repo, log) = traced(&fixture);
        let mut seen = Seen::open(&repo);
        let cold = index_pointers(&repo, &mut seen).unwrap();
        let expected = [
            "dir/new\nline \"quoted\"",
            "lfs",
            "old",
            "same content",
            "tool",
        ];
        let paths: Vec<_> = cold.iter().map(|one| one.path.as_slice()).collect();
        assert_eq!(paths, expected.map(str::as_bytes));
        let pointers: Vec<_> = cold.iter().map(|one| one.pointer).collect();
        let old = Pointer::parse(OLD.as_bytes()).unwrap();
        assert_eq!(pointers, [lob("one"), lfs, old, lob("one"), old]);
        let skipped: Vec<_> = cold.iter().map(|one| one.skip_worktree).collect();
        assert_eq!(skipped, [false, true, false, false, false]);
        assert_eq!((cold[4].mode, cold[2].mode), (0o100_755, 0o100_644));
        assert_eq!(starts(&log, "cat-file"), 2);

        seen.save().unwrap();
        let (repo, log) = traced(&fixture);
        let warm = index_pointers(&repo, &mut Seen::open(&repo)).unwrap();
        assert_eq!(warm, cold);
        assert_eq!(
            starts(&log, ""),
            1,
            "discovering it is all that git is asked"
        );
    }
}

#[test]
fn all_sides_of_a_merge_are_found() {
    let fixture = Fixture::new();
    for (branch, text) in [("main", "0"), ("one", "1"), ("two", "2")] {
        if branch != "main" {
            fixture.run(&["checkout", "-q", "-b", branch, "main"]);
        }
        place(&fixture, "f", text);
        fixture.commit(branch);
    }
    fixture.git().status(["merge", "-q", "one"]).unwrap();
    let repo = fixture.repo();
    let found = index_pointers(&repo, &mut Seen::open(&repo)).unwrap();
    let sides: Vec<_> = found.iter().map(|one| (one.stage, one.pointer)).collect();
    assert_eq!(sides, [(1, lob("0")), (2, lob("2")), (3, lob("1"))]);
}

#[test]
fn a_range_holds_what_is_new_in_it() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    assert_eq!(in_commits(&repo, &[], &[]), []);
    place(&fixture, "a", "a1");
    place(&fixture, "dir/b\nc", "b1");
    fixture.write("text", "plain");
    fixture.commit("first");
    place(&fixture, "a", "a2");
    place(&fixture, "copy of a", "a1");
    fixture.commit("second");
    place(&fixture, "a", "a3");
    fixture.commit("third");
    fixture.run(&["rm", "-q", "a"]);
    fixture.commit("fourth");
    let at = |name: &str| oid(&fixture, name);
    let named = |list: &[(&str, &str)]| -> Vec<(String, Pointer)> {
        let one = |(path, text): &(&str, &str)| (path.to_string(), lob(text));
        list.iter().map(one).collect()
    };
    let mut all = in_commits(&repo, &[at("HEAD")], &[]);
    // Which of the two paths of one blob is named is git's choice.
    all.iter_mut()
        .for_each(|(path, _)| *path = path.replace("copy of a", "a"));
    all.sort_by_key(|(path, pointer)| (path.clone(), pointer.size(), pointer.to_string()));
    let mut expected = named(&[("a", "a1"), ("a", "a2"), ("a", "a3"), ("dir/b", "b1")]);
    expected.sort_by_key(|(path, pointer)| (path.clone(), pointer.size(), pointer.to_string()));
    assert_eq!(all, expected);
    let range = |from: &str| in_commits(&repo, &[at("HEAD")], &[at(from)]);
    assert_eq!(range("HEAD~2"), named(&[("a", "a3")]));
    assert_eq!(range("HEAD~1"), []);
    assert_eq!(range("HEAD"), []);
    let nobody = Oid::from_bytes(&[0x11; 20]).unwrap();
    let unknown = in_commits(&repo, &[at("HEAD")], &[at("HEAD~2"), nobody]);
    assert_eq!(unknown, named(&[("a", "a3")]));
}

#[test]
fn an_older_git_finds_the_same() {
    let fixture = Fixture::new();
    place(&fixture, "a", "a1");
    fixture.write("text", "plain");
    fixture.write("long", "x".repeat(5000));
    fixture.commit("first");
    place(&fixture, "dir/b", "b1");
    fixture.commit("second");
    fixture.run(&["tag", "-a", "-m", "x", "note"]);
    let repo = fixture.repo();
    let include = [oid(&fixture, "note")];
    for walk in [
        Walk::Range {
            include: &include,
            exclude: &[],
        },
        Walk::Snapshots(&include),
    ] {
        let mut answers = Vec::new();
        for filter in [Filter::ByKind, Filter::BySize] {
            let mut seen = Seen::open(&repo);
            let mut found = Vec::new();
            let mut each = |one| found.push(one);
            filtered(&scope(&repo), &mut seen, walk, filter, &mut each).unwrap();
            assert_eq!(found.len(), 2);
            answers.push(found);
        }
        assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn tags_of_pointers_count() {
    let fixture = Fixture::new();
    place(&fixture, "file", "tagged");
    let blob = fixture.run(&["hash-object", "-w", "file"]);
    fixture.run(&["tag", "light", blob.trim_end()]);
    fixture.run(&["tag", "-a", "-m", "x", "heavy", blob.trim_end()]);
    let repo = fixture.repo();
    for tag in ["light", "heavy"] {
        let found = in_commits(&repo, &[oid(&fixture, tag)], &[]);
        let pointers: Vec<_> = found.into_iter().map(|(_, pointer)| pointer).collect();
        assert_eq!(pointers, [lob("tagged")], "{tag}");
    }
}

#[test]
fn replaced_objects_are_seen_as_git_sends_them() {
    let fixture = Fixture::new();
    place(&fixture, "file", "real");
    fixture.commit("first");
    place(&fixture, "other", "false");
    let other = fixture.run(&["hash-object", "-w", "other"]);
    fixture.run(&["replace", "HEAD:file", other.trim_end()]);
    let repo = fixture.repo();
    let found = in_commits(&repo, &[oid(&fixture, "HEAD")], &[]);
    assert_eq!(found, [("file".to_string(), lob("real"))]);
    let found = index_pointers(&repo, &mut Seen::open(&repo)).unwrap();
    assert_eq!(found[0].pointer, lob("real"));
}

#[test]
fn a_damaged_repository_is_an_error_and_not_an_empty_answer() {
    let fixture = Fixture::new();
    place(&fixture, "dir/file", "lost");
    fixture.commit("first");
    let tree = oid(&fixture, "HEAD:dir").to_string();
    let object = format!(".git/objects/{}/{}", &tree[..2], &tree[2..]);
    fs::remove_file(fixture.path().join(object)).unwrap();
    let repo = fixture.repo();
    let include = [oid(&fixture, "HEAD")];
    let walked = commit_pointers(&repo, &mut Seen::open(&repo), &include, &[], drop);
    assert!(walked.unwrap_err().to_string().contains("rev-list"));
}

/// A repository with two commits, in which the pointer at `file` differs, and clones of it.
struct Source {
    fixture: Fixture,
}

impl Source {
    fn new() -> Source {
        let fixture = Fixture::new();
        fixture.run(&["config", "uploadpack.allowFilter", "true"]);
        fixture.run(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        for text in ["one", "two"] {
            place(&fixture, "dir/file", text);
            fixture.commit(text);
        }
        Source { fixture }
    }

    fn clone(&self, options: &[&str]) -> Fixture {
        let url = format!("file://{}", self.fixture.path().display());
        let mut words = vec!["clone", "-q"];
        words.extend(options);
        words.extend([url.as_str(), "."]);
        Fixture::with(&words)
    }
}

#[test]
fn bare_and_shallow_clones_and_work_trees_are_scanned() {
    let source = Source::new();
    let both = [lob("one"), lob("two")];
    let pointers = |fixture: &Fixture, repo: &Repo| -> Vec<Pointer> {
        let found = in_commits(repo, &[oid(fixture, "HEAD")], &[]);
        let mut found: Vec<_> = found.into_iter().map(|(_, pointer)| pointer).collect();
        found.sort_by_key(|pointer| both.iter().position(|one| one == pointer));
        found
    };
    let bare = source.clone(&["--bare"]);
    assert_eq!(pointers(&bare, &bare.repo()), both);
    assert_eq!(
        index_paths(&bare.repo(), &mut Seen::open(&bare.repo())),
        [""; 0]
    );
    let shallow = source.clone(&["--depth=1"]);
    assert_eq!(pointers(&shallow, &shallow.repo()), both[1..]);
    let linked = source.fixture.beside("linked");
    let words = [
        "worktree",
        "add",
        "-q",
        "--detach",
        linked.to_str().unwrap(),
        "HEAD~1",
    ];
    source.fixture.run(&words);
    let repo = Repo::discover(&linked).unwrap();
    let found = index_pointers(&repo, &mut Seen::open(&repo)).unwrap();
    assert_eq!(found[0].pointer, lob("one"));
}

#[test]
fn partial_clones_fetch_nothing_and_remember_nothing_of_what_they_lack() {
    let source = Source::new();
    for filter in ["--filter=blob:none", "--filter=tree:0"] {
        let clone = source.clone(&[filter, "--no-checkout"]);
        // The index names blobs that are not here.
        if filter.ends_with("none") {
            clone.run(&["read-tree", "HEAD"]);
        }
        let (repo, log) = traced(&clone);
        repo.config().unwrap();
        let _ = fs::remove_file(&log);
        let mut seen = Seen::open(&repo);
        assert_eq!(index_paths(&repo, &mut seen), [""; 0]);
        let head = oid(&clone, "HEAD");
        assert_eq!(in_commits(&repo, &[head], &[]), []);
        assert_eq!(starts(&log, "fetch"), 0, "{filter}");
        clone.run(&["checkout", "-q", "-f"]);
        assert_eq!(index_paths(&repo, &mut seen), ["dir/file"]);
        let found = in_commits(&repo, &[head], &[]);
        assert_eq!(found, [("dir/file".to_string(), lob("two"))]);
        assert_eq!(starts(&log, "fetch"), 0, "{filter}");
    }
}

#[test]
fn a_git_that_fetches_whatever_it_is_told_is_not_asked_for_what_is_missing() {
    let source = Source::new();
    let clone = source.clone(&["--filter=blob:none", "--no-checkout"]);
    let missing = oid(&source.fixture, "HEAD:dir/file");
    let (repo, log) = traced(&clone);
    let mut scope = scope(&repo);
    assert!(scope.partial && !scope.fetches);
    scope.fetches = true;
    scope.git = scope.git.without_env("GIT_NO_LAZY_FETCH");
    let mut seen = Seen::open(&repo);
    let commit = oid(&clone, "HEAD");
    let found = classify(&scope, &mut seen, vec![missing, commit]).unwrap();
    assert_eq!(Vec::from_iter(found), [(commit, Blob::Content)]);
    let include = [commit];
    let walk = Walk::Snapshots(&include);
    let mut each = |found| panic!("{found:?} is not here");
    filtered(&scope, &mut seen, walk, Filter::ByKind, &mut each).unwrap();
    assert_eq!(seen.get(&missing), None);
    assert_eq!(starts(&log, "fetch"), 0);
}

#[test]
fn what_is_long_after_all_is_passed_over() {
    let fixture = Fixture::new();
    fixture.write("long", "x".repeat(100_000));
    place(&fixture, "short", "one");
    fixture.commit("first");
    let repo = fixture.repo();
    let mut seen = Seen::open(&repo);
    let names = ["HEAD:long", "HEAD", "HEAD:short"];
    let oids = names.map(|name| oid(&fixture, name));
    let found = classify(&scope(&repo), &mut seen, oids.to_vec()).unwrap();
    assert_eq!(found.len(), 3);
    let known = oids.map(|oid| seen.get(&oid).and_then(Blob::pointer));
    assert_eq!(known, [None, None, Some(lob("one"))]);
}

#[test]
fn more_than_is_held_at_once_is_found_once_each_in_the_order_of_the_walk() {
    let fixture = Fixture::new();
    for number in 0..100 {
        place(
            &fixture,
            &format!("d{}/f{number}", number % 10),
            &number.to_string(),
        );
    }
    fixture.commit("many");
    let (repo, log) = traced(&fixture);
    let mut scope = scope(&repo);
    scope.at_once = 30;
    let mut seen = Seen::open(&repo);
    let include = [oid(&fixture, "HEAD")];
    let walk = Walk::Snapshots(&include);
    let listed = repo
        .git()
        .output(["ls-tree", "-r", "--name-only", "-z", "main"])
        .unwrap();
    let listed: Vec<_> = listed.split(|&byte| byte == 0).take(100).collect();
    // Lengths, then contents, of 30 at a time.
    for processes in [8, 0] {
        let _ = fs::remove_file(&log);
        let mut paths = Vec::new();
        let mut each = |found: Found| paths.push(found.path);
        filtered(&scope, &mut seen, walk, Filter::ByKind, &mut each).unwrap();
        assert_eq!(paths, listed);
        assert_eq!(starts(&log, "cat-file"), processes);
    }
    let mut fresh = Seen::open(&repo);
    let oids = index_pointers(&repo, &mut seen)
        .unwrap()
        .into_iter()
        .map(|one| one.oid);
    let found = classify(&scope, &mut fresh, oids.collect()).unwrap();
    assert_eq!(found.len(), 100);
}
