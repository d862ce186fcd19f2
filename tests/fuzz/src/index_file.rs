//! Git's index: what git would write is read in full, and a patched index is the same one but for the
//! stat data that was asked for.

use std::collections::HashMap;

use lob::git::Oid;
use lob::git::index_file::{Entry, Extensions, Fresh, Stamp, StatData, patch, walk};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::input::Input;

/// Reads an index that is made of the bytes, then the same with some bytes changed.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let oid_len = input.pick(&[20, 32]);
    let made = Made::of(&mut input, oid_len);
    let mut bytes = made.bytes.clone();
    seal(&mut bytes, oid_len, made.unsealed);
    let entries = made
        .entries
        .iter()
        .map(|entry| entry.read())
        .collect::<Vec<_>>();
    assert_eq!(read(&bytes, oid_len), Some((entries, made.extensions)));
    patched(&bytes, oid_len, &mut input);

    let mut changed = made.bytes;
    for _ in 0..input.below(6) {
        let at = input.below(changed.len());
        match input.byte() % 4 {
            0 => changed[at] = input.byte(),
            1 => changed[at] ^= 1 << (input.byte() % 8),
            2 => changed.truncate(at.max(1)),
            _ => changed.insert(at, input.byte()),
        }
    }
    seal(&mut changed, oid_len, made.unsealed);
    if read(&changed, oid_len).is_some() {
        patched(&changed, oid_len, &mut input);
    }
    let _ = read(data, oid_len);
}

/// What a visit told of an entry.
type Read = (Vec<u8>, u32, Oid, u8, [bool; 3], StatData);

fn told(entry: &Entry<'_>) -> Read {
    let flags = [entry.assume_valid, entry.skip_worktree, entry.intent_to_add];
    let path = entry.path.to_vec();
    (path, entry.mode, entry.oid, entry.stage, flags, entry.stat)
}

fn read(bytes: &[u8], oid_len: usize) -> Option<(Vec<Read>, Extensions)> {
    let mut entries = Vec::new();
    let extensions = walk(bytes, oid_len, &mut |entry| entries.push(told(entry)));
    // An entry takes more than its fixed part: nobody is led to hold more than the file.
    assert!(entries.len() * 40 <= bytes.len());
    extensions.ok().map(|extensions| (entries, extensions))
}

/// Patches a readable index, and compares it with the one before.
fn patched(bytes: &[u8], oid_len: usize, input: &mut Input<'_>) {
    let (before, extensions) = read(bytes, oid_len).expect("it was read");
    let seconds = input.number() as u32;
    let stat = StatData {
        mtime: Stamp { seconds, nanos: 5 },
        size: input.byte().into(),
        ..StatData::default()
    };
    let wanted: Vec<_> = before.iter().filter(|_| input.bool()).collect();
    let fresh: Vec<_> = wanted
        .iter()
        .map(|(path, _, oid, ..)| Fresh {
            path: path.clone(),
            oid: *oid,
            stat,
        })
        .collect();
    let by_path: HashMap<_, _> = fresh.iter().map(|one| (one.path.as_slice(), one)).collect();
    let doubtful = input.byte();
    let is_doubtful = |path: &[u8]| path.len() % 8 == usize::from(doubtful % 8);
    let result = patch(bytes.to_vec(), oid_len, &by_path, |entry| {
        is_doubtful(entry.path)
    });
    if extensions.split {
        assert!(result.is_err(), "a split index is git's");
        return;
    }
    let result = result.expect("it was read");
    let (after, same) = read(&result.bytes, oid_len).expect("it is still an index");
    assert_eq!((extensions, bytes.len()), (same, result.bytes.len()));
    let mut recorded = 0;
    let mut expected = before;
    for (path, _, oid, stage, flags, stat) in &mut expected {
        let fresh = by_path.get(path.as_slice());
        match fresh.filter(|fresh| fresh.oid == *oid && *stage == 0 && !flags[2]) {
            Some(fresh) => {
                recorded += 1;
                *stat = fresh.stat;
            }
            None if is_doubtful(path) => stat.size = 0,
            None => {}
        }
    }
    assert_eq!((after, result.recorded), (expected, recorded));
    only_stat_data_differs(bytes, &result.bytes, oid_len);
}

/// Whoever does not know where entries begin sees it too: the old numbers put back give the old file.
fn only_stat_data_differs(old: &[u8], new: &[u8], oid_len: usize) {
    let mut places = Vec::new();
    let walked = walk(old, oid_len, &mut |entry| places.push(entry.offset));
    walked.expect("it was read");
    let mut back = new.to_vec();
    for at in places {
        // All but the mode, which is bytes 24 to 27.
        for range in [at..at + 24, at + 28..at + 40] {
            back[range.clone()].copy_from_slice(&old[range]);
        }
    }
    let body = old.len() - oid_len;
    assert_eq!(back[..body], old[..body]);
}

