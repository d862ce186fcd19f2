//! Refreshing what real git wrote; real git says whether it is clean, a filter whether it had to look.

use std::path::PathBuf;

use super::super::tests::{conflict, set_mtime, some_time_ago};
use super::*;
use crate::git::fixture::Fixture;

/// A repository whose `*.bin` are cleaned to a constant text by a filter that logs each call.
struct Filtered {
    fixture: Fixture,
    log: PathBuf,
}

impl Filtered {
    fn new(options: &[&str]) -> Filtered {
        let mut words = vec!["init", "-q", "-b", "main"];
        words.extend(options);
        let fixture = Fixture::with(&words);
        let log = fixture.beside("log");
        let clean = format!("echo >>'{}'; cat >/dev/null; echo pointer", log.display());
        fixture.run(&["config", "filter.test.clean", &clean]);
        fixture.write(".gitattributes", "*.bin filter=test\n");
        Filtered { fixture, log }
    }

    /// Writes these files, commits, and forgets the calls.
    fn filled(self, names: &[&str]) -> Filtered {
        for name in names {
            self.fixture.write(name, "pointer\n");
        }
        self.fixture.write("text", "plain");
        self.fixture.commit("files");
        assert!(self.calls() >= names.len());
        let _ = fs::remove_file(&self.log);
        self
    }

    fn calls(&self) -> usize {
        fs::read(&self.log).map_or(0, |log| log.len())
    }

    /// Puts other content in a file, as if it had been written long ago.
    fn replace(&self, name: &str, content: &str) -> Fresh {
        self.fixture.write(name, content);
        set_mtime(&self.fixture.path().join(name), some_time_ago());
        self.fresh(name)
    }

    fn fresh(&self, name: &str) -> Fresh {
        let oid = self.fixture.run(&["rev-parse", &format!(":{name}")]);
        let path = name.as_bytes().to_vec();
        Fresh {
            oid: Oid::from_hex(oid.trim_end().as_bytes()).expect("git prints ids"),
            stat: lstat(self.fixture.path(), &path)
                .expect("it can be looked at")
                .expect("it was just written"),
            path,
        }
    }

    fn refresh(&self, fresh: &[Fresh], settle: Settle) -> Result<Refreshed, IndexError> {
        refresh(&self.fixture.repo(), fresh, settle)
    }

    fn status(&self) -> String {
        self.fixture.run(&["status", "--porcelain"])
    }
}

#[test]
fn git_finds_every_format_clean_without_a_look_at_the_files() {
    for (options, config) in [
        (&[][..], ("index.version", "2")),
        (&[], ("index.version", "4")),
        (&["--object-format=sha256"], ("index.version", "2")),
        (&[], ("index.skipHash", "true")),
        (&[], ("core.untrackedCache", "true")),
        (&[], ("index.threads", "2")),
        (&[], ("core.checkStat", "minimal")),
    ] {
        let filtered = Filtered::new(options);
        filtered.fixture.run(&["config", config.0, config.1]);
        let names = ["a.bin", "dir/b.bin", "dir/new\nline.bin"];
        let filtered = filtered.filled(&names);
        filtered.status();
        let _ = fs::remove_file(&filtered.log);
        let fresh = names.map(|name| filtered.replace(name, "a longer content\n"));
        let refreshed = filtered.refresh(&fresh, Settle::Wait).unwrap();
        assert_eq!(refreshed, Refreshed::Recorded(3), "{config:?}");
        assert_eq!(filtered.status(), "", "{config:?}");
        assert_eq!(filtered.fixture.run(&["diff-files"]), "", "{config:?}");
        assert_eq!(filtered.calls(), 0, "{config:?}");
        // Verifies the checksum, which other commands skip.
        filtered.fixture.run(&["fsck"]);
    }
}

#[test]
fn extensions_survive() {
    let fixture = conflict();
    fixture.write("f", "solved");
    fixture.write("g", "1");
    fixture.run(&["config", "core.untrackedCache", "true"]);
    fixture.commit("merge");
    fixture.run(&["status"]);
    let index = fixture.path().join(".git/index");
    let before = fs::read(&index).unwrap();
    for extension in [b"TREE", b"REUC", b"UNTR"] {
        assert!(before.windows(4).any(|bytes| bytes == extension));
    }
    let filtered = Filtered {
        log: fixture.beside("log"),
        fixture,
    };
    let fresh = filtered.replace("g", "1");
    filtered.refresh(&[fresh], Settle::No).unwrap();
    let after = fs::read(&index).unwrap();
    // TREE is the first extension; only the checksum behind them differs.
    let tree = before
        .windows(4)
        .position(|bytes| bytes == b"TREE")
        .unwrap();
    assert_eq!(
        before[tree..before.len() - 20],
        after[tree..after.len() - 20]
    );
    assert_ne!(before[..tree], after[..tree]);
    assert_eq!(filtered.status(), "");
}

