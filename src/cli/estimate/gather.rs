//! Which files and versions there are, by extension.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use lob_store::{LobId, Progress, Store};

use super::files;
use crate::cli::store_of;
use crate::git::path::{bytes, git_bytes};
use crate::git::refs::{self, Head};
use crate::git::scan::{FileVersion, FileVersions, file_versions, partial};
use crate::git::{GitError, Pointer, Repo, Seen};
use crate::sync::estimate::{Group, History, Source, Trouble, Version};
use crate::ui::{Failure, Ui, escape};

/// Longer ones are no kinds of files, but parts of names.
const EXTENSION_MAX: usize = 16;

/// All that is to be estimated, and where its content is.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) repo: Option<Repo>,
    pub(super) store: Option<Store>,
    /// By extension, in lower case and with its dot; empty for none.
    pub(super) groups: BTreeMap<Vec<u8>, Group>,
    /// Why not all of the history can be seen.
    pub(super) partial: Option<&'static str>,
    /// What could not be looked at.
    pub(super) trouble: Vec<Trouble>,
}

/// A version that was found, and what is known of it.
pub(super) struct Found {
    pub(super) path: Vec<u8>,
    /// Of the file that it stands for; `None` where a pointer does not tell.
    pub(super) size: Option<u64>,
    /// Where it is, if it is no pointer.
    pub(super) source: Source,
    pub(super) pointer: Option<Pointer>,
}

/// The versions in the history of a repository.
pub(super) fn history(paths: &[PathBuf], min: u64, ui: &Ui) -> Result<Gathered, Failure> {
    let repo = Repo::discover(Path::new("."))?;
    let kinds = ["refs/heads", "refs/remotes", "refs/tags"];
    let refs = refs::list(&repo, &kinds)?;
    let mut tips: Vec<_> = refs.iter().map(|one| one.oid).collect();
    tips.extend(Head::detached(&repo)?);
    let paths: Vec<Vec<u8>> = paths.iter().map(|path| git_bytes(path)).collect();
    let asked = FileVersions {
        tips: &tips,
        paths: &paths,
        min,
    };
    let mut seen = Seen::open(&repo);
    let mut found = Vec::new();
    let bar = ui.bar("Searching", None, None);
    file_versions(&repo, &mut seen, asked, &mut |version| {
        bar.lob();
        let FileVersion {
            oid,
            path,
            size,
            pointer,
        } = version;
        let source = Source::Blob(oid);
        found.push(Found {
            path,
            size,
            source,
            pointer,
        });
    })?;
    bar.finish();
    // Losing it costs another look next time.
    let _ = seen.save();
    let why = partial(&repo)?;
    let mut gathered = Gathered::of(Some(repo), found)?;
    gathered.partial = why;
    Ok(gathered)
}

/// The files as they are.
pub(super) fn now(paths: &[PathBuf], min: u64) -> Result<Gathered, Failure> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here } else { paths };
    let (mut found, mut trouble) = (Vec::new(), Vec::new());
    for path in paths {
        for file in files::of(path, &mut trouble)? {
            match files::look(file.clone()) {
                Ok(file) => found
                    .extend(file.filter(|file| file.size.is_none_or(|size| size >= min.max(1)))),
                Err(error) => trouble.push(files::trouble(&file, &error)),
            }
        }
    }
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let mut gathered = Gathered::of(files::repo_of(first)?, found)?;
    gathered.trouble = trouble;
    Ok(gathered)
}

/// Files that are versions of one, the oldest first.
pub(super) fn versions(paths: &[PathBuf]) -> Result<Gathered, Failure> {
    let mut found = Vec::new();
    for path in paths.iter().rev() {
        if !path.is_file() {
            let failure = format!("{} is no file", escape::path(&bytes(path.as_os_str())));
            return Err(Failure::usage(failure));
        }
        found.extend(files::look(path.clone())?);
    }
    let first = found.last().map(|file| file.path.clone());
    for file in &mut found {
        file.path = first.clone().unwrap_or_default();
    }
    let dir = paths.first().map_or(Path::new("."), PathBuf::as_path);
    Gathered::of(files::repo_of(dir)?, found)
}

