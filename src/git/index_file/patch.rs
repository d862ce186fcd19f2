//! Other stat data in a copy of an index: no entry changes its length, nothing else changes.

use std::collections::HashMap;

use super::stat::StatData;
use super::walk::{checksum, is_unsealed};
use super::{Entry, Fault, Fresh, walk};

/// An index with new stat data.
#[derive(Debug)]
pub struct Patched {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// How many of the wanted entries were found and changed.
    pub recorded: usize,
}

/// Gives the entries at these paths their new stat data, where they still hold the same object and
/// no merge is unresolved, and size 0 to every other entry that `doubtful` points out.
pub fn patch(
    mut bytes: Vec<u8>,
    oid_len: usize,
    fresh: &HashMap<&[u8], &Fresh>,
    mut doubtful: impl FnMut(&Entry<'_>) -> bool,
) -> Result<Patched, Fault> {
    let mut changes: Vec<(usize, StatData)> = Vec::with_capacity(fresh.len());
    let mut recorded = 0;
    let extensions = walk(&bytes, oid_len, &mut |entry| {
        let wanted = fresh
            .get(entry.path)
            .filter(|fresh| entry.stage == 0 && fresh.oid == entry.oid && !entry.intent_to_add);
        if let Some(fresh) = wanted {
            recorded += 1;
            changes.push((entry.offset, fresh.stat));
        } else if doubtful(entry) {
            let size = 0;
            changes.push((entry.offset, StatData { size, ..entry.stat }));
        }
    })?;
    // Not so a monitor's or a sparse index: the monitor reports the files that were written, and git
    // then compares their stat data; an entry that sums up a directory has none.
    if extensions.split {
        return Err(Fault::Unsupported("a split index"));
    }
    for (offset, stat) in changes {
        let tail = bytes.get_mut(offset..);
        if let Some(fixed) = tail.and_then(|tail| tail.first_chunk_mut()) {
            stat.write(fixed);
        }
    }
    seal(&mut bytes, oid_len);
    Ok(Patched { bytes, recorded })
}

/// Puts the right checksum at the end, unless the file goes without.
fn seal(bytes: &mut [u8], oid_len: usize) {
    let cut = bytes.len().saturating_sub(oid_len);
    let (body, trailer) = bytes.split_at_mut(cut);
    if !is_unsealed(trailer) {
        let sum = checksum(body, oid_len);
        for (byte, new) in trailer.iter_mut().zip(sum) {
            *byte = new;
        }
    }
}
