//! Reading an answer as it arrives.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::budget::Budget;
use super::fault::chain;
use super::pool::Lent;
use crate::remote::Pace;

/// An answer. What nobody has read yet stays with the server.
#[derive(Debug)]
pub(super) struct Answer {
    handle: Handle,
    incoming: Incoming,
    rest: Bytes,
    stall: Duration,
    budget: Arc<Budget>,
    pace: Arc<Pace>,
    /// The connection, where it goes back to the others after the end.
    lent: Option<Lent>,
    has_failed: bool,
    /// Keeps the runtime running while the answer is read.
    _owner: Arc<dyn std::fmt::Debug + Send + Sync>,
}

impl Answer {
    pub(super) fn new(
        handle: Handle,
        (incoming, lent): (Incoming, Option<Lent>),
        stall: Duration,
        (budget, pace): (Arc<Budget>, Arc<Pace>),
        owner: Arc<dyn std::fmt::Debug + Send + Sync>,
    ) -> Answer {
        Answer {
            handle,
            incoming,
            rest: Bytes::new(),
            stall,
            budget,
            pace,
            lent,
            has_failed: false,
            _owner: owner,
        }
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let (stall, incoming) = (self.stall, &mut self.incoming);
        let frame = self
            .handle
            .block_on(async { timeout(stall, incoming.frame()).await });
        let Ok(frame) = frame else {
            let text = format!("nothing arrived for {} s", stall.as_secs_f64());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        };
        let Some(frame) = frame else {
            return Ok(None);
        };
        let frame = frame
            .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, chain(&error)))?;
        let bytes = frame.into_data().unwrap_or_default();
        self.budget.note_received(bytes.len());
        Ok(Some(bytes))
    }

    fn ended(&mut self) {
        if let Some(lent) = self.lent.take() {
            lent.give_back();
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        while self.rest.is_empty() && !buffer.is_empty() {
            match self.next() {
                Ok(Some(bytes)) => self.rest = bytes,
                Ok(None) => {
                    self.ended();
                    return Ok(0);
                }
                Err(error) => {
                    self.has_failed = true;
                    return Err(error);
                }
            }
        }
        let len = self.rest.len().min(buffer.len()).min(self.pace.piece());
        self.pace.take(len as u64);
        self.rest.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.has_failed || !self.rest.is_empty() || self.lent.is_none() {
            return;
        }
        // Who knows where an answer ends does not read on to see it.
        let mut context = Context::from_waker(Waker::noop());
        let is_over = self.incoming.is_end_stream()
            || matches!(
                Pin::new(&mut self.incoming).poll_frame(&mut context),
                Poll::Ready(None)
            );
        if is_over {
            self.ended();
        }
    }
}
