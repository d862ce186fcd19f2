//! What is stored: frames as they come, and then the lobs that they make up.

use lob_store::{Frame, LobInfo, Manifest};

use super::Service;
use super::refuse::{of_error, of_wire};
use crate::remote::{MANIFEST_ITEMS, Origin, Upload};
use crate::wire::message::read_store;
use crate::wire::{Caller, FieldReader, Refusal, RefusalKind, Tag, WireError};

/// Most lobs that are named by one request.
pub const PUT_LOBS_MAX: usize = 64 << 10;

/// What came of a request that holds.
#[derive(Default)]
struct Taken {
    manifests: Vec<Manifest>,
    /// Chunks and segments in them.
    items: usize,
    /// Bytes of frames.
    bytes: u64,
}

impl Service {
    /// Stores frames as they come, and names lobs when all has come and holds. Of a request that is cut
    /// no lob is named, but its chunks stay, so that they need not be sent again.
    pub(super) fn put(&self, caller: &Caller, from: &mut FieldReader<'_>) -> Result<(), Refusal> {
        let store = self.meant(read_store(from).map_err(of_wire)?)?;
        let mut upload = store.receive(Origin::Foreign).map_err(of_error)?;
        let taken = match take(from, upload.as_mut()) {
            Ok(taken) => taken,
            Err(refusal) => {
                // What is whole is kept. Where it cannot be, it is sent again, and nothing is lost.
                let _ = upload.publish();
                return Err(refusal);
            }
        };
        for manifest in &taken.manifests {
            upload.add_manifest(manifest).map_err(of_error)?;
        }
        upload.finish().map_err(of_error)?;
        let info = |manifest: &Manifest| LobInfo {
            id: manifest.id,
            size: manifest.size,
        };
        let lobs: Vec<LobInfo> = taken.manifests.iter().map(info).collect();
        self.witness
            .stored(caller, store.store_id(), &lobs, taken.bytes);
        Ok(())
    }
}

fn take(from: &mut FieldReader<'_>, upload: &mut dyn Upload) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    while let Some((tag, bytes)) = from.next(&[Tag::Frame, Tag::Manifest]).map_err(of_wire)? {
        if tag == Tag::Frame {
            taken.bytes += bytes.len() as u64;
            let frame = Frame::decode(bytes).map_err(|error| of_wire(WireError::from(error)))?;
            upload.add_frame(frame).map_err(of_error)?;
            continue;
        }
        let manifest = Manifest::decode(&bytes).map_err(|error| of_wire(error.into()))?;
        taken.items += manifest.items();
        taken.manifests.push(manifest);
        // One manifest may be as long as it likes; it has a limit of its own.
        let is_long = taken.manifests.len() > 1 && taken.items > 2 * MANIFEST_ITEMS;
        if is_long || taken.manifests.len() > PUT_LOBS_MAX {
            let message = "more lobs than one request may name";
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
    }
    Ok(taken)
}
