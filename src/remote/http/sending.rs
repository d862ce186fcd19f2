//! A body that is read while it is sent, and how long that may take.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::budget::{Budget, Patience};
use crate::remote::Pace;
use crate::wire::Stream;

/// How far the sending of a request is.
#[derive(Debug)]
pub(super) struct Sending {
    at: Mutex<(Step, Instant)>,
    /// Told when no more of it is wanted.
    over: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The next piece is being made here.
    Making,
    /// A piece waits for the connection.
    Waiting,
    /// All of it was handed over; the answer is to come.
    Done,
}

/// An exchange whose body is made while it is sent: with it the making ends. A connection that takes no
/// more may keep what it has for ever, and whoever makes the rest must not wait for it.
#[derive(Debug)]
pub(super) struct Exchanging(pub(super) Arc<Sending>);

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.0.over.notify_one();
    }
}

impl Sending {
    /// A request that is handed over whole.
    pub(super) fn whole() -> Sending {
        Sending::at(Step::Done)
    }

    /// A request whose body is made while it is sent.
    pub(super) fn stream() -> Sending {
        Sending::at(Step::Making)
    }

    fn at(step: Step) -> Sending {
        Sending {
            at: Mutex::new((step, Instant::now())),
            over: Notify::new(),
        }
    }

    /// When it is too late if nothing happens until then, and after which limit that is. What is made here
    /// may take its time.
    pub(super) fn deadline(&self, patience: &Patience) -> (Instant, Duration) {
        let (step, since) = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::Making => (Instant::now() + patience.stall, patience.stall),
            Step::Waiting => (since + patience.stall, patience.stall),
            Step::Done => (since + patience.first_byte, patience.first_byte),
        }
    }

    fn step(&self, step: Step) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = (step, Instant::now());
    }

    /// Reads a body and hands it to the connection; returns when all of it is, or nobody takes more.
    pub(super) fn pump(
        &self,
        mut body: Box<dyn Stream>,
        pieces: &mpsc::Sender<io::Result<Bytes>>,
        (budget, pace): (&Budget, &Pace),
    ) {
        let runtime = Handle::current();
        loop {
            self.step(Step::Making);
            // An error cuts the body: the other side must not take it for whole.
            let piece = body.part(pace.piece());
            if piece.as_ref().is_ok_and(Bytes::is_empty) {
                break;
            }
            let (len, is_cut) = (piece.as_ref().map_or(0, Bytes::len), piece.is_err());
            pace.take(len as u64);
            self.step(Step::Waiting);
            let handed = async {
                tokio::select! {
                    sent = pieces.send(piece) => sent.is_ok(),
                    () = self.over.notified() => false,
                }
            };
            if !runtime.block_on(handed) || is_cut {
                break;
            }
            budget.note_sent(len);
        }
        self.step(Step::Done);
    }
}
