//! Manifests: one lob as an ordered list of chunks.

use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ID_LEN, LobId};
use crate::limits::{CHUNK_MAX, LOB_MAX, SEGMENT_MAX, SEGMENT_MIN, SEGMENTS_MAX};

/// A lob as an ordered list: of its chunks, or, when there are many, of segments. A segment is
/// itself a chunk in the store, whose bytes are a run of the list; so a small edit of a long lob
/// stores only the segments that it changed. When there are many segments, groups of them are listed
/// in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The lob.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
    /// What it is made of.
    pub parts: Parts,
}

/// The forms of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// Chunks with their lengths in bytes.
    Chunks(Vec<(ChunkId, u32)>),
    /// Segments, which list chunks.
    Segments(Vec<Segment>),
    /// Groups, which list segments.
    Groups(Vec<Segment>),
}

/// A run of the list of a long lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The chunk that holds the run.
    pub id: ChunkId,
    /// How many chunks it lists; how many segments, if it is a group.
    pub items: u32,
    /// How many bytes of the lob they hold.
    pub bytes: u64,
}

/// Bytes of one chunk in a list: id, length.
pub(crate) const CHUNK_ITEM: usize = 36;
/// Bytes of one segment or group in a list: id, items, bytes.
const SEGMENT_ITEM: usize = 44;

impl Manifest {
    /// The one chunk of a lob that is one chunk: it has the lob's id.
    pub fn single(&self) -> Option<ChunkId> {
        match &self.parts {
            Parts::Chunks(chunks) if chunks.len() == 1 => chunks.first().map(|&(id, _)| id),
            _ => None,
        }
    }

    /// The chunks that the manifest itself names, of content or of lists, with their lengths.
    pub fn named_chunks(&self) -> Vec<(ChunkId, u32)> {
        match &self.parts {
            Parts::Chunks(chunks) => chunks.clone(),
            Parts::Segments(lists) => lists.iter().map(Segment::named).collect(),
            Parts::Groups(lists) => lists.iter().map(Segment::named_group).collect(),
        }
    }

    /// How many chunks, segments or groups it lists.
    pub fn items(&self) -> usize {
        match &self.parts {
            Parts::Chunks(chunks) => chunks.len(),
            Parts::Segments(lists) | Parts::Groups(lists) => lists.len(),
        }
    }

    /// How many chunks its content and its lists are; `None` where only its groups tell.
    pub fn chunk_count(&self) -> Option<u64> {
        match &self.parts {
            Parts::Chunks(chunks) => Some(chunks.len() as u64),
            Parts::Segments(lists) => {
                Some(lists.iter().map(|list| 1 + u64::from(list.items)).sum())
            }
            Parts::Groups(_) => None,
        }
    }

    /// How many bytes [`Manifest::encode`] gives.
    pub(crate) fn encoded_len(&self) -> usize {
        let item = match self.parts {
            Parts::Chunks(_) => CHUNK_ITEM,
            Parts::Segments(_) | Parts::Groups(_) => SEGMENT_ITEM,
        };
        ID_LEN + 16 + self.items() * item
    }

    /// The bytes of a manifest record (docs/format.md).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        let form = match &self.parts {
            Parts::Chunks(_) => 0,
            Parts::Segments(_) => 1,
            Parts::Groups(_) => 2,
        };
        out.extend_from_slice(&[form, 0, 0, 0]);
        out.extend_from_slice(&(self.items() as u32).to_le_bytes());
        match &self.parts {
            Parts::Chunks(chunks) => encode_chunks(chunks, &mut out),
            Parts::Segments(lists) | Parts::Groups(lists) => encode_segments(lists, &mut out),
        }
        out
    }

    /// Reads a manifest record. The lengths of its parts add up to its size, and each is in bounds.
    pub fn decode(bytes: &[u8]) -> Result<Manifest> {
        let mut d = Decoder::new("manifest", bytes);
        let id = LobId::from_bytes(d.id()?);
        let size = d.u64()?;
        let form = d.u8()?;
        d.zeros(3)?;
        let parts = match form {
            0 => {
                let count = d.count(CHUNK_ITEM)?;
                Parts::Chunks(decode_chunks(&mut d, count)?)
            }
            1 => {
                let count = d.count(SEGMENT_ITEM)?;
                Parts::Segments(decode_segments(&mut d, count, CHUNK_MAX as u64)?)
            }
            2 => {
                let count = d.count(SEGMENT_ITEM)?;
                Parts::Groups(decode_segments(&mut d, count, SEGMENT_BYTES_MAX)?)
            }
            _ => return Err(d.bad(format!("unknown form {form}"))),
        };
        let total = match &parts {
            Parts::Chunks(chunks) => Some(chunks.iter().map(|&(_, len)| u64::from(len)).sum()),
            Parts::Segments(lists) | Parts::Groups(lists) => bytes_of(lists),
        };
        if total != Some(size) || size == 0 || size > LOB_MAX {
            return Err(d.bad("its parts do not add up to its size"));
        }
        d.end()?;
        let manifest = Manifest { id, size, parts };
        match manifest.single() {
            Some(chunk) if chunk.as_bytes() != id.as_bytes() => Err(Error::damaged(
                "manifest",
                "a lob of one chunk has another id than its chunk",
            )),
            _ => Ok(manifest),
        }
    }
}

