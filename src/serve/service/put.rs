//! What is stored: frames as they come, and then the lobs that they make up.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{panic, thread};

use lob_store::{Frame, LobInfo, Manifest};

use super::held::Held;
use super::refuse::{internal, of_error, of_wire};
use super::shares::Room;
use super::{Change, Service, What};
use crate::remote::{Origin, Upload};
use crate::wire::message::read_store;
use crate::wire::{Caller, Field, FieldReader, Refusal, RefusalKind, Tag, Verb};

/// Most lobs that are named by one request.
pub const PUT_LOBS_MAX: usize = 64 << 10;
/// Most chunks, segments and groups in their manifests, 6 MiB of them, unless it is one lob.
pub const PUT_ITEMS_MAX: usize = 128 << 10;

/// Bytes that a chunk, a segment or a group in a manifest takes, and a manifest without them at most.
const ITEM: usize = 96;
/// Bytes of frames that are stored together, and how many times that may wait for it.
const TOGETHER: usize = 1 << 20;
const QUEUE: usize = 4;

/// Bytes of announced manifests that are kept in mind for one request.
const EXPECTED_MAX: usize = 1 << 20;

/// What is handed over to be stored.
enum Part {
    Expect(Manifest),
    Frames(Vec<Frame>),
}

/// What came of a request that holds.
#[derive(Default)]
struct Taken {
    /// Bytes of manifests that were announced.
    expected: usize,
    manifests: Vec<Manifest>,
    /// Chunks and segments in them.
    items: usize,
    /// For what the manifests take.
    held: Held,
}

impl Service {
    /// Stores frames as they come, and names lobs when all has come and holds. Of a request that is cut
    /// no lob is named, but its chunks stay, so that they need not be sent again; so it is where the right
    /// to store was taken back while they came.
    pub(super) fn put(&self, caller: &Caller, from: &mut FieldReader<'_>) -> Result<(), Refusal> {
        let store = self.meant(read_store(from).map_err(of_wire)?)?;
        self.rely(false)?;
        let mut room = self.shares.stage.room();
        let change = |what, lobs, bytes| Change {
            caller,
            store: store.store_id(),
            what,
            lobs,
            bytes,
        };
        let mut upload = store.receive(Origin::Foreign).map_err(of_error)?;
        let taken = take(from, upload.as_mut(), &mut room);
        let may = || caller.may_still(Verb::Put.needs());
        let taken = match taken.and_then(|taken| may().map(|()| taken)) {
            Ok(taken) => taken,
            Err(refusal) => {
                // What is whole is kept. Where it cannot be, it is sent again, and nothing is lost.
                let _ = upload.publish();
                if room.bytes() > 0 {
                    let _ = self.witness.changed(&change(What::Cut, &[], room.bytes()));
                }
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
        let noted = self
            .witness
            .changed(&change(What::Stored, &lobs, room.bytes()));
        noted.map_err(|error| internal("cannot write the audit log", &error))
    }
}

/// Reads and stores at the same time.
fn take(
    from: &mut FieldReader<'_>,
    upload: &mut (dyn Upload + Send),
    room: &mut Room<'_>,
) -> Result<Taken, Refusal> {
    thread::scope(|scope| {
        let (sender, parts) = sync_channel(QUEUE);
        let storing = scope.spawn(move || store(parts, upload));
        let taken = read(from, sender, room);
        let stored = storing.join();
        // Reading stops where storing has failed, and that is why.
        stored.unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        taken
    })
}

fn store(parts: Receiver<Part>, upload: &mut dyn Upload) -> Result<(), Refusal> {
    for part in parts {
        let done = match part {
            Part::Expect(lob) => upload.expect(&lob).map(drop),
            Part::Frames(frames) => frames.into_iter().try_for_each(|f| upload.add_frame(f)),
        };
        done.map_err(of_error)?;
    }
    Ok(())
}

fn read(
    from: &mut FieldReader<'_>,
    to: SyncSender<Part>,
    room: &mut Room<'_>,
) -> Result<Taken, Refusal> {
    let mut taken = Taken::default();
    let mut batch = Batch {
        to,
        frames: Vec::new(),
        bytes: 0,
    };
    let read = taken.fill(from, &mut batch, room);
    // What came before a cut is whole, and need not come again.
    let _ = batch.send();
    read.map(|()| taken)
}

/// Frames that are handed over together.
struct Batch {
    to: SyncSender<Part>,
    frames: Vec<Frame>,
    bytes: usize,
}

impl Batch {
    /// Whether they are still taken.
    fn add(&mut self, frame: Frame) -> bool {
        self.bytes += frame.stored.len();
        self.frames.push(frame);
        self.bytes < TOGETHER || self.send()
    }

    fn send(&mut self) -> bool {
        self.bytes = 0;
        let frames = Part::Frames(std::mem::take(&mut self.frames));
        self.to.send(frames).is_ok()
    }

    /// The same for a lob whose frames follow.
    fn expect(&mut self, lob: Manifest) -> bool {
        self.send() && self.to.send(Part::Expect(lob)).is_ok()
    }
}

impl Taken {
    fn fill(
        &mut self,
        from: &mut FieldReader<'_>,
        batch: &mut Batch,
        room: &mut Room<'_>,
    ) -> Result<(), Refusal> {
        let others = [Tag::Manifest, Tag::Expect];
        while let Some(field) = from.next_frame(&others).map_err(of_wire)? {
            let is_taken = match field {
                Field::Frame(frame) => {
                    room.take(frame.record_len())?;
                    batch.add(frame)
                }
                Field::Other(Tag::Expect, lob) => self.expect(&lob, batch)?,
                Field::Other(_, lob) => self.name(&lob).map(|()| true)?,
            };
            if !is_taken {
                // Why nobody takes it, the other thread says.
                break;
            }
        }
        Ok(())
    }

    fn expect(&mut self, lob: &[u8], batch: &mut Batch) -> Result<bool, Refusal> {
        self.expected += lob.len();
        if self.expected > EXPECTED_MAX {
            // It is read to be verified.
            return Ok(true);
        }
        self.held.grow(2 * lob.len())?;
        let lob = Manifest::decode(lob).map_err(|error| of_wire(error.into()))?;
        Ok(batch.expect(lob))
    }

    fn name(&mut self, manifest: &[u8]) -> Result<(), Refusal> {
        let manifest = Manifest::decode(manifest).map_err(|error| of_wire(error.into()))?;
        self.items += manifest.items();
        self.held.grow((1 + manifest.items()) * ITEM)?;
        self.manifests.push(manifest);
        // One manifest may be as long as it likes; it has a limit of its own.
        let is_long = self.manifests.len() > 1 && self.items > PUT_ITEMS_MAX;
        if is_long || self.manifests.len() > PUT_LOBS_MAX {
            let message = "more lobs than one request may name";
            return Err(Refusal::new(RefusalKind::TooLarge, message));
        }
        Ok(())
    }
}
