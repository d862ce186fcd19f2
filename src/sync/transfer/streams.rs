//! Frames in several streams. Over a long way a stream has no more bytes under way than its two ends
//! remember of it, however much the network could carry; and what one loses holds up that one alone.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use lob_store::{ChunkId, Frame};

use crate::remote::Result;

/// A way there and back from which on several streams are faster than one that is in order.
const FAR: Duration = Duration::from_millis(10);
/// Bytes that make one more stream worth it, and how many there are at most.
const STREAM_BYTES: u64 = 32 << 20;
const STREAMS_MAX: u64 = 4;

/// Takes one frame.
type Take<'t> = &'t mut dyn FnMut(Frame) -> Result<()>;

/// How many streams are to carry so many bytes, where a way there and back takes that long at best.
pub(super) fn streams(bytes: u64, round_trip: Option<Duration>) -> usize {
    match round_trip {
        Some(time) if time >= FAR => (bytes / STREAM_BYTES).clamp(1, STREAMS_MAX) as usize,
        _ => 1,
    }
}

/// Calls `take` for the frames of all chunks, with which `ask` calls what it is given: for as many parts of
/// the chunks at once as there are to be streams.
///
/// # Errors
/// The first of `take`, or else of a stream, once all have ended.
pub(super) fn each_frame(
    ids: &[ChunkId],
    streams: usize,
    ask: &(dyn Fn(&[ChunkId], Take<'_>) -> Result<()> + Sync),
    take: Take<'_>,
) -> Result<()> {
    if streams <= 1 || ids.is_empty() {
        return ask(ids, take);
    }
    let (sender, receiver) = sync_channel::<Frame>(streams);
    thread::scope(|scope| {
        let parts = ids.chunks(ids.len().div_ceil(streams));
        let jobs: Vec<_> = parts
            .map(|part| {
                let sender = sender.clone();
                // Where nobody takes it any more, it is told why.
                let closed = |_| lob_store::Error::Interrupted.into();
                let mut send = move |frame| sender.send(frame).map_err(closed);
                scope.spawn(move || ask(part, &mut send))
            })
            .collect();
        drop(sender);
        let taken = receiver.into_iter().try_for_each(take);
        let ended = jobs.into_iter().map(|job| {
            job.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let ended: Vec<Result<()>> = ended.collect();
        taken.and_then(|()| ended.into_iter().collect())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    fn frame(n: u32) -> Frame {
        let bytes = n.to_le_bytes();
        Frame::plain(vec![(ChunkId::of(&bytes), 4)], &bytes)
    }

    #[test]
    fn only_much_over_a_long_way_goes_in_streams() {
        let (near, far) = (Duration::from_millis(9), Duration::from_millis(10));
        for (bytes, round_trip, expected) in [
            (1 << 40, None, 1),
            (1 << 40, Some(near), 1),
            (1 << 40, Some(far), 4),
            (70 << 20, Some(far), 2),
            (63 << 20, Some(far), 1),
            (0, Some(far), 1),
        ] {
            assert_eq!(
                streams(bytes, round_trip),
                expected,
                "{bytes} {round_trip:?}"
            );
        }
    }

    #[test]
    fn all_frames_come_once_and_the_first_error_ends_it() {
        let ids: Vec<ChunkId> = (0..101).map(|n| frame(n).chunks[0].0).collect();
        for streams in 1..=4 {
            let asked = AtomicUsize::new(0);
            let ask = |part: &[ChunkId], take: Take<'_>| {
                let _ = asked.fetch_add(1, Relaxed);
                let wanted = (0..101).map(frame);
                wanted
                    .filter(|frame| part.contains(&frame.chunks[0].0))
                    .try_for_each(take)
            };
            let mut came = HashSet::new();
            each_frame(&ids, streams, &ask, &mut |frame| {
                assert!(came.insert(frame.chunks[0].0), "it came before");
                Ok(())
            })
            .unwrap();
            assert_eq!((came.len(), asked.into_inner()), (101, streams));
            // Who takes no more stops all of them, and what he says is told.
            let mut left = 10;
            let refused = each_frame(&ids, streams, &in_all, &mut |_| {
                left -= 1;
                match left {
                    0 => Err(lob_store::Error::NoChunk(ids[7]).into()),
                    _ => Ok(()),
                }
            });
            assert!(
                refused
                    .unwrap_err()
                    .to_string()
                    .contains(&ids[7].to_string())
            );
            // One of the streams ends with an error.
            let failing = |part: &[ChunkId], take: Take<'_>| match part.contains(&ids[100]) {
                true => Err(lob_store::Error::NoChunk(ids[100]).into()),
                false => in_all(part, take),
            };
            let failed = each_frame(&ids, streams, &failing, &mut |_| Ok(()));
            assert!(
                failed
                    .unwrap_err()
                    .to_string()
                    .contains(&ids[100].to_string())
            );
        }
    }

    /// Gives as many frames as chunks are asked for.
    fn in_all(part: &[ChunkId], take: Take<'_>) -> Result<()> {
        (0..part.len() as u32).map(frame).try_for_each(take)
    }
}
