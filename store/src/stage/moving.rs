//! Moving what the store has: from packs that are to go into new ones.

use crate::error::Result;
use crate::frame::Frame;
use crate::manifest::Manifest;

use super::Writer;

impl Writer<'_> {
    /// Takes over a frame of a pack that is to go, although its chunks are visible there.
    pub(crate) fn move_frame(&mut self, frame: Frame) -> Result<()> {
        self.moving = true;
        self.add_frame(frame)
    }

    /// The same with a frame that was made for the place of others, at the depth that it will have there.
    pub(crate) fn place_frame(&mut self, frame: Frame) -> Result<()> {
        self.placing = true;
        self.move_frame(frame)
    }

    /// Verifies and writes what was taken until now. What is wrong with it is told here, and is not lost
    /// with what came before it or blamed on what comes after.
    pub(crate) fn settle_moved(&mut self) -> Result<()> {
        self.guarded(Writer::write_received)
    }

    /// Names a lob that is in the store and whose chunks were added, for a pack that is to go.
    pub(crate) fn move_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        self.moving = true;
        self.guarded(|writer| {
            writer.write_received()?;
            match writer.lobs.contains_key(&manifest.id) {
                true => Ok(()),
                false => writer.append_manifest(manifest),
            }
        })
    }
}
