//! The receiving end of a store behind a service: one long request, made while it is sent.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use lob_store::{Frame, Manifest, StoreId, buffer};

use super::{Error, Result, of_exchange, of_wire};
use crate::remote::Upload;
use crate::wire::{Body, Exchange, FieldReader, FieldWriter, Stream, Tag, Verb};

/// Parts that wait to be sent, of up to some mebibyte each.
const QUEUE: usize = 4;
/// Bytes that are a part by themselves; shorter ones are gathered.
const PART: usize = 64 << 10;
/// Lobs in one request, at most.
const LOBS_MAX: usize = 16 << 10;
/// Chunks, segments and groups in their manifests, at most: half of what a service takes.
const ITEMS_MAX: usize = 64 << 10;
/// Bytes of announced manifests in one request, at most: half of what a service keeps in mind.
const EXPECTED_MAX: usize = 512 << 10;

/// An upload. What was sent since the last [`Upload::publish`] is one request.
pub(super) struct Sending {
    exchange: Arc<dyn Exchange>,
    store: StoreId,
    request: Option<Request>,
    /// Lobs in it, and the chunks and segments in them.
    lobs: usize,
    items: usize,
    /// Bytes of manifests that were announced in it.
    expected: usize,
}

/// A request on its way.
struct Request {
    to: FieldWriter<Sender>,
    answer: JoinHandle<Result<()>>,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sending({:?})", self.exchange)
    }
}

impl Sending {
    pub(super) fn new(exchange: Arc<dyn Exchange>, store: StoreId) -> Sending {
        Sending {
            exchange,
            store,
            request: None,
            lobs: 0,
            items: 0,
            expected: 0,
        }
    }

    fn begin(&self) -> io::Result<Request> {
        let (sender, receiver) = sync_channel(QUEUE);
        let body = Body::Stream(Box::new(Parts {
            receiver: Some(receiver),
            part: Bytes::new(),
        }));
        let exchange = self.exchange.clone();
        let answer = thread::spawn(move || {
            let place = || exchange.describe();
            let answer = exchange.exchange(Verb::Put, body);
            let mut answer = answer.map_err(|error| of_exchange(place(), error))?;
            let ended = FieldReader::new(&mut answer).end();
            ended.map_err(|error| of_wire(place(), error))
        });
        let mut to = FieldWriter::new(Sender {
            to: sender,
            some: Vec::new(),
        });
        to.field(Tag::Store, &[self.store.as_bytes()])?;
        Ok(Request { to, answer })
    }

    fn write(
        &mut self,
        field: impl FnOnce(&mut FieldWriter<Sender>) -> io::Result<()>,
    ) -> Result<()> {
        let begun = match self.request.take() {
            Some(request) => Ok(request),
            None => self.begin(),
        };
        let sent = begun.and_then(|mut request| {
            let sent = field(&mut request.to);
            self.request = Some(request);
            sent
        });
        sent.or_else(|error| self.give_up(error))
    }

    /// Nobody reads any more. Why, the answer says.
    fn give_up(&mut self, error: io::Error) -> Result<()> {
        let broken = |message: String| Error::Broken {
            place: self.exchange.describe(),
            message,
            hint: None,
            transient: true,
        };
        let Some(Request { to, answer }) = self.request.take() else {
            return Err(broken(error.to_string()));
        };
        drop(to);
        joined(answer)?;
        Err(broken("it ended before all was sent".into()))
    }
}

fn joined(answer: JoinHandle<Result<()>>) -> Result<()> {
    answer
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Upload for Sending {
    fn expect(&mut self, lob: &Manifest) -> Result<bool> {
        let bytes = lob.encode();
        let expected = self.expected + bytes.len();
        if bytes.len() > Tag::Expect.most() || expected > EXPECTED_MAX {
            return Ok(false);
        }
        self.expected = expected;
        self.write(|to| to.field(Tag::Expect, &[&bytes]))?;
        Ok(true)
    }

    fn add_frame(&mut self, frame: Frame) -> Result<()> {
        self.write(|to| to.frame(frame, Sender::give))
    }

    fn add_manifest(&mut self, manifest: &Manifest) -> Result<()> {
        let items = self.items + manifest.items();
        if self.lobs >= LOBS_MAX || self.lobs > 0 && items > ITEMS_MAX {
            self.publish()?;
        }
        self.lobs += 1;
        self.items += manifest.items();
        self.write(|to| to.field(Tag::Manifest, &[&manifest.encode()]))
    }

    fn publish(&mut self) -> Result<()> {
        (self.lobs, self.items, self.expected) = (0, 0, 0);
        let Some(Request { to, answer }) = self.request.take() else {
            return Ok(());
        };
        let sent = to.end().and_then(Sender::close);
        // Where something went wrong on the way the answer says what.
        joined(answer)?;
        sent.map_err(|error| Error::Broken {
            place: self.exchange.describe(),
            message: format!("it answered before all was sent: {error}"),
            hint: None,
            transient: true,
        })
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.publish()
    }
}

/// A part of a body; `None` is its end.
type Part = Option<Bytes>;

/// Where a body is written: what is short is gathered, what is long goes as it is.
struct Sender {
    to: SyncSender<Part>,
    some: Vec<u8>,
}

impl Sender {
    fn send(&self, part: Part) -> io::Result<()> {
        let sent = self.to.send(part);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends bytes behind those that were written.
    fn give(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if bytes.len() < PART {
            return self.write_all(&bytes);
        }
        self.flush()?;
        self.send(Some(Bytes::from_owner(Lent(bytes))))
    }

    /// Says that this is all.
    fn close(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(None)
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.some.extend_from_slice(bytes);
        if self.some.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.some.is_empty() {
            return Ok(());
        }
        let some = std::mem::take(&mut self.some);
        self.send(Some(some.into()))
    }
}

/// Bytes whose memory is used again once they were sent.
struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        buffer::give(std::mem::take(&mut self.0));
    }
}

/// Where it is read. Without its end it was given up, which is an error: the service must not take it
/// for whole.
struct Parts {
    receiver: Option<Receiver<Part>>,
    part: Bytes,
}

impl Stream for Parts {
    fn part(&mut self, most: usize) -> io::Result<Bytes> {
        while let (true, Some(receiver)) = (self.part.is_empty(), &self.receiver) {
            match receiver.recv() {
                Ok(Some(part)) => self.part = part,
                Ok(None) => self.receiver = None,
                Err(_) => {
                    let why = "the rest is not sent";
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
                }
            }
        }
        Ok(self.part.split_to(most.min(self.part.len())))
    }
}

impl Read for Parts {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let part = self.part(out.len())?;
        out[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}
