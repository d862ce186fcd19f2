//! The objects that commits hold, as `git rev-list` walks them.

use super::blobs::classify;
use super::{Found, Scope, answers};
use crate::git::records::Records;
use crate::git::{Blob, GitError, Oid, Pointer, Repo, Result, Seen};

/// Which commits are walked.
#[derive(Debug, Clone, Copy)]
pub enum Walk<'a> {
    /// Those that can be reached from `include` and not from `exclude`.
    Range {
        /// Where the walk begins.
        include: &'a [Oid],
        /// Where it ends.
        exclude: &'a [Oid],
    },
    /// Exactly these, and all that a checkout of each needs.
    Snapshots(&'a [Oid]),
}

impl Walk<'_> {
    fn input(&self) -> Vec<u8> {
        let (include, exclude): (&[Oid], &[Oid]) = match self {
            Walk::Range { include, exclude } => (include, exclude),
            Walk::Snapshots(commits) => (commits, &[]),
        };
        let mut lines = String::new();
        for (mark, oids) in [("", include), ("^", exclude)] {
            for oid in oids {
                lines.push_str(&format!("{mark}{oid}\n"));
            }
        }
        lines.into_bytes()
    }
}

/// Which objects git is told to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// All but blobs.
    ByKind,
    /// Longer blobs only: a git before 2.32 can't tell kinds apart.
    BySize,
}

/// Calls `each` with every pointer in the walk, once for each blob, in the order of the walk.
pub fn pointers(
    repo: &Repo,
    seen: &mut Seen,
    walk: Walk<'_>,
    mut each: impl FnMut(Found),
) -> Result<()> {
    let scope = Scope::of(repo)?;
    match filtered(&scope, seen, walk, Filter::ByKind, &mut each) {
        // Refused before the walk began: nothing was found yet.
        Err(GitError::Failed { stderr, .. }) if is_unknown_filter(&stderr) => {
            filtered(&scope, seen, walk, Filter::BySize, &mut each)
        }
        done => done,
    }
}

pub(super) fn is_unknown_filter(stderr: &str) -> bool {
    ["invalid filter-spec", "--filter-provided-objects"]
        .iter()
        .any(|words| stderr.contains(words))
}

/// One object of the walk.
struct Object {
    oid: Oid,
    path: Vec<u8>,
    blob: Option<Blob>,
}

/// The same as [`pointers`], with one way to ask.
pub fn filtered(
    scope: &Scope,
    seen: &mut Seen,
    walk: Walk<'_>,
    filter: Filter,
    each: &mut dyn FnMut(Found),
) -> Result<()> {
    let words = words(scope, walk, filter);
    let mut records = Records::feed(&scope.git, words, walk.input(), b'\n')?;
    let mut held: Vec<Object> = Vec::new();
    while let Some(line) = records.read()? {
        let Some((oid, path)) = answers::object(line) else {
            return Err(records.unreadable());
        };
        if path.is_none() && filter == Filter::BySize {
            continue;
        }
        let path = path.unwrap_or_default().to_vec();
        let blob = seen.get(&oid);
        if blob == Some(Blob::Content) {
            continue;
        }
        held.push(Object { oid, path, blob });
        if held.len() >= scope.at_once {
            release(scope, seen, &mut held, each)?;
        }
    }
    release(scope, seen, &mut held, each)
}

fn words(scope: &Scope, walk: Walk<'_>, filter: Filter) -> Vec<String> {
    let limit = format!("--filter=blob:limit={}", Pointer::MAX_LEN + 1);
    let mut words = vec!["rev-list", "--objects", "--ignore-missing"];
    match filter {
        // Trees tell kinds; for lengths git would open every blob, also those that are known.
        Filter::ByKind => words.extend(["--filter=object:type=blob", "--filter-provided-objects"]),
        Filter::BySize => words.push(&limit),
    }
    if scope.partial {
        words.push("--missing=allow-any");
    }
    // Of the commits of one second those that refs name would come first, older ones among them.
    words.push(match walk {
        Walk::Snapshots(_) => "--no-walk=unsorted",
        Walk::Range { .. } => "--date-order",
    });
    words.push("--stdin");
    words.into_iter().map(String::from).collect()
}

/// Finds out what is not known of the objects that are held, and hands the pointers on.
fn release(
    scope: &Scope,
    seen: &mut Seen,
    held: &mut Vec<Object>,
    each: &mut dyn FnMut(Found),
) -> Result<()> {
    let unknown = held.iter().filter(|object| object.blob.is_none());
    let unknown: Vec<Oid> = unknown.map(|object| object.oid).collect();
    let found = classify(scope, seen, unknown)?;
    for object in held.drain(..) {
        let Object { oid, path, blob } = object;
        let blob = blob.or_else(|| found.get(&oid).copied());
        if let Some(pointer) = blob.and_then(Blob::pointer) {
            each(Found { oid, path, pointer });
        }
    }
    Ok(())
}
