//! pkt-line: git's framing of the bytes that it exchanges with a filter.
//!
//! Four hexadecimal digits of length, the four included, then the payload; `0000` is a flush and
//! ends a list or a content.

use std::io::{self, Read, Write};

/// Longest payload of one packet, in bytes.
pub const PAYLOAD_MAX: usize = PACKET_MAX - HEAD;
/// Longest packet with its head.
const PACKET_MAX: usize = 65520;
const HEAD: usize = 4;
/// Bytes that a reader asks the system for at once, and that a writer collects: a few packets, so
/// that a gigabyte costs thousands of system calls and not tens of thousands.
const BUFFER: usize = 512 << 10;

/// What can be wrong with a stream of packets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipe failed.
    #[error("the pipe to git failed: {0}")]
    Io(#[from] io::Error),
    /// The stream ended inside a packet or a list.
    #[error("git closed the pipe in the middle of a message")]
    Cut,
    /// The head of a packet is not hexadecimal.
    #[error("expected the length of a packet, found {0:?}")]
    Garbage(String),
    /// The length cannot be one of a packet of this protocol.
    #[error("a packet declares the impossible length {0}")]
    Length(usize),
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            Error::Cut => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A payload, which may be empty.
    Data(&'a [u8]),
    /// A flush.
    Flush,
    /// The stream ended in good order, between two packets.
    End,
}

/// The text of a payload that is a line: without the one LF that closes it.
pub fn text(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

enum Head {
    Data(usize),
    Flush,
    End,
}

/// Reads packets.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: Read> Reader<R> {
    /// A reader of packets over `source`, which needs no buffer of its own.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// The next packet.
    pub fn packet(&mut self) -> Result<Packet<'_>, Error> {
        let len = match self.head()? {
            Head::Flush => return Ok(Packet::Flush),
            Head::End => return Ok(Packet::End),
            Head::Data(len) => len,
        };
        if !self.fill(len)? {
            return Err(Error::Cut);
        }
        let payload = self.start..self.start + len;
        self.start = payload.end;
        Ok(Packet::Data(&self.buffer[payload]))
    }

    /// The next line of a list, without the LF that closes it; `None` at the flush that ends the
    /// list. Strips exactly one LF: what is before it belongs to the text.
    pub fn line(&mut self) -> Result<Option<&[u8]>, Error> {
        match self.packet()? {
            Packet::Data(line) => Ok(Some(text(line))),
            Packet::Flush => Ok(None),
            Packet::End => Err(Error::Cut),
        }
    }

    /// The payloads up to the next flush, as one stream.
    pub fn content(&mut self) -> Content<'_, R> {
        Content {
            packets: self,
            left: 0,
            state: State::Open,
        }
    }

    /// Reads the head of the next packet; a length is that of the payload alone.
    fn head(&mut self) -> Result<Head, Error> {
        if !self.fill(HEAD)? {
            return match self.end - self.start {
                0 => Ok(Head::End),
                _ => Err(Error::Cut),
            };
        }
        let digits = &self.buffer[self.start..self.start + HEAD];
        let mut len = 0;
        for &digit in digits {
            // As git reads them: of either case.
            let Some(value) = char::from(digit).to_digit(16) else {
                return Err(Error::Garbage(digits.escape_ascii().to_string()));
            };
            len = len << 4 | value as usize;
        }
        self.start += HEAD;
        match len {
            0 => Ok(Head::Flush),
            HEAD..=PACKET_MAX => Ok(Head::Data(len - HEAD)),
            _ => Err(Error::Length(len)),
        }
    }

    /// Makes `len` bytes available at `start`; `false` when the stream ends before that.
    fn fill(&mut self, len: usize) -> io::Result<bool> {
        if self.start + len > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < len {
            if self.read_more()? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads once into the free part of the buffer.
    fn read_more(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Broken,
}

/// Payloads up to a flush, as one stream. A stream that is cut off is an error and never an end.
#[derive(Debug)]
pub struct Content<'p, R> {
    packets: &'p mut Reader<R>,
    /// Bytes of the current packet that were not yet read.
    left: usize,
    state: State,
}

impl<R: Read> Content<'_, R> {
    /// Reads and forgets what is left. Only after `Ok` does the reader stand behind the flush.
    pub fn drain(&mut self) -> Result<(), Error> {
        if self.state == State::Broken {
            return Err(Error::Cut);
        }
        while self.ready()? {
            let available = self.left.min(self.packets.end - self.packets.start);
            self.packets.start += available;
            self.left -= available;
        }
        Ok(())
    }

    /// Makes at least one byte of the content available in the buffer; `false` at the end.
    fn ready(&mut self) -> Result<bool, Error> {
        let result = self.advance();
        if result.is_err() {
            self.state = State::Broken;
        }
        result
    }

    fn advance(&mut self) -> Result<bool, Error> {
        while self.state == State::Open && self.left == 0 {
            match self.packets.head()? {
                Head::Data(len) => self.left = len,
                Head::Flush => self.state = State::Ended,
                Head::End => return Err(Error::Cut),
            }
        }
        match self.state {
            State::Open if self.packets.fill(1)? => Ok(true),
            State::Ended => Ok(false),
            State::Open | State::Broken => Err(Error::Cut),
        }
    }

    /// Whether another byte can be had without asking the system.
    fn buffered(&self) -> bool {
        let held = self.packets.end - self.packets.start;
        self.state == State::Open && held > if self.left == 0 { HEAD } else { 0 }
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() && (done == 0 || self.buffered()) {
            match self.ready() {
                Ok(true) => {}
                Ok(false) => break,
                // What was read before is whole; the error comes again with the next call.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.into()),
            }
            let held = &self.packets.buffer[self.packets.start..self.packets.end];
            let n = (buf.len() - done).min(self.left).min(held.len());
            buf[done..done + n].copy_from_slice(&held[..n]);
            self.packets.start += n;
            self.left -= n;
            done += n;
        }
        Ok(done)
    }
}

