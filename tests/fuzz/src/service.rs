//! A service and a client of one, each with a peer that says anything: what comes back is a refusal or a
//! whole answer, who may not write does not, and a store never shows what is not so.

use std::collections::HashSet;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use lob::remote::{Access, Origin, Remote, Served};
use lob::serve::service::Service;
use lob::wire::message::VERSION;
use lob::wire::{
    Body, Caller, Exchange, ExchangeError, Field, FieldReader, FieldWriter, Rights, Standing,
};
use lob::wire::{Serve, Tag, Verb, Welcome, WireError};
use lob_store::disk::SimDisk;
use lob_store::{ChunkId, Epoch, Frame, LobId, Manifest, Parts, Store, StoreId};

use super::input::Input;
use super::place::listed;

const ROOT: &str = "/store";
/// Most requests of one input.
const REQUESTS: usize = 6;
/// Most fields in a message.
const FIELDS: usize = 6;

/// Contents of chunks that are there, that are not, and that make up lobs.
const CONTENTS: [&[u8]; 4] = [
    b"one",
    b"and two",
    b"never stored",
    b"three, three, three, three",
];

/// Says what the bytes say to a service, or answers so to a client.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let disk = SimDisk::new();
    let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT));
    let store = Arc::new(store.expect("an empty disk takes a store"));
    let mut writer = store.writer().expect("a writer");
    let whole = [CONTENTS[0], CONTENTS[1]].concat();
    for content in [CONTENTS[0], &whole] {
        writer.add(&mut &*content, &()).expect("nothing fails");
    }
    writer.finish().expect("nothing fails");
    let kept: Vec<LobId> = listed(&store).expect("a list").0.into_iter().collect();
    let service = Service::over(store.clone());
    for _ in 0..REQUESTS {
        if input.is_empty() {
            break;
        }
        match input.bool() {
            true => ask(&service, &store, &mut input),
            false => answer(&store, &mut input),
        }
    }
    let store = Store::open(Arc::new(disk), Path::new(ROOT)).expect("a store opens");
    let (all, unreadable) = listed(&store).expect("a list");
    assert!(unreadable.is_empty(), "a lob that nobody can read");
    assert!(kept.iter().all(|id| all.contains(id)), "a lob has left");
}

fn frame(content: &[u8]) -> Frame {
    let chunks = vec![(ChunkId::of(content), content.len() as u32)];
    Frame::plain(chunks, content)
}

fn manifest(parts: &[&[u8]]) -> Manifest {
    let whole = parts.concat();
    let of = |part: &&[u8]| (ChunkId::of(part), part.len() as u32);
    Manifest {
        id: LobId::of(&whole),
        size: whole.len() as u64,
        parts: Parts::Chunks(parts.iter().map(of).collect()),
    }
}

/// Bytes that could be in a field.
fn bytes(input: &mut Input<'_>) -> Vec<u8> {
    let content = input.pick(&CONTENTS);
    let mut bytes = match input.byte() % 6 {
        0 => ChunkId::of(content).as_bytes().to_vec(),
        1 => {
            let frame = frame(content);
            [frame.head(), frame.stored].concat()
        }
        2 => manifest(&[content, input.pick(&CONTENTS)]).encode(),
        3 => manifest(&[content]).encode(),
        4 => [
            ChunkId::of(content).as_bytes().as_slice(),
            LobId::of(content).as_bytes(),
        ]
        .concat(),
        _ => input.some(60).to_vec(),
    };
    if input.byte().is_multiple_of(8) && !bytes.is_empty() {
        let at = input.below(bytes.len());
        bytes[at] ^= 1 << (input.byte() % 8);
    }
    bytes
}

/// A message of any fields, some of which are where they can be, and with an end that holds where it is
/// to be whole, and mostly otherwise.
fn message(store: StoreId, begins: bool, whole: bool, input: &mut Input<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    let mut hasher = blake3::Hasher::new();
    let mut put = |number: u16, bytes: &[u8]| {
        let len = bytes.len() as u32;
        let head = [&number.to_le_bytes()[..], &len.to_le_bytes()].concat();
        hasher.update(&head).update(&hashed(number, bytes));
        message.extend_from_slice(&head);
        message.extend_from_slice(bytes);
    };
    if begins && !input.byte().is_multiple_of(8) {
        put(Tag::Store.number(), store.as_bytes());
    }
    for _ in 0..input.below(FIELDS) {
        let number = match input.byte() % 8 {
            0 => u16::from_le_bytes([input.byte(), input.byte()]),
            _ => input.pick(Tag::ALL).number(),
        };
        put(number, &bytes(input));
    }
    let hash = match input.byte() % 8 {
        0 if !whole => blake3::hash(b"another"),
        _ => hasher.finalize(),
    };
    message.extend_from_slice(&Tag::End.number().to_le_bytes());
    message.extend_from_slice(&32u32.to_le_bytes());
    message.extend_from_slice(hash.as_bytes());
    if input.byte().is_multiple_of(8) && !whole {
        message.truncate(input.below(message.len().min(65_536)));
    }
    message
}

