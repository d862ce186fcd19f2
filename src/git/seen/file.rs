//! The file of the memory.
//!
//! `lob-seen`, then as little-endian numbers the version (u32), the length of object ids (u32), and
//! the numbers of blobs that are content and that are pointers (u64 each). Then the ids of content;
//! then the ids of pointers, each with a kind (1 lob, 2 git-lob, 3 Git LFS, 4 Git LFS with
//! extensions), 32 bytes of its id, zeros behind a shorter one, and its size (u64, 0 where it has
//! none). Both are sorted by object id. Then the BLAKE3 of all before.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use lob_store::LobId;
use lob_store::disk::share_file;

use super::Blob;
use super::table::Table;
use crate::git::{Oid, Pointer};

const MAGIC: &[u8; 8] = b"lob-seen";
/// Changes with the format, and with what counts as a pointer.
const VERSION: u32 = 1;
const HEADER: usize = 32;
const SUM: usize = 32;
/// Kind, id and size.
const VALUE: usize = 41;
/// A larger file is not read, and not written: the memory then starts anew with what was used.
const BYTES_MAX: usize = 128 << 20;

/// What the file held when it was read.
#[derive(Debug)]
pub struct Image {
    content: Table,
    pointers: Table,
    oid_len: usize,
    /// Most bytes of records that are written.
    pub(super) bytes_max: usize,
    sum: [u8; SUM],
}

impl Image {
    /// Reads the file; empty where it can't be used.
    pub fn read(path: &Path, oid_len: usize) -> Image {
        let bytes = match fs::metadata(path) {
            Ok(meta) if meta.len() <= BYTES_MAX as u64 => fs::read(path).unwrap_or_default(),
            _ => Vec::new(),
        };
        parse(bytes, oid_len).unwrap_or_else(|| Image::empty(oid_len))
    }

    /// Reads the file again if another process has written it.
    pub fn reread(&mut self, path: &Path) {
        if sum_of(path) != Some(self.sum) {
            let bytes_max = self.bytes_max;
            // Memory for one at a time.
            *self = Image::empty(self.oid_len);
            *self = Image::read(path, self.oid_len);
            self.bytes_max = bytes_max;
        }
    }

    /// Bytes of an object id.
    pub fn oid_len(&self) -> usize {
        self.oid_len
    }

    /// What the file says of a blob.
    pub fn find(&mut self, oid: &Oid) -> Option<Blob> {
        let oid = oid.as_bytes();
        if let Some(value) = self.pointers.find(oid) {
            return decode(value).map(Blob::Pointer);
        }
        self.content.find(oid).map(|_| Blob::Content)
    }

    /// Writes a file of what is here and what was learnt, which is sorted; when that is too much,
    /// only what was learnt or found.
    pub fn write_with(&self, learnt: &[(Oid, Blob)], path: &Path) -> io::Result<()> {
        let of_learnt: usize = learnt.iter().map(|(_, blob)| self.width(*blob)).sum();
        let all = self.content.len() + self.pointers.len() + of_learnt;
        let used = self.used() + of_learnt;
        let keep = if all <= self.bytes_max {
            Keep::All
        } else if used <= self.bytes_max / 2 {
            Keep::Found
        } else {
            Keep::Nothing
        };
        let mut out = Sealed::create(path)?;
        // How many there are is known when they were merged: count first.
        let mut counts = [0u64; 2];
        for (count, of_pointers) in counts.iter_mut().zip([false, true]) {
            self.merge(keep, learnt, of_pointers, |_, _| {
                *count += 1;
                Ok(())
            })?;
        }
        out.write(MAGIC)?;
        out.write(&VERSION.to_le_bytes())?;
        out.write(&u32::try_from(self.oid_len).unwrap_or(0).to_le_bytes())?;
        for count in counts {
            out.write(&count.to_le_bytes())?;
        }
        for of_pointers in [false, true] {
            self.merge(keep, learnt, of_pointers, |oid, value| {
                out.write(oid)?;
                out.write(value)
            })?;
        }
        out.seal()
    }

    /// Calls `each` with the id and the value of everything of one kind that is kept or was learnt,
    /// in the order of the ids.
    fn merge(
        &self,
        keep: Keep,
        learnt: &[(Oid, Blob)],
        of_pointers: bool,
        mut each: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let table = match of_pointers {
            true => &self.pointers,
            false => &self.content,
        };
        let mut new = learnt
            .iter()
            .filter(|(oid, blob)| {
                blob.pointer().is_some() == of_pointers && oid.as_bytes().len() == self.oid_len
            })
            .peekable();
        for (oid, value, found) in table.records() {
            if !keep.keeps(found) {
                continue;
            }
            while let Some((other, blob)) = new.next_if(|(other, _)| other.as_bytes() < oid) {
                each(other.as_bytes(), &encode(*blob))?;
            }
            new.next_if(|(other, _)| other.as_bytes() == oid);
            each(oid, value)?;
        }
        for (oid, blob) in new {
            each(oid.as_bytes(), &encode(*blob))?;
        }
        Ok(())
    }

