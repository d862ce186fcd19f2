//! Deltas between two files: what the page allows makes what it says, everything else is an error, and
//! what lob makes is what the page allows.

use std::io::{self, BufReader, Write};
use std::path::Path;

use lob_store::delta::{Base, Patch, Signature, make, make_from};
use lob_store::disk::{Disk, SimDisk};
use lob_store::{Error, LobId};
use zstd::zstd_safe::DCtx;

use super::by_hand::builder::compress;
use super::by_hand::pack::{Fields, Result, hash, require};
use super::dribble::Dribble;
use super::input::Input;

/// Longest chunk of an instruction, and longest prefix of one.
const CHUNK_MAX: u64 = 256 << 10;
const PREFIX_MAX: u64 = 1 << 20;

/// Applies a delta that is made by hand, one that lob makes, both with some bytes changed, and the
/// bytes as they are.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let pieces = input.some(4);
    let old = content(&mut input);
    let disk = SimDisk::new();
    let file = disk.create(Path::new("/old")).expect("no errors");
    file.append(&old).expect("no errors");
    let base = Base::open(&disk, Path::new("/old")).expect("it is there");
    let by_hand = by_hand(&mut input, &old);
    check(&base, &old, &by_hand, pieces);

    let new = edited(&mut input, &old);
    let mut made = Vec::new();
    let told = make(&base, &mut &*new, new.len() as u64, &mut made, &()).expect("nothing fails");
    assert_eq!((told.id, told.stored), (LobId::of(&new), made.len() as u64));
    assert_eq!(page(&old, &made).as_deref(), Ok(new.as_slice()));
    check(&base, &old, &made, pieces);

    let signature = Signature::of(&mut &*old, old.len() as u64, &()).expect("nothing fails");
    let mut signed = signature.to_bytes();
    assert_eq!(Signature::read(&mut &*signed).ok(), Some(signature));
    let rolled = from_signature(&signed, &new).expect("it was made by lob");
    assert_eq!(page(&old, &rolled).as_deref(), Ok(new.as_slice()));
    check(&base, &old, &rolled, pieces);

    for mut delta in [by_hand, made, rolled] {
        change(&mut input, &mut delta);
        check(&base, &old, &delta, pieces);
    }
    check(&base, &old, data, pieces);

    // A signature that lies, with the check that fits: what is made with it is a delta all the same.
    signed.truncate(signed.len() - 32);
    change(&mut input, &mut signed);
    signed.extend(hash(&signed));
    if let Some(delta) = from_signature(&signed, &new) {
        check(&base, &old, &delta, pieces);
    }
    let _ = from_signature(data, &new);
}

/// Changes a few bytes.
fn change(input: &mut Input<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..1 + input.below(4) {
        let at = input.below(bytes.len().clamp(1, 65_536));
        match input.byte() % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), input.byte()),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] ^= input.byte().max(1),
            _ => bytes.push(input.byte()),
        }
    }
}

/// The delta that a signature gives; `None` if that is none.
fn from_signature(signature: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let signature = match Signature::read(&mut &*signature) {
        Ok(signature) => signature,
        Err(Error::Damaged { .. } | Error::Later { .. }) => return None,
        Err(error) => panic!("nothing failed but the signature: {error}"),
    };
    let mut delta = Vec::new();
    let size = new.len() as u64;
    let made = make_from(&signature, &mut &*new, size, true, &mut delta, &());
    assert_eq!(made.expect("nothing fails").id, LobId::of(new));
    Some(delta)
}