/// What counts of a field in the hash of its message: of the stored bytes of a frame it is a sum.
fn hashed(number: u16, bytes: &[u8]) -> Vec<u8> {
    let head = bytes.first_chunk::<{ Frame::HEADER }>();
    let head = head.filter(|_| number == Tag::Frame.number());
    let len = head.and_then(|head| Frame::head_len(head).ok());
    match len.and_then(|len| bytes.split_at_checked(len)) {
        Some((head, stored)) => [head, &crc32fast::hash(stored).to_le_bytes()].concat(),
        None => bytes.to_vec(),
    }
}

fn ask(service: &Service, store: &Store, input: &mut Input<'_>) {
    let rights = input.pick(&[Rights::Read, Rights::Append, Rights::Write]);
    let caller = Caller {
        name: "anybody".into(),
        from: "anywhere".into(),
        rights,
        standing: Standing::default(),
    };
    let verb = input.pick(&Verb::ALL);
    let message = message(store.id(), verb != Verb::Hello, false, input);
    store.refresh().expect("nothing fails");
    let before = store.cursor().expect("nothing fails");
    let mut said = Vec::new();
    let answered = service.serve(&caller, verb, &mut message.as_slice(), &mut said);
    store.refresh().expect("nothing fails");
    if rights == Rights::Read {
        let after = store.cursor().expect("nothing fails");
        assert_eq!(before, after, "{verb:?} of a reader wrote");
    }
    match answered {
        Err(_) => assert!(said.is_empty(), "{verb:?} refused what it answered"),
        Ok(()) => {
            assert!(rights >= verb.needs());
            let mut said = said.as_slice();
            let mut from = FieldReader::new(&mut said);
            loop {
                match from.next_frame(Tag::ALL) {
                    Ok(Some(Field::Other(Tag::Refused | Tag::End, _))) | Ok(None) => break,
                    Ok(Some(_)) => {}
                    Err(WireError::Refused(_)) => break,
                    Err(error) => panic!("{verb:?}: {error}"),
                }
            }
        }
    }
}

/// A service that greets, and then says anything.
#[derive(Debug)]
struct Liar {
    store: StoreId,
    answer: Mutex<Vec<u8>>,
}

impl Exchange for Liar {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        if let Body::Stream(mut stream) = body {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
        let mut to = FieldWriter::new(Vec::new());
        let answer = match verb {
            Verb::Hello => {
                let welcome = Welcome {
                    version: VERSION,
                    store: self.store,
                    cursor: Default::default(),
                    epoch: Epoch::from_bytes([0; 32]),
                    free: None,
                    verbs: Vec::new(),
                    program: String::new(),
                    can: Vec::new(),
                };
                welcome.write(&mut to).expect("memory takes it");
                to.end().expect("memory takes it")
            }
            _ => self.answer.lock().expect("nobody panics").clone(),
        };
        Ok(Box::new(Cursor::new(answer)))
    }

    fn describe(&self) -> String {
        "liar".into()
    }
}

/// A client takes only what is of what it asked for.
fn answer(store: &Store, input: &mut Input<'_>) {
    let kind = input.byte() % 7;
    // A short answer that is cut is asked for again, after waits; here it would only be the same.
    let answer = message(store.id(), false, kind < 4, input);
    let liar = Liar {
        store: store.id(),
        answer: Mutex::new(answer),
    };
    let served = Served::connect(Arc::new(liar), Access::Read, None).expect("it greets");
    let lobs: Vec<LobId> = CONTENTS.iter().map(|content| LobId::of(content)).collect();
    let ids: Vec<ChunkId> = CONTENTS
        .iter()
        .map(|content| ChunkId::of(content))
        .collect();
    let count = lobs.len();
    match kind {
        0 => assert!(served.sizes(&lobs).map_or(true, |all| all.len() == count)),
        1 => assert!(
            served
                .has_chunks(&ids)
                .map_or(true, |all| all.len() == count)
        ),
        2 => assert!(served.kin(&ids).map_or(true, |all| all.len() == count)),
        3 => {
            let found = served.manifests(&lobs).unwrap_or_default();
            for (manifest, id) in found.iter().zip(&lobs) {
                assert!(manifest.as_ref().is_none_or(|manifest| manifest.id == *id));
            }
            assert!(found.len() <= count);
        }
        4 => {
            let mut next = ids.iter();
            let each = &mut |id: ChunkId, bytes: &[u8]| {
                assert_eq!(next.next(), Some(&id));
                assert_eq!(ChunkId::of(bytes), id);
                Ok(())
            };
            let _ = served.each_chunk(&ids, each);
        }
        5 => {
            let mut upload = Remote::receive(store, Origin::Foreign).expect("a writer");
            let each = &mut |frame: Frame| {
                assert!(
                    frame.bases.is_empty(),
                    "a frame that stands on what nobody named"
                );
                upload.add_frame(frame)
            };
            if served.each_frame(&ids, &HashSet::new(), each).is_ok() {
                let _ = upload.finish();
            }
        }
        _ => drop(served.each_lob(&mut |_| Ok(()))),
    }
}
