//! The answer to a request, written by a thread that may wait.

use std::io::{self, Write};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::limits::{Limits, Watch, stalled};
use crate::remote::http::Pieces;
use crate::wire::Refusal;

/// Bytes that are sent as one piece.
const PIECE: usize = 64 << 10;
/// Pieces on the way between the thread that writes and the connection.
const PIECES: usize = 4;

/// How an answer begins.
#[derive(Debug)]
pub(super) enum Head {
    /// All of it, as it was short.
    Whole(Bytes),
    /// What is there of it so far, and more.
    Stream(Pieces),
    /// Nothing.
    Refused(Refusal),
}

/// Writes an answer to a connection, as fast as the peer takes it.
pub(super) struct AnswerWriter {
    handle: Handle,
    buffer: BytesMut,
    head: Option<oneshot::Sender<Head>>,
    pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
    watch: Watch,
    sent: u64,
}

impl AnswerWriter {
    /// A writer, and where the head of its answer comes from.
    pub(super) fn new(limits: &Limits) -> (AnswerWriter, oneshot::Receiver<Head>) {
        let (head, receiver) = oneshot::channel();
        let writer = AnswerWriter {
            handle: Handle::current(),
            buffer: BytesMut::with_capacity(PIECE),
            head: Some(head),
            pieces: None,
            watch: Watch::new(limits),
            sent: 0,
        };
        (writer, receiver)
    }

    /// Bytes of the answer so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether nothing has left yet, so that a refusal can take the answer's place.
    pub(super) fn is_unsent(&self) -> bool {
        self.head.is_some()
    }

    /// Refuses in place of an answer. One that has begun breaks off.
    pub(super) fn refuse(mut self, refusal: Refusal) {
        if let Some(head) = self.head.take() {
            // Who asked may be gone.
            let _ = head.send(Head::Refused(refusal));
        }
    }

    /// Ends the answer.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Some(head) = self.head.take() {
            let whole = Head::Whole(self.buffer.split().freeze());
            return head.send(whole).map_err(|_| gone());
        }
        self.send()?;
        // The end of the channel is the end of the answer.
        self.pieces = None;
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Some(head) = self.head.take() {
            let (sender, pieces) = mpsc::channel(PIECES);
            self.pieces = Some(sender);
            let stream = Head::Stream(Pieces::Stream(pieces));
            head.send(stream).map_err(|_| gone())?;
        }
        let Some(pieces) = &self.pieces else {
            return Err(gone());
        };
        let piece = self.buffer.split().freeze();
        let len = piece.len();
        let (began, patience) = (Instant::now(), self.watch.patience());
        let sent = async { timeout(patience, pieces.send(Ok(piece))).await };
        let done = match self.handle.block_on(sent) {
            Err(_) => Err(stalled(patience)),
            Ok(Err(_)) => Err(gone()),
            Ok(Ok(())) => self.watch.note(len, began.elapsed()),
        };
        if done.is_err() {
            self.cut();
        }
        done
    }

    /// Lets the connection know that this answer is not whole.
    fn cut(&mut self) {
        if let Some(pieces) = self.pieces.take() {
            // Where the channel is full the stream ends early; its last record is missing then.
            let _ = pieces.try_send(Err(io::ErrorKind::BrokenPipe.into()));
        }
    }
}

impl Write for AnswerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.sent += bytes.len() as u64;
        if self.buffer.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for AnswerWriter {
    fn drop(&mut self) {
        self.cut();
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "who asked has gone")
}
