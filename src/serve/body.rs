//! The body of a request, read by a thread that may wait.

use std::io::{self, Read};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::limits::{Limits, Watch, stalled};
use crate::wire::{Refusal, RefusalKind};

/// Bytes of a body that nobody wanted to read which are taken all the same: whoever still writes
/// would not see the answer.
const DRAIN_MAX: u64 = 256 << 10;

/// Reads a body as it arrives. What was not read yet stays with the sender: flow control is the
/// connection's.
pub(super) struct BodyReader {
    handle: Handle,
    incoming: Incoming,
    rest: Bytes,
    watch: Watch,
    /// Bytes that may still come.
    left: u64,
    fault: Option<Refusal>,
}

impl BodyReader {
    pub(super) fn new(incoming: Incoming, limits: &Limits) -> BodyReader {
        BodyReader {
            handle: Handle::current(),
            incoming,
            rest: Bytes::new(),
            watch: Watch::new(limits),
            left: limits.request_bytes,
            fault: None,
        }
    }

    /// Bytes that arrived.
    pub(super) fn received(&self) -> u64 {
        self.watch.moved()
    }

    /// Why reading failed, where it was the peer's fault.
    pub(super) fn fault(&mut self) -> Option<Refusal> {
        self.fault.take()
    }

    /// Takes what is left of a short body.
    pub(super) fn drain(&mut self) {
        let end = self.received().saturating_add(DRAIN_MAX);
        while self.received() < end && matches!(self.next(), Ok(Some(_))) {}
    }

    /// The next bytes; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let patience = self.watch.patience();
        let began = Instant::now();
        let incoming = &mut self.incoming;
        let frame = async { timeout(patience, incoming.frame()).await };
        let Ok(frame) = self.handle.block_on(frame) else {
            return Err(self.slow(&stalled(patience)));
        };
        let Some(frame) = frame else {
            return Ok(None);
        };
        // Trailers mean nothing here.
        let frame =
            frame.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
        let bytes = frame.into_data().unwrap_or_default();
        if let Err(error) = self.watch.note(bytes.len(), began.elapsed()) {
            return Err(self.slow(&error));
        }
        let len = bytes.len() as u64;
        self.left = self.left.checked_sub(len).ok_or_else(|| {
            let message = "the request is longer than this server takes";
            self.fault = Some(Refusal::new(RefusalKind::TooLarge, message));
            io::Error::new(io::ErrorKind::FileTooLarge, message)
        })?;
        Ok(Some(bytes))
    }

    fn slow(&mut self, error: &io::Error) -> io::Error {
        let message = format!("the request did not arrive in time: {error}");
        self.fault = Some(Refusal::new(RefusalKind::Busy, message.clone()));
        io::Error::new(io::ErrorKind::TimedOut, message)
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.rest.is_empty() {
            match self.next()? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let len = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}
