//! Reading packs: single frames by their place in the table, or all records forward.

use std::path::Path;

use crate::buffer;
use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::id::PackId;
use crate::manifest::Manifest;

use super::record::{PACK_HEADER, RECORD_HEADER, RECORD_MAGIC, RecordHeader, decode_pack_header};
use super::table::{FrameEntry, LobEntry};
use super::{Nonce, Record, TRAILER_MAGIC};

fn read(file: &dyn DiskFile, path: &Path, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = buffer::take(len);
    file.read_at(offset, &mut bytes)
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::damaged(path.display(), "it is cut off"),
            _ => Error::at(path)(e),
        })?;
    Ok(bytes)
}

/// The stored bytes of a frame, without its record header.
pub(crate) fn read_frame_payload(
    file: &dyn DiskFile,
    path: &Path,
    entry: &FrameEntry,
) -> Result<Vec<u8>> {
    let offset = entry.offset.saturating_add(u64::from(entry.head));
    read(file, path, offset, entry.stored as usize)
}

/// A whole frame with its chunk list; chunks are not verified.
pub(crate) fn read_frame(file: &dyn DiskFile, path: &Path, entry: &FrameEntry) -> Result<Frame> {
    let head = read(file, path, entry.offset, entry.head as usize)?;
    let stored = read_frame_payload(file, path, entry)?;
    match decode_known(path, &head, stored)? {
        Record::Frame(frame) => Ok(frame),
        _ => Err(Error::damaged(
            path.display(),
            "no frame is where the table says",
        )),
    }
}

/// The manifest at a place in the table.
pub(crate) fn read_manifest(
    file: &dyn DiskFile,
    path: &Path,
    entry: &LobEntry,
) -> Result<Manifest> {
    let mut head = read(file, path, entry.offset, entry.len as usize)?;
    let stored = head.split_off(RECORD_HEADER.min(head.len()));
    match decode_known(path, &head, stored)? {
        Record::Manifest(m) if m.id == entry.id && m.size == entry.size => Ok(m),
        _ => Err(Error::damaged(
            path.display(),
            "no such manifest is where the table says",
        )),
    }
}

/// A record of which the table tells how long its parts are.
fn decode_known(path: &Path, head: &[u8], stored: Vec<u8>) -> Result<Record> {
    let header = RecordHeader::decode(head.get(..RECORD_HEADER).unwrap_or(head))?;
    if header.head_len() != head.len() || header.stored_len() != stored.len() {
        return Err(Error::damaged(
            path.display(),
            "a record is not as long as the table says",
        ));
    }
    header.decode_record(head, stored)
}

/// The record at `offset`, and its length.
fn read_record(file: &dyn DiskFile, path: &Path, offset: u64) -> Result<(Record, u64)> {
    let header = RecordHeader::decode(&read(file, path, offset, RECORD_HEADER)?)?;
    let middle = offset + header.head_len() as u64;
    let after = middle + header.stored_len() as u64;
    if after > file.len().map_err(Error::at(path))? {
        return Err(Error::damaged(path.display(), "it is cut off"));
    }
    let head = read(file, path, offset, header.head_len())?;
    let stored = read(file, path, middle, header.stored_len())?;
    Ok((header.decode_record(&head, stored)?, after - offset))
}

/// The nonce of a pack.
pub(crate) fn nonce_of(file: &dyn DiskFile, path: &Path) -> Result<Nonce> {
    decode_pack_header(&read(file, path, 0, PACK_HEADER)?)
}

/// The number of the stage that a pack was made in.
pub(crate) fn stage_of(file: &dyn DiskFile, path: &Path) -> Result<u64> {
    let nonce = nonce_of(file, path)?;
    let (first, _) = nonce
        .split_first_chunk()
        .ok_or_else(|| Error::damaged(path.display(), "its nonce is too short"))?;
    Ok(u64::from_le_bytes(*first))
}