/// Most bytes of a lob in one segment.
const SEGMENT_BYTES_MAX: u64 = (SEGMENT_MAX * CHUNK_MAX) as u64;

/// `count` segments or groups, each of whose items holds up to `most` bytes of the lob.
fn decode_segments(d: &mut Decoder<'_>, count: usize, most: u64) -> Result<Vec<Segment>> {
    let one = |_| {
        let segment = Segment {
            id: ChunkId::from_bytes(d.id()?),
            items: d.u32()?,
            bytes: d.u64()?,
        };
        let is_long = segment.bytes > u64::from(segment.items) * most;
        if segment.items == 0 || segment.items as usize > SEGMENT_MAX || is_long {
            return Err(d.bad("a segment out of bounds"));
        }
        Ok(segment)
    };
    (0..count).map(one).collect()
}

/// How many bytes of the lob these hold together.
fn bytes_of(lists: &[Segment]) -> Option<u64> {
    let mut bytes = lists.iter().map(|list| list.bytes);
    bytes.try_fold(0u64, u64::checked_add)
}

fn encode_segments(lists: &[Segment], out: &mut Vec<u8>) {
    for list in lists {
        out.extend_from_slice(list.id.as_bytes());
        out.extend_from_slice(&list.items.to_le_bytes());
        out.extend_from_slice(&list.bytes.to_le_bytes());
    }
}

fn encode_chunks(chunks: &[(ChunkId, u32)], out: &mut Vec<u8>) {
    for (id, len) in chunks {
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&len.to_le_bytes());
    }
}

/// `count` chunks with lengths in bounds.
pub(crate) fn decode_chunks(d: &mut Decoder<'_>, count: usize) -> Result<Vec<(ChunkId, u32)>> {
    (0..count)
        .map(|_| {
            let id = ChunkId::from_bytes(d.id()?);
            let len = d.u32()?;
            if len == 0 || len as usize > CHUNK_MAX {
                return Err(d.bad("a chunk's length is out of bounds"));
            }
            Ok((id, len))
        })
        .collect()
}

impl Segment {
    /// The chunk that lists chunks, with its length.
    pub fn named(&self) -> (ChunkId, u32) {
        (self.id, self.items * CHUNK_ITEM as u32)
    }

    /// The chunk that lists segments, with its length.
    pub fn named_group(&self) -> (ChunkId, u32) {
        (self.id, self.items * SEGMENT_ITEM as u32)
    }

    /// The chunks that the bytes of this segment list, which must be as many and as long as it says.
    pub fn decode_list(&self, bytes: &[u8]) -> Result<Vec<(ChunkId, u32)>> {
        let mut d = self.decoder(bytes, CHUNK_ITEM)?;
        let chunks = decode_chunks(&mut d, self.items as usize)?;
        let total = chunks.iter().map(|&(_, len)| u64::from(len)).sum();
        self.check(d, Some(total))?;
        Ok(chunks)
    }

    /// The segments that the bytes of this group list, which must be as many and as long as it says.
    pub fn decode_group(&self, bytes: &[u8]) -> Result<Vec<Segment>> {
        let mut d = self.decoder(bytes, SEGMENT_ITEM)?;
        let segments = decode_segments(&mut d, self.items as usize, CHUNK_MAX as u64)?;
        self.check(d, bytes_of(&segments))?;
        Ok(segments)
    }

