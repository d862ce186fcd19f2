//! Looking after a store: work that may take long, and tells what comes of it while it is done.
//!
//! It is done on a thread of its own, so that the answer has a sign of life every second whatever the work
//! is at. Where nobody takes the answer any more, the work stops as soon as it safely can.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lob_store::disk::OsDisk;
use lob_store::fsck::examine;
use lob_store::{LobInfo, Progress};
use serde::Serialize;

use super::held::Question;
use super::refuse::{internal, of_error, of_sink};
use super::{Change, Service, What};
use crate::remote;
use crate::wire::care::{Cleaned, Cleaning, End, Examination, Examining, Listener, write_told};
use crate::wire::{Caller, FieldWriter, Refusal, RefusalKind, Tag, Verb};

/// Time between two signs of life: much less than any client waits for one.
const PULSE: Duration = Duration::from_secs(1);
/// Things to tell that wait for whoever asked.
const WAITING: usize = 64;

/// Lobs in one line of a log.
const NOTED: usize = 4096;

/// Cleans stores up: finds out who needs what of them.
pub trait Cleaner: Send + Sync {
    /// Cleans the store in `dir` up, and lets `listener` hear what becomes of it.
    ///
    /// # Errors
    /// Of the store, or of those who are asked; interrupted where nobody listens any more.
    fn clean(&self, dir: &Path, asked: &Cleaning, listener: &dyn Listener)
    -> Result<(), CareError>;
}

/// Why a store could not be looked after.
#[derive(Debug)]
pub enum CareError {
    /// The store itself.
    Store(remote::Error),
    /// Something else, as the message says.
    Other(String),
}

/// Nobody knows who needs what.
impl Cleaner for () {
    fn clean(&self, _: &Path, _: &Cleaning, _: &dyn Listener) -> Result<(), CareError> {
        Err(CareError::Other("stores are not cleaned up here".into()))
    }
}

impl Service {
    /// Sets aside what nobody needs of the store.
    pub(super) fn gc(
        &self,
        caller: &Caller,
        body: &mut dyn Read,
        to: &mut FieldWriter<impl Write>,
    ) -> Result<(), Refusal> {
        let mut question = Question::of_weight(body, 1);
        let asked = question.read(Cleaning::read)?;
        let dir = self.dir.as_deref().ok_or_else(elsewhere)?;
        let store = self.meant(asked.store)?.store_id();
        let _turn = self.shares.care.take().ok_or_else(busy)?;
        let note = |what, lobs: &[LobInfo], bytes| {
            let change = Change {
                caller,
                store,
                what,
                lobs,
                bytes,
            };
            let noted = self.witness.changed(&change);
            noted.map_err(|error| internal("cannot write the audit log", &error))
        };
        telling(to, |teller| {
            let audited = Audited {
                teller,
                note: &note,
                may: &|| caller.may_still(Verb::Gc.needs()),
                is_dry: asked.order.dry_run,
                goes: Mutex::default(),
                refused: Mutex::default(),
            };
            let done = self.cleaner.clean(dir, &asked, &audited);
            let refused = audited.refused.into_inner();
            match (refused.unwrap_or_else(PoisonError::into_inner), done) {
                (Some(refusal), _) => Err(refusal),
                (None, Err(CareError::Store(error))) => Err(of_error(error)),
                (None, Err(CareError::Other(message))) => {
                    Err(Refusal::new(RefusalKind::Internal, message))
                }
                (None, Ok(())) => Ok(()),
            }
        })
    }

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

/// Notes how the store is changed: of these lobs, and so many bytes.
type Note<'a> = dyn Fn(What, &[LobInfo], u64) -> Result<(), Refusal> + Sync + 'a;

/// Tells what becomes of a run, once it is noted what is changed by it.
struct Audited<'a> {
    teller: &'a Teller<'a, Cleaned>,
    note: &'a Note<'a>,
    /// That who asked for it still may: finding out what nobody needs may take long.
    may: &'a (dyn Fn() -> Result<(), Refusal> + Sync),
    is_dry: bool,
    /// What is going to be set aside.
    goes: Mutex<Vec<LobInfo>>,
    refused: Mutex<Option<Refusal>>,
}

impl Audited<'_> {
    fn audit(&self, told: &Cleaned) -> Result<(), Refusal> {
        let mut goes = self.goes.lock().unwrap_or_else(PoisonError::into_inner);
        match told {
            Cleaned::Lob {
                id,
                size,
                stays: None,
                ..
            } if !self.is_dry => {
                let (id, size) = (*id, *size);
                goes.push(LobInfo { id, size });
                Ok(())
            }
            // Before anything of it is done: a run that breaks off has an entry too.
            Cleaned::Begins => {
                (self.may)()?;
                let goes = std::mem::take(&mut *goes);
                let mut some = goes.chunks(NOTED);
                some.try_for_each(|some| (self.note)(What::SetAside, some, 0))
            }
            Cleaned::Returned(lobs) => (self.note)(What::Recalled, lobs, 0),
            Cleaned::Ended(End::Done(freed)) if freed.bytes > 0 => {
                (self.note)(What::Deleted, &[], freed.bytes)
            }
            _ => Ok(()),
        }
    }
}

impl Progress for Audited<'_> {
    fn bytes(&self, n: u64) {
        self.teller.bytes(n);
    }

    fn cancelled(&self) -> bool {
        self.teller.cancelled()
    }
}

impl Listener for Audited<'_> {
    fn hear(&self, told: Cleaned) -> lob_store::Result<()> {
        if let Err(refusal) = self.audit(&told) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some(refusal);
            return Err(lob_store::Error::Interrupted);
        }
        self.teller.tell(told);
        match self.teller.cancelled() {
            true => Err(lob_store::Error::Interrupted),
            false => Ok(()),
        }
    }
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
            Ok(())
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
