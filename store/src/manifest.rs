//! Manifests: one lob as an ordered list of chunks.

use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ID_LEN, LobId};
use crate::limits::{CHUNK_MAX, LOB_MAX, SEGMENT_MAX, SEGMENT_MIN};

/// A lob as an ordered list: of its chunks, or, when there are many, of segments. A segment is
/// itself a chunk in the store, whose bytes are a run of the list; so a small edit of a long lob
/// stores only the segments that it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The lob.
    pub id: LobId,
    /// Its length in bytes.
    pub size: u64,
    /// What it is made of.
    pub parts: Parts,
}

/// The two forms of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// Chunks with their lengths in bytes.
    Chunks(Vec<(ChunkId, u32)>),
    /// Segments.
    Segments(Vec<Segment>),
}

/// A run of the list of a long lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The chunk that holds the run.
    pub id: ChunkId,
    /// How many chunks it lists.
    pub chunks: u32,
    /// How many bytes of the lob they hold.
    pub bytes: u64,
}

/// Bytes of one chunk in a list: id, length.
pub(crate) const CHUNK_ITEM: usize = 36;
/// Bytes of one segment in a list: id, chunks, bytes.
const SEGMENT_ITEM: usize = 44;

impl Manifest {
    /// The one chunk of a lob that is one chunk: it has the lob's id.
    pub fn single(&self) -> Option<ChunkId> {
        match &self.parts {
            Parts::Chunks(chunks) if chunks.len() == 1 => chunks.first().map(|&(id, _)| id),
            _ => None,
        }
    }

    /// The chunks that the manifest itself names, of content or of segments, with their lengths.
    pub fn named_chunks(&self) -> Vec<(ChunkId, u32)> {
        match &self.parts {
            Parts::Chunks(chunks) => chunks.clone(),
            Parts::Segments(segments) => segments
                .iter()
                .map(|segment| (segment.id, segment.chunks * CHUNK_ITEM as u32))
                .collect(),
        }
    }

    /// How many chunks or segments it lists.
    pub fn items(&self) -> usize {
        match &self.parts {
            Parts::Chunks(chunks) => chunks.len(),
            Parts::Segments(segments) => segments.len(),
        }
    }

    /// How many bytes [`Manifest::encode`] gives.
    pub(crate) fn encoded_len(&self) -> usize {
        let item = match self.parts {
            Parts::Chunks(_) => CHUNK_ITEM,
            Parts::Segments(_) => SEGMENT_ITEM,
        };
        ID_LEN + 16 + self.items() * item
    }

    /// The bytes of a manifest record (docs/format.md).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        match &self.parts {
            Parts::Chunks(chunks) => {
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
                out.extend_from_slice(&encode_chunks(chunks));
            }
            Parts::Segments(segments) => {
                out.extend_from_slice(&[1, 0, 0, 0]);
                out.extend_from_slice(&(segments.len() as u32).to_le_bytes());
                for segment in segments {
                    out.extend_from_slice(segment.id.as_bytes());
                    out.extend_from_slice(&segment.chunks.to_le_bytes());
                    out.extend_from_slice(&segment.bytes.to_le_bytes());
                }
            }
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
                Parts::Segments(
                    (0..count)
                        .map(|_| decode_segment(&mut d))
                        .collect::<Result<_>>()?,
                )
            }
            _ => return Err(d.bad(format!("unknown form {form}"))),
        };
        let total = match &parts {
            Parts::Chunks(chunks) => Some(chunks.iter().map(|&(_, len)| u64::from(len)).sum()),
            Parts::Segments(segments) => segments
                .iter()
                .try_fold(0u64, |sum, s| sum.checked_add(s.bytes)),
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

fn decode_segment(d: &mut Decoder<'_>) -> Result<Segment> {
    let segment = Segment {
        id: ChunkId::from_bytes(d.id()?),
        chunks: d.u32()?,
        bytes: d.u64()?,
    };
    let most = u64::from(segment.chunks) * CHUNK_MAX as u64;
    if segment.chunks == 0 || segment.chunks as usize > SEGMENT_MAX || segment.bytes > most {
        return Err(d.bad("a segment out of bounds"));
    }
    Ok(segment)
}

fn encode_chunks(chunks: &[(ChunkId, u32)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunks.len() * CHUNK_ITEM);
    for (id, len) in chunks {
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&len.to_le_bytes());
    }
    out
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
    /// The chunks that the bytes of this segment list, which must be as many and as long as it says.
    pub fn decode_list(&self, bytes: &[u8]) -> Result<Vec<(ChunkId, u32)>> {
        let mut d = Decoder::new("manifest segment", bytes);
        if bytes.len() != self.chunks as usize * CHUNK_ITEM {
            return Err(d.bad("it lists another number of chunks than its manifest says"));
        }
        let chunks = decode_chunks(&mut d, self.chunks as usize)?;
        if chunks.iter().map(|&(_, len)| u64::from(len)).sum::<u64>() != self.bytes {
            return Err(d.bad("its chunks do not add up to what its manifest says"));
        }
        d.end()?;
        Ok(chunks)
    }
}

