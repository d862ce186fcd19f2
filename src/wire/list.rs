//! Lists in messages: what is asked about, and the answers in its order.

use std::io::{self, Write};

use lob_store::limits::{FRAME_BASES_MAX, LOB_MAX};
use lob_store::{ChunkId, Kin, LobId, LobInfo};

use super::field::{FieldReader, FieldWriter, ITEMS_MAX, Tag, WireError};

/// The size of a lob that is not there.
const NO_SIZE: u64 = u64::MAX;
/// The depth of a chunk that is not there.
const NO_DEPTH: u8 = u8::MAX;
/// Bytes of an id.
const ID: usize = 32;

/// Writes a list, so many items a field.
fn write<T>(
    to: &mut FieldWriter<impl Write>,
    tag: Tag,
    items: &[T],
    mut each: impl FnMut(&T, &mut Vec<u8>),
) -> io::Result<()> {
    for some in items.chunks(ITEMS_MAX) {
        let mut bytes = Vec::new();
        some.iter().for_each(|item| each(item, &mut bytes));
        to.field(tag, &[&bytes])?;
    }
    Ok(())
}

/// Reads a list of exactly `count` items of `N` bytes each, and the end of the message.
fn read<const N: usize, T>(
    from: &mut FieldReader<'_>,
    tag: Tag,
    count: usize,
    parse: impl Fn(&[u8; N]) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let mut items = Vec::new();
    while let Some((_, bytes)) = from.next(&[tag])? {
        let (some, rest) = bytes.as_chunks::<N>();
        if !rest.is_empty() || items.len() + some.len() > count {
            return Err(WireError::bad(
                "a list of another length than was asked for",
            ));
        }
        for item in some {
            items.push(parse(item)?);
        }
    }
    match items.len() == count {
        true => Ok(items),
        false => Err(WireError::bad("a list that is too short")),
    }
}

/// Writes ids.
pub fn write_ids(to: &mut FieldWriter<impl Write>, tag: Tag, ids: &[[u8; ID]]) -> io::Result<()> {
    write(to, tag, ids, |id, out| out.extend_from_slice(id))
}

/// The ids in one field, appended to those before, at most so many in all.
pub fn take_ids(bytes: &[u8], ids: &mut Vec<[u8; ID]>, most: usize) -> Result<(), WireError> {
    let (some, rest) = bytes.as_chunks::<ID>();
    if !rest.is_empty() {
        return Err(WireError::bad("half an id"));
    }
    if ids.len() + some.len() > most {
        return Err(WireError::bad(format!("more than {most} ids")));
    }
    ids.extend_from_slice(some);
    Ok(())
}

/// Writes pairs of ids.
pub fn write_pairs(
    to: &mut FieldWriter<impl Write>,
    tag: Tag,
    pairs: &[[[u8; ID]; 2]],
) -> io::Result<()> {
    write(to, tag, pairs, |pair, out| {
        out.extend_from_slice(pair.as_flattened());
    })
}

/// The pairs of ids in one field, appended to those before, at most so many in all.
pub fn take_pairs(
    bytes: &[u8],
    pairs: &mut Vec<[[u8; ID]; 2]>,
    most: usize,
) -> Result<(), WireError> {
    let mut ids = Vec::new();
    take_ids(bytes, &mut ids, 2 * most.saturating_sub(pairs.len()))?;
    let (some, rest) = ids.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(WireError::bad("half a pair of ids"));
    }
    pairs.extend_from_slice(some);
    Ok(())
}

/// Writes the lengths of lobs.
pub fn write_sizes(to: &mut FieldWriter<impl Write>, sizes: &[Option<u64>]) -> io::Result<()> {
    write(to, Tag::Sizes, sizes, |size, out| {
        out.extend_from_slice(&size.unwrap_or(NO_SIZE).to_le_bytes());
    })
}

/// Reads an answer with the lengths of `count` lobs.
pub fn read_sizes(from: &mut FieldReader<'_>, count: usize) -> Result<Vec<Option<u64>>, WireError> {
    read(from, Tag::Sizes, count, |bytes| {
        match u64::from_le_bytes(*bytes) {
            NO_SIZE => Ok(None),
            size if size <= LOB_MAX => Ok(Some(size)),
            _ => Err(WireError::bad("a lob that is too long")),
        }
    })
}