impl Gathered {
    /// What was found, the newest first.
    fn of(repo: Option<Repo>, found: Vec<Found>) -> Result<Gathered, Failure> {
        let store = match &repo {
            Some(repo) => store_of(repo)?,
            None => None,
        };
        let here = Here::look(repo.as_ref(), store.as_ref(), &found)?;
        let mut groups: BTreeMap<Vec<u8>, Group> = BTreeMap::new();
        let mut files: HashMap<Vec<u8>, usize> = HashMap::new();
        for (place, found) in found.into_iter().enumerate() {
            let group = groups.entry(extension(&found.path)).or_default();
            let size = found.size.unwrap_or_default();
            let Some(source) = here.source(&found) else {
                group.absent.0 += 1;
                group.absent.1 += size;
                continue;
            };
            let version = Version {
                size,
                place,
                source,
            };
            let number = *files.entry(found.path.clone()).or_insert_with(|| {
                let (path, versions) = (found.path, Vec::new());
                group.files.push(History { path, versions });
                group.files.len() - 1
            });
            if let Some(file) = group.files.get_mut(number) {
                file.versions.push(version);
            }
        }
        for file in groups.values_mut().flat_map(|group| &mut group.files) {
            file.versions.reverse();
        }
        Ok(Gathered {
            repo,
            store,
            groups,
            ..Gathered::default()
        })
    }
}

/// Where the contents are that pointers stand for.
struct Here {
    lobs: HashMap<LobId, u64>,
    lfs: Option<PathBuf>,
}

impl Here {
    fn look(repo: Option<&Repo>, store: Option<&Store>, found: &[Found]) -> Result<Here, Failure> {
        let ids = found.iter().filter_map(|one| one.pointer?.lob_id());
        let ids: Vec<LobId> = ids.collect();
        let held = match store {
            Some(store) => store.lobs(&ids)?,
            None => Vec::new(),
        };
        let held = held.into_iter().flatten();
        Ok(Here {
            lobs: held.map(|lob| (lob.id, lob.size)).collect(),
            lfs: repo.map(lfs_objects).transpose()?,
        })
    }

    /// Where the content of a version is; `None` where it is not here.
    fn source(&self, found: &Found) -> Option<Source> {
        match found.pointer {
            None => Some(found.source.clone()),
            Some(Pointer::Lob { id, size }) => {
                let held = self.lobs.get(&id) == Some(&size);
                held.then_some(Source::Lob(id))
            }
            Some(Pointer::Lfs {
                sha256,
                size,
                extended: false,
            }) => {
                let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                let dirs = [hex.get(..2)?, hex.get(2..4)?, &hex];
                let file = dirs
                    .iter()
                    .fold(self.lfs.clone()?, |path, dir| path.join(dir));
                let held = file
                    .metadata()
                    .is_ok_and(|file| file.is_file() && file.len() == size);
                held.then_some(Source::File(file))
            }
            Some(Pointer::Lfs { .. } | Pointer::GitLob { .. }) => None,
        }
    }
}

/// Where Git LFS keeps what it has: `lfs/objects` in the git directory, unless `lfs.storage` says another.
fn lfs_objects(repo: &Repo) -> Result<PathBuf, GitError> {
    let storage = repo.config()?.get("lfs.storage");
    let storage = storage.map(crate::git::path::path_buf);
    let storage = storage.unwrap_or_else(|| PathBuf::from("lfs"));
    Ok(repo.common_dir().join(storage).join("objects"))
}

/// What follows the last dot of a file's name, in lower case and with the dot.
fn extension(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let dot = name
        .iter()
        .rposition(|&byte| byte == b'.')
        .filter(|&at| at > 0);
    let extension = dot.and_then(|at| name.get(at..)).unwrap_or_default();
    match (2..=EXTENSION_MAX).contains(&extension.len()) {
        true => extension.to_ascii_lowercase(),
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_what_follows_the_last_dot() {
        for (path, expected) in [
            ("a/b.PSD", ".psd"),
            ("a.tar.gz", ".gz"),
            ("dir.d/none", ""),
            (".hidden", ""),
            ("ends.", ""),
            ("a.this is more than a kind", ""),
        ] {
            assert_eq!(extension(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
