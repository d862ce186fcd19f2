//! Canaries: where one kind of sync is left out, the suite must see a promise break. Which kinds there
//! are is seen in what the works do: a sync that comes new has its canary at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use lob_store::disk::{NameChange, Synced};

use super::explore::{Done, Tally, done, done_again, each_of, trials};
use super::works::Work;
use crate::store::witness::{REMOTE, ROOT};

/// Syncs of one kind, and where works do them.
pub struct Canary {
    pub kind: String,
    places: Vec<Place>,
}

/// A work that does such a sync: from its beginning, or again when it was killed after so many changes.
#[derive(Clone)]
struct Place {
    first: Arc<Done>,
    killed: Option<usize>,
}

/// The kinds of syncs that these works do. Short works come first.
pub fn all(works: Vec<Work>) -> Vec<Canary> {
    let firsts = Mutex::new(Vec::new());
    each_of(works, |work| {
        firsts.lock().unwrap().push(Arc::new(done(work, None)));
        true
    });
    let mut firsts = firsts.into_inner().unwrap();
    firsts.sort_by_key(|first| (first.changes(), first.work.name));
    let places = firsts.iter().flat_map(|first| {
        let killed = first.points().map(Some);
        [None].into_iter().chain(killed).map(|killed| Place {
            first: first.clone(),
            killed,
        })
    });
    let kinds: Mutex<BTreeMap<String, Vec<(usize, Place)>>> = Mutex::default();
    each_of(places.enumerate().collect(), |(n, place)| {
        let again = place.killed.map(|at| done_again(&place.first, at, None));
        let syncs = again.as_ref().unwrap_or(&place.first).syncs();
        for kind in syncs.iter().filter_map(kind).collect::<BTreeSet<_>>() {
            let mut kinds = kinds.lock().unwrap();
            kinds.entry(kind).or_default().push((n, place.clone()));
        }
        true
    });
    let canary = |(kind, mut places): (String, Vec<(usize, Place)>)| {
        // What is done from nothing is seen at more points than what is done again.
        places.sort_by_key(|(n, place)| (place.killed.is_some(), *n));
        let places = places.into_iter().map(|(_, place)| place).collect();
        Canary { kind, places }
    };
    kinds
        .into_inner()
        .unwrap()
        .into_iter()
        .map(canary)
        .collect()
}

/// How much of each work is judged.
#[derive(Clone, Copy)]
pub struct Budget {
    /// Points of a work, spread over it.
    pub points: usize,
    /// States at each.
    pub states: usize,
}

impl Canary {
    /// Leaves out all syncs of the kind, in one work after the other, until a promise breaks. Returns
    /// what broke.
    pub fn caught(&self, budget: Budget) -> Option<String> {
        let tally = Tally::default();
        let works: BTreeSet<_> = self
            .places
            .iter()
            .map(|place| place.first.work.name)
            .collect();
        // Works that are killed are many, each with a single point.
        let most = (works.len() * budget.points * budget.states) as u64;
        let caught = |place: &Place| {
            if place.killed.is_none() || tally.states() < most {
                place.judge(&self.kind, budget, &tally);
            }
            tally.violations().pop()
        };
        self.places.iter().find_map(caught)
    }
}

impl Place {
    fn judge(&self, of: &str, budget: Budget, tally: &Tally) {
        let of = of.to_string();
        let left = Arc::new(move |sync: &Synced| kind(sync).as_ref() == Some(&of));
        let (done, from) = match self.killed {
            None => {
                let done = done(self.first.work, Some(left.clone()));
                let syncs = done.syncs();
                let first = syncs.iter().find(|sync| left(sync)).expect("it is there");
                (done, first.at + 1)
            }
            // What is promised is promised when it is done.
            Some(at) => (done_again(&self.first, at, Some(left)), 0),
        };
        assert!(done.disk.injected() > 0, "nothing was left out");
        let mut trials = trials(done, budget.states, usize::MAX);
        trials.retain(|trial| trial.at >= from);
        // From the end, where everything was promised.
        let step = trials.len().div_ceil(budget.points);
        let mut some = trials.iter().rev().step_by(step);
        let _ = some.all(|trial| trial.judge(tally));
    }
}

/// What is synced, of a file its bytes or its time, and of a directory what for: names that came, or else those that went, in the
/// process that syncs it or in one that was killed before it could. `None` where there is nothing that
/// counts.
fn kind(sync: &Synced) -> Option<String> {
    if !sync.counts {
        return None;
    }
    let Some(dir) = sync.words.strip_prefix("sync directory ") else {
        if let Some(path) = sync.words.strip_prefix("sync time of ") {
            return Some(format!("time of {}", place(path)));
        }
        let path = sync.words.strip_prefix("sync ").expect("a sync");
        return Some(format!("file {}", place(path)));
    };
    let dir = place(dir);
    // What goes there for good. What comes back of a stage is taken in once more.
    let sheds = ["packs", "index"].contains(&dir.as_str());
    let counts = |change: &&NameChange| !is_passing(&change.name) && (change.came || sheds);
    let mut names: Vec<&NameChange> = sync.names.iter().filter(counts).collect();
    let here = names.iter().any(|change| change.here);
    names.retain(|change| change.here == here);
    let came = names.iter().any(|change| change.came);
    names.retain(|change| change.came == came);
    let told: BTreeSet<_> = names.into_iter().map(told).collect();
    let told = told.into_iter().collect::<Vec<_>>().join(", ");
    let whose = match here {
        true => "",
        false => ", of one who was killed",
    };
    (!told.is_empty()).then(|| format!("directory {dir}: {told}{whose}"))
}

/// Locks, files in the making and what running writers say to others: nobody looks for them after a
/// loss of power.
fn is_passing(name: &str) -> bool {
    let end = name.rsplit('.').next();
    ["lock", "new"].map(Some).contains(&end) || name.starts_with("seen-")
}

fn told(change: &NameChange) -> String {
    let how = match change {
        NameChange { came: true, .. } => "comes",
        NameChange { moved: true, .. } => "moves away",
        _ => "goes",
    };
    match ["state", "packs", "index", "roots", "stage"].contains(&change.name.as_str()) {
        true => format!("a directory {how}"),
        false => format!("{} {how}", like(&change.name)),
    }
}

/// A path in a store, without numbers and ids.
fn place(path: &str) -> String {
    let path = Path::new(path);
    let inside = [ROOT, REMOTE]
        .iter()
        .find_map(|root| path.strip_prefix(root).ok());
    let Some(inside) = inside else {
        return "above the store".into();
    };
    let parts = inside.iter().map(|part| like(&part.to_string_lossy()));
    match parts.collect::<Vec<_>>().join("/") {
        path if path.is_empty() => "of the store".into(),
        path => path,
    }
}

/// A name without its number or id.
fn like(name: &str) -> String {
    let (stem, end) = name
        .split_once('.')
        .map_or((name, None), |(stem, end)| (stem, Some(end)));
    let stem = match stem.contains(|c: char| c.is_ascii_digit()) {
        true => "*",
        false => stem,
    };
    match end {
        None => stem.into(),
        // A pack and its table come and go together.
        Some("idx") => format!("{stem}.pack"),
        Some(end) => format!("{stem}.{end}"),
    }
}
