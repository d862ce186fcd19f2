//! Which lobs each mode asks for: the one place that says so, for replication and for pruning.

use std::collections::HashSet;

use lob_store::{LobId, LobInfo};

use super::error::{Error, Result};
use crate::git::command::operand;
use crate::git::patterns::Patterns;
use crate::git::refs::{self, Head};
use crate::git::scan::{commit_pointers, snapshot_pointers};
use crate::git::{GitError, Oid, Pointer, Repo, Seen, Window, history};

/// A lob that is wanted, and where it was first found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The lob.
    pub id: LobId,
    /// Its length in bytes, as its pointer says.
    pub size: u64,
    /// The path of the pointer that asks for it; empty where none does.
    pub path: Box<[u8]>,
    /// Why it is wanted.
    pub reason: Reason,
}

/// Why a lob is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A store holds it, and all of that is wanted.
    Held,
    /// Somebody named it.
    Asked,
    /// A commit in the history of what was named holds it.
    Committed,
    /// Git's index holds it.
    Index,
    /// A checkout within the window needs it.
    Recent,
}

impl Want {
    /// A lob that no pointer asks for.
    pub fn bare(lob: LobInfo, reason: Reason) -> Want {
        Want {
            id: lob.id,
            size: lob.size,
            path: Box::default(),
            reason,
        }
    }

    /// A lob that the file at `path` needs.
    pub fn asked(path: &[u8], lob: LobInfo) -> Want {
        Want {
            path: path.into(),
            ..Want::bare(lob, Reason::Asked)
        }
    }

    /// The lob without its place.
    pub fn info(&self) -> LobInfo {
        LobInfo {
            id: self.id,
            size: self.size,
        }
    }
}

/// Collects wants, each lob once. Pointers to one lob that differ in its size are all kept: all but
/// one of them are wrong, and whoever carries out the plan says so.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// In the order in which they were found.
    pub(super) list: Vec<Want>,
    known: HashSet<(LobId, u64)>,
}

impl Wants {
    /// One more pointer.
    pub(super) fn add(&mut self, pointer: &Pointer, path: &[u8], reason: Reason) {
        // Pointers of other programs name no lob of this store.
        if let Pointer::Lob { id, size } = *pointer
            && self.known.insert((id, size))
        {
            self.list.push(Want {
                id,
                size,
                path: path.into(),
                reason,
            });
        }
    }
}