/// Puts the checksum at the end, or zeros in place of it.
fn seal(bytes: &mut Vec<u8>, oid_len: usize, unsealed: bool) {
    let sum = match (unsealed, oid_len) {
        (true, _) => vec![0; oid_len],
        (_, 20) => Sha1::digest(&bytes).to_vec(),
        _ => Sha256::digest(&bytes).to_vec(),
    };
    bytes.extend(sum);
}

/// An entry as it is written.
#[derive(Debug)]
struct Written {
    path: Vec<u8>,
    numbers: [u32; 10],
    oid: Vec<u8>,
    stage: u8,
    assume_valid: bool,
    skip_worktree: bool,
    intent_to_add: bool,
}

impl Written {
    fn read(&self) -> Read {
        let [cs, cn, ms, mn, dev, ino, mode, uid, gid, size] = self.numbers;
        let time = |seconds, nanos| Stamp { seconds, nanos };
        let stat = StatData {
            ctime: time(cs, cn),
            mtime: time(ms, mn),
            dev,
            ino,
            uid,
            gid,
            size,
        };
        let oid = Oid::from_bytes(&self.oid).expect("a length that ids have");
        let flags = [self.assume_valid, self.skip_worktree, self.intent_to_add];
        (self.path.clone(), mode, oid, self.stage, flags, stat)
    }
}

/// An index without its checksum.
#[derive(Debug)]
struct Made {
    bytes: Vec<u8>,
    entries: Vec<Written>,
    extensions: Extensions,
    unsealed: bool,
}

impl Made {
    fn of(input: &mut Input<'_>, oid_len: usize) -> Made {
        let version = input.pick(&[2, 3, 4]);
        let mut made = Made {
            bytes: Vec::new(),
            entries: Vec::new(),
            extensions: Extensions::default(),
            unsealed: input.byte().is_multiple_of(8),
        };
        let count = input.below(12);
        made.bytes.extend(b"DIRC");
        made.bytes.extend((version as u32).to_be_bytes());
        made.bytes.extend((count as u32).to_be_bytes());
        let mut before = Vec::new();
        for _ in 0..count {
            let entry = written(input, oid_len, version);
            made.entry(&entry, version, &before);
            before.clone_from(&entry.path);
            made.entries.push(entry);
        }
        for _ in 0..input.below(4) {
            let (name, len) = (
                input.pick(&[b"TREE", b"link", b"sdir", b"XYZ!"]),
                input.byte(),
            );
            let body = input.take(len.into());
            made.bytes.extend(name);
            made.bytes.extend((body.len() as u32).to_be_bytes());
            made.bytes.extend(body);
            made.extensions.split |= name == b"link";
            made.extensions.sparse |= name == b"sdir";
        }
        made
    }

    fn entry(&mut self, entry: &Written, version: i32, before: &[u8]) {
        let at = self.bytes.len();
        for number in entry.numbers {
            self.bytes.extend(number.to_be_bytes());
        }
        self.bytes.extend(&entry.oid);
        let extended = entry.skip_worktree || entry.intent_to_add;
        let flags = u16::from(entry.assume_valid) << 15
            | u16::from(extended) << 14
            | u16::from(entry.stage) << 12
            | entry.path.len().min(0xfff) as u16;
        self.bytes.extend(flags.to_be_bytes());
        if extended {
            let more = u16::from(entry.skip_worktree) << 14 | u16::from(entry.intent_to_add) << 13;
            self.bytes.extend(more.to_be_bytes());
        }
        if version == 4 {
            let same = before
                .iter()
                .zip(&entry.path)
                .take_while(|(a, b)| a == b)
                .count();
            varint(before.len() - same, &mut self.bytes);
            self.bytes.extend(&entry.path[same..]);
            self.bytes.push(0);
        } else {
            self.bytes.extend(&entry.path);
            let len = self.bytes.len() - at;
            self.bytes.resize(at + len + 8 - len % 8, 0);
        }
    }
}

fn written(input: &mut Input<'_>, oid_len: usize, version: i32) -> Written {
    let path = input.some(30);
    let path: Vec<u8> = path.iter().map(|byte| (*byte).max(1)).collect();
    let repeat = if input.byte() == 0xff { 300 } else { 1 };
    let mut oid = input.take(8).to_vec();
    oid.resize(oid_len, 7);
    let flags = input.byte();
    let later = version >= 3;
    Written {
        path: path.repeat(repeat),
        numbers: std::array::from_fn(|_| input.below(65536) as u32 * 65537),
        oid,
        stage: flags & 3,
        assume_valid: flags & 4 != 0,
        skip_worktree: later && flags & 8 != 0,
        intent_to_add: later && flags & 16 != 0,
    }
}

/// Git's number of variable width.
fn varint(mut number: usize, out: &mut Vec<u8>) {
    let mut digits = vec![(number & 0x7f) as u8];
    while number >> 7 != 0 {
        number = (number >> 7) - 1;
        digits.push(0x80 | (number & 0x7f) as u8);
    }
    out.extend(digits.iter().rev());
}
