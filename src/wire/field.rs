//! The form of all messages: fields one after the other, closed by a hash over them.
//!
//! ```text
//! tag u16 | length u32 | bytes      ... as often as there are fields
//! END | 32 | BLAKE3 of all bytes before, with the CRC-32 of the stored bytes of a frame in their place
//! ```
//!
//! A message in which END does not come was cut, and one with another hash was changed on the way;
//! whatever was in it then does not count. In place of END an answer may close with REFUSED.

use std::io::{self, Read, Write};

use lob_store::limits::CHUNK_MAX;
use lob_store::limits::{FRAME_BASES_MAX, FRAME_CHUNKS_MAX, FRAME_STORED_MAX};
use lob_store::reconcile;
use lob_store::{Frame, buffer};

use super::{Refusal, RefusalKind};

/// The bit of a tag that says that whoever does not know it must not go on.
pub const CRITICAL: u16 = 0x8000;
/// Bytes of optional fields that a reader passes over in one message.
const SKIPPED_MAX: u64 = 1 << 20;
/// Bytes of a tag and a length.
const HEAD: usize = 6;
/// Most ids, or other items of a list, in one field. A list goes on in the next one.
pub const ITEMS_MAX: usize = 4096;
/// Bytes of a list in one field: the longest items are of 41 bytes and bases.
const LIST_MAX: usize = ITEMS_MAX * 64;
/// Longest record of a frame: header, chunks, bases, stored bytes.
const RECORD_MAX: usize = 32 + FRAME_CHUNKS_MAX * 36 + FRAME_BASES_MAX * 32 + FRAME_STORED_MAX;
/// Longest manifest: that of 16 TiB of random content takes a sixth of it. Less than a
/// store takes, so that many at once cannot use up a server's memory.
const MANIFEST_MAX: usize = 2 << 20;
/// Longest manifest that is announced: that of 11 GiB is no longer.
const EXPECT_MAX: usize = 64 << 10;
/// Most bytes of a part of something long.
pub const PART_MAX: usize = 256 << 10;
/// Bytes that are reserved before they came.
const AHEAD: usize = 64 << 10;

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $number:expr, $most:expr;)*) => {
        /// What a field is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Tag {
            $($(#[$doc])* $name,)*
        }

        impl Tag {
            /// All of them.
            pub const ALL: &[Tag] = &[$(Tag::$name,)*];

            /// Its number in a message.
            pub fn number(self) -> u16 {
                match self {
                    $(Tag::$name => $number,)*
                }
            }

            /// Most bytes of such a field.
            pub fn most(self) -> usize {
                match self {
                    $(Tag::$name => $most,)*
                }
            }
        }
    };
}

