//! Answers of git's: records, lengths and contents of objects, and walks are read as git's pages say,
//! in whatever pieces they come; an answer that is cut off or about something else is an error.

use std::collections::HashMap;
use std::io::{BufReader, Cursor};

use lob::git::records::Records;
use lob::git::scan::answers::{contents, object, sizes};
use lob::git::{Blob, Oid, Pointer};
use lob_store::LobId;

use super::input::Input;

/// Reads the bytes as records, then what is made of them as answers, as they are and changed.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let piece = 1 + usize::from(input.byte());
    records(&mut input.clone(), piece);
    let objects: Vec<_> = (0..input.below(8))
        .map(|n| Object::of(&mut input, n as u8))
        .collect();
    let oids: Vec<_> = objects.iter().map(|object| object.oid).collect();

    let told = objects.iter().map(|object| object.line());
    let told = told.collect::<Vec<_>>().concat();
    let all = contents_told(&objects);
    let small = objects
        .iter()
        .filter(|object| object.is_small())
        .map(|object| object.oid);
    let (page, honest) = (page_sizes(&told, &oids), small.collect::<Vec<_>>());
    assert_eq!(page.map(|(_, small)| small), Some(honest));
    let found: HashMap<_, _> = objects.iter().filter_map(Object::is).collect();
    assert_eq!(page_contents(&all, &oids), Some(found));
    for _ in 0..3 {
        for answer in [&told, &all] {
            let changed = changed(&mut input, answer);
            for answer in [answer, &changed] {
                reads_sizes(answer, &oids, piece);
                reads_contents(answer, &oids, piece);
            }
        }
    }
    walk(&objects, &mut input);
}

fn told(answer: &[u8], end: u8, piece: usize) -> Records {
    Records::of(
        BufReader::with_capacity(piece, Cursor::new(answer.to_vec())),
        end,
    )
}

/// Records, contents and what is passed over, in any order.
fn records(input: &mut Input<'_>, piece: usize) {
    let end = input.pick(&[b'\n', 0]);
    let asked: Vec<_> = (0..input.below(20))
        .map(|_| (input.byte() % 3, input.byte()))
        .collect();
    let stream = input.rest();
    let mut records = told(stream, end, piece);
    let mut rest = stream;
    for (kind, len) in asked {
        let len = usize::from(len);
        let expected = match kind {
            0 => {
                let at = rest.iter().position(|byte| *byte == end);
                if rest.is_empty() {
                    assert_eq!(records.read().expect("the end is no error"), None);
                    return;
                }
                at
            }
            _ => (rest.get(len) == Some(&end)).then_some(len),
        };
        let (part, behind) = match expected {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => {
                let failed = match kind {
                    0 => records.read().is_err(),
                    1 => records.content(len).is_err(),
                    _ => records.skip(len as u64).is_err(),
                };
                assert!(failed, "what is not there was read");
                return;
            }
        };
        match kind {
            0 => assert_eq!(records.read().expect("it is there"), Some(part)),
            1 => assert_eq!(records.content(len).expect("it is there"), part),
            _ => records.skip(len as u64).expect("it is there"),
        }
        rest = behind;
    }
}

/// An object of a repository.
struct Object {
    oid: Oid,
    kind: &'static str,
    content: Vec<u8>,
}

impl Object {
    fn of(input: &mut Input<'_>, n: u8) -> Object {
        let mut bytes = vec![n; input.pick(&[20, 20, 32])];
        bytes[0] = input.byte();
        let kinds = ["blob", "blob", "blob", "tree", "commit", "tag", "missing"];
        let pointer = Pointer::Lob {
            id: LobId::from_bytes([n; 32]),
            size: input.byte().into(),
        };
        let content = match input.byte() % 6 {
            0 | 1 => pointer.to_string().into_bytes(),
            2 => b"git-lob: 0123456789012345678901234567890123456789".to_vec(),
            3 => [input.some(9), b"\n"].concat().repeat(1 + input.below(200)),
            4 => vec![b'x'; Pointer::MAX_LEN - 1 + input.below(3)],
            _ => input.some(30).to_vec(),
        };
        Object {
            oid: Oid::from_bytes(&bytes).expect("a length that ids have"),
            kind: input.pick(&kinds),
            content,
        }
    }

    fn line(&self) -> Vec<u8> {
        match self.kind {
            "missing" => format!("{} missing\n", self.oid).into_bytes(),
            kind => format!("{} {kind} {}\n", self.oid, self.content.len()).into_bytes(),
        }
    }

    fn is_small(&self) -> bool {
        self.kind == "blob" && self.content.len() <= Pointer::MAX_LEN
    }