/// Reads a pack forward without its table, calling `each` for every record up to the table, the
/// end, or the first place that makes no sense, which is no error: it is where a cut-off pack ends.
/// A record that is whole and not known is [`Error::Later`]. Frames are not verified.
pub(crate) fn salvage(
    file: &dyn DiskFile,
    path: &Path,
    each: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let end = file.len().map_err(Error::at(path))?;
    if end < PACK_HEADER as u64 {
        return Ok(());
    }
    match decode_pack_header(&read(file, path, 0, PACK_HEADER)?) {
        Err(Error::Damaged { .. }) => return Ok(()),
        header => header.map(drop)?,
    }
    let mut offset = PACK_HEADER as u64;
    while offset + RECORD_HEADER as u64 <= end {
        match read_record(file, path, offset) {
            Ok((record, len)) => {
                each(record)?;
                offset += len;
            }
            Err(Error::Damaged { .. }) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads a pack forward like [`salvage`], and goes on behind what is damaged or cannot be read,
/// wherever a record begins again.
pub(crate) fn rescue(
    file: &dyn DiskFile,
    path: &Path,
    each: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let end = file.len().map_err(Error::at(path))?;
    // What looks like the beginning of a long record may be anything. Reading it in vain is bounded.
    let mut tries = RESCUE_TRIES;
    let mut offset = PACK_HEADER as u64;
    while offset + RECORD_HEADER as u64 <= end && tries > 0 {
        match read_record(file, path, offset) {
            Ok((record, len)) => {
                each(record)?;
                offset += len;
            }
            Err(error) if is_unreadable(&error) => {
                tries -= 1;
                offset = next_record(file, path, offset + 1, end)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How often a record may begin in vain.
const RESCUE_TRIES: usize = 256;
/// Bytes in which the next record is looked for at a time.
const RESCUE_PIECE: usize = 64 << 10;

fn is_unreadable(error: &Error) -> bool {
    match error {
        Error::Damaged { .. } | Error::Later { .. } => true,
        Error::Io { source, .. } => crate::disk::is_lost(source),
        _ => false,
    }
}

/// Where a record may begin next, from `offset` on.
fn next_record(file: &dyn DiskFile, path: &Path, mut offset: u64, end: u64) -> Result<u64> {
    while offset + RECORD_HEADER as u64 <= end {
        let len = usize::try_from(end - offset).unwrap_or(RESCUE_PIECE);
        match read(file, path, offset, len.min(RESCUE_PIECE)) {
            Ok(piece) => {
                let found = piece.windows(4).position(|four| four == RECORD_MAGIC);
                if let Some(at) = found {
                    return Ok(offset + at as u64);
                }
                // One may begin in the last bytes.
                offset += (piece.len() - 3) as u64;
            }
            Err(error) if is_unreadable(&error) => offset += RESCUE_PIECE as u64,
            Err(error) => return Err(error),
        }
    }
    Ok(end)
}

/// What a pack hashes to. `piece` is called with the length of each piece that was read.
pub(crate) fn hash_of(
    file: &dyn DiskFile,
    path: &Path,
    piece: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<PackId> {
    const PIECE: usize = 1 << 20;
    let len = file.len().map_err(Error::at(path))?;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
    let mut at = 0;
    while at < len {
        let rest = usize::try_from(len - at).unwrap_or(PIECE).min(PIECE);
        let bytes = &mut bytes[..rest];
        file.read_at(at, bytes).map_err(Error::at(path))?;
        let _ = hasher.update(bytes);
        at += rest as u64;
        piece(rest as u64)?;
    }
    Ok(hasher.finalize().into())
}

/// The bytes of the table at the end of a pack.
pub(crate) fn read_table(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>> {
    let bad = || {
        Error::damaged(
            path.display(),
            "its last bytes do not tell where its table is",
        )
    };
    let end = file.len().map_err(Error::at(path))?;
    let at = end.checked_sub(24).ok_or_else(bad)?;
    let trailer = read(file, path, at, 24)?;
    let mut d = crate::decode::Decoder::new("pack trailer", &trailer);
    let (offset, len) = (d.u64()?, d.u64()?);
    d.magic(TRAILER_MAGIC)?;
    if offset.checked_add(len) != Some(at) || len > crate::limits::PACK_HARD {
        return Err(bad());
    }
    read(file, path, offset, len as usize)
}
