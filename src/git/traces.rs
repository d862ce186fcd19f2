//! What git remembers besides branches and tags: stashes, reflogs, and work that is not finished.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::{Git, GitError, Oid, Repo, Result, refs};

/// Files and refs of a git directory that name commits while something is not finished.
const NAMES: [&str; 10] = [
    "ORIG_HEAD",
    "MERGE_HEAD",
    "MERGE_AUTOSTASH",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "BISECT_HEAD",
    "BISECT_EXPECTED_REV",
    "BISECT_START",
    "BISECT_LOG",
];
/// Directories of which each file may.
const DIRECTORIES: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];
/// Most bytes that are read of such a file.
const FILE_MAX: u64 = 16 << 20;
/// Lengths of words that may be abbreviated ids.
const ID_LENGTHS: std::ops::RangeInclusive<usize> = 7..=64;

/// The commits that all stashes consist of.
pub fn stashes(repo: &Repo) -> Result<Vec<Oid>> {
    if refs::list(repo, &["refs/stash"])?.is_empty() {
        return Ok(Vec::new());
    }
    let git = plain(repo.git());
    let last = ["rev-list", "--no-walk", "--parents", "refs/stash", "--"];
    let older = ["log", "-g", "--format=%H %P", "refs/stash", "--"];
    let mut found = ids(&git.output(last)?);
    found.extend(ids(&git.output(older)?));
    Ok(found.into_iter().collect())
}

/// The commits to which reflogs lead, of any work tree, and no ref.
pub fn lost(repo: &Repo) -> Result<Vec<Oid>> {
    let words = ["rev-list", "--ignore-missing", "--reflog", "--not", "--all"];
    let found = ids(&plain(repo.git()).output(words)?);
    Ok(found.into_iter().collect())
}

/// The commits that a merge, rebase, cherry-pick, revert or bisect of this work tree names that is not
/// finished.
pub fn unfinished(tree: &Repo) -> Result<Vec<Oid>> {
    let mut words: BTreeSet<String> = NAMES.iter().map(ToString::to_string).collect();
    for name in NAMES {
        gather(&tree.git_dir().join(name), &mut words)?;
    }
    for name in DIRECTORIES {
        let dir = tree.git_dir().join(name);
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(GitError::at(&dir))?,
        };
        for entry in entries {
            gather(&entry.map_err(GitError::at(&dir))?.path(), &mut words)?;
        }
    }
    let bisected = refs::list(tree, &["refs/bisect"])?;
    let mut found = resolve(&plain(tree.git()), &words)?;
    found.extend(bisected.iter().map(|one| one.oid));
    Ok(found.into_iter().collect())
}

/// The commits that a bisect of this work tree still has to choose from: its bad end, and its good
/// ones.
pub fn bisected(tree: &Repo) -> Result<(Vec<Oid>, Vec<Oid>)> {
    let ends = refs::list(tree, &["refs/bisect"])?;
    let (bad, good): (Vec<_>, Vec<_>) = ends
        .iter()
        .partition(|one| one.name.starts_with(b"refs/bisect/bad"));
    let oids = |refs: Vec<&refs::Ref>| refs.iter().map(|one| one.oid).collect();
    Ok((oids(bad), oids(good)))
}

/// Git that shows objects as they are, and only those that are here.
fn plain(git: &Git) -> Git {
    git.clone()
        .with_env("GIT_NO_REPLACE_OBJECTS", "1")
        .with_env("GIT_NO_LAZY_FETCH", "1")
}

/// All full ids in an answer.
fn ids(answer: &[u8]) -> BTreeSet<Oid> {
    let words = answer.split(|byte| byte.is_ascii_whitespace());
    words.filter_map(Oid::from_hex).collect()
}

/// Adds the words of a file that may be ids.
fn gather(path: &Path, words: &mut BTreeSet<String>) -> Result<()> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.map_err(GitError::at(path))?,
    };
    if !file.metadata().map_err(GitError::at(path))?.is_file() {
        return Ok(());
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX).read_to_end(&mut bytes);
    read.map_err(GitError::at(path))?;
    for word in bytes.split(|byte| !byte.is_ascii_hexdigit()) {
        if ID_LENGTHS.contains(&word.len()) {
            words.insert(String::from_utf8_lossy(word).into_owned());
        }
    }
    Ok(())
}

/// The commits that words mean, those left out that mean none.
fn resolve(git: &Git, words: &BTreeSet<String>) -> Result<BTreeSet<Oid>> {
    let mut input = String::new();
    for word in words {
        input.push_str(&format!("{word}^{{commit}}\n"));
    }
    let answer = git.feed(["cat-file", "--batch-check"], input.into_bytes())?;
    let lines = answer.split(|&byte| byte == b'\n');
    let commits = lines.filter_map(|line| {
        let mut words = line.split(|&byte| byte == b' ');
        let oid = Oid::from_hex(words.next()?)?;
        (words.next()? == b"commit").then_some(oid)
    });
    Ok(commits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn oid(fixture: &Fixture, name: &str) -> Oid {
        let hex = fixture.run(&["rev-parse", name]);
        Oid::from_hex(hex.trim_end().as_bytes()).unwrap()
    }

    #[test]
    fn every_stash_is_found_with_its_parts() {
        let fixture = Fixture::new();
        fixture.write("a", "1");
        fixture.commit("one");
        assert_eq!(stashes(&fixture.repo()).unwrap(), []);
        for text in ["2", "3"] {
            fixture.write("a", text);
            fixture.run(&["stash"]);
        }
        let found = stashes(&fixture.repo()).unwrap();
        for name in [
            "stash@{0}",
            "stash@{0}^2",
            "stash@{1}",
            "stash@{1}^2",
            "HEAD",
        ] {
            assert!(found.contains(&oid(&fixture, name)), "{name}");
        }
    }

    #[test]
    fn only_what_no_ref_leads_to_is_lost() {
        let fixture = Fixture::new();
        fixture.write("a", "1");
        fixture.commit("one");
        fixture.write("a", "2");
        fixture.commit("two");
        assert_eq!(lost(&fixture.repo()).unwrap(), []);
        let two = oid(&fixture, "HEAD");
        fixture.run(&["reset", "-q", "--hard", "HEAD~1"]);
        assert_eq!(lost(&fixture.repo()).unwrap(), [two]);
    }

    #[test]
    fn the_names_of_what_is_not_finished_are_found() {
        let fixture = Fixture::new();
        fixture.write("a", "1");
        fixture.commit("one");
        let repo = fixture.repo();
        assert_eq!(unfinished(&repo).unwrap(), []);
        fixture.write("a", "2");
        fixture.commit("two");
        let (one, two) = (oid(&fixture, "HEAD~1"), oid(&fixture, "HEAD"));
        let dir = repo.git_dir().join("rebase-merge");
        fs::create_dir(&dir).unwrap();
        let short: String = two.to_string().chars().take(9).collect();
        fs::write(dir.join("git-rebase-todo"), format!("pick {short} two\n")).unwrap();
        assert_eq!(unfinished(&repo).unwrap(), [two]);
        fixture.run(&["update-ref", "ORIG_HEAD", &one.to_string()]);
        assert_eq!(unfinished(&repo).unwrap().len(), 2);
        fixture.run(&["update-ref", "refs/bisect/bad", &two.to_string()]);
        fixture.run(&["update-ref", "refs/bisect/good-1", &one.to_string()]);
        assert_eq!(bisected(&repo).unwrap(), (vec![two], vec![one]));
    }
}