    fn decoder<'b>(&self, bytes: &'b [u8], item: usize) -> Result<Decoder<'b>> {
        let d = Decoder::new("manifest segment", bytes);
        match bytes.len() == self.items as usize * item {
            true => Ok(d),
            false => Err(d.bad("it lists another number of items than is said of it")),
        }
    }

    fn check(&self, d: Decoder<'_>, total: Option<u64>) -> Result<()> {
        match total == Some(self.bytes) {
            true => d.end(),
            false => Err(d.bad("its items do not add up to what is said of it")),
        }
    }
}

/// Makes the manifest of a lob while its chunks come by, holding no more than one list of each kind.
#[derive(Debug, Default)]
pub(crate) struct ManifestBuilder {
    run: Vec<(ChunkId, u32)>,
    /// Those that are in no group.
    segments: Vec<Segment>,
    groups: Vec<Segment>,
    size: u64,
}

/// Whether a list that has so many items, the last of which has this id, is complete. That depends on
/// the ids alone, so that an edit leaves the lists around it as they were.
fn is_complete(items: usize, last: &ChunkId) -> bool {
    items >= SEGMENT_MIN && last.prefix() >> 57 == 0 || items == SEGMENT_MAX
}

impl ManifestBuilder {
    /// The next chunk of the lob. Returns the bytes of the lists that are complete with it: the caller
    /// stores each as a chunk.
    pub(crate) fn push(&mut self, id: ChunkId, len: u32) -> Vec<Vec<u8>> {
        self.run.push((id, len));
        self.size += u64::from(len);
        let mut lists = Vec::new();
        if is_complete(self.run.len(), &id) {
            lists.push(self.close_segment());
            // Few segments are listed by the manifest itself.
            if !self.groups.is_empty() || self.segments.len() > SEGMENTS_MAX {
                self.close_groups(&mut lists);
            }
        }
        lists
    }

