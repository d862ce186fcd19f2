//! Whole lobs: written out, or only compared with their ids.

use std::io::Write;
use std::sync::mpsc;

use crate::error::{Error, Result};
use crate::id::{ChunkId, LobId};
use crate::limits::READ_WINDOW;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::store::Store;

use super::bases::Trust;
use super::window::Window;

/// Decodes a stretch of a lob.
type Decode<'a> = dyn Fn(&[(ChunkId, u32)]) -> Result<Window> + Sync + 'a;

impl Store {
    /// Writes the whole content of a lob to `out`, decoding and verifying on all cores ahead of it.
    /// Every chunk is verified before it is written; the hash of the whole is checked at the end, so
    /// the output counts only when this returns `Ok`, which is its length. A lob of up to 8 MiB is
    /// verified whole before its first byte is written.
    pub fn write_to(
        &self,
        id: &LobId,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<u64> {
        let manifest = self.manifest(id)?.ok_or(Error::NoLob(*id))?;
        let written = self.write_manifest(&manifest, out, progress)?;
        progress.lob();
        Ok(written)
    }

    /// Writes what a manifest lists, and checks that it is the lob that it names.
    pub(crate) fn write_manifest(
        &self,
        manifest: &Manifest,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<u64> {
        let mut hasher = blake3::Hasher::new();
        if manifest.size <= READ_WINDOW as u64 {
            let mut whole = Vec::with_capacity(manifest.size as usize);
            self.each_window(manifest, &mut |chunks| {
                let window = self.decode_window(&chunks)?;
                window
                    .chunks()
                    .for_each(|bytes| whole.extend_from_slice(bytes));
                Ok(())
            })?;
            let _ = hasher.update(&whole);
            check_whole(manifest, &hasher, whole.len() as u64)?;
            out.write_all(&whole).map_err(Error::Sink)?;
            progress.bytes(whole.len() as u64);
            return Ok(manifest.size);
        }
        let mut written = 0;
        let decode = |chunks: &[_]| self.decode_window(chunks);
        self.decode_ahead(manifest, &decode, &mut |window| {
            for bytes in window.chunks() {
                let _ = hasher.update(bytes);
                out.write_all(bytes).map_err(Error::Sink)?;
                written += bytes.len() as u64;
                progress.bytes(bytes.len() as u64);
            }
            if progress.cancelled() {
                Err(Error::Interrupted)
            } else {
                Ok(())
            }
        })?;
        check_whole(manifest, &hasher, written)?;
        Ok(written)
    }

    /// Fails unless what a manifest lists is the lob that it names. Its chunks were verified when they
    /// came: only where the whole is another one is each looked at, to tell which.
    pub(crate) fn check_lob(&self, manifest: &Manifest) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut len = 0;
        let decode = |chunks: &[_]| self.decode_window_with(chunks, Trust::All);
        let hashed = self.decode_ahead(manifest, &decode, &mut |window| {
            for bytes in window.chunks() {
                let _ = hasher.update(bytes);
                len += bytes.len() as u64;
            }
            Ok(())
        });
        match hashed.and_then(|()| check_whole(manifest, &hasher, len)) {
            Ok(()) => Ok(()),
            Err(_) => self
                .write_manifest(manifest, &mut std::io::sink(), &())
                .map(drop),
        }
    }

    /// Calls `each` for the bytes of a lob in order, while a thread decodes the next window.
    fn decode_ahead(
        &self,
        manifest: &Manifest,
        decode: &Decode<'_>,
        each: &mut dyn FnMut(&Window) -> Result<()>,
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Window>(1);
            let ahead = scope.spawn(move || {
                self.each_window(manifest, &mut |chunks| {
                    // A closed channel means that the writing side has failed and says why.
                    sender
                        .send(decode(&chunks)?)
                        .map_err(|_| Error::Interrupted)
                })
            });
            for window in receiver {
                each(&window)?;
            }
            ahead
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn check_whole(manifest: &Manifest, hasher: &blake3::Hasher, len: u64) -> Result<()> {
    let found: LobId = hasher.finalize().into();
    if found == manifest.id && len == manifest.size {
        Ok(())
    } else {
        Err(Error::WrongContent {
            expected: manifest.id,
            found,
        })
    }
}
