//! Work in the background: what is likely to be needed next comes, or a store is repacked.
//!
//! One run of each kind at a time in a repository, held by a kernel lock; what it does stands in a small
//! file that anybody may read. A run that was killed leaves its file, and the lock tells that it ended.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lob_store::Progress;
use lob_store::disk::Lock;
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::git::Repo;

/// Time between two writes of the file.
const RHYTHM: Duration = Duration::from_secs(1);

/// What goes on in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// `lob prefetch`.
    Prefetch,
    /// `lob repack`.
    Repack,
}

impl Work {
    /// The verb, and the name of the file.
    pub fn name(self) -> &'static str {
        match self {
            Work::Prefetch => "prefetch",
            Work::Repack => "repack",
        }
    }
}

/// How far a run is, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The remote that it fetches from, or whose store is repacked; empty for the store of this repository.
    pub remote: String,
    /// Where it stands.
    pub phase: Phase,
    /// Seconds since 1970 when it began.
    pub started: u64,
    /// Seconds since 1970 when this was written.
    pub updated: u64,
    /// Lobs that are done.
    pub lobs: u64,
    /// Lobs that are to be done.
    pub total_lobs: u64,
    /// Bytes of them that are done.
    pub bytes: u64,
    /// Bytes that are to be done.
    pub total_bytes: u64,
    /// One line about how it ended.
    pub summary: Option<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It works.
    Running,
    /// It was killed, or the machine stopped.
    Cut,
    /// It has done what there was.
    Done,
    /// It could not go on.
    Failed,
}

impl Status {
    /// The last run in this repository, where there was one.
    pub fn last(repo: &Repo, work: Work) -> Option<Status> {
        let state = State::of(&repo.lob_dir());
        let mut status: Status = serde_json::from_slice(&state.bytes(work.name())?).ok()?;
        if status.phase == Phase::Running && !matches!(state.lock(work.name(), false), Ok(None)) {
            status.phase = Phase::Cut;
        }
        Some(status)
    }
}

/// The only run of its kind in this repository. Ends with [`Run::end`]; one that is dropped was cut.
#[derive(Debug)]
pub struct Run {
    work: Work,
    state: State,
    status: Mutex<Written>,
    lobs: AtomicU64,
    bytes: AtomicU64,
    _only: Lock,
}

#[derive(Debug)]
struct Written {
    status: Status,
    at: Instant,
}

impl Run {
    /// Starts, unless another run is at it.
    pub fn start(repo: &Repo, work: Work, remote: &str) -> io::Result<Option<Run>> {
        let state = State::of(&repo.lob_dir());
        let Some(only) = state.lock(work.name(), false)? else {
            return Ok(None);
        };
        let run = Run {
            work,
            state,
            status: Mutex::new(Written {
                status: Status {
                    remote: remote.into(),
                    phase: Phase::Running,
                    started: now(),
                    updated: now(),
                    lobs: 0,
                    total_lobs: 0,
                    bytes: 0,
                    total_bytes: 0,
                    summary: None,
                },
                at: Instant::now(),
            }),
            lobs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            _only: only,
        };
        run.write(|_| {})?;
        Ok(Some(run))
    }

    /// Says how much there is to do.
    pub fn expect(&self, lobs: u64, bytes: u64) -> io::Result<()> {
        self.write(|status| {
            status.total_lobs = lobs;
            status.total_bytes = bytes;
        })
    }

    /// Ends, with one line about it.
    pub fn end(self, phase: Phase, summary: String) -> io::Result<()> {
        self.write(|status| {
            status.phase = phase;
            status.summary = Some(summary);
        })
    }

    fn write(&self, change: impl FnOnce(&mut Status)) -> io::Result<()> {
        let Ok(mut written) = self.status.lock() else {
            return Ok(());
        };
        written.at = Instant::now();
        let status = &mut written.status;
        status.updated = now();
        status.lobs = self.lobs.load(Relaxed);
        status.bytes = self.bytes.load(Relaxed);
        change(status);
        self.state
            .replace(self.work.name(), &serde_json::to_vec(status)?)
    }

    fn tick(&self) {
        // Another thread at it writes for this one too.
        let due = self
            .status
            .try_lock()
            .is_ok_and(|written| written.at.elapsed() >= RHYTHM);
        if due {
            // Nobody can be told in the background; the end says whether it worked.
            let _ = self.write(|_| {});
        }
    }
}

impl Progress for Run {
    fn bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Relaxed);
        self.tick();
    }

    fn lob(&self) {
        self.lobs.fetch_add(1, Relaxed);
        self.tick();
    }
}

/// Whether such a run is at work in this repository.
pub fn is_running(repo: &Repo, work: Work) -> bool {
    let state = State::of(&repo.lob_dir());
    matches!(state.lock(work.name(), false), Ok(None))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn repo(fixture: &Fixture) -> Repo {
        std::fs::create_dir_all(fixture.path().join(".git/lob")).unwrap();
        fixture.repo()
    }

    #[test]
    fn one_run_at_a_time_says_how_far_it_is_and_how_it_ended() {
        let fixture = Fixture::new();
        let repo = repo(&fixture);
        assert_eq!(Status::last(&repo, Work::Prefetch), None);
        let run = Run::start(&repo, Work::Prefetch, "origin")
            .unwrap()
            .unwrap();
        assert!(is_running(&repo, Work::Prefetch));
        assert!(
            Run::start(&repo, Work::Prefetch, "origin")
                .unwrap()
                .is_none()
        );
        run.bytes(5);
        run.lob();
        run.expect(2, 9).unwrap();
        let status = Status::last(&repo, Work::Prefetch).unwrap();
        assert_eq!(status.phase, Phase::Running);
        assert_eq!((status.lobs, status.total_lobs), (1, 2));
        assert_eq!((status.bytes, status.total_bytes), (5, 9));
        run.end(Phase::Done, "2 lobs".into()).unwrap();
        assert!(!is_running(&repo, Work::Prefetch));
        let status = Status::last(&repo, Work::Prefetch).unwrap();
        assert_eq!(status.phase, Phase::Done);
        assert_eq!(status.summary.as_deref(), Some("2 lobs"));
    }

    #[test]
    fn another_kind_of_work_goes_on_beside_it() {
        let fixture = Fixture::new();
        let repo = repo(&fixture);
        let _run = Run::start(&repo, Work::Prefetch, "origin").unwrap();
        assert!(!is_running(&repo, Work::Repack));
        let repack = Run::start(&repo, Work::Repack, "").unwrap().unwrap();
        repack.end(Phase::Failed, "no room".into()).unwrap();
        let status = |work| Status::last(&repo, work).unwrap().phase;
        assert_eq!(status(Work::Prefetch), Phase::Running);
        assert_eq!(status(Work::Repack), Phase::Failed);
    }

    #[test]
    fn a_run_that_was_cut_is_told_apart_and_followed_by_another() {
        let fixture = Fixture::new();
        let repo = repo(&fixture);
        drop(Run::start(&repo, Work::Prefetch, "origin").unwrap());
        assert_eq!(
            Status::last(&repo, Work::Prefetch).unwrap().phase,
            Phase::Cut
        );
        assert!(
            Run::start(&repo, Work::Prefetch, "origin")
                .unwrap()
                .is_some()
        );
    }
}