/// Makes the manifest of a lob while its chunks come by, holding no more than one segment of them.
#[derive(Debug, Default)]
pub(crate) struct ManifestBuilder {
    run: Vec<(ChunkId, u32)>,
    segments: Vec<Segment>,
    size: u64,
}

impl ManifestBuilder {
    /// The next chunk of the lob. Returns the bytes of a segment when one is complete: the caller
    /// stores them as a chunk. Where a segment ends depends on the ids alone, so that an edit
    /// leaves the segments around it as they were.
    pub(crate) fn push(&mut self, id: ChunkId, len: u32) -> Option<Vec<u8>> {
        self.run.push((id, len));
        self.size += u64::from(len);
        let ends = id.prefix() >> 57 == 0;
        let full = self.run.len() >= SEGMENT_MIN && ends || self.run.len() == SEGMENT_MAX;
        full.then(|| self.close_segment())
    }

    fn close_segment(&mut self) -> Vec<u8> {
        let bytes = encode_chunks(&self.run);
        self.segments.push(Segment {
            id: ChunkId::of(&bytes),
            chunks: self.run.len() as u32,
            bytes: self.run.iter().map(|&(_, len)| u64::from(len)).sum(),
        });
        self.run.clear();
        bytes
    }

    /// The manifest, and the bytes of its last segment if it has segments and a rest.
    pub(crate) fn finish(mut self, id: LobId) -> (Manifest, Option<Vec<u8>>) {
        let size = self.size;
        if self.segments.is_empty() {
            let parts = Parts::Chunks(self.run);
            return (Manifest { id, size, parts }, None);
        }
        let last = (!self.run.is_empty()).then(|| self.close_segment());
        let parts = Parts::Segments(self.segments);
        (Manifest { id, size, parts }, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(n: u32) -> (Manifest, Vec<Vec<u8>>) {
        let mut builder = ManifestBuilder::default();
        let mut segments = Vec::new();
        for i in 0..n {
            segments.extend(builder.push(ChunkId::of(&i.to_le_bytes()), i % 1000 + 1));
        }
        let (manifest, last) = builder.finish(LobId::of(b"whole"));
        segments.extend(last);
        (manifest, segments)
    }

    #[test]
    fn short_and_long_manifests_come_back() {
        for n in [2, 63, 64, 5000] {
            let (manifest, _) = build(n);
            assert_eq!(
                Manifest::decode(&manifest.encode()).expect("decodes"),
                manifest
            );
            assert_eq!(manifest.encode().len(), manifest.encoded_len());
        }
    }

    #[test]
    fn segments_list_every_chunk_in_order() {
        let (manifest, segments) = build(5000);
        let Parts::Segments(parts) = &manifest.parts else {
            panic!("5000 chunks must make segments");
        };
        assert_eq!(parts.len(), segments.len());
        let mut all = Vec::new();
        for (part, bytes) in parts.iter().zip(&segments) {
            all.extend(part.decode_list(bytes).expect("decodes"));
        }
        assert_eq!(all.len(), 5000);
        assert_eq!(all[4999].0, ChunkId::of(&4999u32.to_le_bytes()));
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