    /// What the program must say of it.
    fn is(&self) -> Option<(Oid, Blob)> {
        let pointer = Pointer::parse(&self.content).filter(|_| self.kind == "blob");
        let blob = pointer.map_or(Blob::Content, Blob::Pointer);
        (self.kind != "missing").then_some((self.oid, blob))
    }
}

fn contents_told(objects: &[Object]) -> Vec<u8> {
    let each = objects.iter().map(|object| match object.kind {
        "missing" => object.line(),
        _ => [object.line(), object.content.clone(), b"\n".to_vec()].concat(),
    });
    each.collect::<Vec<_>>().concat()
}

fn changed(input: &mut Input<'_>, answer: &[u8]) -> Vec<u8> {
    let mut bytes = answer.to_vec();
    for _ in 0..1 + input.below(3) {
        let at = input.below(bytes.len().clamp(1, 65_536)).min(bytes.len());
        match input.byte() % 6 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, input.pick(b" \n\0+-09")),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.extend(input.some(20)),
            4 if at < bytes.len() => bytes[at] = input.byte(),
            _ if at < bytes.len() => bytes[at] ^= 1 << (input.byte() % 8),
            _ => {}
        }
    }
    bytes
}

fn reads_sizes(answer: &[u8], oids: &[Oid], piece: usize) {
    let mut found = HashMap::new();
    let small = sizes(told(answer, b'\n', piece), oids, &mut found).ok();
    let expected = page_sizes(answer, oids);
    assert_eq!(small.map(|small| (found, small)), expected);
}

fn reads_contents(answer: &[u8], oids: &[Oid], piece: usize) {
    let mut found = HashMap::new();
    let read = contents(told(answer, b'\n', piece), oids, &mut found).ok();
    assert_eq!(read.map(|()| found), page_contents(answer, oids));
}

/// The kind of an object, and its length.
type Kind<'a> = (&'a str, usize);

/// The line about an object, as gitcli's page of cat-file has it: its kind and length, `None` for one
/// that is missing; and what follows the line.
fn page_line<'a>(answer: &'a [u8], oid: &Oid) -> Option<(Option<Kind<'a>>, &'a [u8])> {
    let at = answer.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = (std::str::from_utf8(&answer[..at]).ok()?, &answer[at + 1..]);
    let words: Vec<_> = line.split(' ').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    match *words.as_slice() {
        [id, "missing"] if id == oid.to_string() => Some((None, rest)),
        [id, kind @ ("blob" | "tree" | "commit" | "tag"), len]
            if id == oid.to_string() && is_number(len) =>
        {
            Some((Some((kind, len.parse().ok()?)), rest))
        }
        _ => None,
    }
}

fn page_sizes(answer: &[u8], oids: &[Oid]) -> Option<(HashMap<Oid, Blob>, Vec<Oid>)> {
    let (mut found, mut small, mut rest) = (HashMap::new(), Vec::new(), answer);
    for oid in oids {
        let (said, behind) = page_line(rest, oid)?;
        match said {
            Some(("blob", len)) if len <= Pointer::MAX_LEN => small.push(*oid),
            Some(_) => drop(found.insert(*oid, Blob::Content)),
            None => {}
        }
        rest = behind;
    }
    rest.is_empty().then_some((found, small))
}

fn page_contents(answer: &[u8], oids: &[Oid]) -> Option<HashMap<Oid, Blob>> {
    let (mut found, mut rest) = (HashMap::new(), answer);
    for oid in oids {
        let (said, behind) = page_line(rest, oid)?;
        rest = behind;
        if let Some((kind, len)) = said {
            let (content, behind) = rest.split_at_checked(len)?;
            rest = behind.strip_prefix(b"\n")?;
            let pointer = Pointer::parse(content).filter(|_| kind == "blob");
            found.insert(*oid, pointer.map_or(Blob::Content, Blob::Pointer));
        }
    }
    rest.is_empty().then_some(found)
}

/// Lines of a walk: an object, and for some a path, whatever it is.
fn walk(objects: &[Object], input: &mut Input<'_>) {
    for known in objects {
        let path = input.some(12);
        let hex = known.oid.to_string().into_bytes();
        assert_eq!(object(&hex), Some((known.oid, None)));
        let line = [&hex, b" ".as_slice(), path].concat();
        assert_eq!(object(&line), Some((known.oid, Some(path))));
        // A long id begins with what is a short one.
        let cut = input.below(40);
        assert_eq!(object(&line[..cut]), None);
        assert_eq!(object(&[b"^", line.as_slice()].concat()), None);
    }
}