#[test]
fn files_of_this_second_are_trusted_after_a_wait() {
    let filtered = Filtered::new(&[]).filled(&["a.bin"]);
    filtered.fixture.write("a.bin", "written just now");
    let fresh = filtered.fresh("a.bin");
    filtered.refresh(&[fresh], Settle::Wait).unwrap();
    assert_eq!(filtered.status(), "");
    assert_eq!(filtered.calls(), 0);
}

#[test]
fn other_objects_other_stages_and_changed_files_are_left_alone() {
    let filtered = Filtered::new(&[]).filled(&["a.bin", "b.bin", "c.bin"]);
    let index = filtered.fixture.path().join(".git/index");
    let before = fs::read(&index).unwrap();
    let mut other = filtered.replace("a.bin", "new");
    other.oid = filtered.fresh("text").oid;
    let changed = filtered.replace("b.bin", "new");
    filtered.replace("b.bin", "newer");
    let mut unknown = filtered.replace("c.bin", "new");
    unknown.path = b"unknown".to_vec();
    let fresh = [other, changed, unknown];
    let refreshed = filtered.refresh(&fresh, Settle::No).unwrap();
    assert_eq!(refreshed, Refreshed::Recorded(0));
    assert_eq!(fs::read(&index).unwrap(), before);

    let fixture = conflict();
    let index = fixture.path().join(".git/index");
    let before = fs::read(&index).unwrap();
    let oid = fixture.run(&["rev-parse", ":2:f"]);
    let fresh = Fresh {
        path: b"f".to_vec(),
        oid: Oid::from_hex(oid.trim_end().as_bytes()).unwrap(),
        stat: lstat(fixture.path(), b"f").unwrap().unwrap(),
    };
    let refreshed = refresh(&fixture.repo(), &[fresh], Settle::No).unwrap();
    assert_eq!(refreshed, Refreshed::Recorded(0));
    assert_eq!(fs::read(&index).unwrap(), before);
}

#[test]
fn a_racy_change_of_another_file_is_still_seen() {
    let filtered = Filtered::new(&[]).filled(&["a.bin"]);
    let fixture = &filtered.fixture;
    // Else git would see the change by its ctime.
    fixture.run(&["config", "core.trustctime", "false"]);
    let text = fixture.path().join("text");
    set_mtime(&text, some_time_ago());
    fixture.run(&["add", "text"]);
    set_mtime(&fixture.path().join(".git/index"), some_time_ago());
    fs::write(&text, "other").unwrap();
    set_mtime(&text, some_time_ago());
    let fresh = filtered.replace("a.bin", "new");
    let _ = fs::remove_file(&filtered.log);
    let refreshed = filtered.refresh(&[fresh], Settle::Wait).unwrap();
    assert_eq!(refreshed, Refreshed::Recorded(1));
    assert_eq!(filtered.status(), " M text\n");
    assert_eq!(filtered.calls(), 0);
}

#[test]
fn only_entries_that_may_hide_a_change_are_doubtful() {
    let filtered = Filtered::new(&[]);
    let name = "file";
    filtered.fixture.write(name, "1");
    let stat = filtered_stat(&filtered, name);
    let oid = Oid::from_bytes(&[7; 20]).unwrap();
    let ask = |stat: StatData, old: Stamp, new: u32, path: &[u8], mode: u32| {
        let top = filtered.fixture.path();
        Race { top, old, new }.is_doubtful(&Entry {
            offset: 0,
            path,
            mode,
            oid,
            stage: 0,
            assume_valid: false,
            skip_worktree: false,
            intent_to_add: false,
            stat,
        })
    };
    let file = name.as_bytes();
    let same = stat.ctime.max(stat.mtime);
    let after = Stamp {
        nanos: same.nanos + 1,
        ..same
    };
    let next = same.seconds + 1;
    assert!(!ask(stat, after, next, file, 0o100_644), "looked at before");
    assert!(
        ask(stat, same, next, file, 0o100_644),
        "looked at meanwhile"
    );
    assert!(
        !ask(stat, same, same.seconds, file, 0o100_644),
        "still racy"
    );
    assert!(!ask(stat, same, next, file, GITLINK), "never racy");
    assert!(
        !ask(stat, same, next, b"gone", 0o100_644),
        "seen by its absence"
    );
    let later = Stamp {
        seconds: next,
        nanos: 0,
    };
    assert!(
        !ask(stat, later, next + 1, file, 0o100_644),
        "never was racy"
    );
    let mut was = stat;
    was.ctime.nanos ^= 1;
    assert!(
        ask(was, after, next, file, 0o100_644),
        "changed within a second"
    );
}

