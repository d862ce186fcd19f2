//! What git answers about objects: the lines of `git cat-file` and of `git rev-list`.

use std::collections::HashMap;

use crate::git::records::Records;
use crate::git::{Blob, Oid, Pointer, Result};

const MAX_LEN: u64 = Pointer::MAX_LEN as u64;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Git does not have it.
    Missing,
    /// A blob of so many bytes.
    Blob(u64),
    /// A tree, a commit or a tag of so many bytes.
    Other(u64),
}

/// Reads what `git cat-file --batch-check` answers about these objects, in their order: notes what
/// can't be a pointer, and returns what may be one. Those that git does not have are in neither.
///
/// # Errors
/// When the answer is not as git documents it, or not about exactly these objects.
pub fn sizes(
    mut records: Records,
    oids: &[Oid],
    found: &mut HashMap<Oid, Blob>,
) -> Result<Vec<Oid>> {
    let mut small = Vec::new();
    for oid in oids {
        match next(&mut records, oid)? {
            Found::Blob(0..=MAX_LEN) => small.push(*oid),
            Found::Blob(_) | Found::Other(_) => drop(found.insert(*oid, Blob::Content)),
            Found::Missing => {}
        }
    }
    end(records)?;
    Ok(small)
}

/// Reads what `git cat-file --batch-check` answers about these objects, in their order: the lengths of
/// blobs, `None` for what git does not have and for all else.
///
/// # Errors
/// When the answer is not as git documents it, or not about exactly these objects.
pub fn lengths(mut records: Records, oids: &[Oid]) -> Result<Vec<Option<u64>>> {
    let mut lengths = Vec::with_capacity(oids.len());
    for oid in oids {
        lengths.push(length(&mut records, oid)?);
    }
    end(records)?;
    Ok(lengths)
}

/// Reads the line about one object: its length if it is a blob.
///
/// # Errors
/// When the answer is not as git documents it, or about another object.
pub fn length(records: &mut Records, oid: &Oid) -> Result<Option<u64>> {
    Ok(match next(records, oid)? {
        Found::Blob(len) => Some(len),
        Found::Missing | Found::Other(_) => None,
    })
}

/// Reads what `git cat-file --batch` answers about these objects, in their order: notes what each is.
/// Those that git does not have are left out.
///
/// # Errors
/// When the answer is not as git documents it, or not about exactly these objects.
pub fn contents(mut records: Records, oids: &[Oid], found: &mut HashMap<Oid, Blob>) -> Result<()> {
    for oid in oids {
        let blob = match next(&mut records, oid)? {
            Found::Blob(len @ 0..=MAX_LEN) => {
                let len = usize::try_from(len).unwrap_or(0);
                let pointer = Pointer::parse(records.content(len)?);
                pointer.map_or(Blob::Content, Blob::Pointer)
            }
            Found::Blob(len) | Found::Other(len) => {
                records.skip(len)?;
                Blob::Content
            }
            Found::Missing => continue,
        };
        found.insert(*oid, blob);
    }
    end(records)
}

/// A line of `git rev-list --objects`: an object, and the path of a tree or blob. Commits and tags
/// have none. `None` where it is no such line.
pub fn object(line: &[u8]) -> Option<(Oid, Option<&[u8]>)> {
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) => {
            let (hex, path) = line.split_at(space);
            Some((Oid::from_hex(hex)?, path.get(1..)))
        }
        None => Some((Oid::from_hex(line)?, None)),
    }
}

/// The line about one object.
fn next(records: &mut Records, oid: &Oid) -> Result<Found> {
    let parsed = records.read()?.and_then(|line| line_about(line, oid));
    parsed.ok_or_else(|| records.unreadable())
}

/// `OID TYPE SIZE` or `OID missing`.
fn line_about(line: &[u8], oid: &Oid) -> Option<Found> {
    let line = std::str::from_utf8(line).ok()?;
    let (hex, rest) = line.split_once(' ')?;
    if Oid::from_hex(hex.as_bytes()) != Some(*oid) {
        return None;
    }
    if rest == "missing" {
        return Some(Found::Missing);
    }
    let (kind, len) = rest.split_once(' ')?;
    let digits = len.bytes().all(|byte| byte.is_ascii_digit());
    let len = len.parse().ok().filter(|_| digits)?;
    match kind {
        "blob" => Some(Found::Blob(len)),
        "tree" | "commit" | "tag" => Some(Found::Other(len)),
        _ => None,
    }
}

fn end(mut records: Records) -> Result<()> {
    match records.read()? {
        None => Ok(()),
        Some(_) => Err(records.unreadable()),
    }
}
