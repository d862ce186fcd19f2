//! All entries of an index, by reading it or, where that can't be done, as git lists them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{Extensions, Fault, IndexError, walk};
use crate::git::records::Records;
use crate::git::{Git, GitError, Oid, Repo};

/// A larger index, or one whose paths together are longer, is left to git.
const BYTES_MAX: u64 = 2 << 30;

/// One entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its path relative to the top of the work tree.
    pub path: Vec<u8>,
    /// Its mode as git writes it, such as 0o100644.
    pub mode: u32,
    /// Its object.
    pub oid: Oid,
    /// 0, or 1 to 3 while a merge is unresolved.
    pub stage: u8,
    /// Whether a sparse checkout leaves its file out.
    pub skip_worktree: bool,
}

impl IndexEntry {
    /// Whether it is a file with content of its own: no symbolic link, no submodule.
    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// All entries of the index of `repo`, sorted by path and stage, with each path that a sparse index
/// sums up. Empty where there is no index.
///
/// Starts no process, unless the index is split, sparse, damaged or of a newer git.
pub fn entries(repo: &Repo) -> Result<Vec<IndexEntry>, IndexError> {
    let read = read(repo.index_file(), repo.object_len())?;
    match read {
        Some(entries) => Ok(entries),
        None => Ok(listed(repo.git())?),
    }
}

/// `None` where git must be asked.
fn read(index: &Path, oid_len: usize) -> Result<Option<Vec<IndexEntry>>, IndexError> {
    match fs::metadata(index) {
        Ok(meta) if meta.len() > BYTES_MAX => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Vec::new())),
        Err(error) => return Err(IndexError::at(index)(error)),
    }
    let bytes = fs::read(index).map_err(IndexError::at(index))?;
    Ok(parse(&bytes, oid_len).ok())
}

fn parse(bytes: &[u8], oid_len: usize) -> Result<Vec<IndexEntry>, Fault> {
    let mut entries = Vec::new();
    let mut room = BYTES_MAX;
    let extensions = walk(bytes, oid_len, &mut |entry| {
        room = room.saturating_sub(entry.path.len() as u64);
        if room > 0 {
            entries.push(IndexEntry {
                path: entry.path.to_vec(),
                mode: entry.mode,
                oid: entry.oid,
                stage: entry.stage,
                skip_worktree: entry.skip_worktree,
            });
        }
    })?;
    match extensions {
        Extensions { split: true, .. } => Err(Fault::Unsupported("a split index")),
        Extensions { sparse: true, .. } => Err(Fault::Unsupported("a sparse index")),
        _ if room == 0 => Err(Fault::Unsupported("paths of more than 2 GiB")),
        _ => Ok(entries),
    }
}

/// What `git ls-files` prints.
fn listed(git: &Git) -> Result<Vec<IndexEntry>, GitError> {
    let words = ["ls-files", "--full-name", "-s", "-t", "-z"];
    let mut records = Records::stream(git, words, 0)?;
    let mut entries = Vec::new();
    while let Some(record) = records.read()? {
        match parse_listed(record) {
            Some(entry) => entries.push(entry),
            None => return Err(records.unreadable()),
        }
    }
    Ok(entries)
}

/// `TAG MODE OID STAGE<tab>PATH`, where S is the tag of what a sparse checkout leaves out.
fn parse_listed(record: &[u8]) -> Option<IndexEntry> {
    let tab = record.iter().position(|&byte| byte == b'\t')?;
    let (head, path) = record.split_at_checked(tab)?;
    let mut words = head.split(|&byte| byte == b' ');
    let (tag, mode) = (words.next()?, words.next()?);
    let (oid, stage) = (words.next()?, words.next()?);
    let mode = std::str::from_utf8(mode).ok()?;
    Some(IndexEntry {
        path: path.strip_prefix(b"\t")?.to_vec(),
        mode: u32::from_str_radix(mode, 8).ok()?,
        oid: Oid::from_hex(oid)?,
        stage: match stage {
            [digit @ b'0'..=b'3'] => digit - b'0',
            _ => return None,
        },
        skip_worktree: tag == b"S",
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{conflict, odd};
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn both_ways_give_the_same() {
        for fixture in [Fixture::new(), conflict()] {
            if fixture.repo().index_file().exists() {
                fixture.run(&["read-tree", "--reset", "main"]);
            }
            odd(&fixture);
            fixture.run(&["update-index", "--skip-worktree", "dir2/x"]);
            let repo = fixture.repo();
            let own = read(repo.index_file(), 20).unwrap().unwrap();
            assert_eq!(own, listed(repo.git()).unwrap());
            assert!(own.iter().any(|entry| entry.skip_worktree));
            fixture.run(&["update-index", "--split-index"]);
            fixture.write("another", "1");
            fixture.run(&["add", "another"]);
            assert_eq!(read(repo.index_file(), 20).unwrap(), None);
            let split = entries(&repo).unwrap();
            assert_eq!(split.len(), own.len() + 1);
        }
        let merging = conflict();
        let repo = merging.repo();
        assert_eq!(entries(&repo).unwrap(), listed(repo.git()).unwrap());
    }

    #[test]
    fn a_sparse_index_is_listed_in_full() {
        let fixture = Fixture::new();
        odd(&fixture);
        fixture.run(&["commit", "-q", "-m", "x"]);
        let all = entries(&fixture.repo()).unwrap();
        fixture.run(&["sparse-checkout", "set", "--cone", "--sparse-index", "dir2"]);
        let repo = fixture.repo();
        assert_eq!(read(repo.index_file(), 20).unwrap(), None);
        let mut sparse = entries(&repo).unwrap();
        assert!(sparse.iter().any(|entry| entry.skip_worktree));
        sparse
            .iter_mut()
            .for_each(|entry| entry.skip_worktree = false);
        assert_eq!(sparse, all);
    }

    #[test]
    fn no_index_has_no_entries() {
        assert_eq!(entries(&Fixture::new().repo()).unwrap(), []);
        assert_eq!(entries(&Fixture::bare().repo()).unwrap(), []);
    }

    #[test]
    fn only_files_are_files() {
        let fixture = Fixture::new();
        fixture.write("file", "1");
        let oid = fixture.run(&["hash-object", "-w", "file"]);
        for mode in ["100644", "100755", "120000", "160000"] {
            let info = format!("{mode},{},{mode}", oid.trim_end());
            fixture.run(&["update-index", "--add", "--cacheinfo", &info]);
        }
        let entries = entries(&fixture.repo()).unwrap();
        let files: Vec<_> = entries.iter().map(IndexEntry::is_file).collect();
        assert_eq!(files, [true, true, false, false]);
    }
}
