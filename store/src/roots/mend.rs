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

/// So many roots that are lost in a row are written anew whatever comes after them.
const LOST_MAX: u64 = 256;
/// What the name of a file ends with that had the name of a root and is none of this store's.
const STRAY: &str = "stray";
/// Packs that are added to one root. A root that is too long would be the next one to be lost.
const PACKS_MAX: usize = 200_000;

/// Writes every root anew from the first that is lost or damaged on; that one also names those of
/// `all`, the packs that are there, of which no root says anything. Returns where the chain ends.
/// The caller holds the lock of the roots. A crash meanwhile leaves another broken chain, or a whole
/// one, and all packs.
pub(super) fn mend(disk: &dyn Disk, dir: &Path, all: &[(PackId, u64)]) -> Result<Cursor> {
    let end = without_strays(disk, dir, all)?;
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

/// Gives other names to files that are far behind all roots and say nothing of packs that are there:
/// for the sake of one such file each number before it would have to be written. Returns the number of
/// the last root.
fn without_strays(disk: &dyn Disk, dir: &Path, all: &[(PackId, u64)]) -> Result<u64> {
    let there: HashSet<&PackId> = all.iter().map(|(id, _)| id).collect();
    let mut numbers = numbers(disk, dir)?;
    while let Some(gap) = last_wide_gap(&numbers) {
        for seq in &numbers[gap..] {
            let Some((root, ..)) = alone(disk, dir, *seq)? else {
                continue;
            };
            let mut added = root.added.iter().map(|(id, _)| id);
            if added.any(|id| there.contains(id))
                || root.dropped.iter().any(|id| there.contains(id))
            {
                return Ok(last_of(&numbers));
            }
        }
        for seq in numbers.split_off(gap) {
            let from = path(dir, seq);
            let to = from.with_extension(STRAY);
            disk.rename(&from, &to).map_err(Error::at(&from))?;
        }
    }
    Ok(last_of(&numbers))
}

/// Where the last of these numbers are that come after so many that are not there.
fn last_wide_gap(numbers: &[u64]) -> Option<usize> {
    let before = std::iter::once(&0).chain(numbers);
    let mut pairs: Vec<_> = before.zip(numbers).collect();
    while let Some((before, seq)) = pairs.pop() {
        if seq - before > LOST_MAX {
            return Some(pairs.len());
        }
    }
    None
}

fn last_of(numbers: &[u64]) -> u64 {
    numbers.last().copied().unwrap_or_default()
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
    numbers(disk, dir).map(|numbers| last_of(&numbers))
}

/// The numbers of all roots in ascending order, disregarding files that are far from all others.
fn numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>> {
    let entries = disk::entries(disk, dir).map_err(Error::at(dir))?;
    let number = |name: &str| {
        let seq = u64::from_str_radix(name, 16).ok()?;
        // They are counted from 1.
        (seq > 0 && path(dir, seq) == dir.join(name)).then_some(seq)
    };
    // Sixteen digits each: in the order of names is in the order of numbers.
    let found = entries.iter().filter_map(|e| number(e.name.to_str()?));
    let mut numbers: Vec<u64> = Vec::new();
    for seq in found {
        if !is_near(last_of(&numbers), seq) {
            break;
        }
        numbers.push(seq);
    }
    Ok(numbers)
}

/// Whether a root of this number may follow `last`, the highest one so far.
pub(crate) fn is_near(last: u64, seq: u64) -> bool {
    seq > last && seq - last <= GAP_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    /// A chain of three roots, each with a pack, on a disk of its own, and all the packs.
    fn chain() -> (SimDisk, &'static Path, Vec<(PackId, u64)>) {
        let (disk, dir) = (SimDisk::new(), Path::new("/roots"));
        disk.create_dir(dir).expect("makes it");
        let packs: Vec<_> = (0..3).map(|n| (PackId::of(&[n]), 7)).collect();
        let mut last = Cursor::default();
        for pack in &packs {
            last = write(&disk, dir, &last, &adds(pack.0)).expect("writes");
        }
        (disk, dir, packs)
    }

    fn adds(pack: PackId) -> Root {
        Root {
            added: vec![(pack, 7)],
            dropped: Vec::new(),
        }
    }

    fn far(seq: u64) -> Cursor {
        let hash = [9; 16];
        Cursor { seq, hash }
    }

    fn is_whole(disk: &SimDisk, dir: &Path) -> bool {
        let mut whole = true;
        let _ = super::super::each_root(disk, dir, &mut |_, root| whole &= root.is_ok())
            .expect("looks");
        whole
    }

    #[test]
    fn a_stray_far_behind_is_set_aside_and_nothing_is_written_for_it() {
        for distance in [LOST_MAX + 1, 4096, GAP_MAX] {
            let (disk, dir, packs) = chain();
            // Of another store, and no root at all.
            let stray = path(dir, 3 + distance);
            let before = far(2 + distance);
            let _ = write(&disk, dir, &before, &adds(PackId::of(b"other"))).expect("writes");
            let garbage = path(dir, 4 + distance);
            disk.create(&garbage)
                .and_then(|f| f.append(b"x"))
                .expect("writes");
            let changes = disk.changes();
            assert_eq!(mend(&disk, dir, &packs).expect("mends").seq, 3);
            assert!(disk.changes() - changes < 10, "for {distance}");
            for name in [stray, garbage] {
                assert!(
                    disk.len(&name.with_extension(STRAY))
                        .expect("looks")
                        .is_some()
                );
            }
            assert_eq!(last_number(&disk, dir).expect("looks"), 3);
        }
    }

    #[test]
    fn what_says_something_of_packs_that_are_there_is_kept_however_far() {
        for (distance, dropped) in [
            (LOST_MAX, None),
            (LOST_MAX + 50, None),
            (LOST_MAX + 50, Some(1)),
        ] {
            let (disk, dir, mut packs) = chain();
            let mut root = adds(PackId::of(b"late"));
            packs.push((PackId::of(b"late"), 7));
            if let Some(n) = dropped {
                root = Root {
                    added: Vec::new(),
                    dropped: vec![packs[n].0],
                };
            }
            let _ = write(&disk, dir, &far(2 + distance), &root).expect("writes");
            let end = mend(&disk, dir, &packs).expect("mends");
            assert_eq!(end.seq, 3 + distance);
            assert!(is_whole(&disk, dir));
        }
    }
}
