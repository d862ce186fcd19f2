//! The old file of a delta, read in bounded pieces.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::chunk::first_chunk;
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId};
use crate::limits::{ADD_WINDOW, BASE_CHUNKS_MAX, CHUNK_MAX};
use crate::progress::Progress;

use super::align::{FEATURE, Features, features, sparseness};

/// What a delta is made against or applied to: a file, or a lob of a store. It must not change meanwhile;
/// if it does, the delta is found not to fit.
#[derive(Debug)]
pub struct Base<'a> {
    source: Box<dyn Source + 'a>,
    /// Found when they are first needed.
    features: OnceLock<Features>,
}

/// Content that can be read at any place.
pub(crate) trait Source: std::fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;
    /// Fills `bytes` with what stands at `at`. They end within the content.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<()>;
}

/// A file as a source.
#[derive(Debug)]
struct Opened {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    len: u64,
}

impl Source for Opened {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        self.file.read_at(at, bytes).map_err(Error::at(&self.path))
    }
}

/// What a base consists of.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// The hash of the whole.
    pub(super) id: LobId,
    /// Id, offset and length, by id and offset.
    places: Vec<(ChunkId, u64, u32)>,
}

impl<'a> Base<'a> {
    /// Opens a file as the base of a delta.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Base<'static>> {
        let file = disk.open(path).map_err(Error::at(path))?;
        let len = file.len().map_err(Error::at(path))?;
        let path = path.to_path_buf();
        Ok(Base::of(Opened { file, path, len }))
    }

    /// The base that is read from there.
    pub(crate) fn of(source: impl Source + 'a) -> Base<'a> {
        Base {
            source: Box::new(source),
            features: OnceLock::new(),
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.source.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash of its content, for which all of it is read.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn id(&self) -> Result<LobId> {
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        while at < self.len() {
            let bytes = self.read(at, ADD_WINDOW)?;
            let _ = hasher.update(&bytes);
            at += bytes.len() as u64;
        }
        Ok(hasher.finalize().into())
    }

    /// The bytes from `at` on: `most` of them, or fewer at the end.
    pub(super) fn read(&self, at: u64, most: usize) -> Result<Vec<u8>> {
        let len = self.len().saturating_sub(at).min(most as u64) as usize;
        let mut bytes = vec![0; len];
        self.source.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Cuts and hashes all of it.
    pub(super) fn chunks(&self, progress: &dyn Progress) -> Result<Chunks> {
        let mut whole = blake3::Hasher::new();
        let mut places = Vec::new();
        let mut at = 0;
        while at < self.len() {
            let bytes = self.read(at, ADD_WINDOW + CHUNK_MAX)?;
            let is_last = at + bytes.len() as u64 == self.len();
            let cut = cut(&bytes, is_last);
            let used = cut.last().map_or(0, |&(start, len)| start + len);
            let place = |&(start, len): &(usize, usize)| {
                let id = ChunkId::of(&bytes[start..start + len]);
                (id, at + start as u64, len as u32)
            };
            let (_, here) = rayon::join(
                || whole.update(&bytes[..used]).count(),
                || cut.par_iter().map(place).collect::<Vec<_>>(),
            );
            if places.len() < BASE_CHUNKS_MAX {
                places.extend(here);
            }
            at += used as u64;
            progress.bytes(used as u64);
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
        }
        Ok(Chunks::new(whole.finalize().into(), places))
    }

    /// Its features, which are found at the first call.
    pub(super) fn features(&self) -> Result<&Features> {
        if let Some(features) = self.features.get() {
            return Ok(features);
        }
        let sparse = sparseness(self.len());
        let starts: Vec<u64> = (0..self.len()).step_by(ADD_WINDOW).collect();
        let mut all = Vec::new();
        // A few windows at a time: each core holds one.
        for some in starts.chunks(2 * rayon::current_num_threads()) {
            let found: Result<Vec<_>> = some
                .par_iter()
                .map(|&start| {
                    let bytes = self.read(start, ADD_WINDOW + FEATURE - 1)?;
                    let mut found = features(&bytes, sparse);
                    found.iter_mut().for_each(|(_, at)| *at += start);
                    Ok(found)
                })
                .collect();
            all.extend(found?.into_iter().flatten());
        }
        Ok(self.features.get_or_init(|| Features::new(all, sparse)))
    }
}

impl Chunks {
    /// Those of a lob of which they are all listed here, as id, offset and length, in any order.
    pub(crate) fn new(id: LobId, mut places: Vec<(ChunkId, u64, u32)>) -> Chunks {
        places.par_sort_unstable();
        Chunks { id, places }
    }

    /// The bytes of the base that are a chunk, at one of its places.
    pub(crate) fn place(&self, id: &ChunkId) -> Option<Range<u64>> {
        let first = self.places.partition_point(|(other, _, _)| other < id);
        let (_, at, len) = self.places.get(first).filter(|(other, _, _)| other == id)?;
        Some(*at..at + u64::from(*len))
    }

    /// Where the base holds a chunk: the place nearest to where it is expected.
    pub(super) fn find(&self, id: &ChunkId, expected: u64) -> Option<u64> {
        let first = self.places.partition_point(|(other, _, _)| other < id);
        // Of a chunk of zeros there may be millions: only the neighbours of the place count.
        let next = self
            .places
            .partition_point(|&(other, at, _)| (&other, at) < (id, expected));
        let near = first.max(next.saturating_sub(1))..self.places.len().min(next + 1);
        self.places[near]
            .iter()
            .filter(|(other, _, _)| other == id)
            .map(|&(_, at, _)| at)
            .min_by_key(|at| at.abs_diff(expected))
    }
}

/// Cuts bytes into chunks, (start, length) each; without the last one where more may follow.
pub(super) fn cut(bytes: &[u8], is_last: bool) -> Vec<(usize, usize)> {
    let mut chunks = Vec::with_capacity(bytes.len() / CHUNK_MAX * 4 + 1);
    let mut at = 0;
    while bytes.len() - at >= CHUNK_MAX || (is_last && at < bytes.len()) {
        let len = first_chunk(&bytes[at..]);
        chunks.push((at, len));
        at += len;
    }
    chunks
}
