//! Receiving frames and lobs from other stores: nothing that was not verified gets into a pack.

use std::collections::HashMap;
use std::slice;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::ChunkId;
use crate::limits::{READ_WINDOW, UNVERIFIED_MAX};
use crate::manifest::Manifest;

use super::Writer;

impl Writer<'_> {
    /// Takes over a frame from another store. Its chunks are verified before they are written,
    /// together with those of other frames; so damage may be reported by a later call.
    pub fn add_frame(&mut self, frame: Frame) -> Result<()> {
        self.guarded(|writer| {
            writer.received_bytes += frame.held_bytes();
            writer.received.push(frame);
            // As much again is being written meanwhile.
            if writer.received_bytes >= READ_WINDOW / 2 {
                writer.write_received()
            } else {
                Ok(())
            }
        })
    }

    pub(super) fn write_received(&mut self) -> Result<()> {
        if self.received.is_empty() {
            return Ok(());
        }
        self.received_bytes = 0;
        let mut frames = std::mem::take(&mut self.received);
        let (verified, ()) = rayon::join(
            || self.store.verify_frames(&frames),
            || self.following.pass(&frames),
        );
        if verified.is_err() {
            self.following.forget();
            // Those that are whole need not come again.
            frames.retain(|frame| self.store.verify_frames(slice::from_ref(frame)).is_ok());
        }
        let mut new = Vec::with_capacity(frames.len());
        let chosen = self.choose_new(frames, &mut new);
        // What counts as held by now must get into the pack, whatever happened.
        self.pack_frames(new);
        chosen.and(verified)
    }

    /// Moves those frames to `new` that are to be written, and counts their chunks as held from now on.
    fn choose_new(&mut self, frames: Vec<Frame>, new: &mut Vec<Frame>) -> Result<()> {
        let mut known = HashMap::new();
        for frame in frames {
            let has = |(id, _): &(ChunkId, u32)| self.has_chunk(id).unwrap_or(false);
            if !self.placing && frame.chunks.iter().all(has) {
                continue;
            }
            let frame = match self.placing || frame.bases.is_empty() {
                true => frame,
                false => self.store.rooted(frame, &mut known)?,
            };
            if new.is_empty() {
                let _ = self.pack()?;
            }
            self.hold_pending(&frame.chunks);
            new.push(frame);
        }
        Ok(())
    }

    /// Announces a lob of which all frames are to come in the order of its content, its lists before
    /// what they list. Then it need not be read to be verified.
    pub fn expect(&mut self, manifest: &Manifest) {
        self.following.expect(manifest);
    }

    /// Names a lob that another store sent, whose chunks were all received or are in the store. That
    /// they are the content of the lob is verified: while they come, where it was announced, or else by
    /// reading them, at the latest in [`Writer::publish`]. The lob is not visible before.
    pub fn add_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        // The id of a lob of one chunk is that of its chunk, which has been verified.
        if manifest.single().is_some() {
            return self.add_own_manifest(manifest);
        }
        self.guarded(|writer| {
            if writer.has_lob(&manifest.id)? {
                return Ok(());
            }
            writer.write_received()?;
            writer.check_parts(manifest)?;
            if writer.following.saw(manifest) {
                return writer.append_manifest(manifest);
            }
            writer.unverified.push(manifest.clone());
            writer.unverified_items += manifest.items();
            Ok(())
        })?;
        if self.unverified_items > UNVERIFIED_MAX {
            self.publish()
        } else {
            Ok(())
        }
    }

    /// Names a lob whose manifest was read from a store of the caller's own, where it was verified
    /// when it came in. Its chunks must have been added or be in this store, which is checked.
    pub fn add_own_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        self.guarded(|writer| {
            writer.write_received()?;
            if writer.has_lob(&manifest.id)? {
                return Ok(());
            }
            writer.check_parts(manifest)?;
            writer.append_manifest(manifest)
        })
    }

    /// Fails unless all that a manifest names is there and as long as it says. The length of a lob is
    /// not in its id: whoever believed a lie about it could never add the true content again.
    fn check_parts(&self, manifest: &Manifest) -> Result<()> {
        manifest
            .named_chunks()
            .into_iter()
            .try_for_each(|(id, len)| {
                let found = match self.chunks.get(&id) {
                    Some(pending) => pending.len,
                    None => self.store.need_chunk(&id)?.entry.len,
                };
                if found == len {
                    return Ok(());
                }
                Err(Error::damaged(
                    format!("the manifest of lob {}", manifest.id),
                    format!("chunk {id} has another length"),
                ))
            })
    }
}
