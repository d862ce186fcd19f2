//! What pointers ask for that a store does not hold as they say, and where it is instead.

use std::collections::{HashMap, HashSet};

use lob_store::{LobId, Store};

use super::error::{Error, Result};
use super::ledger::{Horizon, Ledger};
use super::state::State;
use super::target::Target;
use super::wanted::{self, Reason, Want, Wants, keep};
use crate::git::refs::{self, Head};
use crate::git::scan::{commit_pointers, index_pointers};
use crate::git::{Oid, Repo, Seen, traces};
use crate::remote::{self, Access, Remote};

/// Lobs that a store is asked about at a time.
const AT_ONCE: usize = 1 << 14;

/// What the local store is asked for: by the indexes of all work trees, and by all that branches,
/// tags, stashes and every HEAD lead to. The indexes are read first: what a commit moves out of one
/// meanwhile is found in the commit.
pub fn asked_here(repo: &Repo) -> Result<Vec<Want>> {
    let mut wants = Wants::default();
    let mut seen = Seen::open(repo);
    let trees = repo.work_trees()?;
    for tree in std::iter::once(repo).chain(&trees) {
        for file in index_pointers(tree, &mut seen)? {
            wants.add(&file.pointer, &file.path, Reason::Index);
        }
    }
    let own = refs::list(repo, &[])?;
    let own = own.iter().filter(|one| !one.is_remote());
    let mut tips: Vec<Oid> = own.map(|one| one.oid).collect();
    for tree in std::iter::once(repo).chain(&trees) {
        tips.extend(Head::read(tree)?.oid());
    }
    tips.extend(traces::stashes(repo)?);
    commit_pointers(repo, &mut seen, &tips, &[], |found| {
        wants.add(&found.pointer, &found.path, Reason::Committed);
    })?;
    keep(&mut seen);
    Ok(wants.list)
}

/// What the store of a remote is asked for: by the branches that it had when git last heard of it.
pub fn asked_there(repo: &Repo, remote: &str) -> Result<Vec<Want>> {
    wanted::committed(repo, &branches_of(repo, remote)?, &[])
}

fn branches_of(repo: &Repo, remote: &str) -> Result<Vec<Oid>> {
    let prefix = format!("refs/remotes/{remote}/");
    let branches = refs::list(repo, &["refs/remotes"])?.into_iter();
    let branches = branches.filter(|one| one.name.starts_with(prefix.as_bytes()));
    Ok(branches.map(|one| one.oid).collect())
}

/// A lob that a store does not hold as a pointer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// What the pointer says.
    pub want: Want,
    /// Where it is.
    pub place: Place,
}

/// Where a lob is that is not in the store that is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Some store holds a lob of this id, and another length than the pointer says.
    OtherSize(u64),
    /// This remote holds it.
    Held(String),
    /// This remote, which cannot be asked now, was known to hold it.
    Known(String),
    /// In the store itself, set aside by a clean-up: it comes back when it is asked for.
    Aside,
    /// Nowhere that could be asked.
    Nowhere,
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Search {
    /// What is not in the store as pointers say.
    pub absent: Vec<Absent>,
    /// Remotes that could not be asked, and why.
    pub trouble: Vec<(String, Error)>,
}

/// Looks for `wants` in a store, which may be missing.
pub fn compare(store: Option<&dyn Remote>, wants: &[Want]) -> Result<Vec<Absent>> {
    let mut absent = Vec::new();
    for some in wants.chunks(AT_ONCE) {
        let sizes = match store {
            Some(store) => store.sizes(&ids(some))?,
            None => vec![None; some.len()],
        };
        for (want, size) in some.iter().zip(sizes) {
            let place = match size {
                Some(size) if size == want.size => continue,
                Some(size) => Place::OtherSize(size),
                None => Place::Nowhere,
            };
            let want = want.clone();
            absent.push(Absent { want, place });
        }
    }
    Ok(absent)
}

/// Finds out which of the lobs that a store does not hold are set aside in it.
pub fn look_aside(store: &dyn Remote, absent: &mut [Absent]) -> Result<()> {
    let mut some = absent.chunks_mut(AT_ONCE);
    some.try_for_each(|some| place_aside(store, some.iter_mut(), &Place::Aside))
}

