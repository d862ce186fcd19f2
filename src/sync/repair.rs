//! Bringing back what a store has lost: from files of the work trees, and from remotes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use lob_store::{LobId, Progress, Store};

use super::error::{Error, Result};
use super::pace::Pace;
use super::plan::{Asking, Plan};
use super::run::{Sides, carry_out};
use super::target::Target;
use super::wanted::{Reason, Want, keep};
use crate::git::path::path_buf;
use crate::git::scan::index_pointers;
use crate::git::tree_path::TreePath;
use crate::git::{Pointer, Repo, Seen};
use crate::remote::{self, Access};

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

/// Looks where `lost` can be had: first in files of the work trees, which are hashed where their
/// length is right, and then at remotes.
pub fn locate(repo: &Repo, lost: Vec<Want>, remotes: &[Target]) -> Result<Losses> {
    let mut losses = Losses::default();
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
        match remote.and_then(|remote| Ok(remote.sizes(&asked)?)) {
            Ok(sizes) => {
                for (loss, size) in open.iter_mut().zip(sizes) {
                    if let Some(size) = size {
                        loss.source = Source::Remote(n);
                        loss.want.size = size;
                    }
                }
            }
            // Nothing was ever pushed there, which is an answer.
            Err(Error::Remote(remote::Error::NoStore(_))) => {}
            Err(error) if error.is_interrupted() => return Err(error),
            Err(error) => losses.trouble.push((target.name.clone(), error)),
        }
    }
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
    let sizes = remote.sizes(&ids)?;
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
/// not show any longer counts only where a pointer asks for it. Where packs are missing of which
/// nobody knows what they held, what indexes ask for and is not here counts too.
pub fn wants(
    store: Option<&Store>,
    lost: &[LobId],
    asked: &[Want],
    are_missing: bool,
) -> Result<Vec<Want>> {
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
    let mut named: HashSet<LobId> = wants.iter().map(|want| want.id).collect();
    let needed = asked.iter().filter(|want| want.reason == Reason::Index);
    for want in needed.filter(|_| are_missing) {
        let is_here = match store {
            Some(store) => store.lob(&want.id)?.is_some(),
            None => false,
        };
        if !is_here && named.insert(want.id) {
            wants.push(want.clone());
        }
    }
    Ok(wants)
}
