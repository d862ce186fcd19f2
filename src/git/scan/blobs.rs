//! What blobs are, by asking git: sizes first, then the contents of those that may be pointers.

use std::collections::{HashMap, HashSet};

use super::{Scope, answers};
use crate::git::records::Records;
use crate::git::{Blob, Oid, Result, Seen};

/// Finds out, and remembers, what these objects are. Those that git does not have are not in the
/// answer; those that are no blobs are content.
pub fn classify(scope: &Scope, seen: &mut Seen, mut oids: Vec<Oid>) -> Result<HashMap<Oid, Blob>> {
    let mut found = HashMap::with_capacity(oids.len());
    if oids.is_empty() {
        return Ok(found);
    }
    if scope.fetches {
        let present = present(scope, oids.into_iter().collect())?;
        oids = present.into_iter().collect();
    }
    for some in oids.chunks(scope.at_once) {
        let small = measure(scope, some, &mut found)?;
        read(scope, &small, &mut found)?;
    }
    remember(seen, &found);
    Ok(found)
}

fn remember(seen: &mut Seen, found: &HashMap<Oid, Blob>) {
    for (oid, blob) in found {
        seen.learn(*oid, *blob);
    }
}

/// The objects that are here, by listing all there are: any question about another would fetch it.
pub(super) fn present(scope: &Scope, wanted: HashSet<Oid>) -> Result<HashSet<Oid>> {
    let words = [
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
        "--buffer",
    ];
    let mut records = Records::stream(&scope.git, words, b'\n')?;
    let mut present = HashSet::new();
    while let Some(line) = records.read()? {
        let oid = Oid::from_hex(line).ok_or_else(|| records.unreadable())?;
        if wanted.contains(&oid) {
            present.insert(oid);
        }
    }
    Ok(present)
}

/// Notes what can't be a pointer, and returns what may be one.
fn measure(scope: &Scope, oids: &[Oid], found: &mut HashMap<Oid, Blob>) -> Result<Vec<Oid>> {
    let words = [
        "cat-file",
        "--batch-check=%(objectname) %(objecttype) %(objectsize)",
        "--buffer",
    ];
    let records = Records::feed(&scope.git, words, lines(oids), b'\n')?;
    answers::sizes(records, oids, found)
}

/// Reads what may be a pointer.
fn read(scope: &Scope, oids: &[Oid], found: &mut HashMap<Oid, Blob>) -> Result<()> {
    if oids.is_empty() {
        return Ok(());
    }
    let words = ["cat-file", "--batch", "--buffer"];
    let records = Records::feed(&scope.git, words, lines(oids), b'\n')?;
    answers::contents(records, oids, found)
}

/// Their ids, a line each.
pub(super) fn lines(oids: &[Oid]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(oids.len() * 65);
    for oid in oids {
        lines.extend_from_slice(oid.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines
}