fn filtered_stat(filtered: &Filtered, name: &str) -> StatData {
    lstat(filtered.fixture.path(), name.as_bytes())
        .expect("it can be looked at")
        .expect("it was just written")
}

#[test]
fn a_wait_ends_with_the_second_and_never_for_the_future() {
    let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let begin = std::time::Instant::now();
    wait_for_the_second_after(999, second + CLOCK_LAG);
    wait_for_the_second_after(1_000_000, second);
    assert!(begin.elapsed() < Duration::from_secs(1));
    wait_for_the_second_after(999, second + CLOCK_LAG - Duration::from_millis(1));
    assert!(begin.elapsed() >= Duration::from_millis(1));
}

/// Turns on a monitor that says everything changed.
fn monitor(fixture: &Fixture) {
    let hook = fixture.beside("monitor");
    fs::write(&hook, "#!/bin/sh\nprintf '1\\0/\\0'\n").expect("it can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).expect("it is ours");
    let hook = hook.to_str().expect("it is UTF-8").to_string();
    fixture.run(&["config", "core.fsmonitor", &hook]);
    fixture.run(&["update-index", "--fsmonitor"]);
    assert!(index_has(fixture, b"FSMN"));
}

fn sparse_index(fixture: &Fixture) {
    fixture.run(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    assert!(index_has(fixture, b"sdir"));
}

fn index_has(fixture: &Fixture, extension: &[u8; 4]) -> bool {
    let index = fs::read(fixture.repo().index_file()).expect("there is one");
    index.windows(4).any(|bytes| bytes == extension)
}

#[test]
fn monitors_and_sparse_indexes_are_kept() {
    for (make, extension) in [
        (monitor as fn(&Fixture), b"FSMN"),
        (sparse_index as fn(&Fixture), b"sdir"),
    ] {
        let filtered = Filtered::new(&[]).filled(&["in/a.bin", "out/b.bin"]);
        set_mtime(&filtered.fixture.path().join("out/b.bin"), some_time_ago());
        filtered.fixture.run(&["add", "out"]);
        make(&filtered.fixture);
        let _ = fs::remove_file(&filtered.log);
        let fresh = filtered.replace("in/a.bin", "a longer content\n");
        let refreshed = filtered.refresh(&[fresh], Settle::No).unwrap();
        assert_eq!(refreshed, Refreshed::Recorded(1));
        assert!(index_has(&filtered.fixture, extension));
        assert_eq!(filtered.fixture.run(&["diff-files"]), "");
        assert_eq!(filtered.status(), "");
        assert_eq!(filtered.calls(), 0);
    }
}

#[test]
fn what_only_git_can_write_git_refreshes() {
    let filtered = Filtered::new(&[]).filled(&["in/a.bin", "out/b.bin"]);
    filtered.fixture.run(&["update-index", "--split-index"]);
    assert!(index_has(&filtered.fixture, b"link"));
    let fresh = filtered.replace("in/a.bin", "a longer content\n");
    let refreshed = filtered.refresh(&[fresh], Settle::No).unwrap();
    assert_eq!(refreshed, Refreshed::ByGit(1));
    assert_eq!(filtered.fixture.run(&["diff-files"]), "");
    assert_eq!(filtered.status(), "");
}

#[test]
fn an_index_behind_a_link_is_written_where_it_is() {
    let filtered = Filtered::new(&[]).filled(&["a.bin"]);
    let index = filtered.fixture.path().join(".git/index");
    let elsewhere = filtered.fixture.beside("index");
    fs::rename(&index, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &index).unwrap();
    let fresh = filtered.replace("a.bin", "a longer content\n");
    filtered
        .refresh(std::slice::from_ref(&fresh), Settle::No)
        .unwrap();
    assert!(fs::symlink_metadata(&index).unwrap().is_symlink());
    assert_eq!(filtered.status(), "");
    assert_eq!(filtered.calls(), 0);
    // By the link itself, as a git that doesn't resolve it names it.
    let recorded = record(&index, filtered.fixture.path(), 20, &[fresh]).unwrap();
    assert_eq!(recorded, None);
}

#[test]
fn git_is_given_only_what_stages_nothing() {
    let filtered = Filtered::new(&[]).filled(&["a.bin", "b.bin", "text2"]);
    let fixture = &filtered.fixture;
    let fresh = filtered.replace("a.bin", "a longer content\n");
    let mut other = filtered.replace("b.bin", "another content\n");
    other.oid = filtered.fresh("text").oid;
    let changed = filtered.fresh("text2");
    fixture.write("text2", "changed by the user");
    let mut gone = changed.clone();
    gone.path = b"gone".to_vec();
    let all = [fresh, other, changed, gone];
    assert_eq!(refresh_with_git(&fixture.repo(), &all).unwrap(), 1);
    assert_eq!(
        fixture.run(&["diff-files", "--name-only"]),
        "b.bin\ntext2\n"
    );
    assert_eq!(fixture.run(&["diff", "--cached", "--name-only"]), "");

    let fixture = conflict();
    let before = fixture.run(&["ls-files", "-s"]);
    let oid = fixture.run(&["rev-parse", ":2:f"]);
    let fresh = Fresh {
        path: b"f".to_vec(),
        oid: Oid::from_hex(oid.trim_end().as_bytes()).unwrap(),
        stat: lstat(fixture.path(), b"f").unwrap().unwrap(),
    };
    assert_eq!(refresh_with_git(&fixture.repo(), &[fresh]).unwrap(), 0);
    assert_eq!(fixture.run(&["ls-files", "-s"]), before);
}

#[test]
fn damage_and_foreign_locks_are_errors_that_change_nothing() {
    let filtered = Filtered::new(&[]).filled(&["a.bin"]);
    let index = filtered.fixture.path().join(".git/index");
    let lock = filtered.fixture.path().join(".git/index.lock");
    let fresh = [filtered.replace("a.bin", "new")];
    let good = fs::read(&index).unwrap();

    fs::write(&lock, "").unwrap();
    let error = filtered.refresh(&fresh, Settle::No).unwrap_err();
    assert!(matches!(&error, IndexError::Locked(path) if *path == lock));
    assert_eq!(fs::read(&index).unwrap(), good);
    fs::remove_file(&lock).unwrap();

    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&index, &bad).unwrap();
    let error = filtered.refresh(&fresh, Settle::No).unwrap_err();
    assert!(matches!(error, IndexError::Damaged { .. }));
    assert_eq!(fs::read(&index).unwrap(), bad);
    assert!(!lock.exists());
    fs::write(&index, &good).unwrap();

    let making = filtered.fixture.path().join(".git/next-index-7.lock");
    fs::copy(&index, &making).unwrap();
    let git = filtered.fixture.git().clone();
    let repo = Repo::find(git.with_env("GIT_INDEX_FILE", &making)).unwrap();
    let error = refresh(&repo, &fresh, Settle::No).unwrap_err();
    assert!(matches!(error, IndexError::Locked(_)));

    fs::remove_file(&index).unwrap();
    let refreshed = filtered.refresh(&fresh, Settle::No).unwrap();
    assert_eq!(refreshed, Refreshed::Recorded(0));
    assert!(!index.exists());
}

#[test]
fn a_sparse_file_of_4_gib_is_not_cleaned_again() {
    let filtered = Filtered::new(&[]).filled(&["a.bin"]);
    let path = filtered.fixture.path().join("a.bin");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(4 << 30).unwrap();
    drop(file);
    set_mtime(&path, some_time_ago());
    let fresh = filtered.fresh("a.bin");
    assert_eq!(fresh.stat.size, 0x8000_0000);
    filtered.refresh(&[fresh], Settle::No).unwrap();
    assert_eq!(filtered.status(), "");
    assert_eq!(filtered.calls(), 0);
}

#[test]
fn permissions_of_the_index_stay() {
    use std::os::unix::fs::PermissionsExt;
    let filtered = Filtered::new(&[]).filled(&["a.bin"]);
    let index = filtered.fixture.path().join(".git/index");
    fs::set_permissions(&index, PermissionsExt::from_mode(0o660)).unwrap();
    let fresh = filtered.replace("a.bin", "new");
    filtered.refresh(&[fresh], Settle::No).unwrap();
    let mode = fs::metadata(&index).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn a_file_that_cannot_be_looked_at_is_not_taken_for_another() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(lstat(dir.path(), b"missing").unwrap(), None);
    let long = vec![b'x'; 300];
    let error = lstat(dir.path(), &long).unwrap_err();
    assert!(matches!(&error, IndexError::Io { path, .. } if path.ends_with("x".repeat(300))));
    let fresh = [Fresh {
        path: long,
        oid: Oid::of_blob(b"", 20).unwrap(),
        stat: StatData::default(),
    }];
    assert!(unchanged(dir.path(), &fresh).is_err());
}
