//! What a checkout of anything recent needs.
//!
//! The windows are those of git-lob: they mean every version that is needed for any checkout within
//! N days, not what was changed within N days. A file that was added years ago and replaced
//! yesterday is needed in both versions.
//!
//! - HEAD, and then, newest first, every branch, remote branch and tag whose commit is at most
//!   `refs_days` before *now*; with 0 days HEAD alone.
//! - For each of them the files of its commit, and those of all commits before it that are at most
//!   so many days before *that commit*, not before now: `head_days` for HEAD, `other_days` for the
//!   others. On a branch that rests, going back a few commits is as likely as on one that moves.
//! - Where this window begins, the files of the (first) parent of its oldest commits: they were what
//!   was checked out then. Git-lob finds them as the old sides of the diffs in the window; whole
//!   snapshots find the same, and the old sides of merges, with one process for all.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::records::Records;
use super::refs::{self, Commit, Head};
use super::scan::{Found, Walk, pointers};
use super::{Oid, Repo, Result, Seen, Window};

const DAY: i64 = 86_400;
const REFS: [&str; 3] = ["refs/heads", "refs/remotes", "refs/tags"];

/// Calls `each` with every pointer that a checkout within the window needs, once for each blob, the
/// likeliest first. `now` is in seconds since 1970.
pub fn recent(
    repo: &Repo,
    seen: &mut Seen,
    window: &Window,
    now: i64,
    each: impl FnMut(Found),
) -> Result<()> {
    let commits = recent_commits(repo, window, now)?;
    if commits.is_empty() {
        return Ok(());
    }
    pointers(repo, seen, Walk::Snapshots(&commits), each)
}

/// The commits whose files are needed, the likeliest first.
pub fn recent_commits(repo: &Repo, window: &Window, now: i64) -> Result<Vec<Oid>> {
    let tips = tips(repo, window, now)?;
    let graph = Graph::read(repo, &tips)?;
    let mut walk = Snapshots::default();
    for tip in &tips {
        walk.add(tip, &graph);
    }
    Ok(walk.order)
}

/// Where a window ends, and how far back it begins.
#[derive(Debug, Clone, Copy)]
struct Tip {
    commit: Commit,
    days: u32,
}

impl Tip {
    /// The time at which the window begins.
    fn begin(&self) -> i64 {
        let span = i64::from(self.days) * DAY;
        self.commit.time.saturating_sub(span)
    }
}

/// HEAD, then the other recent refs, newest first, each commit once.
fn tips(repo: &Repo, window: &Window, now: i64) -> Result<Vec<Tip>> {
    let mut tips = Vec::new();
    if let Some(oid) = Head::read(repo)?.oid() {
        let found = refs::commits(repo.git(), &[oid])?;
        tips.extend(found.get(&oid).map(|commit| Tip {
            commit: *commit,
            days: window.head_days,
        }));
    }
    if window.refs_days == 0 {
        return Ok(tips);
    }
    let begin = now.saturating_sub(i64::from(window.refs_days) * DAY);
    let mut others: Vec<Commit> = refs::list(repo, &REFS)?
        .iter()
        .filter_map(|one| one.commit)
        .filter(|commit| commit.time >= begin)
        .collect();
    // The sort is stable: of two at the same time, the first by name.
    others.sort_by_key(|commit| Reverse(commit.time));
    let mut known: HashSet<Oid> = tips.iter().map(|tip| tip.commit.oid).collect();
    for commit in others {
        if known.insert(commit.oid) {
            let days = window.other_days;
            tips.push(Tip { commit, days });
        }
    }
    Ok(tips)
}

/// The commits that are young enough for some window, with their parents.
#[derive(Debug, Default)]
struct Graph(HashMap<Oid, (i64, Vec<Oid>)>);

impl Graph {
    /// Reads it with one process; with none where no window goes back at all.
    fn read(repo: &Repo, tips: &[Tip]) -> Result<Graph> {
        let deep = || tips.iter().filter(|tip| tip.days > 0);
        let Some(begin) = deep().map(Tip::begin).min() else {
            return Ok(Graph::default());
        };
        let mut input = String::new();
        for tip in deep() {
            input.push_str(&format!("{}\n", tip.commit.oid));
        }
        let begin = format!("--max-age={}", begin.max(0));
        let words = ["rev-list", "--timestamp", "--parents", &begin, "--stdin"];
        let git = repo.git().clone().with_env("GIT_NO_REPLACE_OBJECTS", "1");
        let mut records = Records::feed(&git, words, input.into_bytes(), b'\n')?;
        let mut graph = HashMap::new();
        while let Some(line) = records.read()? {
            let (oid, node) = parse(line).ok_or_else(|| records.unreadable())?;
            graph.insert(oid, node);
        }
        Ok(Graph(graph))
    }
}

/// `TIME OID PARENT...`.
fn parse(line: &[u8]) -> Option<(Oid, (i64, Vec<Oid>))> {
    let mut words = line.split(|&byte| byte == b' ');
    let time = std::str::from_utf8(words.next()?).ok()?;
    let oid = Oid::from_hex(words.next()?)?;
    let parents: Option<Vec<Oid>> = words.map(Oid::from_hex).collect();
    Some((oid, (time.parse().ok()?, parents?)))
}

/// Commits whose files are needed.
#[derive(Debug, Default)]
struct Snapshots {
    order: Vec<Oid>,
    taken: HashSet<Oid>,
    /// How far back the walk went that came by a commit.
    walked: HashMap<Oid, i64>,
}

impl Snapshots {
    /// Adds the tip and what is in its window, newest first.
    fn add(&mut self, tip: &Tip, graph: &Graph) {
        self.take(tip.commit.oid);
        if tip.days == 0 {
            return;
        }
        let begin = tip.begin();
        let mut edge = Vec::new();
        let mut next = BinaryHeap::from([(tip.commit.time, tip.commit.oid)]);
        while let Some((_, oid)) = next.pop() {
            let walked = self.walked.entry(oid).or_insert(i64::MAX);
            // Whoever came by and went as far back has seen all that is behind it.
            if *walked <= begin {
                continue;
            }
            *walked = begin;
            self.take(oid);
            let Some((_, parents)) = graph.0.get(&oid) else {
                continue;
            };
            for (at, parent) in parents.iter().enumerate() {
                match graph.0.get(parent) {
                    Some((time, _)) if *time >= begin => next.push((*time, *parent)),
                    _ if at == 0 => edge.push(*parent),
                    _ => {}
                }
            }
        }
        edge.into_iter().for_each(|oid| self.take(oid));
    }

    fn take(&mut self, oid: Oid) {
        if self.taken.insert(oid) {
            self.order.push(oid);
        }
    }
}

#[cfg(test)]
mod tests;
