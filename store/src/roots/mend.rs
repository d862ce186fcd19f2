//! Making a chain of roots whole in which some are lost or damaged.
//!
//! Numbers never go back, and what a readable root says is kept: so whoever has seen a part of the
//! old chain finds out that it is another one now, and what a store was told to drop stays dropped.

use std::collections::HashSet;
use std::path::Path;

use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::id::PackId;

use super::{Cursor, GAP_MAX, Root, path, read, write};

/// Packs that are added to one root. A root that is too long would be the next one to be lost.
const PACKS_MAX: usize = 200_000;

/// Writes every root anew from the first that is lost or damaged on; that one also names those of
/// `all`, the packs that are there, of which no root says anything. Returns where the chain ends.
/// The caller holds the lock of the roots. A crash meanwhile leaves another broken chain, or a whole
/// one, and all packs.
pub(super) fn mend(disk: &dyn Disk, dir: &Path, all: &[(PackId, u64)]) -> Result<Cursor> {
    let end = last_number(disk, dir)?;
    let mut known = HashSet::new();
    for seq in 1..=end {
        if let Some((root, _, _)) = alone(disk, dir, seq)? {
            known.extend(root.added.iter().map(|(id, _)| *id));
            known.extend(root.dropped);
        }
    }
    let unknown = all.iter().filter(|(id, _)| !known.contains(id));
    let mut unknown: Vec<_> = unknown.copied().collect();
    let mut last = Cursor::default();
    let mut whole = true;
    for seq in 1..=end {
        let mut root = match alone(disk, dir, seq)? {
            Some((_, follows, after)) if follows == last => {
                last = after;
                continue;
            }
            Some((root, _, _)) => root,
            None => Root::default(),
        };
        whole = false;
        root.added.append(&mut some_of(&mut unknown));
        last = write(disk, dir, &last, &root)?;
    }
    while !whole && !unknown.is_empty() {
        let root = Root {
            added: some_of(&mut unknown),
            dropped: Vec::new(),
        };
        last = write(disk, dir, &last, &root)?;
    }
    Ok(last)
}

/// As many as fit one root beside what it says already.
fn some_of(packs: &mut Vec<(PackId, u64)>) -> Vec<(PackId, u64)> {
    packs.split_off(packs.len().saturating_sub(PACKS_MAX))
}

/// A root without regard to those around it; `None` where it is lost or damaged.
fn alone(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<Option<(Root, Cursor, Cursor)>> {
    let path = path(dir, seq);
    let decoded = match read(disk, &path) {
        Ok(Some(bytes)) => Root::decode_alone(&bytes, &path.display().to_string()),
        Ok(None) => return Ok(None),
        // A bad sector tells no more than damage does.
        Err(Error::Io { source, .. }) if disk::is_lost(&source) => return Ok(None),
        Err(e) => Err(e),
    };
    match decoded {
        Ok(found) if found.2.seq == seq => Ok(Some(found)),
        Ok(_) | Err(Error::Damaged { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The highest number of a root, disregarding files that are far from all others.
pub(super) fn last_number(disk: &dyn Disk, dir: &Path) -> Result<u64> {
    let entries = disk::entries(disk, dir).map_err(Error::at(dir))?;
    let number = |name: &str| {
        let seq = u64::from_str_radix(name, 16).ok()?;
        // They are counted from 1.
        (seq > 0 && path(dir, seq) == dir.join(name)).then_some(seq)
    };
    let numbers = entries.iter().filter_map(|e| number(e.name.to_str()?));
    // Sixteen digits each: in the order of names is in the order of numbers.
    let mut last = 0;
    for seq in numbers {
        if !is_near(last, seq) {
            break;
        }
        last = seq;
    }
    Ok(last)
}

/// Whether a root of this number may follow `last`, the highest one so far.
pub(crate) fn is_near(last: u64, seq: u64) -> bool {
    seq > last && seq - last <= GAP_MAX
}
