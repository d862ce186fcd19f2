//! Adding long lobs: a pipeline over the cores, in memory that does not grow with the lob.
//!
//! ```text
//! read, cut  ->  hash (all cores)  ->  look up, compress (all cores), write  ->  seal, sync
//! ```
//!
//! What is stored does not depend on timing: lookups and writes happen in the order of the content.

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::prelude::*;

use crate::chunk::first_chunk;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::{ChunkId, LobId};
use crate::limits::{ADD_WINDOW, CHUNK_MAX, FRAME_TARGET, LOB_MAX};
use crate::manifest::ManifestBuilder;
use crate::progress::Progress;

use super::{Added, Writer};

/// A piece of the content that ends with a chunk.
struct Window {
    bytes: Vec<u8>,
    chunks: Vec<Range<usize>>,
}

/// Reads content in windows, and carries the begun chunk at the end of each over to the next.
struct Cutter<'r> {
    source: &'r mut (dyn Read + Send),
    carry: Vec<u8>,
    ended: bool,
    size: u64,
}

impl Cutter<'_> {
    /// The next window, in `buffer`'s memory; `None` at the end.
    fn next(&mut self, mut buffer: Vec<u8>) -> Result<Option<Window>> {
        buffer.clear();
        buffer.append(&mut self.carry);
        if !self.ended {
            let missing = ADD_WINDOW.saturating_sub(buffer.len()) as u64;
            let read = self
                .source
                .take(missing)
                .read_to_end(&mut buffer)
                .map_err(Error::Source)?;
            self.ended = (read as u64) < missing;
            self.size += read as u64;
        }
        if self.size > LOB_MAX {
            return Err(Error::OverLimit {
                what: "the content".into(),
                limit: LOB_MAX,
            });
        }
        let mut chunks = Vec::with_capacity(buffer.len() / CHUNK_MAX * 4 + 1);
        let mut at = 0;
        while buffer.len() - at >= CHUNK_MAX || (self.ended && at < buffer.len()) {
            let len = first_chunk(&buffer[at..]);
            chunks.push(at..at + len);
            at += len;
        }
        self.carry.extend_from_slice(&buffer[at..]);
        buffer.truncate(at);
        Ok((at > 0).then_some(Window {
            bytes: buffer,
            chunks,
        }))
    }
}

/// A window with the ids of its chunks.
struct Hashed {
    window: Window,
    ids: Vec<ChunkId>,
}

impl Writer<'_> {
    /// Adds the content that begins with `head` and goes on with `source`.
    pub(super) fn add_stream(
        &mut self,
        head: Vec<u8>,
        source: &mut (dyn Read + Send),
        progress: &dyn Progress,
    ) -> Result<Added> {
        let size = head.len() as u64;
        let mut cutter = Cutter {
            source,
            carry: head,
            ended: false,
            size,
        };
        std::thread::scope(|scope| {
            let (windows, to_hash) = sync_channel::<Window>(1);
            let (hashed, to_add) = sync_channel::<Hashed>(1);
            let (used, free) = sync_channel::<Vec<u8>>(4);
            let hashing = scope.spawn(move || hash_windows(&to_hash, &hashed));
            let adding = scope.spawn(move || {
                self.add_windows(&to_add, &used, progress)
                    .map(|a| (self, a))
            });
            let read = read_windows(&mut cutter, windows, &free);
            let id = hashing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let added = adding
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // A lob that could not be read to its end gets no name.
            read?;
            let (writer, (builder, new_bytes)) = added?;
            let id: LobId = id.into();
            writer.name(id, builder)?;
            Ok(Added {
                id,
                size: cutter.size,
                new_bytes,
            })
        })
    }

    /// Stores the chunks that are new, window after window.
    fn add_windows(
        &mut self,
        windows: &Receiver<Hashed>,
        used: &SyncSender<Vec<u8>>,
        progress: &dyn Progress,
    ) -> Result<(ManifestBuilder, u64)> {
        let mut builder = ManifestBuilder::default();
        let mut new_bytes = 0;
        for Hashed { window, ids } in windows {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            new_bytes += self.add_window(&window, &ids, &mut builder)?;
            progress.bytes(window.bytes.len() as u64);
            // For the reader to fill again; it is no matter if it has enough of them.
            let _ = used.try_send(window.bytes);
        }
        Ok((builder, new_bytes))
    }

    fn add_window(
        &mut self,
        window: &Window,
        ids: &[ChunkId],
        builder: &mut ManifestBuilder,
    ) -> Result<u64> {
        let mut new = Vec::new();
        let mut lists = Vec::new();
        let mut here = HashSet::new();
        for (id, range) in ids.iter().zip(&window.chunks) {
            lists.extend(builder.push(*id, range.len() as u32));
            if here.insert(*id) && !self.has_chunk(id)? {
                new.push((*id, range.clone()));
            }
        }
        let frames: Vec<_> = frame_runs(&new)
            .into_par_iter()
            .map(|run| frame_of(run, &window.bytes))
            .collect();
        for frame in &frames {
            self.append(frame)?;
        }
        lists
            .iter()
            .try_for_each(|list| self.append_segment(list))?;
        Ok(new.iter().map(|(_, range)| range.len() as u64).sum())
    }

    /// Gives a lob whose chunks are stored its name.
    fn name(&mut self, id: LobId, builder: ManifestBuilder) -> Result<()> {
        let (manifest, lists) = builder.finish(id);
        lists
            .iter()
            .try_for_each(|list| self.append_segment(list))?;
        if self.has_lob(&id)? {
            Ok(())
        } else {
            self.append_manifest(&manifest)
        }
    }
}