    fn close_segment(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.run.len() * CHUNK_ITEM);
        encode_chunks(&self.run, &mut bytes);
        self.segments.push(Segment {
            id: ChunkId::of(&bytes),
            items: self.run.len() as u32,
            bytes: self.run.iter().map(|&(_, len)| u64::from(len)).sum(),
        });
        self.run.clear();
        bytes
    }

    fn close_groups(&mut self, lists: &mut Vec<Vec<u8>>) {
        let end = |segments: &[Segment]| {
            let mut ends = segments.iter().enumerate();
            let end = ends.find(|(n, last)| is_complete(n + 1, &last.id));
            end.map(|(n, _)| n + 1)
        };
        while let Some(end) = end(&self.segments) {
            let rest = self.segments.split_off(end);
            lists.push(self.close_group());
            self.segments = rest;
        }
    }

    /// All segments that are in no group become one.
    fn close_group(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.segments.len() * SEGMENT_ITEM);
        encode_segments(&self.segments, &mut bytes);
        self.groups.push(Segment {
            id: ChunkId::of(&bytes),
            items: self.segments.len() as u32,
            bytes: self.segments.iter().map(|segment| segment.bytes).sum(),
        });
        self.segments.clear();
        bytes
    }

    /// The manifest, and the bytes of the lists that are complete now.
    pub(crate) fn finish(mut self, id: LobId) -> (Manifest, Vec<Vec<u8>>) {
        let size = self.size;
        let mut lists = Vec::new();
        if self.segments.is_empty() && self.groups.is_empty() {
            let parts = Parts::Chunks(self.run);
            return (Manifest { id, size, parts }, lists);
        }
        if !self.run.is_empty() {
            lists.push(self.close_segment());
        }
        if self.groups.is_empty() && self.segments.len() <= SEGMENTS_MAX {
            let parts = Parts::Segments(self.segments);
            return (Manifest { id, size, parts }, lists);
        }
        self.close_groups(&mut lists);
        if !self.segments.is_empty() {
            lists.push(self.close_group());
        }
        let parts = Parts::Groups(self.groups);
        (Manifest { id, size, parts }, lists)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn build(n: u32) -> (Manifest, Vec<Vec<u8>>) {
        let mut builder = ManifestBuilder::default();
        let mut lists = Vec::new();
        for i in 0..n {
            lists.extend(builder.push(ChunkId::of(&i.to_le_bytes()), i % 1000 + 1));
        }
        let (manifest, rest) = builder.finish(LobId::of(b"whole"));
        lists.extend(rest);
        (manifest, lists)
    }

    /// All chunks of a lob by its lists.
    fn listed(manifest: &Manifest, lists: &[Vec<u8>]) -> Vec<(ChunkId, u32)> {
        let known: HashMap<_, _> = lists.iter().map(|list| (ChunkId::of(list), list)).collect();
        let segments = match &manifest.parts {
            Parts::Chunks(chunks) => return chunks.clone(),
            Parts::Segments(segments) => segments.clone(),
            Parts::Groups(groups) => {
                let segments = groups.iter().map(|group| {
                    assert_eq!(group.named_group().1 as usize, known[&group.id].len());
                    group.decode_group(known[&group.id]).expect("decodes")
                });
                segments.flatten().collect()
            }
        };
        let chunks = segments.iter().map(|segment| {
            assert_eq!(segment.named().1 as usize, known[&segment.id].len());
            segment.decode_list(known[&segment.id]).expect("decodes")
        });
        chunks.flatten().collect()
    }

    #[test]
    fn short_and_long_manifests_come_back() {
        for (n, form) in [
            (2, 0),
            (63, 0),
            (64, 0),
            (5000, 1),
            (40_000, 1),
            (80_000, 2),
        ] {
            let (manifest, lists) = build(n);
            let bytes = manifest.encode();
            assert_eq!(bytes[40], form, "{n}");
            assert_eq!(Manifest::decode(&bytes).expect("decodes"), manifest);
            assert_eq!(bytes.len(), manifest.encoded_len());
            let chunks = listed(&manifest, &lists);
            let expected = (0..n).map(|i| (ChunkId::of(&i.to_le_bytes()), i % 1000 + 1));
            assert!(chunks.into_iter().eq(expected), "{n}");
        }
    }

    #[test]
    fn an_edit_of_a_long_lob_changes_one_list_of_each_kind() {
        let lists = |edited: u32| {
            let mut builder = ManifestBuilder::default();
            let mut lists = Vec::new();
            for i in 0..200_000u32 {
                let content = (i, i == edited);
                let id = ChunkId::of(format!("{content:?}").as_bytes());
                lists.extend(builder.push(id, 1));
            }
            let (manifest, rest) = builder.finish(LobId::of(b"whole"));
            assert!(matches!(&manifest.parts, Parts::Groups(groups) if groups.len() < 20));
            lists.extend(rest);
            let ids = lists.iter().map(|list| ChunkId::of(list));
            ids.collect::<HashSet<_>>()
        };
        let (old, new) = (lists(u32::MAX), lists(100_000));
        assert!(old.len() > 800, "{}", old.len());
        assert!(new.difference(&old).count() <= 4);
    }

    #[test]
    fn a_group_lists_what_is_said_of_it() {
        let (manifest, lists) = build(80_000);
        let Parts::Groups(groups) = &manifest.parts else {
            panic!("80,000 chunks must make groups");
        };
        let group = groups[0];
        let mut lists = lists.iter();
        let bytes = lists.find(|list| ChunkId::of(list) == group.id);
        let bytes = bytes.expect("it was made");
        assert!(group.decode_group(bytes).is_ok());
        assert!(group.decode_group(&bytes[SEGMENT_ITEM..]).is_err());
        assert!(group.decode_list(bytes).is_err());
        let lie = |items, bytes| Segment {
            items,
            bytes,
            ..group
        };
        assert!(
            lie(group.items, group.bytes + 1)
                .decode_group(bytes)
                .is_err()
        );
        assert!(
            lie(group.items + 1, group.bytes)
                .decode_group(bytes)
                .is_err()
        );
        let mut huge = bytes.clone();
        huge[36..44].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(group.decode_group(&huge).is_err());
    }

    #[test]
    fn no_changed_or_missing_byte_is_taken_for_another_lob_of_the_same_id() {
        let (manifest, _) = build(3);
        let bytes = manifest.encode();
        for cut in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..cut]).is_err());
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(Manifest::decode(&long).is_err());
        let mut huge = bytes;
        huge[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Manifest::decode(&huge).is_err());
    }
}