tags! {
    /// The end: BLAKE3 of all before it.
    End = CRITICAL | 1, 32;
    /// The end of an answer that is none: a refusal as text.
    Refused = CRITICAL | 2, 4096;
    /// Versions of this protocol, the lowest and the highest: u16 each.
    Speaks = CRITICAL | 0x10, 4;
    /// The id of the store.
    Store = CRITICAL | 0x11, 32;
    /// The store is to be made where none is. Empty.
    Create = CRITICAL | 0x12, 0;
    /// Where the changes of the store stand: u64, and 16 bytes of a hash.
    Cursor = CRITICAL | 0x13, 24;
    /// The epoch of the store.
    Epoch = CRITICAL | 0x14, 32;
    /// Bytes that can be stored, u64.
    Free = 0x15, 8;
    /// Names of the verbs that are answered, with a space between two.
    Verbs = 0x16, 4096;
    /// The program and its version.
    Program = 0x17, 256;
    /// Names of what is done beside the verbs, with a space between two.
    Can = 0x18, 4096;
    /// What is going to be asked for: rights, u8 (0 read, 1 append, 2 write, 3 admin).
    Wants = 0x19, 1;
    /// What needs the lobs is in no repository that has this store inside. Empty.
    Elsewhere = 0x1a, 0;
    /// All lobs are meant but for the ids. Empty.
    Others = CRITICAL | 0x1b, 0;
    /// Ids of lobs or chunks.
    Ids = CRITICAL | 0x20, ITEMS_MAX * 32;
    /// Ids of chunks that frames may stand on.
    Relied = CRITICAL | 0x21, ITEMS_MAX * 32;
    /// Lengths of lobs, u64 each; all ones where a lob is not there.
    Sizes = CRITICAL | 0x22, ITEMS_MAX * 8;
    /// One byte for each id: 0 or 1.
    Flags = CRITICAL | 0x23, ITEMS_MAX;
    /// What frames of chunks stand on: depth u8, count u8, ids; a depth of 255 where a chunk is not there.
    Kins = CRITICAL | 0x24, ITEMS_MAX * (2 + FRAME_BASES_MAX * 32);
    /// Lobs: id and length u64 each.
    Lobs = CRITICAL | 0x25, LIST_MAX;
    /// Lobs that are wanted, each with one that who asks holds whole: two ids each.
    Against = 0x28, ITEMS_MAX * 64;
    /// Most bytes of what is asked for, u64.
    Most = CRITICAL | 0x29, 8;
    /// A digest over lobs.
    Digest = CRITICAL | 0x26, 32;
    /// A message of docs/reconcile.md.
    Differ = CRITICAL | 0x27, reconcile::ANSWER_MAX;
    /// A frame, as its record in a pack.
    Frame = CRITICAL | 0x30, RECORD_MAX;
    /// A manifest, as the body of its record in a pack.
    Manifest = CRITICAL | 0x31, MANIFEST_MAX;
    /// A manifest, of which all frames follow in the order of its content.
    Expect = 0x36, EXPECT_MAX;
    /// In the place of a manifest, where the lob is not there. Empty.
    Absent = CRITICAL | 0x32, 0;
    /// The bytes of a chunk.
    Chunk = CRITICAL | 0x33, CHUNK_MAX;
    /// A part of the signature of a file.
    Signature = CRITICAL | 0x34, PART_MAX;
    /// A part of a delta.
    Delta = CRITICAL | 0x35, PART_MAX;
    /// How much of a store is read: of a hundred u8, 255 for all of it to the last byte; and which part, u64.
    Depth = CRITICAL | 0x40, 9;
    /// How a store is cleaned up: flags u8, and the grace in seconds u64.
    Order = CRITICAL | 0x43, 9;
    /// The place of one who uses a store and is to be forgotten.
    Forget = CRITICAL | 0x44, 4096;
    /// The place of one who uses a store and whose needs are among the ids.
    Vouched = CRITICAL | 0x45, 4096;
    /// One thing of an answer that comes while work is done, as JSON.
    Told = CRITICAL | 0x41, PART_MAX;
    /// The work goes on, and has dealt with so many bytes: u64.
    Progress = 0x42, 8;
}

impl Tag {
    fn of(number: u16) -> Option<Tag> {
        Tag::ALL.iter().copied().find(|tag| tag.number() == number)
    }

    /// Whether readers that do not know it must refuse.
    pub fn is_critical(self) -> bool {
        self.number() & CRITICAL != 0
    }
}

/// Why a message cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It breaks off, or cannot be read on.
    #[error("it was cut: {0}")]
    Cut(io::Error),
    /// Its hash is another one.
    #[error("it was changed on the way")]
    Changed,
    /// It is not what it must be.
    #[error("{0}")]
    Bad(String),
    /// A later program wrote it.
    #[error("{0}, which this lob does not know: install a newer lob")]
    Later(String),
    /// It is a refusal.
    #[error("{0}")]
    Refused(Refusal),
}

impl WireError {
    pub(crate) fn bad(why: impl Into<String>) -> WireError {
        WireError::Bad(why.into())
    }

    /// Whether the same message may come whole the next time.
    pub fn is_transient(&self) -> bool {
        matches!(self, WireError::Cut(_) | WireError::Changed)
    }
}

impl From<lob_store::Error> for WireError {
    fn from(error: lob_store::Error) -> WireError {
        match error {
            lob_store::Error::Later { what, why } => WireError::Later(format!("{what}: {why}")),
            error => WireError::Bad(error.to_string()),
        }
    }
}

