//! One pass over the bytes of an index file (`git help gitformat-index`), versions 2 to 4.

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::Fault;
use super::stat::{StatData, words};
use crate::git::Oid;

const HEADER: usize = 12;
const FLAG_ASSUME_VALID: u16 = 0x8000;
const FLAG_EXTENDED: u16 = 0x4000;
const FLAG_SKIP_WORKTREE: u16 = 0x4000;
const FLAG_INTENT_TO_ADD: u16 = 0x2000;
const NAME_LONG: usize = 0xfff;

/// One entry, borrowed for the time of a visit.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where its fixed part stands in the file.
    pub offset: usize,
    /// Its path relative to the top of the work tree.
    pub path: &'a [u8],
    /// Its mode as git writes it, such as 0o100644.
    pub mode: u32,
    /// Its object.
    pub oid: Oid,
    /// 0, or 1 to 3 while a merge is unresolved.
    pub stage: u8,
    /// Whether git was told to take it as unchanged (`update-index --assume-unchanged`).
    pub assume_valid: bool,
    /// Whether a sparse checkout leaves its file out.
    pub skip_worktree: bool,
    /// Whether only its name was added (`git add -N`).
    pub intent_to_add: bool,
    /// What git remembers of its file.
    pub stat: StatData,
}

/// What follows the entries and changes what they mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `link`: most entries are in another file.
    pub split: bool,
    /// `sdir`: whole directories are one entry.
    pub sparse: bool,
}