/// Writes packets. Nothing is sent before [`Writer::send`] or before the buffer is full.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    buffer: Vec<u8>,
    /// Where the head of the unfinished packet stands in `buffer`.
    open: Option<usize>,
    /// A write failed: nobody knows what arrived, so nothing more is sent.
    broken: bool,
}

impl<W: Write> Writer<W> {
    /// A writer of packets over `sink`, which needs no buffer of its own.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            buffer: Vec::new(),
            open: None,
            broken: false,
        }
    }

    /// Adds a line, closed by an LF, as a packet of its own.
    pub fn line(&mut self, text: &[&[u8]]) -> io::Result<()> {
        if text.iter().map(|part| part.len()).sum::<usize>() >= PAYLOAD_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a line is longer than a packet",
            ));
        }
        self.close();
        for part in text {
            self.bytes(part)?;
        }
        self.bytes(b"\n")?;
        self.close();
        Ok(())
    }

    /// Ends a list or a content.
    pub fn flush_packet(&mut self) {
        self.close();
        self.buffer.extend_from_slice(b"0000");
    }

    /// Sends all that was collected.
    pub fn send(&mut self) -> io::Result<()> {
        self.close();
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.broken = true;
        self.sink.write_all(&self.buffer)?;
        self.sink.flush()?;
        self.broken = false;
        self.buffer.clear();
        Ok(())
    }

    /// Adds content, cut into packets as large as they may be.
    fn bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let head = match self.open {
                Some(head) => head,
                None => {
                    if self.buffer.len() + PACKET_MAX > BUFFER {
                        self.send()?;
                    }
                    self.buffer.extend_from_slice(b"0000");
                    *self.open.insert(self.buffer.len() - HEAD)
                }
            };
            let room = PACKET_MAX - (self.buffer.len() - head);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                self.close();
            }
        }
        Ok(())
    }

    /// Writes the length of the unfinished packet, if there is one, into its head.
    fn close(&mut self) {
        if let Some(head) = self.open.take() {
            let len = self.buffer.len() - head;
            self.buffer[head..head + HEAD].copy_from_slice(format!("{len:04x}").as_bytes());
        }
    }
}

/// Content: the bytes are cut into packets. [`Write::flush`] does nothing, so that somebody who
/// flushes often makes no small packets; the session sends.
impl<W: Write> Write for Writer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
