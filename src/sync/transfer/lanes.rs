//! The receiving end of a copy in lanes: verifying, hashing and writing keep several cores busy.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use lob_store::{Frame, Manifest};

use crate::remote::{Origin, Remote, Result, Upload};

/// Most lanes: beyond it a disk is no faster.
const LANES_MAX: usize = 4;
/// Bytes that make one more lane worth its own packs.
const LANE_BYTES: u64 = 32 << 20;
/// Frames that wait for a lane, of up to a mebibyte each.
const QUEUE: usize = 8;

/// One more than there are cores, since one of them waits for the disk.
fn lanes_max() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    (cores + 1).min(LANES_MAX)
}

/// Uploads to one store that share what arrives.
pub(super) struct Lanes<'a> {
    to: &'a dyn Remote,
    origin: Origin,
    lanes: Vec<Box<dyn Upload + Send + 'a>>,
    /// Whether what was announced is to come to one lane.
    in_order: bool,
}

/// Sends frames, one by one, to whoever takes them.
pub(super) type Source<'s> = dyn FnOnce(&mut dyn FnMut(Frame) -> Result<()>) -> Result<()> + 's;

impl<'a> Lanes<'a> {
    /// One lane into `to`.
    pub(super) fn open(to: &'a dyn Remote, origin: Origin) -> Result<Lanes<'a>> {
        Ok(Lanes {
            to,
            origin,
            lanes: vec![to.receive(origin)?],
            in_order: false,
        })
    }

    /// Announces lobs, all frames of which follow in the order of their content. Where the other side gains
    /// by that for at least half of `bytes`, one lane takes them all.
    pub(super) fn expect(&mut self, lobs: &[&Manifest], bytes: u64) -> Result<()> {
        let mut gaining = 0;
        for lane in self.lanes.iter_mut().take(1) {
            for lob in lobs {
                if lane.expect(lob)? {
                    gaining += lob.size;
                }
            }
        }
        self.in_order = gaining > 0 && 2 * gaining >= bytes;
        Ok(())
    }

    /// Takes all frames of `send`, which are `bytes` long before compression.
    pub(super) fn fill(&mut self, bytes: u64, send: Box<Source<'_>>) -> Result<()> {
        let paid = usize::try_from(bytes / LANE_BYTES).unwrap_or(LANES_MAX);
        let most = match self.in_order {
            true => 1,
            false => paid.min(lanes_max()),
        };
        while self.lanes.len() < most {
            self.lanes.push(self.to.receive(self.origin)?);
        }
        match self.lanes.as_mut_slice() {
            [lane] => send(&mut |frame| lane.add_frame(frame)),
            lanes => share(lanes, send),
        }
    }

    /// Makes all that was taken visible. More can follow.
    pub(super) fn publish(&mut self) -> Result<()> {
        all(self.lanes.iter_mut(), |lane| lane.publish())
    }

    /// Names the lobs whose chunks have come, calling `each` before every one, and publishes all.
    pub(super) fn finish(
        mut self,
        manifests: &[Manifest],
        each: &mut dyn FnMut(&Manifest) -> Result<()>,
    ) -> Result<()> {
        // The first lane names lobs whose chunks went another way: they must be visible to it.
        all(self.lanes.drain(1..), |lane| lane.finish())?;
        for mut lane in self.lanes {
            for manifest in manifests {
                each(manifest)?;
                lane.add_manifest(manifest)?;
            }
            lane.finish()?;
        }
        Ok(())
    }
}

/// Does the same with all lanes at once: each waits for a disk, or for an answer. Returns the first error.
fn all<L: Send>(lanes: impl Iterator<Item = L>, work: fn(L) -> Result<()>) -> Result<()> {
    thread::scope(|scope| {
        let jobs: Vec<_> = lanes.map(|lane| scope.spawn(move || work(lane))).collect();
        let done = jobs.into_iter().map(|job| {
            job.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        // All of them come to their end.
        done.collect::<Vec<_>>().into_iter().collect()
    })
}

fn share(lanes: &mut [Box<dyn Upload + Send + '_>], send: Box<Source<'_>>) -> Result<()> {
    let (sender, receiver) = sync_channel::<Frame>(QUEUE);
    let receiver = Mutex::new(Some(receiver));
    thread::scope(|scope| {
        let workers: Vec<_> = lanes
            .iter_mut()
            .map(|lane| scope.spawn(|| drain(lane.as_mut(), &receiver)))
            .collect();
        let sent = forward(send, sender);
        let done = workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        // A lane that failed is why nothing more could be sent.
        done.and(sent)
    })
}

/// Sends until the end, or until no lane listens any more.
fn forward(send: Box<Source<'_>>, sender: SyncSender<Frame>) -> Result<()> {
    send(&mut |frame| {
        sender
            .send(frame)
            .map_err(|_| lob_store::Error::Interrupted.into())
    })
}

/// Closes the queue of frames when a lane ends, however it does: what would be sent then nobody takes,
/// and a sender who is not told waits for ever.
struct Closing<'r>(&'r Mutex<Option<Receiver<Frame>>>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Takes frames until there are no more. After an error or a panic nobody takes any.
fn drain(lane: &mut dyn Upload, receiver: &Mutex<Option<Receiver<Frame>>>) -> Result<()> {
    let _closing = Closing(receiver);
    let lock = || receiver.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let next = match lock().as_ref() {
            Some(receiver) => receiver.recv().ok(),
            None => None,
        };
        let Some(frame) = next else {
            return Ok(());
        };
        lane.add_frame(frame)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::remote::fixture::Memory;
    use lob_store::{ChunkId, Codec};

    fn frame(n: u32) -> Frame {
        let stored = n.to_le_bytes().to_vec();
        Frame {
            codec: Codec::Raw,
            depth: 0,
            chunks: vec![(ChunkId::of(&stored), 4)],
            bases: Vec::new(),
            stored,
        }
    }

    #[test]
    fn all_lanes_together_take_every_frame() {
        let to = Memory::default();
        let mut lanes = Lanes::open(&to, Origin::Own).unwrap();
        for bytes in [0, 1 << 40] {
            let send = |take: &mut dyn FnMut(Frame) -> Result<()>| {
                (0..100).try_for_each(|n| take(frame(n)))
            };
            lanes.fill(bytes, Box::new(send)).unwrap();
        }
        lanes.publish().unwrap();
        assert_eq!(to.count("receive"), lanes_max());
        let ids: Vec<ChunkId> = (0..100).map(|n| frame(n).chunks[0].0).collect();
        assert_eq!(to.has_chunks(&ids).unwrap(), vec![true; 100]);
    }

    /// An upload with a defect.
    #[derive(Debug)]
    struct Defect;

    impl Upload for Defect {
        fn add_frame(&mut self, _: Frame) -> Result<()> {
            panic!("a defect")
        }

        fn add_manifest(&mut self, _: &Manifest) -> Result<()> {
            Ok(())
        }

        fn publish(&mut self) -> Result<()> {
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lanes_that_panic_leave_nobody_waiting() {
        let mut lanes: [Box<dyn Upload + Send>; 2] = [Box::new(Defect), Box::new(Defect)];
        let send =
            |take: &mut dyn FnMut(Frame) -> Result<()>| (0..).try_for_each(|n| take(frame(n)));
        let shared = || share(&mut lanes, Box::new(send));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(shared));
        assert!(panicked.is_err(), "the defect is told");
    }

    #[test]
    fn the_first_error_of_a_lane_ends_the_copy_and_is_told() {
        let to = Memory::default();
        to.faults
            .lock()
            .unwrap()
            .extend([None, Some(io::ErrorKind::StorageFull)]);
        let mut lanes = Lanes::open(&to, Origin::Own).unwrap();
        let mut sent = 0;
        let send = |take: &mut dyn FnMut(Frame) -> Result<()>| {
            for n in 0.. {
                take(frame(n))?;
                sent += 1;
            }
            Ok(())
        };
        let error = lanes.fill(1 << 40, Box::new(send)).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
        assert!(sent < 100, "{sent} frames went nowhere");
    }
}
