//! What goes as the difference from what the receiver has.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use lob_store::{ChunkId, Frame, LobId, Manifest, Parts, Segment};

use super::lanes::Lanes;
use super::{Moved, Transfer, sum};
use crate::remote::{Against, DIFFERENCE_BASE_MAX, Origin, Remote, Result};

/// Most generations of lobs that are made visible one after the other.
const GENERATIONS_MAX: usize = 256;
/// Chunks that are remembered as sent while they are not visible.
const SENT_MAX: usize = 64 << 10;
/// Chunks of versions that are held which are remembered for one window.
const AGAINST_CHUNKS_MAX: usize = 128 << 10;

/// Lobs in the order in which they are sent: each generation is based on those before.
pub(super) fn generations(lobs: &[LobId], bases: &HashMap<LobId, LobId>) -> Vec<Vec<LobId>> {
    let own: HashSet<&LobId> = lobs.iter().collect();
    let mut found: Vec<Vec<LobId>> = vec![Vec::new()];
    let mut known: HashMap<LobId, usize> = HashMap::new();
    for lob in lobs {
        // Back to one whose generation is known, or to the first.
        let mut line = vec![*lob];
        let mut number = 0;
        while let Some(base) = line.last().and_then(|last| bases.get(last)) {
            if let Some(generation) = known.get(base) {
                number = (generation + 1).min(GENERATIONS_MAX - 1);
                break;
            }
            if !own.contains(base) || line.contains(base) || line.len() >= GENERATIONS_MAX {
                break;
            }
            line.push(*base);
        }
        for lob in line.into_iter().rev() {
            if let Entry::Vacant(new) = known.entry(lob) {
                new.insert(number);
                found.resize_with(found.len().max(number + 1), Vec::new);
                found[number].push(lob);
            }
            number = (number + 1).min(GENERATIONS_MAX - 1);
        }
    }
    found
}

/// Chunks whose frames have equally long chains of bases behind them.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) chunks: Vec<(ChunkId, u32)>,
    bases: HashSet<ChunkId>,
}

impl Transfer<'_> {
    /// Sends what the receiver lacks of lobs whose versions before it has, as far as that pays. Returns
    /// the chunks that are not visible there yet.
    pub(super) fn send_deltas(
        &self,
        manifests: &[Manifest],
        lanes: &mut Lanes,
        moved: &mut Moved,
    ) -> Result<HashSet<ChunkId>> {
        let mut sent = HashSet::new();
        if self.origin == Origin::Foreign {
            return Ok(sent);
        }
        for manifest in manifests {
            let Some(base) = self.bases.get(&manifest.id) else {
                continue;
            };
            self.check_cancelled()?;
            let Some(base) = self.from.manifests(&[*base])?.pop().flatten() else {
                continue;
            };
            if sent.len() > SENT_MAX {
                lanes.publish()?;
                sent.clear();
            }
            let send = |take: &mut dyn FnMut(Frame) -> Result<()>| {
                let mut ask = |ids: &[ChunkId]| self.to.kin(ids);
                self.from
                    .each_delta(manifest, base, &mut ask, &mut |frame| {
                        self.check_cancelled()?;
                        let (len, raw) = (frame.record_len(), sum(&frame.chunks));
                        self.pace.take(len);
                        sent.extend(frame.chunks.iter().map(|(id, _)| *id));
                        take(frame)?;
                        moved.chunks += 1;
                        moved.bytes += len;
                        self.progress.bytes(raw);
                        Ok(())
                    })?;
                Ok(())
            };
            // Little comes of it: one lane, one pack.
            lanes.fill(0, Box::new(send))?;
        }
        Ok(sent)
    }

    /// What is held here that lobs of a fetch may come as differences from.
    pub(super) fn against(&self, manifests: &[Manifest]) -> Against {
        let mut against = Against::default();
        if self.origin == Origin::Own || self.bases.is_empty() || !self.from.makes_differences() {
            return against;
        }
        for manifest in manifests {
            let Some(base) = self.bases.get(&manifest.id) else {
                continue;
            };
            // One that cannot be read is none.
            let held = self.to.manifests(&[*base]).unwrap_or_default();
            if let Some(Some(held)) = held.first()
                && held.size <= DIFFERENCE_BASE_MAX
                && let Ok(Some(chunks)) = chunks_of(self.to, held)
                && against.chunks.len() + chunks.len() <= AGAINST_CHUNKS_MAX
            {
                against.versions.push((manifest.id, *base));
                against.chunks.extend(chunks);
            }
        }
        against
    }

    /// Chunks by the depth of their frames here, those without bases first.
    pub(super) fn by_depth(&self, chunks: &[(ChunkId, u32)]) -> Result<Vec<Layer>> {
        let ids: Vec<ChunkId> = chunks.iter().map(|(id, _)| *id).collect();
        let mut layers: Vec<Layer> = Vec::new();
        for (chunk, kin) in chunks.iter().zip(self.from.kin(&ids)?) {
            let kin = kin.unwrap_or_default();
            let depth = usize::from(kin.depth);
            layers.resize_with(layers.len().max(depth + 1), Layer::default);
            layers[depth].chunks.push(*chunk);
            layers[depth].bases.extend(kin.bases);
        }
        layers.retain(|layer| !layer.chunks.is_empty());
        Ok(layers)
    }

    /// Those bases of a layer that the receiver has.
    pub(super) fn relied(&self, layer: &Layer) -> Result<HashSet<ChunkId>> {
        let ids: Vec<ChunkId> = layer.bases.iter().copied().collect();
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let held = self.to.has_chunks(&ids)?;
        let relied = ids.into_iter().zip(held).filter(|(_, held)| *held);
        Ok(relied.map(|(id, _)| id).collect())
    }
}

