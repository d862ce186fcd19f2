//! Which packs go, in which order.
//!
//! One thing must hold at every root: what is visible can be read. A lob in a pack that stays, though
//! nobody needs it, keeps its chunks; and while packs go one batch after the other, a lob without a
//! mark goes no later than its chunks.

use crate::error::Result;
use crate::limits::{PRUNE_ROUNDS, PRUNE_SHARE, PRUNE_STEP_ITEMS};

use super::marks::Marks;

/// The packs that go, by their numbers in the marks, in the batches in which they go.
pub(super) type Batches = Vec<Vec<usize>>;

/// Decides which packs go, and marks what must stay for the sake of the others.
pub(super) fn decide(marks: &mut Marks<'_>, step: u64) -> Result<Batches> {
    let mut goes: Vec<bool> = marks.packs.iter().map(|pack| !pack.stays).collect();
    for _ in 0..PRUNE_ROUNDS {
        let mut settled = true;
        let gains = gains(marks, &goes)?;
        for (p, gain) in gains.into_iter().enumerate() {
            if goes[p] && gain.saturating_mul(PRUNE_SHARE) < marks.packs[p].len {
                goes[p] = false;
                settled = false;
                marks.stay(p)?;
            }
        }
        if settled {
            break;
        }
    }
    let batches = batches(marks, &goes, step)?;
    retain(marks, &batches)?;
    Ok(batches)
}

/// For each pack that may go the bytes that come back then: what in it has no mark, and what lobs in
/// it without a mark hold on to elsewhere.
fn gains(marks: &mut Marks<'_>, goes: &[bool]) -> Result<Vec<u64>> {
    let mut gains = vec![0u64; goes.len()];
    for (p, gain) in gains.iter_mut().enumerate().filter(|(p, _)| goes[*p]) {
        if marks.packs[p].is_dead() {
            *gain = marks.packs[p].len;
            continue;
        }
        *gain = dead_bytes(marks, p)?;
        marks.each_need(p, &mut |marks, id| {
            if let Some((at, n, place)) = marks.chunk_at(id)?
                && at != p
                && goes[at]
                && !marks.packs[at].chunks.has(n)
            {
                *gain += u64::from(place.entry.len);
            }
            Ok(())
        })?;
    }
    Ok(gains)
}

/// Bytes of the records of a pack that nothing marked is in.
pub(crate) fn dead_bytes(marks: &Marks<'_>, p: usize) -> Result<u64> {
    let (table, pack) = (marks.table_of(p)?, &marks.packs[p]);
    let mut live = vec![0u64; table.frame_count()];
    for n in (0..table.chunk_count()).filter(|n| pack.chunks.has(*n)) {
        let chunk = table.chunk(n);
        live[chunk.frame as usize] += u64::from(chunk.len);
    }
    let frames = live.iter().enumerate().filter_map(|(n, live)| {
        let frame = table.frame(n)?;
        let all = u64::from(frame.head) + u64::from(frame.stored);
        let raw = u64::from(frame.raw).max(1);
        Some(all * raw.saturating_sub(*live) / raw)
    });
    let lobs = (0..table.lob_count()).filter(|n| !pack.lobs.has(*n));
    let lobs = lobs.map(|n| u64::from(table.lob(n).len));
    Ok(frames.sum::<u64>() + lobs.sum::<u64>())
}

/// First what is dead as a whole and what nobody holds on to: that needs no room. Then the newest
/// first, for lobs came after their chunks; each batch with a bounded number of bytes to move.
fn batches(marks: &mut Marks<'_>, goes: &[bool], step: u64) -> Result<Batches> {
    let mut first: Vec<bool> = (0..goes.len())
        .map(|p| goes[p] && marks.packs[p].is_dead())
        .collect();
    let mut others: Vec<usize> = (0..goes.len()).filter(|p| !first[*p]).collect();
    while let Some(p) = others.pop() {
        marks.each_need(p, &mut |marks, id| {
            if let Some((at, ..)) = marks.chunk_at(id)?
                && std::mem::take(&mut first[at])
            {
                others.push(at);
            }
            Ok(())
        })?;
    }
    let mut batches = vec![(0..goes.len()).filter(|p| first[*p]).collect::<Vec<_>>()];
    let (mut room, mut items) = (0, 0);
    for p in (0..goes.len()).rev().filter(|p| goes[*p] && !first[*p]) {
        let moved = marks.packs[p].len.saturating_sub(dead_bytes(marks, p)?);
        let count = marks.packs[p].chunks.count() + marks.packs[p].lobs.count();
        if room < moved || items < count || batches.len() == 1 {
            batches.push(Vec::new());
            (room, items) = (step, PRUNE_STEP_ITEMS);
        }
        room = room.saturating_sub(moved);
        items = items.saturating_sub(count);
        batches
            .last_mut()
            .into_iter()
            .for_each(|batch| batch.push(p));
    }
    batches.retain(|batch| !batch.is_empty());
    Ok(batches)
}

/// Whether lobs leave the store.
pub(super) fn loses(marks: &Marks<'_>, batches: &Batches) -> bool {
    let mut going = batches.iter().flatten().map(|p| &marks.packs[*p].lobs);
    going.any(|lobs| (0..lobs.len()).any(|n| !lobs.has(n)))
}

/// Marks what lobs and frames need that go later than it does.
fn retain(marks: &mut Marks<'_>, batches: &Batches) -> Result<()> {
    let mut order = vec![usize::MAX; marks.packs.len()];
    for (batch, packs) in batches.iter().enumerate() {
        packs.iter().for_each(|p| order[*p] = batch);
    }
    for p in 0..marks.packs.len() {
        marks.each_need(p, &mut |marks, id| {
            if let Some((at, ..)) = marks.chunk_at(id)?
                && order[at] < order[p]
            {
                marks.mark_chunk(id)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