/// What commits reference that can be reached from `tips` and not from `known`.
pub fn committed(repo: &Repo, tips: &[Oid], known: &[Oid]) -> Result<Vec<Want>> {
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    commit_pointers(repo, &mut seen, tips, known, |found| {
        wants.add(&found.pointer, &found.path, Reason::Committed);
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// What all refs and HEAD reference, those of remotes too.
pub fn everywhere(repo: &Repo) -> Result<Vec<Want>> {
    let mut tips: Vec<Oid> = refs::list(repo, &[])?.iter().map(|one| one.oid).collect();
    tips.extend(Head::detached(repo)?);
    committed(repo, &tips, &[])
}

/// What checkouts of exactly these commits need. The patterns see one path of each pointer: what they
/// leave out wrongly comes when it is checked out.
pub fn snapshots(repo: &Repo, commits: &[Oid]) -> Result<Vec<Want>> {
    let patterns = Patterns::of(repo.settings()?)?;
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    snapshot_pointers(repo, &mut seen, commits, |found| {
        if patterns.wants(&found.path) {
            wants.add(&found.pointer, &found.path, Reason::Committed);
        }
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// What any checkout within the window needs, the likeliest first. `now` is in seconds since 1970.
pub fn recent(repo: &Repo, window: &Window, now: i64) -> Result<Vec<Want>> {
    let patterns = Patterns::of(repo.settings()?)?;
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    history::recent(repo, &mut seen, window, now, |found| {
        if patterns.wants(&found.path) {
            wants.add(&found.pointer, &found.path, Reason::Recent);
        }
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// The ends of all that this repository's own commits reference: branches, tags and HEAD.
pub fn tips(repo: &Repo) -> Result<Vec<Oid>> {
    let mut tips: Vec<Oid> = refs::list(repo, &["refs/heads", "refs/tags"])?
        .into_iter()
        .map(|one| one.oid)
        .collect();
    tips.extend(Head::detached(repo)?);
    tips.sort_unstable();
    tips.dedup();
    Ok(tips)
}

/// The commits that the user means: by the names of branches and tags, or any other name that git
/// resolves. What is no name here may be that of a branch of `remote`.
pub fn commits(repo: &Repo, names: &[String], remote: &str) -> Result<Vec<Oid>> {
    let resolve = |name: &str| -> Result<Option<Oid>> {
        let commit = format!("{}^{{commit}}", operand(name)?);
        match repo.git().line(["rev-parse", "-q", "--verify", &commit]) {
            Ok(hex) => Ok(Oid::from_hex(&hex)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let mut commits = Vec::new();
    for name in names {
        let found = match resolve(name)? {
            None => resolve(&format!("refs/remotes/{remote}/{name}"))?,
            found => found,
        };
        commits.push(found.ok_or_else(|| Error::NoCommit(name.clone()))?);
    }
    Ok(commits)
}

/// Remembers what was seen. Without it the next scan asks git again, and no more.
pub(super) fn keep(seen: &mut Seen) {
    let _ = seen.save();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn write(fixture: &Fixture, path: &str, n: u8) -> LobId {
        let id = LobId::from_bytes([n; 32]);
        let size = u64::from(n);
        fixture.write(path, Pointer::Lob { id, size }.print());
        id
    }

    fn oid(fixture: &Fixture, name: &str) -> Oid {
        let hex = fixture.run(&["rev-parse", name]);
        Oid::from_hex(hex.trim_end().as_bytes()).unwrap()
    }

    fn ids(wants: Vec<Want>) -> HashSet<LobId> {
        let found: HashSet<LobId> = wants.iter().map(|want| want.id).collect();
        assert_eq!(found.len(), wants.len(), "each lob once");
        found
    }

    /// Three versions of one file, the second on a branch of its own, and a tag on the first.
    fn history() -> (Fixture, [LobId; 3]) {
        let fixture = Fixture::new();
        let one = write(&fixture, "a.bin", 1);
        fixture.commit("one");
        fixture.run(&["tag", "-a", "-m", "x", "v1"]);
        fixture.run(&["checkout", "-q", "-b", "side"]);
        let two = write(&fixture, "a.bin", 2);
        fixture.write("copy.bin", Pointer::Lob { id: two, size: 2 }.print());
        fixture.commit("two");
        fixture.run(&["checkout", "-q", "main"]);
        let three = write(&fixture, "a.bin", 3);
        fixture.commit("three");
        (fixture, [one, two, three])
    }

    #[test]
    fn committed_is_what_the_history_holds_from_where_it_is_known() {
        let (fixture, [one, two, three]) = history();
        let repo = fixture.repo();
        let main = [oid(&fixture, "main")];
        let known = [oid(&fixture, "v1")];
        let found = |tips: &[Oid], known: &[Oid]| ids(committed(&repo, tips, known).unwrap());
        assert_eq!(found(&main, &[]), HashSet::from([one, three]));
        assert_eq!(found(&main, &known), HashSet::from([three]));
        assert_eq!(
            found(&tips(&repo).unwrap(), &[]),
            HashSet::from([one, two, three])
        );
        assert_eq!(found(&main, &main), HashSet::new());
        let gone = Oid::from_bytes(&[9; 20]).unwrap();
        assert_eq!(
            found(&main, &[gone]),
            HashSet::from([one, three]),
            "a lost tip"
        );
    }

    #[test]
    fn tips_are_branches_tags_and_a_head_without_a_branch() {
        let (fixture, _) = history();
        let repo = fixture.repo();
        let mut expected = ["main", "side", "v1"]
            .map(|name| oid(&fixture, name))
            .to_vec();
        expected.sort();
        assert_eq!(tips(&repo).unwrap(), expected);
        fixture.run(&["checkout", "-q", "--detach"]);
        let detached = fixture.commit("detached");
        let detached = Oid::from_hex(detached.as_bytes()).unwrap();
        assert!(tips(&repo).unwrap().contains(&detached));
        assert_eq!(tips(&Fixture::new().repo()).unwrap(), []);
    }

    #[test]
    fn names_mean_what_git_means_by_them_or_a_branch_of_the_remote() {
        let (fixture, [one, two, three]) = history();
        let repo = fixture.repo();
        fixture.run(&["update-ref", "refs/remotes/origin/far", "side"]);
        let snapshot = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            commits(&repo, &names, "origin").map(|commits| ids(snapshots(&repo, &commits).unwrap()))
        };
        assert_eq!(snapshot(&["main"]).unwrap(), HashSet::from([three]));
        assert_eq!(snapshot(&["v1", "main~1"]).unwrap(), HashSet::from([one]));
        assert_eq!(snapshot(&["far"]).unwrap(), HashSet::from([two]));
        assert!(matches!(snapshot(&["nowhere"]), Err(Error::NoCommit(name)) if name == "nowhere"));
        assert!(matches!(
            snapshot(&["--all"]),
            Err(Error::Git(GitError::Dash(_)))
        ));
    }

    #[test]
    fn the_window_and_the_patterns_bound_what_is_recent() {
        let (fixture, [_, two, three]) = history();
        let window = |refs_days| Window {
            refs_days,
            head_days: 0,
            other_days: 0,
        };
        let time = fixture.run(&["log", "-1", "--format=%ct"]);
        let now = time.trim_end().parse().unwrap();
        let found = |refs_days| ids(recent(&fixture.repo(), &window(refs_days), now).unwrap());
        assert_eq!(found(0), HashSet::from([three]));
        assert!(found(1).is_superset(&HashSet::from([two, three])));
        fixture
            .git()
            .set_config("lob.fetchExclude", "*.bin")
            .unwrap();
        assert_eq!(found(1), HashSet::new());
    }

    #[test]
    fn pointers_of_other_programs_are_no_lobs_and_sizes_are_told_apart() {
        let fixture = Fixture::new();
        fixture.write(
            "lfs",
            Pointer::Lfs {
                sha256: [1; 32],
                size: 9,
                extended: false,
            }
            .print(),
        );
        fixture.write("2015", Pointer::GitLob { sha1: [1; 20] }.print());
        let id = LobId::from_bytes([1; 32]);
        for size in [1, 2] {
            fixture.write(&size.to_string(), Pointer::Lob { id, size }.print());
        }
        fixture.commit("all");
        let wants = everywhere(&fixture.repo()).unwrap();
        let sizes: HashSet<(LobId, u64)> = wants.iter().map(|want| (want.id, want.size)).collect();
        assert_eq!(sizes, HashSet::from([(id, 1), (id, 2)]));
    }
}