/// The chunks of a lob, with the lists of a long one; `None` of one that has too many.
fn chunks_of(store: &dyn Remote, manifest: &Manifest) -> Result<Option<Vec<ChunkId>>> {
    let id = |(id, _): &(ChunkId, u32)| *id;
    let mut chunks: Vec<ChunkId> = manifest.named_chunks().iter().map(id).collect();
    let mut segments = match &manifest.parts {
        Parts::Chunks(_) => Vec::new(),
        Parts::Segments(segments) => segments.clone(),
        Parts::Groups(groups) => {
            let mut segments: Vec<Segment> = Vec::new();
            each_list(store, groups, &mut |group, bytes| {
                segments.extend(group.decode_group(bytes)?);
                Ok(())
            })?;
            chunks.extend(segments.iter().map(|segment| segment.id));
            segments
        }
    };
    let items: u64 = segments
        .iter()
        .map(|segment| u64::from(segment.items))
        .sum();
    if chunks.len() as u64 + items > AGAINST_CHUNKS_MAX as u64 {
        return Ok(None);
    }
    segments.dedup_by_key(|segment| segment.id);
    each_list(store, &segments, &mut |segment, bytes| {
        chunks.extend(segment.decode_list(bytes)?.iter().map(id));
        Ok(())
    })?;
    Ok(Some(chunks))
}

/// Calls `take` with the bytes of each list.
fn each_list(
    store: &dyn Remote,
    lists: &[Segment],
    take: &mut dyn FnMut(&Segment, &[u8]) -> Result<()>,
) -> Result<()> {
    let ids: Vec<ChunkId> = lists.iter().map(|list| list.id).collect();
    let mut expected = lists.iter();
    store.each_chunk(&ids, &mut |_, bytes| {
        expected.next().map_or(Ok(()), |list| take(list, bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lob(n: u8) -> LobId {
        LobId::from_bytes([n; 32])
    }

    fn numbers(lobs: &[u8], bases: &[(u8, u8)]) -> Vec<Vec<u8>> {
        let lobs: Vec<LobId> = lobs.iter().map(|n| lob(*n)).collect();
        let bases = bases.iter().map(|&(new, old)| (lob(new), lob(old)));
        let found = generations(&lobs, &bases.collect());
        let number = |lob: &LobId| lob.as_bytes()[0];
        found
            .iter()
            .map(|some| some.iter().map(number).collect())
            .collect()
    }

    #[test]
    fn lobs_come_after_what_they_are_based_on() {
        let chain = [(5, 4), (4, 3), (3, 2), (9, 8), (2, 1)];
        assert_eq!(
            numbers(&[5, 4, 9, 3, 2, 7], &chain),
            [vec![2, 9, 7], vec![3], vec![4], vec![5]],
            "1 and 8 do not go with them"
        );
        assert_eq!(numbers(&[2, 5, 3, 4], &chain), [[2], [3], [4], [5]]);
        assert_eq!(numbers(&[1, 2], &[]), [[1, 2]]);
    }

    #[test]
    fn circles_and_endless_lines_end() {
        let circle = numbers(&[1, 2, 3], &[(1, 2), (2, 3), (3, 1)]);
        assert_eq!(circle.concat().len(), 3);
        let mut bases = HashMap::new();
        let id = |n: u32| LobId::of(&n.to_le_bytes());
        let lobs: Vec<LobId> = (0..1000).map(id).collect();
        for n in 1..1000 {
            bases.insert(id(n - 1), id(n));
        }
        let backwards: Vec<LobId> = lobs.iter().rev().copied().collect();
        for lobs in [lobs, backwards] {
            let found = generations(&lobs, &bases);
            assert!(found.len() <= GENERATIONS_MAX);
            assert_eq!(found.concat().len(), 1000);
        }
    }
}
