//! Bringing back what a store has lost: from files of the work trees, and from remotes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lob_store::{LobId, Progress, Store};

use super::error::{Error, Result};
use super::fsck::{self, Place};
use super::nearby;
use super::plan::{Asking, Plan};
use super::run::{Sides, carry_out};
use super::target::Target;
use super::wanted::{Reason, Want, keep, recent};
use crate::git::path::path_buf;
use crate::git::scan::index_pointers;
use crate::git::tree_path::TreePath;
use crate::git::{Pointer, Repo, Seen};
use crate::remote::{self, Access, Pace};

/// Where a lost lob can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of a work tree has exactly this content.
    File(PathBuf),
    /// A remote holds it, by its place among those that were asked.
    Remote(usize),
    /// Nowhere that could be asked.
    Nowhere,
}

/// A lob that is lost, with a pointer to it where there is one.
#[derive(Debug, Clone)]
pub struct Loss {
    /// The lob. Its size is only as good as what told it.
    pub want: Want,
    /// Where it can be had.
    pub source: Source,
}

/// What is lost and where it can be had.
#[derive(Debug, Default)]
pub struct Losses {
    /// Each lob once.
    pub list: Vec<Loss>,
    /// Remotes that could not be asked, and why.
    pub trouble: Vec<(String, Error)>,
}

/// Looks where `lost` can be had, and what is `traceless` and not to be had where it should be: first
/// in files of the work trees, which are hashed where their length is right, and then at remotes.
pub fn locate(
    repo: &Repo,
    mut lost: Vec<Want>,
    traceless: &Traceless,
    remotes: &[Target],
) -> Result<Losses> {
    let mut losses = Losses::default();
    let known: HashSet<LobId> = lost.iter().map(|want| want.id).collect();
    let more = traceless.wants.iter();
    lost.extend(more.filter(|want| !known.contains(&want.id)).cloned());
    if lost.is_empty() {
        return Ok(losses);
    }
    let files = files_of(repo, &lost)?;
    losses.list = lost
        .into_iter()
        .map(|want| Loss {
            source: match files.get(&want.id) {
                Some(path) => Source::File(path.clone()),
                None => Source::Nowhere,
            },
            want,
        })
        .collect();
    for (n, target) in remotes.iter().enumerate() {
        let open = losses.list.iter_mut();
        let mut open: Vec<_> = open.filter(|one| one.source == Source::Nowhere).collect();
        if open.is_empty() {
            break;
        }
        let asked: Vec<LobId> = open.iter().map(|loss| loss.want.id).collect();
        let remote = target.connect(repo, Access::Read);
        match remote.and_then(|remote| Ok((remote.sizes(&asked)?, remote.are_aside(&asked)?))) {
            Ok((sizes, are_aside)) => {
                for ((loss, size), is_aside) in open.iter_mut().zip(sizes).zip(are_aside) {
                    if size.is_some() || is_aside {
                        loss.source = Source::Remote(n);
                        loss.want.size = size.unwrap_or(loss.want.size);
                    }
                }
            }
            // Nothing was ever pushed there, which is an answer.
            Err(Error::Remote(remote::Error::NoStore(_))) => {}
            Err(error) if error.is_interrupted() => return Err(error),
            Err(error) => losses.trouble.push((target.name.clone(), error)),
        }
    }
    traceless.settle(repo, &mut losses)?;
    Ok(losses)
}

/// Files in the work tree that hold what is lost.
fn files_of(repo: &Repo, lost: &[Want]) -> Result<HashMap<LobId, PathBuf>> {
    let mut found = HashMap::new();
    let Some(top) = repo.work_tree() else {
        return Ok(found);
    };
    let lost: HashSet<LobId> = lost.iter().map(|want| want.id).collect();
    let mut seen = Seen::open(repo);
    let tracked = index_pointers(repo, &mut seen)?;
    keep(&mut seen);
    for file in tracked {
        let Pointer::Lob { id, size } = file.pointer else {
            continue;
        };
        if !lost.contains(&id) || found.contains_key(&id) {
            continue;
        }
        if TreePath::parse(&file.path).is_err() {
            continue;
        }
        let path = top.join(path_buf(&file.path));
        if is_content(&path, &id, size) {
            let _ = found.insert(id, path);
        }
    }
    Ok(found)
}

/// Whether a file is exactly this lob. One that cannot be read is not.
fn is_content(path: &Path, id: &LobId, size: u64) -> bool {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|it| it.is_file() && it.len() == size);
    let hash = || -> std::io::Result<LobId> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?.take(size + 1))?;
        Ok(hasher.finalize().into())
    };
    is_file && hash().is_ok_and(|found| found == *id)
}

/// Brings back what can be had. Returns what still cannot be read from the store then.
pub fn bring_back(
    repo: &Repo,
    store: &Store,
    losses: &mut Losses,
    remotes: &[Target],
    progress: &dyn Progress,
) -> Result<Vec<Want>> {
    from_files(store, losses, progress)?;
    let pace = Pace::of(repo.settings()?.bwlimit);
    // What one remote turns out to hold damaged, a later one may have whole.
    for target in remotes {
        let open = still_lost(store, &losses.list)?;
        if open.is_empty() {
            break;
        }
        match from_remote(repo, store, target, open, &pace, progress) {
            Ok(()) | Err(Error::Remote(remote::Error::NoStore(_))) => {}
            Err(error) if error.is_interrupted() => return Err(error),
            Err(error) => {
                if losses.trouble.iter().all(|(name, _)| *name != target.name) {
                    losses.trouble.push((target.name.clone(), error));
                }
            }
        }
    }
    still_lost(store, &losses.list)
}