/// Takes what is made, and refuses what is more than was announced.
struct Sink {
    made: Vec<u8>,
    room: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.made.extend_from_slice(bytes);
        assert!(self.made.len() as u64 <= self.room, "more than announced");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn apply(base: &Base, delta: &[u8], pieces: &[u8]) -> lob_store::Result<(LobId, Vec<u8>)> {
    let patch = Patch::open(BufReader::with_capacity(7, Dribble::new(delta, pieces)))?;
    let mut sink = Sink {
        made: Vec::new(),
        room: patch.header().size,
    };
    let id = patch.apply(base, &mut sink, &())?;
    Ok((id, sink.made))
}

fn check(base: &Base, old: &[u8], delta: &[u8], pieces: &[u8]) {
    match (apply(base, delta, pieces), page(old, delta)) {
        (Ok((id, made)), Ok(expected)) => {
            assert!(made == expected, "another content than that of the page");
            assert_eq!(id, LobId::of(&made));
        }
        (Ok(_), Err(why)) => panic!("the page does not allow it: {why}"),
        (Err(error), Ok(_)) => panic!("the page allows it: {error}"),
        (Err(Error::Damaged { .. } | Error::Later { .. }), Err(_)) => {}
        (Err(error), Err(_)) => panic!("nothing failed but the delta: {error}"),
    }
}

/// What a delta makes of `old`, as docs/deltas.md says.
fn page(old: &[u8], delta: &[u8]) -> Result<Vec<u8>> {
    let mut f = Fields(delta);
    f.expect(b"LOBDELTA\x01\0\0\0\0\0\0\0")?;
    require(f.number(8)? == old.len() as u64, "the length of the base")?;
    let size = f.number(8)?;
    require(size <= 16 << 40, "a length over 16 TiB")?;
    // The hash of the base tells why a delta does not fit. What is made answers for itself.
    f.id()?;
    let part = |at: u64, len: u64| {
        let end = at.checked_add(len).ok_or("beyond all files")?;
        require(len > 0 && end <= old.len() as u64, "no part of the base")?;
        Ok::<_, String>(&old[at as usize..end as usize])
    };
    let mut made: Vec<u8> = Vec::new();
    loop {
        match f.number(1)? {
            0 => break,
            1 => made.extend(part(f.number(8)?, f.number(8)?)?),
            2 => {
                let len = length(f.number(4)?, CHUNK_MAX)?;
                made.extend(f.take(len)?);
            }
            kind @ 3..=4 => {
                let raw = length(f.number(4)?, CHUNK_MAX)?;
                let stored = length(f.number(4)?, CHUNK_MAX)?;
                let prefix = match kind {
                    3 => &[],
                    _ => {
                        let at = f.number(8)?;
                        part(at, length(f.number(4)?, PREFIX_MAX)? as u64)?
                    }
                };
                made.extend(unpack(f.take(stored)?, prefix, raw)?);
            }
            5 => patchwork(&mut f, old, size, &mut made)?,
            kind => return Err(format!("kind {kind}")),
        }
        require(made.len() as u64 <= size, "more than announced")?;
    }
    let id = f.id()?;
    require(f.0.is_empty(), "bytes behind the end")?;
    require(made.len() as u64 == size, "less than announced")?;
    require(hash(&made) == id, "the hash of what was made")?;
    Ok(made)
}

/// Makes what an instruction of kind 5 says, whose numbers come next.
fn patchwork(f: &mut Fields<'_>, old: &[u8], size: u64, made: &mut Vec<u8>) -> Result<()> {
    let count = length(f.number(4)?, PREFIX_MAX)?;
    let raw = length(f.number(4)?, PREFIX_MAX)?;
    let stored = length(f.number(4)?, raw as u64)?;
    let bytes = match f.take(stored)? {
        bytes if stored == raw => bytes.to_vec(),
        bytes => unpack(bytes, &[], raw)?,
    };
    require(20 * count <= raw, "more pieces than there are")?;
    let (pieces, new) = bytes.split_at(20 * count);
    let (mut pieces, mut new, mut end) = (Fields(pieces), Fields(new), 0u64);
    for _ in 0..count {
        let (added, distance, len) = (pieces.number(4)?, pieces.number(8)?, pieces.number(8)?);
        require(added > 0 || len > 0, "a piece of nothing")?;
        made.extend(new.take(added as usize)?);
        let at = end.wrapping_add(distance);
        end = at.checked_add(len).ok_or("beyond all files")?;
        require(end <= old.len() as u64, "no part of the base")?;
        require(made.len() as u64 + len <= size, "more than announced")?;
        made.extend(&old[at as usize..end as usize]);
    }
    require(new.0.is_empty(), "bytes that no piece takes")
}

fn length(len: u64, most: u64) -> Result<usize> {
    require((1..=most).contains(&len), "a length")?;
    Ok(len as usize)
}

/// The content of one zstd frame (RFC 8878, section 3.1.1), which is all of `stored`.
fn unpack(stored: &[u8], prefix: &[u8], raw: usize) -> Result<Vec<u8>> {
    let mut f = Fields(stored);
    f.expect(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let descriptor = f.number(1)?;
    let is_single = descriptor & 0x20 != 0;
    if !is_single {
        let window = f.number(1)?;
        let base = 1u64 << (10 + (window >> 3));
        require(base + base / 8 * (window & 7) <= 8 << 20, "a window")?;
    }
    f.take([0, 1, 2, 4][descriptor as usize & 3])?;
    let size = match (descriptor >> 6, is_single) {
        (0, false) => return Err("no size".into()),
        (0, true) => f.number(1)?,
        (1, _) => f.number(2)? + 256,
        (2, _) => f.number(4)?,
        _ => f.number(8)?,
    };
    require(size == raw as u64, "another size")?;
    loop {
        let head = f.number(3)?;
        // A block of one byte that is repeated takes that byte.
        f.take(match head >> 1 & 3 {
            1 => 1,
            _ => (head >> 3) as usize,
        })?;
        if head & 1 == 1 {
            break;
        }
    }
    f.take(if descriptor & 4 != 0 { 4 } else { 0 })?;
    require(f.0.is_empty(), "bytes behind the frame")?;
    let mut context = DCtx::create();
    context.ref_prefix(prefix).map_err(|_| "a prefix")?;
    let mut out = Vec::with_capacity(raw);
    context.decompress(&mut out, stored).map_err(|_| "zstd")?;
    require(out.len() == raw, "another length")?;
    Ok(out)
}

/// Content of few bytes of input, seldom longer than a chunk.
fn content(input: &mut Input<'_>) -> Vec<u8> {
    let seed = [input.some(48), b"seed"].concat();
    match input.byte() {
        0xfe.. => {
            let mut noise = vec![0; 200_000 + input.below(65_536)];
            blake3::Hasher::new()
                .update(&seed)
                .finalize_xof()
                .fill(&mut noise);
            noise
        }
        0 => Vec::new(),
        many => seed.repeat(1 + usize::from(many % 64)),
    }
}

/// `old` with some of it replaced, removed and moved.
fn edited(input: &mut Input<'_>, old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..input.below(5) {
        let at = input.below(65_536).min(new.len());
        let end = new.len().min(at + input.below(65_536));
        match input.byte() % 4 {
            0 => drop(new.drain(at..end)),
            1 => new.rotate_left(at),
            2 => drop(new.splice(at..at, content(input))),
            _ => drop(new.splice(at..end, input.some(32).iter().copied())),
        }
        new.truncate(1 << 20);
    }
    new
}

/// A delta of instructions that the input names: mostly such as fit.
fn by_hand(input: &mut Input<'_>, old: &[u8]) -> Vec<u8> {
    let mut made = Vec::new();
    let mut body = Vec::new();
    for _ in 0..input.below(10) {
        let at = input.below(65_536) % old.len().max(1);
        let len = (1 + input.below(65_536) % 4096).min(old.len() - at);
        let part = &old[at..at + len];
        match input.byte() {
            0xd8.. => made.extend(pieces_by_hand(input, old, &mut body)),
            kind => match kind % 8 {
                0..=2 if len > 0 => {
                    instruction(1, &[(at, 8), (len, 8)], &[], &mut body);
                    made.extend(part);
                }
                3 => {
                    let raw = [input.some(40), b"r"].concat();
                    instruction(2, &[(raw.len(), 4)], &raw, &mut body);
                    made.extend(raw);
                }
                4 => {
                    // Sometimes one byte longer than a chunk may be.
                    let long = CHUNK_MAX as usize - 1 + input.below(3);
                    let raw = input.some(20).repeat(1 + input.below(64));
                    let raw = if raw.is_empty() { vec![7; long] } else { raw };
                    let stored = compress(&raw, &[]);
                    let lengths = [(raw.len(), 4), (stored.len(), 4)];
                    instruction(3, &lengths, &stored, &mut body);
                    made.extend(raw);
                }
                5 | 6 if len > 0 => {
                    let raw = [part, input.some(20), part].concat();
                    let stored = compress(&raw, part);
                    let lengths = [(raw.len(), 4), (stored.len(), 4), (at, 8), (len, 4)];
                    instruction(4, &lengths, &stored, &mut body);
                    made.extend(raw);
                }
                _ => {
                    // Anything.
                    let kind = input.byte() % 7;
                    let numbers = [input.number() as usize, input.number() as usize];
                    let lengths = [(numbers[0], 4), (numbers[1], 4)];
                    instruction(kind, &lengths, input.some(30), &mut body);
                }
            },
        }
    }
    let size = match input.byte() {
        0xf0.. => input.number(),
        _ => made.len() as u64,
    };
    let mut delta = b"LOBDELTA\x01\0\0\0\0\0\0\0".to_vec();
    delta.extend((old.len() as u64).to_le_bytes());
    delta.extend(size.to_le_bytes());
    delta.extend(hash(old));
    delta.extend(body);
    delta.push(0);
    delta.extend(hash(&made));
    delta
}

/// A patchwork of pieces that the input names, and what it makes.
fn pieces_by_hand(input: &mut Input<'_>, old: &[u8], body: &mut Vec<u8>) -> Vec<u8> {
    let (mut made, mut list, mut new, mut end) = (Vec::new(), Vec::new(), Vec::new(), 0u64);
    let count = 1 + input.below(4);
    for _ in 0..count {
        let added = input.some(20);
        let at = input.below(65_536) % old.len().max(1);
        let len = (input.below(65_536) % 4096).min(old.len() - at);
        list.extend((added.len() as u32).to_le_bytes());
        list.extend((at as u64).wrapping_sub(end).to_le_bytes());
        list.extend((len as u64).to_le_bytes());
        end = (at + len) as u64;
        made.extend(added);
        made.extend(&old[at..at + len]);
        new.extend(added);
    }
    let raw = [list, new].concat();
    let packed = compress(&raw, &[]);
    let stored = if packed.len() < raw.len() {
        &packed
    } else {
        &raw
    };
    let numbers = [(count, 4), (raw.len(), 4), (stored.len(), 4)];
    instruction(5, &numbers, stored, body);
    made
}

/// Its kind, its numbers, each in so many bytes, and what follows.
fn instruction(kind: u8, numbers: &[(usize, usize)], bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    for (number, width) in numbers {
        out.extend(&(*number as u64).to_le_bytes()[..*width]);
    }
    out.extend(bytes);
}
