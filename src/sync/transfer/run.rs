//! Chunks on their way, in runs.

use std::collections::HashSet;

use lob_store::{ChunkId, Progress};

use super::{WINDOW_CHUNKS, sum};
use crate::remote::{Remote, Result};

/// Takes a run of chunks with their lengths.
pub(super) type SendRun<'a> = dyn FnMut(&[(ChunkId, u32)]) -> Result<()> + 'a;

/// Chunks on their way to `send`, in bounded runs.
pub(super) struct Run<'a> {
    to: &'a dyn Remote,
    sent: &'a HashSet<ChunkId>,
    progress: &'a dyn Progress,
    chunks: Vec<(ChunkId, u32)>,
    /// The ids of the run before: the receiver does not show them before the next one comes.
    before: HashSet<ChunkId>,
    send: &'a mut SendRun<'a>,
}

impl<'a> Run<'a> {
    /// None yet; those in `sent` have gone already.
    pub(super) fn new(
        to: &'a dyn Remote,
        sent: &'a HashSet<ChunkId>,
        progress: &'a dyn Progress,
        send: &'a mut SendRun<'a>,
    ) -> Run<'a> {
        Run {
            to,
            sent,
            progress,
            chunks: Vec::new(),
            before: HashSet::new(),
            send,
        }
    }

    pub(super) fn add(&mut self, chunks: &[(ChunkId, u32)]) -> Result<()> {
        for part in chunks.chunks(WINDOW_CHUNKS) {
            if self.chunks.len() + part.len() > WINDOW_CHUNKS {
                self.flush()?;
            }
            self.chunks.extend_from_slice(part);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.chunks.retain(|(id, _)| !self.sent.contains(id));
        let total: u64 = sum(&self.chunks);
        // What is repeated goes once, and all of it in the order of the content.
        let mut seen = HashSet::new();
        self.chunks.retain(|(id, _)| seen.insert(*id));
        let ids: Vec<ChunkId> = self.chunks.iter().map(|(id, _)| *id).collect();
        let mut held = self.to.has_chunks(&ids)?.into_iter();
        self.chunks
            .retain(|(id, _)| !held.next().unwrap_or(false) && !self.before.contains(id));
        // What need not move is done as soon as that is known.
        self.progress.bytes(total.saturating_sub(sum(&self.chunks)));
        if !self.chunks.is_empty() {
            (self.send)(&self.chunks)?;
            self.before = self.chunks.iter().map(|(id, _)| *id).collect();
        }
        self.chunks.clear();
        Ok(())
    }
}