/// Notes this place for those of `absent` that were found nowhere and are set aside in a store.
fn place_aside<'a>(
    store: &dyn Remote,
    absent: impl Iterator<Item = &'a mut Absent>,
    place: &Place,
) -> Result<()> {
    let open = absent.filter(|one| one.place == Place::Nowhere);
    let open: Vec<_> = open.collect();
    let asked: Vec<LobId> = open.iter().map(|one| one.want.id).collect();
    for (one, is_aside) in open.into_iter().zip(store.are_aside(&asked)?) {
        if is_aside {
            one.place = place.clone();
        }
    }
    Ok(())
}

/// Looks for `wants` in the local store, and for what is not there at every remote, those of `first`
/// before the others. Where nothing is missing, no remote is touched.
pub fn search(
    repo: &Repo,
    store: Option<&Store>,
    wants: &[Want],
    first: Option<&Target>,
) -> Result<Search> {
    let store = store.map(|store| store as &dyn Remote);
    let mut search = Search {
        absent: compare(store, wants)?,
        trouble: Vec::new(),
    };
    if let Some(store) = store {
        look_aside(store, &mut search.absent)?;
    }
    if !search.is_open() {
        return Ok(search);
    }
    let others = Target::sources(repo)?.into_iter();
    let others = others.filter(|target| Some(target) != first);
    let mut silent = Vec::new();
    for target in first.cloned().into_iter().chain(others) {
        match target.connect(repo, Access::Read) {
            Ok(remote) => search.ask(&target.name, remote.as_ref())?,
            // Nothing was ever pushed there, which is an answer.
            Err(Error::Remote(remote::Error::NoStore(_))) => {}
            Err(error) if error.is_interrupted() => return Err(error),
            Err(error) => {
                search.trouble.push((target.name.clone(), error));
                silent.push(target);
            }
        }
    }
    for target in silent {
        search.recall(repo, &target)?;
    }
    Ok(search)
}

impl Search {
    fn is_open(&self) -> bool {
        self.absent.iter().any(|one| one.place == Place::Nowhere)
    }

    /// Takes in what a remote says of lobs that were not found yet.
    fn ask(&mut self, name: &str, remote: &dyn Remote) -> Result<()> {
        let open = self.absent.iter_mut();
        let mut open: Vec<_> = open.filter(|one| one.place == Place::Nowhere).collect();
        for some in open.chunks_mut(AT_ONCE) {
            let asked: Vec<LobId> = some.iter().map(|one| one.want.id).collect();
            let held = || Place::Held(name.into());
            for (one, size) in some.iter_mut().zip(remote.sizes(&asked)?) {
                match size {
                    Some(size) if size == one.want.size => one.place = held(),
                    Some(size) => one.place = Place::OtherSize(size),
                    None => {}
                }
            }
            // A fetch gets what is set aside too.
            place_aside(remote, some.iter_mut().map(|one| &mut **one), &held())?;
        }
        Ok(())
    }

    /// Takes in what is known of a remote that cannot be asked: what the ledger says of it, and
    /// what its branches lead to, since lobs go before them.
    fn recall(&mut self, repo: &Repo, target: &Target) -> Result<()> {
        if !self.is_open() {
            return Ok(());
        }
        let state = State::of(&repo.lob_dir());
        let ledger = target.met(repo)?;
        let ledger = ledger.map(|store| Ledger::load(&state, store, Horizon::of(repo)));
        let mut tips = branches_of(repo, &target.name)?;
        tips.extend(ledger.iter().flat_map(|ledger| ledger.tips()));
        let known = wanted::committed(repo, &tips, &[])?;
        let known: HashSet<(LobId, u64)> = known.iter().map(|want| (want.id, want.size)).collect();
        for one in &mut self.absent {
            if one.place == Place::Nowhere && known.contains(&(one.want.id, one.want.size)) {
                one.place = Place::Known(target.name.clone());
            }
        }
        Ok(())
    }
}

/// The path of a pointer to each lob.
pub fn paths(wants: &[Want]) -> HashMap<LobId, Box<[u8]>> {
    let paths = wants.iter().rev();
    paths.map(|want| (want.id, want.path.clone())).collect()
}

fn ids(wants: &[Want]) -> Vec<LobId> {
    wants.iter().map(|want| want.id).collect()
}