    /// The bytes of the records that were found.
    fn used(&self) -> usize {
        let tables = [&self.content, &self.pointers].into_iter();
        let records = tables.flat_map(Table::records);
        records
            .filter(|(_, _, found)| *found)
            .map(|(oid, value, _)| oid.len() + value.len())
            .sum()
    }

    fn width(&self, blob: Blob) -> usize {
        match blob {
            Blob::Pointer(_) => self.oid_len + VALUE,
            Blob::Content => self.oid_len,
        }
    }

    fn empty(oid_len: usize) -> Image {
        let table = |width| Table::new(Vec::new(), oid_len, width).expect("nothing is in order");
        Image {
            content: table(oid_len),
            pointers: table(oid_len + VALUE),
            oid_len,
            bytes_max: BYTES_MAX,
            sum: [0; SUM],
        }
    }
}

/// Which of the records that were there stay.
#[derive(Debug, Clone, Copy)]
enum Keep {
    All,
    Found,
    Nothing,
}

impl Keep {
    fn keeps(self, found: bool) -> bool {
        match self {
            Keep::All => true,
            Keep::Found => found,
            Keep::Nothing => false,
        }
    }
}

/// A file that ends with the hash of what was written.
struct Sealed {
    file: BufWriter<File>,
    hash: blake3::Hasher,
}

impl Sealed {
    fn create(path: &Path) -> io::Result<Sealed> {
        let file = File::create(path)?;
        share_file(path, &file)?;
        Ok(Sealed {
            file: BufWriter::with_capacity(1 << 16, file),
            hash: blake3::Hasher::new(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn seal(mut self) -> io::Result<()> {
        self.file.write_all(self.hash.finalize().as_bytes())?;
        self.file.flush()
    }
}

/// The hash at the end of the file.
fn sum_of(path: &Path) -> Option<[u8; SUM]> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::End(-(SUM as i64))).ok()?;
    let mut sum = [0; SUM];
    file.read_exact(&mut sum).ok()?;
    Some(sum)
}

fn parse(mut bytes: Vec<u8>, oid_len: usize) -> Option<Image> {
    let (body, sum) = bytes.split_last_chunk::<SUM>()?;
    let sum = *sum;
    let header = body.first_chunk::<HEADER>()?;
    let (magic, numbers) = header.split_first_chunk::<8>()?;
    let (version, numbers) = numbers.split_first_chunk()?;
    let (ids, numbers) = numbers.split_first_chunk()?;
    let (content, numbers) = numbers.split_first_chunk()?;
    let (pointers, _) = numbers.split_first_chunk()?;
    let ids = usize::try_from(u32::from_le_bytes(*ids)).ok()?;
    if magic != MAGIC || u32::from_le_bytes(*version) != VERSION || ids != oid_len {
        return None;
    }
    let size = |count: [u8; 8], width: usize| {
        let count = usize::try_from(u64::from_le_bytes(count)).ok()?;
        count.checked_mul(width)
    };
    let content = size(*content, oid_len)?;
    let pointers = size(*pointers, oid_len + VALUE)?;
    let all = content.checked_add(pointers)?.checked_add(HEADER)?;
    if body.len() != all || blake3::hash(body) != blake3::Hash::from_bytes(sum) {
        return None;
    }
    bytes.truncate(all);
    let pointers = bytes.split_off(HEADER + content);
    bytes.drain(..HEADER);
    Some(Image {
        content: Table::new(bytes, oid_len, oid_len)?,
        pointers: Table::new(pointers, oid_len, oid_len + VALUE)?,
        oid_len,
        bytes_max: BYTES_MAX,
        sum,
    })
}

/// Nothing for content.
fn encode(blob: Blob) -> Vec<u8> {
    let Some(pointer) = blob.pointer() else {
        return Vec::new();
    };
    let (kind, id, size): (u8, &[u8], u64) = match &pointer {
        Pointer::Lob { id, size } => (1, id.as_bytes(), *size),
        Pointer::GitLob { sha1 } => (2, sha1, 0),
        Pointer::Lfs {
            sha256,
            size,
            extended,
        } => (3 + u8::from(*extended), sha256, *size),
    };
    let mut value = vec![kind];
    value.extend_from_slice(id);
    value.resize(VALUE - 8, 0);
    value.extend_from_slice(&size.to_le_bytes());
    value
}

fn decode(value: &[u8]) -> Option<Pointer> {
    let (kind, rest) = value.split_first()?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let (size, _) = rest.split_first_chunk()?;
    let size = u64::from_le_bytes(*size);
    let lfs = |extended| Pointer::Lfs {
        sha256: *id,
        size,
        extended,
    };
    match kind {
        1 => Some(Pointer::Lob {
            id: LobId::from_bytes(*id),
            size,
        }),
        2 => Some(Pointer::GitLob {
            sha1: *id.first_chunk()?,
        }),
        3 => Some(lfs(false)),
        4 => Some(lfs(true)),
        _ => None,
    }
}
