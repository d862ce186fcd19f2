//! What blobs are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lob::git::{Blob, Oid, Pointer, Seen};
use lob_store::LobId;

use super::super::by_hand::pack::{Fields, Result, closed, require};
use super::super::input::Input;
use super::flip;

type Known = BTreeMap<Oid, Blob>;

fn oid(input: &mut Input<'_>, len: usize) -> Oid {
    Oid::from_bytes(&vec![input.byte() % 24; len]).expect("a length that ids have")
}

/// What a blob is follows from its id.
fn blob(oid: &Oid) -> Blob {
    let n = oid.as_bytes()[0];
    let size = u64::from(n) << (n % 60);
    let lfs = |extended| Pointer::Lfs {
        sha256: [n; 32],
        size,
        extended,
    };
    match n % 6 {
        0 => Blob::Pointer(Pointer::Lob {
            id: LobId::from_bytes([n; 32]),
            size,
        }),
        1 => Blob::Pointer(Pointer::GitLob { sha1: [n; 20] }),
        2 => Blob::Pointer(lfs(false)),
        3 => Blob::Pointer(lfs(true)),
        _ => Blob::Content,
    }
}

/// All that a file says, as its page has it. Where both lists have an id it is a pointer.
fn page(file: &[u8], oid_len: usize) -> Result<Known> {
    let mut f = Fields(closed(file)?);
    f.expect(b"lob-seen\x01\0\0\0")?;
    require(f.number(4)? == oid_len as u64, "other ids")?;
    let counts = [f.number(8)?, f.number(8)?];
    let mut known = Known::new();
    for (count, value) in counts.into_iter().zip([0, 41]) {
        let bytes = (count as usize).checked_mul(oid_len + value);
        let records = f.take(bytes.ok_or("too many")?)?;
        let mut before: Option<&[u8]> = None;
        for record in records.chunks(oid_len + value) {
            let (oid, value) = record.split_at(oid_len);
            require(before.is_none_or(|before| before < oid), "out of order")?;
            before = Some(oid);
            let oid = Oid::from_bytes(oid).ok_or("no id")?;
            match value.is_empty() {
                true => drop(known.insert(oid, Blob::Content)),
                false => match pointer(value)? {
                    Some(pointer) => drop(known.insert(oid, Blob::Pointer(pointer))),
                    None => drop(known.remove(&oid)),
                },
            }
        }
    }
    require(f.0.is_empty(), "bytes behind the records")?;
    Ok(known)
}

/// `None` for a kind that is not known.
fn pointer(value: &[u8]) -> Result<Option<Pointer>> {
    let mut f = Fields(value);
    let (kind, id, size) = (f.number(1)?, f.id()?, f.number(8)?);
    Ok(match kind {
        1 => Some(Pointer::Lob {
            id: LobId::from_bytes(id),
            size,
        }),
        2 => Some(Pointer::GitLob {
            sha1: *id.first_chunk().ok_or("32 bytes begin with 20")?,
        }),
        3 | 4 => Some(Pointer::Lfs {
            sha256: id,
            size,
            extended: kind == 4,
        }),
        _ => None,
    })
}

/// A process and what it knows.
struct Process {
    seen: Seen,
    known: Known,
    learnt: bool,
}

impl Process {
    fn start(state: &Path, oid_len: usize) -> Process {
        let file = fs::read(state.join("seen")).unwrap_or_default();
        Process {
            seen: Seen::open_in(state, oid_len),
            known: page(&file, oid_len).unwrap_or_default(),
            learnt: false,
        }
    }

    fn check(&mut self, oid_len: usize) {
        for n in 0..=255 {
            let oid = Oid::from_bytes(&vec![n; oid_len]).expect("a length that ids have");
            assert_eq!(self.seen.get(&oid), self.known.get(&oid).copied(), "{oid}");
        }
        let others: Vec<_> = self.known.iter().take(40).collect();
        for (oid, blob) in others {
            assert_eq!(self.seen.get(oid), Some(*blob));
        }
    }
}

pub fn run(input: &mut Input<'_>, dir: &Path) {
    let oid_len = input.pick(&[20, 32]);
    let state = dir.join("state");
    fs::create_dir(&state).expect("it is empty");
    let path = state.join("seen");
    let mut processes = [(); 2].map(|()| Process::start(&state, oid_len));
    for _ in 0..input.below(32) {
        let process = &mut processes[usize::from(input.bool())];
        match input.byte() % 8 {
            0..=3 => {
                let oid = oid(input, oid_len);
                process.seen.learn(oid, blob(&oid));
                process.known.insert(oid, blob(&oid));
                process.learnt = true;
            }
            4 | 5 => {
                let before = fs::read(&path).unwrap_or_default();
                process.seen.save().expect("nothing fails");
                let after = fs::read(&path).unwrap_or_default();
                if process.learnt {
                    let mut all = page(&before, oid_len).unwrap_or_default();
                    all.append(&mut process.known);
                    assert_eq!(page(&after, oid_len).as_ref(), Ok(&all));
                    process.known = all;
                } else {
                    assert_eq!(before, after);
                }
                process.learnt = false;
            }
            6 => *process = Process::start(&state, oid_len),
            _ => {
                // The last act: what changed may say of an id what it never was.
                let mut bytes = fs::read(&path).unwrap_or_default();
                let sealed = bytes.len() >= 32 && !input.byte().is_multiple_of(4);
                bytes.truncate(bytes.len() - if sealed { 32 } else { 0 });
                flip(&mut bytes, input);
                if sealed {
                    bytes.extend(blake3::hash(&bytes).as_bytes());
                }
                fs::write(&path, bytes).expect("nothing fails");
                return Process::start(&state, oid_len).check(oid_len);
            }
        }
        process.check(oid_len);
    }
}