/// Writes one message.
#[derive(Debug)]
pub struct FieldWriter<W> {
    out: W,
    hasher: blake3::Hasher,
    has_begun: bool,
}

impl<W: Write> FieldWriter<W> {
    /// Begins a message.
    pub fn new(out: W) -> FieldWriter<W> {
        FieldWriter {
            out,
            hasher: blake3::Hasher::new(),
            has_begun: false,
        }
    }

    /// Whether anything was written.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Writes a field, whose bytes come in parts.
    pub fn field(&mut self, tag: Tag, parts: &[&[u8]]) -> io::Result<()> {
        self.head(tag, parts.iter().map(|part| part.len()).sum())?;
        parts.iter().try_for_each(|part| self.put(part))
    }

    /// Writes a frame, whose stored bytes `give` hands on as they are, behind all that was written.
    pub fn frame(
        &mut self,
        frame: Frame,
        give: impl FnOnce(&mut W, Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let head = frame.head();
        self.head(Tag::Frame, head.len() + frame.stored.len())?;
        self.put(&head)?;
        let _ = self.hasher.update(&sum_of(&frame.stored));
        give(&mut self.out, frame.stored)
    }

    /// Begins a field of `len` bytes.
    fn head(&mut self, tag: Tag, len: usize) -> io::Result<()> {
        if len > tag.most() {
            let what = format!("a field {tag:?} of {len} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.has_begun = true;
        self.put(&tag.number().to_le_bytes())?;
        self.put(&(len as u32).to_le_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _ = self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    /// Lets all be seen that was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Closes the message, and returns what it was written to.
    pub fn end(mut self) -> io::Result<W> {
        let hash = self.hasher.finalize();
        self.field(Tag::End, &[hash.as_bytes()])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Closes an answer that is none.
    pub fn refuse(mut self, refusal: &Refusal) -> io::Result<()> {
        self.field(Tag::Refused, &[refusal.to_text().as_bytes()])?;
        self.out.flush()
    }
}

/// What stands for the stored bytes of a frame in the hash of a message. That they are right, the ids of the
/// chunks say; this says whether it was the way that changed them.
fn sum_of(stored: &[u8]) -> [u8; 4] {
    crc32fast::hash(stored).to_le_bytes()
}

/// A field of a message in which frames come.
#[derive(Debug)]
pub enum Field {
    /// A frame. Its limits hold; its chunks are not verified.
    Frame(Frame),
    /// Another one, and its bytes.
    Other(Tag, Vec<u8>),
}

/// Reads one message.
pub struct FieldReader<'r> {
    from: &'r mut dyn Read,
    hasher: blake3::Hasher,
    skipped: u64,
    has_ended: bool,
}

impl<'r> FieldReader<'r> {
    /// Begins a message.
    pub fn new(from: &'r mut dyn Read) -> FieldReader<'r> {
        FieldReader {
            from,
            hasher: blake3::Hasher::new(),
            skipped: 0,
            has_ended: false,
        }
    }

    /// The next field, which must be one of `expected`; `None` at the end, which holds then: all that
    /// came is what was sent, and nothing is behind it. Fields that are optional are passed over.
    pub fn next(&mut self, expected: &[Tag]) -> Result<Option<(Tag, Vec<u8>)>, WireError> {
        match self.head(expected)? {
            Some((tag, len)) => Ok(Some((tag, self.take(tag, len)?))),
            None => Ok(None),
        }
    }

    /// As [`FieldReader::next`], where frames may come, and fields of `others`.
    pub fn next_frame(&mut self, others: &[Tag]) -> Result<Option<Field>, WireError> {
        let expected = [&[Tag::Frame], others].concat();
        Ok(match self.head(&expected)? {
            Some((Tag::Frame, len)) => Some(Field::Frame(self.frame(len)?)),
            Some((tag, len)) => Some(Field::Other(tag, self.take(tag, len)?)),
            None => None,
        })
    }

    /// The tag and the length of the next field.
    fn head(&mut self, expected: &[Tag]) -> Result<Option<(Tag, u32)>, WireError> {
        while !self.has_ended {
            let mut head = [0; HEAD];
            self.from.read_exact(&mut head).map_err(WireError::Cut)?;
            let number = u16::from_le_bytes([head[0], head[1]]);
            let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
            let tag = Tag::of(number);
            if tag == Some(Tag::End) {
                self.close(len)?;
                break;
            }
            let _ = self.hasher.update(&head);
            match tag.filter(|tag| expected.contains(tag)) {
                Some(tag) => return Ok(Some((tag, len))),
                None if tag == Some(Tag::Refused) => {
                    let text = self.take(Tag::Refused, len)?;
                    let text = String::from_utf8_lossy(&text);
                    let internal = || Refusal::new(RefusalKind::Internal, text.clone());
                    let refusal = Refusal::parse(&text).unwrap_or_else(internal);
                    return Err(WireError::Refused(refusal));
                }
                None if number & CRITICAL == 0 => self.skip(len)?,
                None => {
                    return Err(match tag {
                        Some(tag) => WireError::bad(format!("{tag:?} where it cannot be")),
                        None => WireError::Later(format!("a field {number:#06x}")),
                    });
                }
            }
        }
        Ok(None)
    }

    fn take(&mut self, tag: Tag, len: u32) -> Result<Vec<u8>, WireError> {
        let len = len as usize;
        if len > tag.most() {
            return Err(WireError::bad(format!("{tag:?} of {len} bytes")));
        }
        // Memory is taken as the bytes come, and not as they are announced.
        let mut bytes = Vec::with_capacity(len.min(AHEAD));
        self.read(len, &mut bytes)?;
        let _ = self.hasher.update(&bytes);
        Ok(bytes)
    }

    /// A frame, whose stored bytes are read to where they stay.
    fn frame(&mut self, len: u32) -> Result<Frame, WireError> {
        let len = len as usize;
        let bad = || WireError::bad(format!("a frame of {len} bytes"));
        if !(Frame::HEADER..=Tag::Frame.most()).contains(&len) {
            return Err(bad());
        }
        let mut header = [0; Frame::HEADER];
        self.from.read_exact(&mut header).map_err(WireError::Cut)?;
        let head_len = Frame::head_len(&header)?;
        let stored_len = len.checked_sub(head_len).ok_or_else(bad)?;
        let mut head = header.to_vec();
        self.read(head_len - header.len(), &mut head)?;
        let _ = self.hasher.update(&head);
        // A frame is little, and its memory is that of another one.
        let mut stored = buffer::take(stored_len);
        self.from.read_exact(&mut stored).map_err(WireError::Cut)?;
        let _ = self.hasher.update(&sum_of(&stored));
        Ok(Frame::of_record(&head, stored)?)
    }

    /// Reads as many more bytes.
    fn read(&mut self, len: usize, bytes: &mut Vec<u8>) -> Result<(), WireError> {
        let mut some = (&mut *self.from).take(len as u64);
        match some.read_to_end(bytes).map_err(WireError::Cut)? {
            read if read == len => Ok(()),
            _ => Err(WireError::Cut(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn skip(&mut self, len: u32) -> Result<(), WireError> {
        self.skipped += u64::from(len) + HEAD as u64;
        if self.skipped > SKIPPED_MAX {
            return Err(WireError::bad("too much that is not known"));
        }
        let mut bytes = Vec::new();
        self.read(len as usize, &mut bytes)?;
        let _ = self.hasher.update(&bytes);
        Ok(())
    }

    fn close(&mut self, len: u32) -> Result<(), WireError> {
        let hash = self.hasher.finalize();
        let found = self.take(Tag::End, len)?;
        if found != hash.as_bytes() {
            return Err(WireError::Changed);
        }
        self.has_ended = true;
        let mut rest = [0];
        match io::copy(&mut (&mut *self.from).take(1), &mut rest.as_mut_slice()) {
            Ok(0) => Ok(()),
            Ok(_) => Err(WireError::bad("bytes behind its end")),
            Err(error) => Err(WireError::Cut(error)),
        }
    }

    /// Fails unless the message is at its end.
    pub fn end(&mut self) -> Result<(), WireError> {
        self.next(&[]).map(drop)
    }
}

#[cfg(test)]
mod tests;
