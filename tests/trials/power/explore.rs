//! Exploring: what a loss of power may leave, state after state, on all cores.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use lob_store::disk::{Crash, SimDisk, Spoiled, Synced};

use super::works::Work;
use crate::store::witness::{Against, Witness, disk, last};

/// How much of a work is explored.
#[derive(Clone, Copy)]
pub struct Budget {
    /// States of the whole work.
    pub states: usize,
    /// Of so many states one is crashed again, wherever its recovery can be.
    pub deep: usize,
}

/// A work that was done once, and what it was told.
pub struct Done {
    pub work: Work,
    pub disk: SimDisk,
    witness: Witness,
    words: String,
    /// How many changes there were before what was done here, and before what is tried.
    begin: usize,
    start: usize,
}

/// All that a loss of power may leave at one point of a work.
pub struct Trial {
    done: Arc<Done>,
    pub at: usize,
    most: usize,
    deep: usize,
}

/// What was judged.
#[derive(Default)]
pub struct Tally {
    /// States by what is on the disk, with all of the numbers of promises that they were judged for.
    seen: Mutex<HashMap<u128, HashSet<usize>>>,
    second: Mutex<HashSet<u128>>,
    violations: Mutex<Vec<String>>,
}

/// Which syncs are left out, if any.
pub type Left = Option<Arc<dyn Fn(&Synced) -> bool + Send + Sync>>;

/// Does a work from its beginning, and gives a trial for each point of it.
pub fn from_nothing(work: Work, budget: Budget) -> Vec<Trial> {
    let done = done(work, None);
    let most = (budget.states / work.weight).div_ceil(done.points().count());
    trials(done, most, budget.deep)
}

/// Does a work from its beginning.
pub fn done(work: Work, left: Left) -> Done {
    let (disk, mut witness) = begun(work);
    let start = disk.changes();
    leave_out(&disk, left);
    (work.run)(&disk, &mut witness).expect("nothing fails");
    let settled = witness.settled(&disk);
    settled.unwrap_or_else(|e| panic!("{}: {e}", work.name));
    Done {
        work,
        disk,
        witness,
        words: work.name.to_string(),
        begin: start,
        start,
    }
}

/// Kills a work at each point, does it again, and gives a trial for the end of that.
pub fn after_kills(work: Work, most: usize) -> Vec<Trial> {
    let first = done(work, None);
    let most = most.div_ceil(work.weight);
    let again = first.points().map(|at| done_again(&first, at, None));
    again
        .flat_map(|again| trials(again, most, usize::MAX))
        .collect()
}

/// Kills a work after `at` changes, and does it again.
pub fn done_again(first: &Done, at: usize, left: Left) -> Done {
    let work = first.work;
    let killed = first.disk.killed(at);
    let words = format!(
        "{}: killed after {at} ({})",
        work.name,
        last(&first.disk, at)
    );
    let mut witness = first.witness.after(at, Against::Kill);
    leave_out(&killed, left);
    let survived = witness.survive(&killed, &work.run);
    survived.unwrap_or_else(|e| panic!("{words}: {e}"));
    Done {
        begin: 0,
        start: killed.changes(),
        work,
        disk: killed,
        witness,
        words,
    }
}

fn leave_out(disk: &SimDisk, left: Left) {
    if let Some(left) = left {
        disk.spoil_syncs(Spoiled::Left, move |sync| left(sync));
    }
}

/// A disk on which all is ready for a work.
pub fn begun(work: Work) -> (SimDisk, Witness) {
    let (disk, mut witness) = (disk(), Witness::new());
    (work.before)(&disk, &mut witness).expect("nothing fails");
    (disk, witness)
}

/// A trial for each point from the start on.
pub fn trials(done: Done, most: usize, deep: usize) -> Vec<Trial> {
    let done = Arc::new(done);
    let points = done.points();
    points
        .map(|at| Trial {
            done: done.clone(),
            at,
            most,
            deep,
        })
        .collect()
}

impl Done {
    /// Everywhere where it may be cut off: after so many changes.
    pub fn points(&self) -> RangeInclusive<usize> {
        self.start..=self.disk.changes()
    }

    /// How many changes it took.
    pub fn changes(&self) -> usize {
        self.disk.changes() - self.begin
    }

    /// The syncs that belong to it.
    pub fn syncs(&self) -> Vec<Synced> {
        let mut syncs = self.disk.syncs();
        syncs.retain(|sync| sync.at >= self.begin);
        syncs
    }
}

impl Trial {
    /// Judges the states, those left out that look like others for which the same was promised.
    /// `false` where something is wrong.
    pub fn judge(&self, tally: &Tally) -> bool {
        let Done {
            work,
            disk,
            witness,
            words,
            ..
        } = &*self.done;
        let told = witness.told(self.at);
        let mut judged = 0;
        for crash in disk.crashes(self.at) {
            if judged >= self.most {
                break;
            }
            if !tally.is_new(&crash, told) {
                continue;
            }
            judged += 1;
            let what = || format!("{words}: {crash} ({})", last(disk, self.at));
            let mut again = witness.after(self.at, Against::Power);
            if let Err(e) = again.survive(&crash.disk, &work.run) {
                return tally.violated(format!("{}: {e}", what()), disk);
            }
            let deep = (self.at * self.most + judged).is_multiple_of(self.deep);
            if deep && !self.again(&crash, &again, tally) {
                return false;
            }
        }
        true
    }

    /// Loses power again at every point of the recovery from a crash.
    fn again(&self, crash: &Crash, witness: &Witness, tally: &Tally) -> bool {
        let Done { work, words, .. } = &*self.done;
        for at in 0..=crash.disk.changes() {
            let new = |second: &Crash| tally.second.lock().unwrap().insert(second.fingerprint);
            for second in crash.disk.crashes(at).take(3).filter(new) {
                let mut third = witness.after(at, Against::Power);
                if let Err(e) = third.survive(&second.disk, &work.run) {
                    let done = last(&crash.disk, at);
                    let what = format!("{words}: {crash}; then {second} ({done}): {e}");
                    return tally.violated(what, &crash.disk);
                }
            }
        }
        true
    }
}

impl Tally {
    fn is_new(&self, crash: &Crash, told: usize) -> bool {
        let mut seen = self.seen.lock().unwrap();
        seen.entry(crash.fingerprint).or_default().insert(told)
    }

    /// Notes what is wrong; `false`.
    fn violated(&self, words: String, disk: &SimDisk) -> bool {
        let all = format!("{words}\n{}", disk.log().join("\n"));
        self.violations.lock().unwrap().push(all);
        false
    }

    /// States that differ in what is on the disk.
    pub fn states(&self) -> u64 {
        self.seen.lock().unwrap().len() as u64 + self.second()
    }

    /// Those of them that a second crash left.
    pub fn second(&self) -> u64 {
        self.second.lock().unwrap().len() as u64
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn assert_none(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{}", violations[0]);
    }
}

/// Does something with each item on all cores, until it says `false`. Each thread has a pool of its
/// own: what the engine does in parallel would wait for others otherwise.
pub fn each_of<T: Send>(items: Vec<T>, work: impl Fn(T) -> bool + Sync) {
    let go_on = AtomicBool::new(true);
    let items = Mutex::new(items.into_iter());
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let pool = pool.expect("a thread");
                let next = || items.lock().unwrap().next();
                while let Some(item) = next().filter(|_| go_on.load(Ordering::Relaxed)) {
                    if !pool.install(|| work(item)) {
                        go_on.store(false, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}
