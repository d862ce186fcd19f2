//! What blobs are, by asking git: sizes first, then the contents of those that may be pointers.

use std::collections::{HashMap, HashSet};

use super::Scope;
use crate::git::records::Records;
use crate::git::{Blob, Oid, Pointer, Result, Seen};

const MAX_LEN: u64 = Pointer::MAX_LEN as u64;

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
fn present(scope: &Scope, wanted: HashSet<Oid>) -> Result<HashSet<Oid>> {
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
    let mut records = Records::feed(&scope.git, words, lines(oids), b'\n')?;
    let mut small = Vec::new();
    for oid in oids {
        match answer(&mut records, oid)? {
            Some((true, 0..=MAX_LEN)) => small.push(*oid),
            Some(_) => drop(found.insert(*oid, Blob::Content)),
            None => {}
        }
    }
    end(records)?;
    Ok(small)
}

/// Reads what may be a pointer.
fn read(scope: &Scope, oids: &[Oid], found: &mut HashMap<Oid, Blob>) -> Result<()> {
    if oids.is_empty() {
        return Ok(());
    }
    let words = ["cat-file", "--batch", "--buffer"];
    let mut records = Records::feed(&scope.git, words, lines(oids), b'\n')?;
    for oid in oids {
        let blob = match answer(&mut records, oid)? {
            Some((true, len @ 0..=MAX_LEN)) => {
                let len = usize::try_from(len).unwrap_or(0);
                let pointer = Pointer::parse(records.content(len)?);
                pointer.map_or(Blob::Content, Blob::Pointer)
            }
            Some((_, len)) => {
                records.skip(len)?;
                Blob::Content
            }
            None => continue,
        };
        found.insert(*oid, blob);
    }
    end(records)
}

fn lines(oids: &[Oid]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(oids.len() * 65);
    for oid in oids {
        lines.extend_from_slice(oid.to_string().as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// The line about one object: whether it is a blob, and its length; `None` where it is not here.
fn answer(records: &mut Records, oid: &Oid) -> Result<Option<(bool, u64)>> {
    let parsed = records.read()?.and_then(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split(' ');
        let hex = words.next()?;
        let kind = words.next()?;
        if Oid::from_hex(hex.as_bytes()) != Some(*oid) {
            return None;
        }
        match (kind, words.next()) {
            ("missing", None) => Some(None),
            (kind, Some(len)) => Some(Some((kind == "blob", len.parse().ok()?))),
            _ => None,
        }
    });
    parsed.ok_or_else(|| records.unreadable())
}

fn end(mut records: Records) -> Result<()> {
    match records.read()? {
        None => Ok(()),
        Some(_) => Err(records.unreadable()),
    }
}
