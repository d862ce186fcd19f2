//! Lobs that are announced come in the order of their content, in one request, and are verified while they
//! come; what comes otherwise is verified all the same.

use std::sync::Mutex;

use super::*;
use lob::wire::message::{Hello, Welcome};
use lob::wire::{Field, FieldReader, FieldWriter, RefusalKind, Tag};
use lob_store::{ChunkId, Frame, Manifest, Parts, Segment};

/// Keeps the bodies of uploads.
#[derive(Debug)]
struct Watching {
    inner: Direct,
    puts: Mutex<Vec<Vec<u8>>>,
}

impl Exchange for Watching {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let mut bytes = Vec::new();
        match body {
            Body::Bytes(whole) => bytes = whole,
            Body::Stream(mut stream) => {
                stream.read_to_end(&mut bytes).unwrap();
            }
        }
        if verb == Verb::Put {
            self.puts.lock().unwrap().push(bytes.clone());
        }
        self.inner.exchange(verb, Body::Bytes(bytes))
    }

    fn describe(&self) -> String {
        "test://watched".into()
    }
}

fn watching(dir: &Path) -> Arc<Watching> {
    let inner = Direct {
        service: Arc::new(Service::of_dir(dir.to_path_buf())),
        rights: Rights::Write,
    };
    Arc::new(Watching {
        inner,
        puts: Mutex::default(),
    })
}

/// The lists of a long lob, each with what it lists.
fn lists(store: &Store, manifest: &Manifest) -> Vec<(ChunkId, Vec<ChunkId>)> {
    let Parts::Segments(lists) = &manifest.parts else {
        panic!("{} chunks are no long lob", manifest.items());
    };
    let list = |list: &Segment| {
        let chunks = list.decode_list(&store.chunk(&list.id).unwrap()).unwrap();
        (list.id, chunks.into_iter().map(|(id, _)| id).collect())
    };
    lists.iter().map(list).collect()
}

#[test]
fn a_long_lob_is_announced_and_comes_in_order_in_one_request() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let local = opened(&dirs[0].path().join("local"));
    // More than what makes a second lane worth it.
    let bytes = noise(1, 80 << 20);
    let lob = add(&local, &bytes);
    let manifest = local.manifest(&lob).unwrap().unwrap();
    let watching = watching(&dirs[1].path().join("far"));
    let far = Served::connect(watching.clone(), Access::Write, None).unwrap();
    replicate(Asking::ToPush, &local, &far).unwrap();
    let puts = watching.puts.lock().unwrap();
    assert_eq!(puts.len(), 1, "requests");
    let mut body = puts[0].as_slice();
    let mut from = FieldReader::new(&mut body);
    let (tag, _) = from.next(&[Tag::Store]).unwrap().unwrap();
    assert_eq!(tag, Tag::Store);
    let (_, announced) = from.next(&[Tag::Expect]).unwrap().unwrap();
    assert_eq!(Manifest::decode(&announced).unwrap(), manifest);
    let mut came = Vec::new();
    while let Some(field) = from.next_frame(&[Tag::Manifest]).unwrap() {
        match field {
            Field::Frame(frame) => came.extend(frame.chunks.into_iter().map(|(id, _)| id)),
            Field::Other(_, named) => assert_eq!(Manifest::decode(&named).unwrap(), manifest),
        }
    }
    let lists = lists(&local, &manifest);
    for (list, chunks) in &lists {
        let at = |id| came.iter().position(|came| came == id);
        assert!(
            at(list).unwrap() < at(&chunks[0]).unwrap(),
            "a list is late"
        );
    }
    came.retain(|id| lists.iter().all(|(list, _)| list != id));
    let content = lists.into_iter().flat_map(|(_, chunks)| chunks);
    assert!(came.into_iter().eq(content), "another order");
    // And back.
    let back = opened(&dirs[1].path().join("back"));
    replicate(Asking::ToPull, &back, &far).unwrap();
    assert!(read(&back, &lob).unwrap() == bytes);
}

/// An upload that announces one manifest, sends these frames, and names another.
fn put(
    exchange: &dyn Exchange,
    announced: &Manifest,
    frames: &[Frame],
    named: &Manifest,
) -> Result<(), RefusalKind> {
    let hello = Hello {
        create: true,
        ..Hello::default()
    }
    .encode()
    .unwrap();
    let mut answer = exchange.exchange(Verb::Hello, Body::Bytes(hello)).unwrap();
    let store = Welcome::read(&mut answer).unwrap().store;
    let mut to = FieldWriter::new(Vec::new());
    to.field(Tag::Store, &[store.as_bytes()]).unwrap();
    to.field(Tag::Expect, &[&announced.encode()]).unwrap();
    for frame in frames {
        let give = |to: &mut Vec<u8>, stored: Vec<u8>| {
            to.extend_from_slice(&stored);
            Ok(())
        };
        to.frame(frame.clone(), give).unwrap();
    }
    to.field(Tag::Manifest, &[&named.encode()]).unwrap();
    let body = Body::Bytes(to.end().unwrap());
    match exchange.exchange(Verb::Put, body) {
        Ok(_) => Ok(()),
        Err(ExchangeError::Refused(refusal)) => Err(refusal.kind),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn who_announces_a_lie_gets_it_into_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let far = direct(&dir.path().join("far"), Rights::Write);
    let chunk = |n: u8| {
        let bytes = vec![n; 40_000];
        let chunks = vec![(ChunkId::of(&bytes), 40_000)];
        (Frame::plain(chunks, &bytes), bytes)
    };
    let (frames, bytes): (Vec<Frame>, Vec<Vec<u8>>) = (0..4).map(chunk).unzip();
    let lob = |order: &[usize], content: &[u8]| Manifest {
        id: LobId::of(content),
        size: 40_000 * order.len() as u64,
        parts: Parts::Chunks(order.iter().map(|n| frames[*n].chunks[0]).collect()),
    };
    let right = lob(&[0, 1, 2, 3], &bytes.concat());
    // All of its chunks are right, and what they make up is another lob.
    let lie = lob(&[0, 1, 2, 3], b"another");
    assert_eq!(put(&*far, &lie, &frames, &lie), Err(RefusalKind::Damaged));
    // What was announced holds, and what is named is another list.
    let turned = lob(&[1, 0, 2, 3], &bytes.concat());
    let far = direct(&dir.path().join("second"), Rights::Write);
    assert_eq!(
        put(&*far, &right, &frames, &turned),
        Err(RefusalKind::Damaged)
    );
    // Bytes that are not what their chunk is called.
    let mut changed = frames.clone();
    changed[3].chunks[0].0 = ChunkId::of(b"something else");
    let lying = Manifest {
        parts: Parts::Chunks(changed.iter().map(|frame| frame.chunks[0]).collect()),
        ..right.clone()
    };
    let far = direct(&dir.path().join("third"), Rights::Write);
    assert!(put(&*far, &lying, &changed, &lying).is_err());
    for name in ["far", "second", "third"] {
        let store = opened(&dir.path().join(name));
        for id in [&lie.id, &right.id] {
            assert_eq!(store.lob(id).unwrap(), None, "{name}");
        }
    }
    // In whatever order, what is right is stored.
    for (n, order) in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0]]
        .iter()
        .enumerate()
    {
        let dir = dir.path().join(format!("right{n}"));
        let sent: Vec<Frame> = order.iter().map(|n| frames[*n].clone()).collect();
        let far = direct(&dir, Rights::Write);
        put(&*far, &right, &sent, &right).unwrap();
        assert!(read(&opened(&dir), &right.id).unwrap() == bytes.concat());
    }
}
