//! Looking after a store: work that may take long, and tells what comes of it while it is done.
//!
//! It is done on a thread of its own, so that the answer has a sign of life every second whatever the work
//! is at. Where nobody takes the answer any more, the work stops as soon as it safely can.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use lob_store::Progress;
use lob_store::disk::OsDisk;
use lob_store::fsck::examine;
use serde::Serialize;

use super::Service;
use super::refuse::{of_error, of_sink};
use crate::wire::care::{Examination, Examining, write_told};
use crate::wire::{FieldWriter, Refusal, RefusalKind, Tag};

/// Time between two signs of life: much less than any client waits for one.
const PULSE: Duration = Duration::from_secs(1);
/// Things to tell that wait for whoever asked.
const WAITING: usize = 64;

impl Service {
    /// Examines the store, whatever state it is in.
    pub(super) fn fsck(
        &self,
        asked: &Examining,
        to: &mut FieldWriter<impl Write>,
    ) -> Result<(), Refusal> {
        let dir = self.dir.as_deref().ok_or_else(elsewhere)?;
        let _turn = self.shares.care.take().ok_or_else(busy)?;
        telling(to, |teller| {
            let each = &mut |finding| teller.tell(Examination::Found(finding));
            let done = examine(Arc::new(OsDisk), dir, asked.depth, teller, each);
            let done = done.map_err(|error| of_error(error.into()))?;
            teller.tell(Examination::Examined(done));
            Ok(())
        })
    }
}

fn elsewhere() -> Refusal {
    let message = "this service has no files of the store to look after";
    Refusal::new(RefusalKind::Unsupported, message)
}

fn busy() -> Refusal {
    let message = "others have stores here cleaned up or examined";
    Refusal::new(RefusalKind::Busy, message)
}

/// What the thread that works and the one that writes know of each other.
#[derive(Default)]
struct Signs {
    moved: AtomicU64,
    is_gone: AtomicBool,
}

/// Tells whoever asked what comes of the work.
pub(super) struct Teller<'s, T> {
    sender: SyncSender<T>,
    signs: &'s Signs,
}

impl<T> Teller<'_, T> {
    /// Tells one thing. Where nobody listens any more, [`Progress::cancelled`] says so.
    pub(super) fn tell(&self, told: T) {
        let _ = self.sender.send(told);
    }
}

impl<T: Send> Progress for Teller<'_, T> {
    fn bytes(&self, n: u64) {
        let _ = self.signs.moved.fetch_add(n, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.signs.is_gone.load(Ordering::Relaxed)
    }
}

/// Has `work` done, and writes what it tells.
pub(super) fn telling<T: Serialize + Send>(
    to: &mut FieldWriter<impl Write>,
    work: impl FnOnce(&Teller<'_, T>) -> Result<(), Refusal> + Send,
) -> Result<(), Refusal> {
    let signs = Signs::default();
    let (sender, told) = sync_channel(WAITING);
    thread::scope(|scope| {
        let teller = Teller {
            sender,
            signs: &signs,
        };
        let working = scope.spawn(move || work(&teller));
        let written = write(to, &told, &signs);
        signs.is_gone.store(written.is_err(), Ordering::Relaxed);
        // A worker that waits to tell something goes on.
        drop(told);
        let done = working.join().unwrap_or_else(|panic| resume_unwind(panic));
        written.map_err(of_sink).and(done)
    })
}

/// Writes what is told until the work is done.
fn write<T: Serialize>(
    to: &mut FieldWriter<impl Write>,
    told: &Receiver<T>,
    signs: &Signs,
) -> io::Result<()> {
    let mut due = Instant::now() + PULSE;
    loop {
        match told.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(told) => write_told(to, &told)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        let now = Instant::now();
        if now >= due {
            let moved = signs.moved.load(Ordering::Relaxed);
            to.field(Tag::Progress, &[&moved.to_le_bytes()])?;
            to.flush()?;
            due = now + PULSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FieldReader;
    use crate::wire::care::each_told;
    use std::sync::mpsc::channel;

    /// Takes bytes, tells of each flush, and breaks after so many of them.
    struct Peer {
        bytes: Vec<u8>,
        flushed: std::sync::mpsc::Sender<()>,
        left: u32,
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            let _ = self.flushed.send(());
            Ok(())
        }
    }

    fn peer(left: u32) -> (Peer, std::sync::mpsc::Receiver<()>) {
        let (flushed, seen) = channel();
        let bytes = Vec::new();
        (
            Peer {
                bytes,
                flushed,
                left,
            },
            seen,
        )
    }

    #[test]
    fn work_that_says_nothing_for_long_gives_signs_of_life() {
        let (peer, seen) = peer(u32::MAX);
        let mut to = FieldWriter::new(peer);
        telling(&mut to, move |teller| {
            teller.bytes(5);
            // Goes on only when a sign was seen.
            seen.recv().unwrap();
            teller.bytes(2);
            seen.recv().unwrap();
            teller.tell(9);
            Ok(())
        })
        .unwrap();
        let answer = to.end().unwrap().bytes;
        let mut told = Vec::new();
        let mut answer = answer.as_slice();
        each_told(&mut FieldReader::new(&mut answer), &(), |n: u8| {
            told.push(n);
            Ok::<(), crate::wire::WireError>(())
        })
        .unwrap();
        assert_eq!(told, [9]);
    }

    #[test]
    fn p9_work_stops_when_nobody_listens_any_more() {
        let (peer, _seen) = peer(1);
        let mut to = FieldWriter::new(peer);
        let done = telling(&mut to, |teller| {
            // More than the channel holds, so that only who is let go comes to an end.
            while !teller.cancelled() {
                teller.tell(1);
            }
            Ok(())
        });
        assert!(done.is_err());
    }

    #[test]
    fn what_the_work_comes_to_is_what_is_answered() {
        let mut to = FieldWriter::new(Vec::new());
        let done = telling::<u8>(&mut to, |_| Err(busy()));
        assert_eq!(done.unwrap_err().kind, RefusalKind::Busy);
        assert!(!to.has_begun(), "the refusal can take the answer's place");
    }
}