fn from_files(store: &Store, losses: &Losses, progress: &dyn Progress) -> Result<()> {
    let mut writer = store.writer()?;
    for loss in &losses.list {
        let Source::File(path) = &loss.source else {
            continue;
        };
        // One that was changed meanwhile is stored as what it is now, and does no harm.
        if let Ok(mut file) = File::open(path) {
            let _ = writer.add(&mut file, progress)?;
        }
    }
    Ok(writer.finish()?)
}

fn from_remote(
    repo: &Repo,
    store: &Store,
    target: &Target,
    mut open: Vec<Want>,
    pace: &Pace,
    progress: &dyn Progress,
) -> Result<()> {
    let remote = target.connect(repo, Access::Read)?;
    let ids: Vec<LobId> = open.iter().map(|want| want.id).collect();
    let sizes = remote.recall(&ids)?;
    for (want, size) in open.iter_mut().zip(&sizes) {
        want.size = size.unwrap_or(want.size);
    }
    let mut held = sizes.iter().map(Option::is_some);
    open.retain(|_| held.next().unwrap_or(false));
    let mut plan = Plan {
        lobs: open,
        ..Plan::new(Asking::ToPull)
    };
    let sides = Sides {
        local: store,
        remote: remote.as_ref(),
        reserve: repo.settings()?.reserve,
    };
    if !plan.is_empty() {
        let _ = remote.limit(pace.rate());
        let _ = nearby::take_in(repo, &plan, sides, progress);
        let _ = carry_out(&mut plan, sides, pace, progress)?;
    }
    Ok(())
}

/// Those that cannot be read whole.
fn still_lost(store: &Store, losses: &[Loss]) -> Result<Vec<Want>> {
    use lob_store::Error::{Damaged, NoChunk, NoLob, NoPack, WrongContent};
    let mut lost = Vec::new();
    for loss in losses {
        match store.write_to(&loss.want.id, &mut std::io::sink(), &()) {
            Ok(_) => {}
            Err(Damaged { .. } | NoChunk(_) | NoLob(_) | NoPack(_) | WrongContent { .. }) => {
                lost.push(loss.want.clone())
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lost)
}

/// What is lost, as wants: what the engine names and what pointers say of it. What the store does
/// not show any longer counts only where a pointer asks for it.
pub fn wants(store: Option<&Store>, lost: &[LobId], asked: &[Want]) -> Result<Vec<Want>> {
    let known: HashMap<LobId, &Want> = asked.iter().rev().map(|want| (want.id, want)).collect();
    let mut wants = Vec::new();
    for id in lost {
        let shown = match store {
            Some(store) => store.lob(id)?,
            None => None,
        };
        match (known.get(id), shown) {
            (Some(want), _) => wants.push((*want).clone()),
            (None, Some(lob)) => wants.push(Want::bare(lob, Reason::Held)),
            (None, None) => {}
        }
    }
    Ok(wants)
}

/// Lobs of which nothing is left here but pointers. Nobody can tell which of them this store held.
#[derive(Debug, Default)]
pub struct Traceless {
    /// Each of them once.
    wants: Vec<Want>,
    /// Those that are to be here although a remote holds them.
    needed: HashSet<LobId>,
}

impl Traceless {
    /// What pointers ask for and `store` does not show. Where `are_missing` packs of which nobody knows
    /// what they held, what the index and recent commits need is to be here; and all of it where the
    /// stores to bring it from `are_named`, or where there is no work tree to need anything.
    pub fn of(
        repo: &Repo,
        store: &Store,
        asked: &[Want],
        are_missing: bool,
        are_named: bool,
    ) -> Result<Traceless> {
        let mut found = Traceless::default();
        if !are_missing && !are_named {
            return Ok(found);
        }
        let mut seen = HashSet::new();
        for want in asked {
            if store.lob(&want.id)?.is_none() && seen.insert(want.id) {
                found.wants.push(want.clone());
            }
        }
        if are_missing && !found.wants.is_empty() {
            let all = are_named || repo.work_tree().is_none();
            found.needed = match all {
                true => seen,
                false => needed_soon(repo, asked)?,
            };
        }
        Ok(found)
    }

    /// Leaves out what a remote of this repository holds, as it does for every clone, and what need
    /// not be here.
    fn settle(&self, repo: &Repo, losses: &mut Losses) -> Result<()> {
        let is_settled = |loss: &Loss| match loss.source {
            Source::File(_) => true,
            Source::Remote(_) => self.needed.contains(&loss.want.id),
            Source::Nowhere => false,
        };
        let traceless: HashSet<LobId> = self.wants.iter().map(|want| want.id).collect();
        let open = |loss: &Loss| traceless.contains(&loss.want.id) && !is_settled(loss);
        let wants = losses.list.iter().filter(|loss| open(loss));
        let wants: Vec<Want> = wants.map(|loss| loss.want.clone()).collect();
        if wants.is_empty() {
            return Ok(());
        }
        let search = fsck::search(repo, None, &wants, None)?;
        for (name, error) in search.trouble {
            if losses.trouble.iter().all(|(known, _)| *known != name) {
                losses.trouble.push((name, error));
            }
        }
        let nowhere = search.absent.iter();
        let nowhere = nowhere.filter(|absent| absent.place == Place::Nowhere);
        let nowhere: HashSet<LobId> = nowhere.map(|absent| absent.want.id).collect();
        losses
            .list
            .retain(|loss| !open(loss) || nowhere.contains(&loss.want.id));
        Ok(())
    }
}

/// What the indexes need, and checkouts within the window of a fetch.
fn needed_soon(repo: &Repo, asked: &[Want]) -> Result<HashSet<LobId>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let recent = recent(repo, &repo.settings()?.fetch, now)?;
    let indexed = asked.iter().filter(|want| want.reason == Reason::Index);
    Ok(indexed.chain(&recent).map(|want| want.id).collect())
}