/// Reads to the end of the content, or until nobody listens any more.
fn read_windows(
    cutter: &mut Cutter<'_>,
    windows: SyncSender<Window>,
    free: &Receiver<Vec<u8>>,
) -> Result<()> {
    loop {
        let buffer = free
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(ADD_WINDOW + CHUNK_MAX));
        let Some(window) = cutter.next(buffer)? else {
            return Ok(());
        };
        // A stage that listens no more has failed, and says why itself.
        if windows.send(window).is_err() {
            return Ok(());
        }
    }
}

/// Hashes every chunk and, in parallel to them, the whole.
fn hash_windows(windows: &Receiver<Window>, hashed: &SyncSender<Hashed>) -> blake3::Hash {
    let mut whole = blake3::Hasher::new();
    for window in windows {
        let chunk_id = |chunk: &Range<usize>| ChunkId::of(&window.bytes[chunk.clone()]);
        let (_, ids) = rayon::join(
            || whole.update(&window.bytes).count(),
            || window.chunks.par_iter().map(chunk_id).collect(),
        );
        if hashed.send(Hashed { window, ids }).is_err() {
            break;
        }
    }
    whole.finalize()
}

/// Cuts a list of new chunks into runs for one frame each.
fn frame_runs(new: &[(ChunkId, Range<usize>)]) -> Vec<&[(ChunkId, Range<usize>)]> {
    let mut runs = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (n, (_, range)) in new.iter().enumerate() {
        if bytes > 0 && bytes + range.len() > FRAME_TARGET {
            runs.push(&new[start..n]);
            (start, bytes) = (n, 0);
        }
        bytes += range.len();
    }
    if start < new.len() {
        runs.push(&new[start..]);
    }
    runs
}

fn frame_of(run: &[(ChunkId, Range<usize>)], bytes: &[u8]) -> Frame {
    let chunks = run
        .iter()
        .map(|(id, range)| (*id, range.len() as u32))
        .collect();
    match (run.first(), run.last()) {
        // Most runs are one piece of the content, which need not be copied together.
        (Some((_, first)), Some((_, last)))
            if last.end - first.start == run.iter().map(|(_, r)| r.len()).sum::<usize>() =>
        {
            Frame::plain(chunks, &bytes[first.start..last.end])
        }
        _ => {
            let raw: Vec<u8> = run
                .iter()
                .flat_map(|(_, r)| &bytes[r.clone()])
                .copied()
                .collect();
            Frame::plain(chunks, &raw)
        }
    }
}