/// Writes answers of yes or no.
pub fn write_flags(to: &mut FieldWriter<impl Write>, flags: &[bool]) -> io::Result<()> {
    write(to, Tag::Flags, flags, |flag, out| out.push(u8::from(*flag)))
}

/// Reads `count` answers of yes or no.
pub fn read_flags(from: &mut FieldReader<'_>, count: usize) -> Result<Vec<bool>, WireError> {
    read(from, Tag::Flags, count, |&[byte]| match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::bad("neither yes nor no")),
    })
}

/// Writes what frames of chunks stand on.
pub fn write_kins(to: &mut FieldWriter<impl Write>, kins: &[Option<Kin>]) -> io::Result<()> {
    write(to, Tag::Kins, kins, |kin, out| match kin {
        None => out.extend_from_slice(&[NO_DEPTH, 0]),
        Some(kin) => {
            // A frame has no more bases than its limit allows.
            let bases = kin.bases.get(..FRAME_BASES_MAX).unwrap_or(&kin.bases);
            out.extend_from_slice(&[kin.depth, bases.len() as u8]);
            bases
                .iter()
                .for_each(|base| out.extend_from_slice(base.as_bytes()));
        }
    })
}

/// Reads what the frames of `count` chunks stand on.
pub fn read_kins(from: &mut FieldReader<'_>, count: usize) -> Result<Vec<Option<Kin>>, WireError> {
    let mut kins = Vec::new();
    while let Some((_, bytes)) = from.next(&[Tag::Kins])? {
        take_kins(&bytes, &mut kins, count)?;
    }
    match kins.len() == count {
        true => Ok(kins),
        false => Err(WireError::bad("a list that is too short")),
    }
}

/// What frames stand on by one field, appended to what was known before, at most so many in all.
pub fn take_kins(bytes: &[u8], kins: &mut Vec<Option<Kin>>, most: usize) -> Result<(), WireError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        if kins.len() == most {
            return Err(WireError::bad(
                "a list of another length than was asked for",
            ));
        }
        kins.push(take_kin(&mut rest)?);
    }
    Ok(())
}

fn take_kin(rest: &mut &[u8]) -> Result<Option<Kin>, WireError> {
    let bad = || WireError::bad("a frame with impossible bases");
    let (&[depth, count], bytes) = rest.split_first_chunk().ok_or_else(bad)?;
    let (ids, bytes) = bytes
        .split_at_checked(usize::from(count) * ID)
        .ok_or_else(bad)?;
    *rest = bytes;
    match (depth, count) {
        (NO_DEPTH, 0) => Ok(None),
        _ if usize::from(count) > FRAME_BASES_MAX || (depth == 0) != (count == 0) => Err(bad()),
        (NO_DEPTH, _) => Err(bad()),
        _ => {
            let (ids, _) = ids.as_chunks::<ID>();
            let bases = ids.iter().copied().map(ChunkId::from_bytes).collect();
            Ok(Some(Kin { depth, bases }))
        }
    }
}

/// Writes lobs.
pub fn write_lobs(to: &mut FieldWriter<impl Write>, lobs: &[LobInfo]) -> io::Result<()> {
    write(to, Tag::Lobs, lobs, |lob, out| {
        out.extend_from_slice(lob.id.as_bytes());
        out.extend_from_slice(&lob.size.to_le_bytes());
    })
}

/// The lobs in one field.
pub fn take_lobs(bytes: &[u8]) -> Result<Vec<LobInfo>, WireError> {
    let (items, rest) = bytes.as_chunks::<{ ID + 8 }>();
    if !rest.is_empty() {
        return Err(WireError::bad("half a lob"));
    }
    let parse = |item: &[u8; ID + 8]| {
        let (mut id, mut size) = ([0; ID], [0; 8]);
        id.copy_from_slice(&item[..ID]);
        size.copy_from_slice(&item[ID..]);
        let size = u64::from_le_bytes(size);
        match size <= LOB_MAX {
            true => Ok(LobInfo {
                id: LobId::from_bytes(id),
                size,
            }),
            false => Err(WireError::bad("a lob that is too long")),
        }
    };
    items.iter().map(parse).collect()
}
