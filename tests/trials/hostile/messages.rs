//! Requests that are good HTTP, and hostile to the service behind it.

use lob::wire::message::IDS_MAX;
use lob::wire::{Tag, Verb};
use lob_store::{ChunkId, Frame, LobId, Manifest, Parts, StoreId};

use super::Script;
use super::bytes::{frame, h2};
use crate::support::noise;

/// What is known of the store that is asked.
pub struct Known {
    pub store: StoreId,
    /// A long lob, and a chunk.
    pub lob: LobId,
    pub chunk: ChunkId,
}

pub fn field(number: u16, bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&number.to_le_bytes()[..], &len, bytes].concat()
}

fn of(tag: Tag, bytes: &[u8]) -> Vec<u8> {
    field(tag.number(), bytes)
}

/// Fields with the end that holds for them.
pub fn whole(fields: &[Vec<u8>]) -> Vec<u8> {
    let bytes = fields.concat();
    let hash = blake3::hash(&bytes);
    [bytes, of(Tag::End, hash.as_bytes())].concat()
}

/// A request of HTTP/1.1.
fn post(verb: Verb, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /store/lob/v1/{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        verb.name(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The begin of one whose body has no known end.
fn endless(verb: Verb, begin: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /store/lob/v1/{} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        verb.name()
    );
    [head.as_bytes(), &chunk(begin)].concat()
}

/// A piece of such a body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A frame that would be far longer than it says.
pub fn bomb() -> Frame {
    let zeros = vec![0; 1 << 20];
    let stored = zstd::bulk::compress(&vec![0; 1 << 30], 1).unwrap();
    Frame {
        codec: lob_store::Codec::Zstd,
        depth: 0,
        chunks: zeros
            .chunks(256 << 10)
            .map(|chunk| (ChunkId::of(chunk), chunk.len() as u32))
            .collect(),
        bases: Vec::new(),
        stored,
    }
}

pub fn record(frame: &Frame) -> Vec<u8> {
    [frame.head(), frame.stored.clone()].concat()
}

/// A lob of as many chunks as a manifest in a message may list.
pub fn long_manifest(seed: u64) -> Manifest {
    let ids = noise(seed, 50_000 * 32);
    let (ids, _) = ids.as_chunks::<32>();
    let chunks = ids.iter().map(|id| (ChunkId::from_bytes(*id), 256 << 10));
    Manifest {
        id: LobId::of(&seed.to_le_bytes()),
        size: 50_000 * (256 << 10),
        parts: Parts::Chunks(chunks.collect()),
    }
}

/// A request by its name: what is asked, and the message.
type Request = (&'static str, Verb, Vec<u8>);

fn ids(id: &[u8; 32], count: usize) -> Vec<u8> {
    of(Tag::Ids, &id.repeat(4096)).repeat(count / 4096)
}

/// Questions about the same thing, as often as one request may ask.
fn often(known: &Known) -> Vec<Request> {
    let store = of(Tag::Store, known.store.as_bytes());
    let many = |id: &[u8; 32]| whole(&[store.clone(), ids(id, IDS_MAX)]);
    let (lob, chunk) = (many(known.lob.as_bytes()), many(known.chunk.as_bytes()));
    vec![
        ("the longest lob, often", Verb::Manifests, lob.clone()),
        ("a digest, often", Verb::Digest, lob.clone()),
        ("holds, often", Verb::Hold, lob),
        ("a chunk, often", Verb::Chunks, chunk.clone()),
        ("a frame, often", Verb::Frames, chunk.clone()),
        ("kin, often", Verb::Kin, chunk),
    ]
}

/// Messages that are none.
fn broken(known: &Known) -> Vec<Request> {
    let store = of(Tag::Store, known.store.as_bytes());
    let after = |more: Vec<u8>| whole(&[store.clone(), more]);
    let half = of(Tag::Ids, &[7; 33]);
    let wrong = [store.clone(), of(Tag::End, &[7; 32])].concat();
    let tiny = [store.clone(), field(0x55, b"").repeat(1 << 20)].concat();
    let announced = [&store[..], &[0x30, 0x80, 0, 0, 0, 64]].concat();
    let refusal = [store.clone(), of(Tag::Refused, b"full: no")].concat();
    let behind = [after(Vec::new()), store.clone()].concat();
    vec![
        ("too many ids", Verb::Has, after(ids(&[7; 32], 4 * IDS_MAX))),
        ("half an id", Verb::Has, after(half)),
        ("no store", Verb::Has, whole(&[of(Tag::Ids, &[7; 32])])),
        ("another", Verb::Has, whole(&[of(Tag::Store, &[7; 32])])),
        ("nothing", Verb::Has, Vec::new()),
        ("only an end", Verb::Has, whole(&[])),
        ("a wrong end", Verb::Has, wrong),
        ("more behind the end", Verb::Has, behind),
        ("an announced gigabyte", Verb::Put, announced),
        ("of tomorrow", Verb::Has, after(field(0x8fff, b"?"))),
        ("a refusal", Verb::Put, refusal),
        ("an answer", Verb::Has, after(of(Tag::Sizes, &[0; 8]))),
        ("a million small fields", Verb::Has, tiny),
        (
            "no question",
            Verb::Differ,
            after(of(Tag::Differ, &[0xff; 4096])),
        ),
        (
            "later",
            Verb::Hello,
            whole(&[of(Tag::Speaks, &[9, 0, 9, 0])]),
        ),
    ]
}

/// What nobody should store.
fn uploads(known: &Known) -> Vec<Request> {
    let store = of(Tag::Store, known.store.as_bytes());
    let put = |name, field: Vec<u8>| (name, Verb::Put, whole(&[store.clone(), field]));
    let lying = |chunks| {
        let frame = Frame::plain(vec![(ChunkId::of(b"x"), 1)], b"x");
        of(Tag::Frame, &record(&Frame { chunks, ..frame }))
    };
    let small = |n: u64| of(Tag::Manifest, &small_manifest(n).encode());
    let many: Vec<u8> = (0..70_000).flat_map(small).collect();
    let long = long_manifest(1).encode();
    vec![
        put("a bomb", of(Tag::Frame, &record(&bomb()))),
        put("a frame of nothing", lying(vec![])),
        put("a frame that lies", lying(vec![(known.chunk, 1)])),
        put("a length that lies", lying(vec![(known.chunk, u32::MAX)])),
        put("a manifest of nothing", of(Tag::Manifest, &long)),
        put("half a manifest", of(Tag::Manifest, &long[..1000])),
        put("more lobs than a request may name", many),
    ]
}

fn small_manifest(n: u64) -> Manifest {
    let bytes = n.to_le_bytes();
    Manifest {
        id: LobId::of(&bytes),
        size: 8,
        parts: Parts::Chunks(vec![(ChunkId::of(&bytes), 8)]),
    }
}

/// All of them, and those that never end.
pub fn scripts(known: &Known) -> Vec<Script> {
    let requests = [often(known), broken(known), uploads(known)].concat();
    let requests = requests.into_iter();
    let once = requests.map(|(name, verb, body)| Script::once(name, post(verb, &body)));
    let mut all: Vec<Script> = once.collect();
    all.extend(without_end(known));
    all.extend(at_once(known));
    all.extend(slow_readers(known));
    all
}

/// Messages that go on and on, for so many mebibytes.
fn without_end(known: &Known) -> Vec<Script> {
    let store = of(Tag::Store, known.store.as_bytes());
    let again = |name: &str, verb, piece: Vec<u8>, mebibytes: usize| {
        let piece = chunk(&piece);
        let times = (mebibytes << 20) / piece.len();
        Script::again(name, endless(verb, &store), piece, times)
    };
    let bases = of(Tag::Relied, &[7; 4096 * 32]);
    let manifest = of(Tag::Manifest, &long_manifest(2).encode());
    let content = noise(1, 250_000);
    let good = Frame::plain(vec![(ChunkId::of(&content), 250_000)], &content);
    let frame = of(Tag::Frame, &record(&good));
    let bomb = of(Tag::Frame, &record(&bomb()));
    let long = [&[0x30, 0x80, 0xff, 0xff, 0xff, 0x7f][..], &[7; 4000]].concat();
    vec![
        again("endless ids", Verb::Has, ids(&[7; 32], 4096), 64),
        again("endless bases", Verb::Frames, bases, 64),
        again("endless fields", Verb::Has, field(0x55, &[7; 1000]), 64),
        again("an endless field", Verb::Put, long, 64),
        again("endless manifests", Verb::Put, manifest, 64),
        again("endless frames", Verb::Put, frame, 64),
        again("endless bombs", Verb::Put, bomb, 16),
        again("bytes one by one", Verb::Has, vec![7], 1),
    ]
}

/// Many at once that hold as much as each of them may: they do not end, or nobody reads the answer.
fn at_once(known: &Known) -> Vec<Script> {
    let store = of(Tag::Store, known.store.as_bytes());
    let pair = [3, 4].map(|seed| of(Tag::Manifest, &long_manifest(seed).encode()));
    let named = endless(Verb::Put, &[&store[..], &pair.concat()].concat());
    let bases = of(Tag::Relied, &[7; 4096 * 32]).repeat(60);
    let wanted = ids(known.chunk.as_bytes(), 7 * 4096);
    let fields = [store, wanted, bases];
    let half = endless(Verb::Frames, &fields.concat());
    let asked = post(Verb::Frames, &whole(&fields));
    let many = |name, count, bytes: Vec<u8>| {
        std::iter::repeat_with(move || Script::once(name, bytes.clone())).take(count)
    };
    many("as many chunks as may be named", 48, named)
        .chain(many("as many ids as may be asked for", 32, half))
        .chain(many("as many bases as may be named", 16, asked))
        .collect()
}

/// Many answers on one connection of HTTP/2 that nobody reads, or a byte at a time.
fn slow_readers(known: &Known) -> Vec<Script> {
    let store = of(Tag::Store, known.store.as_bytes());
    let ids = of(Tag::Ids, &known.chunk.as_bytes().repeat(4096));
    let body = whole(&[store, ids]);
    let path = b"/store/lob/v1/chunks";
    let head = [
        &[0x83, 0x86, 0x44, path.len() as u8][..],
        path,
        &[0x41, 1, b'x'],
    ]
    .concat();
    let window = |len: u32| frame(4, 0, 0, &[&[0, 4][..], &len.to_be_bytes()].concat());
    let ask = |stream: u32| {
        let data = body.chunks(16_000);
        let count = data.len();
        let data = data
            .enumerate()
            .map(|(n, some)| frame(0, u8::from(n + 1 == count), stream, some));
        [vec![frame(1, 4, stream, &head)], data.collect()]
            .concat()
            .concat()
    };
    // As much as the server takes without having read any.
    let streams: Vec<Vec<u8>> = (0..8).map(|n| ask(2 * n + 1)).collect();
    let with = |len: u32| h2(&[vec![window(len)], streams.clone()].concat());
    let opened: Vec<u8> = (0..8)
        .flat_map(|n| frame(8, 0, 2 * n + 1, &[0, 0, 0, 1]))
        .collect();
    vec![
        Script::once("no window", with(0)),
        Script::once("a window of one byte", with(1)),
        Script::again("a window that opens by a byte", with(0), opened, 3000),
        Script::once("a large window and no reader", with(1 << 30)),
    ]
}
