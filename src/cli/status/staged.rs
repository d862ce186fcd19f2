//! What the next commit changes.

use std::collections::HashMap;

use crate::git::refs::Head;
use crate::git::scan::Tracked;
use crate::git::{GitError, Oid, Pointer, Repo, Seen};

/// How the next commit changes a lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The file is new, or was no lob.
    New,
    /// The lob is another one, or its mode is.
    Modified,
    /// The file goes.
    Deleted,
    /// The file becomes an ordinary one.
    Plain,
}

impl Change {
    pub(super) fn name(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Modified => "modified",
            Change::Deleted => "deleted",
            Change::Plain => "plain",
        }
    }
}

/// A lob that the next commit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) change: Change,
    pub(super) path: Vec<u8>,
    /// The lob after the change, or where there is none the one before it.
    pub(super) pointer: Pointer,
}

/// One path that differs between HEAD and the index: the blob before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw {
    path: Vec<u8>,
    old: Option<Oid>,
    gone: bool,
}

/// Asks git for the paths that differ between HEAD and the index.
pub(super) fn raw(repo: &Repo) -> Result<Vec<Raw>, GitError> {
    let head = match Head::read(repo)?.oid() {
        Some(oid) => oid.to_string(),
        None => empty_tree(repo.object_len()).to_owned(),
    };
    let words = ["diff-index", "--cached", "--raw", "--no-renames", "-z"];
    let answer = repo
        .git()
        .output(words.into_iter().chain([head.as_str()]))?;
    parse(&answer).ok_or_else(|| GitError::Answer {
        command: "git diff-index".into(),
        what: "something else than its raw format".into(),
    })
}

/// The tree without files, which git knows without having it.
fn empty_tree(object_len: usize) -> &'static str {
    match object_len {
        32 => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
        _ => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    }
}

/// `:MODE MODE OID OID STATUS NUL PATH NUL`, once for each path.
fn parse(answer: &[u8]) -> Option<Vec<Raw>> {
    let mut parts = answer.split(|&byte| byte == 0);
    let mut found = Vec::new();
    loop {
        let head = parts.next()?;
        if head.is_empty() {
            return Some(found);
        }
        let path = parts.next()?.to_vec();
        let words: Vec<_> = head
            .strip_prefix(b":")?
            .split(|&byte| byte == b' ')
            .collect();
        let [_, _, old, _, status] = words.as_slice() else {
            return None;
        };
        let old = Oid::from_hex(old)?;
        found.push(Raw {
            path,
            old: Some(old).filter(|old| !old.is_zero()),
            gone: *status == b"D",
        });
    }
}

impl Staged {
    /// Of the paths that differ those that are, or were, lobs.
    pub(super) fn judge(raw: &[Raw], lobs: &[Tracked], seen: &mut Seen) -> Vec<Staged> {
        if raw.is_empty() {
            return Vec::new();
        }
        let lobs: HashMap<&[u8], Pointer> = lobs
            .iter()
            .map(|lob| (lob.path.as_slice(), lob.pointer))
            .collect();
        let mut staged = Vec::new();
        for one in raw {
            let old = one.old.and_then(|oid| seen.get(&oid)?.pointer());
            let new = lobs.get(one.path.as_slice()).copied();
            let (change, pointer) = match (old, new) {
                (None, None) => continue,
                (None, Some(new)) => (Change::New, new),
                (Some(_), Some(new)) => (Change::Modified, new),
                (Some(old), None) if one.gone => (Change::Deleted, old),
                (Some(old), None) => (Change::Plain, old),
            };
            staged.push(Staged {
                change,
                path: one.path.clone(),
                pointer,
            });
        }
        staged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;
    use crate::git::scan::index_pointers;
    use lob_store::LobId;

    fn pointer(n: u8) -> String {
        let id = LobId::of(&[n]);
        format!("version git-lob/2\noid blake3:{id}\nsize {n}\n")
    }

    fn staged(fixture: &Fixture) -> Vec<(Change, String, Option<u64>)> {
        let repo = fixture.repo();
        let mut seen = Seen::open(&repo);
        let raw = raw(&repo).unwrap();
        let lobs = index_pointers(&repo, &mut seen).unwrap();
        for one in raw.iter().filter_map(|one| one.old) {
            // What an earlier run has seen of HEAD.
            let text = fixture.run(&["cat-file", "blob", &one.to_string()]);
            if let Some(pointer) = Pointer::parse(text.as_bytes()) {
                seen.learn(one, crate::git::seen::Blob::Pointer(pointer));
            }
        }
        let staged = Staged::judge(&raw, &lobs, &mut seen).into_iter();
        let named = |one: Staged| {
            (
                one.change,
                String::from_utf8(one.path).unwrap(),
                one.pointer.size(),
            )
        };
        staged.map(named).collect()
    }

    #[test]
    fn every_change_of_a_lob_is_named() {
        let fixture = Fixture::new();
        fixture.write("a\nb", pointer(1));
        fixture.write("plain", "text");
        fixture.run(&["add", "."]);
        assert_eq!(
            staged(&fixture),
            [(Change::New, "a\nb".into(), Some(1))],
            "before the first commit"
        );
        for (n, name) in [(2, "changes"), (3, "goes"), (4, "turns")] {
            fixture.write(name, pointer(n));
        }
        fixture.commit("First");
        assert_eq!(staged(&fixture), []);
        fixture.write("changes", pointer(9));
        fixture.write("turns", "text now");
        fixture.write("plain", pointer(8));
        std::fs::remove_file(fixture.path().join("goes")).unwrap();
        fixture.run(&["add", "-A"]);
        assert_eq!(
            staged(&fixture),
            [
                (Change::Modified, "changes".into(), Some(9)),
                (Change::Deleted, "goes".into(), Some(3)),
                (Change::New, "plain".into(), Some(8)),
                (Change::Plain, "turns".into(), Some(4)),
            ]
        );
    }

    #[test]
    fn only_the_raw_format_is_taken() {
        assert_eq!(parse(b""), Some(Vec::new()));
        for bad in [&b"x"[..], b":1 2 3\0p\0", b":100644 100644 zz zz M\0p\0"] {
            assert_eq!(parse(bad), None);
        }
    }
}