/// Visits every entry of an index with object ids of `oid_len` bytes, in the order of the file,
/// after its checksum was found right. What was visited before an error means nothing.
pub fn walk(
    bytes: &[u8],
    oid_len: usize,
    each: &mut dyn FnMut(&Entry<'_>),
) -> Result<Extensions, Fault> {
    let body = checked_body(bytes, oid_len)?;
    let (version, count) = header(body)?;
    let mut at = HEADER;
    let mut path = Vec::new();
    for _ in 0..count {
        at = entry(body, at, version, oid_len, &mut path, each)?;
    }
    extensions(body, at)
}

/// Whether the file ends in zeros in place of a checksum (`index.skipHash`).
pub(super) fn is_unsealed(trailer: &[u8]) -> bool {
    trailer.iter().all(|&byte| byte == 0)
}

/// The checksum that belongs at the end.
pub(super) fn checksum(body: &[u8], oid_len: usize) -> Vec<u8> {
    match oid_len {
        32 => Sha256::digest(body).to_vec(),
        _ => Sha1::digest(body).to_vec(),
    }
}

/// The file without its checksum, which is right or left out.
fn checked_body(bytes: &[u8], oid_len: usize) -> Result<&[u8], Fault> {
    let cut = bytes.len().checked_sub(oid_len);
    let cut = cut.filter(|&cut| cut >= HEADER);
    let parts = cut.and_then(|cut| bytes.split_at_checked(cut));
    let (body, trailer) = parts.ok_or(Fault::Damaged("it is too short"))?;
    if !is_unsealed(trailer) && checksum(body, oid_len) != trailer {
        return Err(Fault::Damaged("its checksum is wrong"));
    }
    Ok(body)
}

/// The version and the number of entries.
fn header(body: &[u8]) -> Result<(u32, u32), Fault> {
    let (magic, rest) = body.split_first_chunk().ok_or(CUT)?;
    let (version, rest) = rest.split_first_chunk().ok_or(CUT)?;
    let (count, _) = rest.split_first_chunk().ok_or(CUT)?;
    if magic != b"DIRC" {
        return Err(Fault::Damaged("it does not begin with DIRC"));
    }
    match u32::from_be_bytes(*version) {
        version @ 2..=4 => Ok((version, u32::from_be_bytes(*count))),
        _ => Err(Fault::Unsupported("a version other than 2, 3 and 4")),
    }
}

const CUT: Fault = Fault::Damaged("it ends within an entry");

/// Visits the entry at `at`; `path` is that of the one before, and becomes this one's. Returns
/// where the next thing begins.
fn entry(
    body: &[u8],
    at: usize,
    version: u32,
    oid_len: usize,
    path: &mut Vec<u8>,
    each: &mut dyn FnMut(&Entry<'_>),
) -> Result<usize, Fault> {
    let rest = body.get(at..).ok_or(CUT)?;
    let (fixed, tail) = rest.split_first_chunk::<{ StatData::SPAN }>().ok_or(CUT)?;
    let (oid, tail) = tail.split_at_checked(oid_len).ok_or(CUT)?;
    let oid = Oid::from_bytes(oid).ok_or(Fault::Unsupported("object ids of another length"))?;
    let (flags, mut tail) = flag_word(tail)?;
    let mut more = 0;
    if flags & FLAG_EXTENDED != 0 {
        if version < 3 {
            return Err(Fault::Damaged("version 2 with extended flags"));
        }
        (more, tail) = flag_word(tail)?;
    }
    if more & !(FLAG_SKIP_WORKTREE | FLAG_INTENT_TO_ADD) != 0 {
        return Err(Fault::Unsupported("entry flags of a newer git"));
    }
    let before = rest.len() - tail.len();
    let taken = match version {
        4 => suffix(tail, path)?,
        _ => whole(tail, before, path)?,
    };
    let stated = usize::from(flags) & NAME_LONG;
    if stated != path.len().min(NAME_LONG) {
        return Err(Fault::Damaged("the length of a path is wrong"));
    }
    let [_, _, _, _, _, _, mode, ..] = words(fixed);
    each(&Entry {
        offset: at,
        path,
        mode,
        oid,
        stage: u8::try_from((flags >> 12) & 3).unwrap_or(0),
        assume_valid: flags & FLAG_ASSUME_VALID != 0,
        skip_worktree: more & FLAG_SKIP_WORKTREE != 0,
        intent_to_add: more & FLAG_INTENT_TO_ADD != 0,
        stat: StatData::read(fixed),
    });
    Ok(at + before + taken)
}

fn flag_word(bytes: &[u8]) -> Result<(u16, &[u8]), Fault> {
    let (word, rest) = bytes.split_first_chunk().ok_or(CUT)?;
    Ok((u16::from_be_bytes(*word), rest))
}

/// Versions 2 and 3: the path, then zeros to a multiple of 8 of the whole entry, at least one.
/// Returns the bytes taken.
fn whole(tail: &[u8], before: usize, path: &mut Vec<u8>) -> Result<usize, Fault> {
    let name = until_zero(tail)?;
    path.clear();
    path.extend_from_slice(name);
    let taken = (before + name.len() + 8) / 8 * 8 - before;
    match tail.get(name.len()..taken) {
        Some(padding) if is_unsealed(padding) => Ok(taken),
        _ => Err(Fault::Damaged("an entry is not padded with zeros")),
    }
}

/// Version 4: how many bytes to drop from the path before, then those to append, and a zero. Each
/// byte of the file is appended once, so that paths can't make the work grow beyond the file.
/// Returns the bytes taken.
fn suffix(tail: &[u8], path: &mut Vec<u8>) -> Result<usize, Fault> {
    let (drop, digits) = varint(tail)?;
    let kept = path.len().checked_sub(drop);
    let kept = kept.ok_or(Fault::Damaged("a path drops more than the one before has"))?;
    let name = until_zero(tail.get(digits..).ok_or(CUT)?)?;
    path.truncate(kept);
    path.extend_from_slice(name);
    Ok(digits + name.len() + 1)
}

fn until_zero(bytes: &[u8]) -> Result<&[u8], Fault> {
    let end = bytes.iter().position(|&byte| byte == 0).ok_or(CUT)?;
    bytes.get(..end).ok_or(CUT)
}

/// Git's number of variable width, and how many bytes it took.
fn varint(bytes: &[u8]) -> Result<(usize, usize), Fault> {
    let mut value: usize = 0;
    // Four bytes reach 2^28: no path is longer.
    for (place, &byte) in bytes.iter().take(4).enumerate() {
        value = (value << 7) + usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((value, place + 1));
        }
        value += 1;
    }
    Err(Fault::Damaged("a number in a path has no end"))
}

/// What the extensions from `at` to the end of the body are.
fn extensions(body: &[u8], at: usize) -> Result<Extensions, Fault> {
    const CUT: Fault = Fault::Damaged("it ends within an extension");
    let mut found = Extensions::default();
    let mut rest = body.get(at..).ok_or(CUT)?;
    while !rest.is_empty() {
        let (name, tail) = rest.split_first_chunk::<4>().ok_or(CUT)?;
        let (len, tail) = tail.split_first_chunk().ok_or(CUT)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| CUT)?;
        rest = tail.get(len..).ok_or(CUT)?;
        match name {
            b"link" => found.split = true,
            b"sdir" => found.sparse = true,
            [b'A'..=b'Z', ..] => {}
            _ => return Err(Fault::Unsupported("an extension of a newer git")),
        }
    }
    Ok(found)
}
