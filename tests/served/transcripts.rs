//! What docs/protocol.md shows is what is said.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use lob::remote::{
    Care, Cleaned, Cleaning, End, Freed, Listener, Order, Planned, Stays, Sum, Unknown,
};
use lob::serve::{CareError, Cleaner};
use lob::sync::claims::Claims;
use lob::sync::gc;
use lob::wire::care::Examination;
use lob_store::PackId;
use lob_store::fsck::{Depth, Examined, Fault, Finding, Gravity, Object, Remedy};

use lob::remote::Origin;
use lob::wire::list::{write_flags, write_kins, write_lobs, write_sizes};
use lob::wire::message::VERSION;
use lob::wire::{Asked, FieldWriter, Hello, Refusal, RefusalKind, Tag, Welcome};
use lob_store::{ChunkId, Cursor, Epoch, Frame, Kin, LobInfo, Manifest, Parts, StoreId};

use super::care::Deaf;
use super::*;

/// Cleans up a store that nobody uses.
struct Unused;

impl Cleaner for Unused {
    fn clean(
        &self,
        dir: &Path,
        asked: &Cleaning,
        listener: &dyn Listener,
    ) -> Result<(), CareError> {
        let claim = || Ok(Claims::default());
        let done = gc::clean(&opened(dir), &asked.order, &claim, listener);
        done.map_err(|error| CareError::Other(error.to_string()))
    }
}

/// Writes down what is said.
#[derive(Debug)]
struct Recorder {
    inner: Direct,
    said: Mutex<String>,
}

impl Recorder {
    fn of(dir: &Path) -> Arc<Recorder> {
        Recorder::with(dir, Rights::Write)
    }

    fn with(dir: &Path, rights: Rights) -> Arc<Recorder> {
        let service = Service::of_dir(dir.to_path_buf()).with_cleaner(Arc::new(Unused));
        Arc::new(Recorder {
            inner: Direct {
                service: Arc::new(service),
                rights,
            },
            said: Mutex::default(),
        })
    }

    fn take(&self) -> String {
        std::mem::take(&mut self.said.lock().unwrap())
    }
}

/// `SIZES 16, END 32`
fn fields(message: &[u8]) -> String {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some((head, bytes)) = rest.split_first_chunk::<6>() {
        let number = u16::from_le_bytes([head[0], head[1]]);
        let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let tag = Tag::ALL.iter().find(|tag| tag.number() == number).unwrap();
        let name = format!("{tag:?}").to_uppercase();
        found.push(match tag {
            // Of the machine, or of the version.
            Tag::Frame | Tag::Program => name,
            _ => format!("{name} {len}"),
        });
        rest = &bytes[len as usize..];
    }
    found.join(", ")
}

impl Exchange for Recorder {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let mut request = Vec::new();
        match body {
            Body::Bytes(bytes) => request = bytes,
            Body::Stream(mut stream) => drop(stream.read_to_end(&mut request).unwrap()),
        }
        let said = format!("> {}: {}\n", verb.name(), fields(&request));
        let mut answer = Vec::new();
        let mut stream = self.inner.exchange(verb, Body::Bytes(request))?;
        stream.read_to_end(&mut answer).unwrap();
        let said = format!("{said}< {}\n", fields(&answer));
        self.said.lock().unwrap().push_str(&said);
        Ok(Box::new(io::Cursor::new(answer)))
    }

    fn describe(&self) -> String {
        "test://recorded".into()
    }
}

/// One test at a time may write to the page.
static PAGE: Mutex<()> = Mutex::new(());

/// Fails unless the page has this block behind its name. With `LOB_UPDATE_DOCS=1` it is put there.
#[track_caller]
fn shown(name: &str, text: &str) {
    let _turn = PAGE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let head = format!("<!-- {name} -->\n");
    let block = format!("{head}```text\n{text}```\n");
    if std::env::var_os("LOB_UPDATE_DOCS").is_some() {
        let (before, behind) = page.split_once(&head).expect(name);
        let behind = match behind.strip_prefix("```text\n") {
            Some(old) => old.split_once("```\n").unwrap().1,
            None => behind,
        };
        std::fs::write(&path, [before, &block, behind].concat()).unwrap();
        return;
    }
    assert!(
        page.contains(&block),
        "docs/protocol.md must show:\n{block}"
    );
}

#[test]
fn conversations_are_as_the_page_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let local = opened(&dir.path().join("local"));
    let remote = dir.path().join("remote");
    add(&local, b"a lob of one chunk");
    add(&local, &noise(1, 600_000));
    let recorder = Recorder::of(&remote);
    let connect = |access| {
        let served = Served::connect(recorder.clone(), access, None).unwrap();
        // As a run begins.
        served.epoch().unwrap();
        served.refresh().unwrap();
        served.cursor().unwrap();
        served
    };
    assert_eq!(
        replicate(Asking::ToPush, &local, &connect(Access::Write)),
        Ok(2)
    );
    shown("push", &recorder.take());
    let (other, served) = (opened(&dir.path().join("other")), connect(Access::Read));
    assert_eq!(replicate(Asking::ToPull, &other, &served), Ok(2));
    shown("fetch", &recorder.take());
    // Another version: what is like the one that is here comes as the difference.
    let mut newer = noise(1, 600_000);
    newer[300_000] ^= 1;
    let (old, new) = (LobId::of(&noise(1, 600_000)), add(&opened(&remote), &newer));
    let served = connect(Access::Read);
    let info = LobInfo {
        id: new,
        size: 600_000,
    };
    let want = Want::bare(info, Reason::Asked);
    let mut plan = Plan::make(Asking::ToPull, [want], &served, &other).unwrap();
    plan.bases.insert(new, old);
    let sides = Sides {
        local: &other,
        remote: &served,
        reserve: 0,
    };
    carry_out(&mut plan, sides, &Pace::unlimited(), &()).unwrap();
    shown("difference", &recorder.take());
    // Nothing new: one round trip, and little in it.
    connect(Access::Read);
    shown("again", &recorder.take());
}

#[test]
fn who_looks_after_a_store_is_told_what_the_page_shows() {
    let dir = tempfile::tempdir().unwrap();
    add(&opened(dir.path()), b"a lob of one chunk");
    let recorder = Recorder::with(dir.path(), Rights::Admin);
    let care = Care::over(recorder.clone());
    let order = Order {
        grace: Duration::from_secs(3600),
        lists: true,
        ..Order::default()
    };
    let needed = (vec![[0; 32]], vec!["https://host/x".into()]);
    care.clean(None, &order, needed, &Deaf).unwrap();
    shown("gc", &recorder.take());
    let examined = care.examine(None, Depth::Quick, &(), &mut |_| ());
    examined.unwrap();
    shown("fsck", &recorder.take());
    let found = Examination::Found(Finding {
        object: Object::Chunk(ChunkId::of(b"hello"), PackId::from_bytes([0x11; 32])),
        fault: Fault::Damaged("its bytes are others".into()),
        gravity: Gravity::Loss,
        remedy: Remedy::Fetch,
    });
    let lob = |stays, path: &[u8]| Cleaned::Lob {
        id: LobId::of(b"hello"),
        size: 5,
        stays,
        path: path.into(),
    };
    let sum = Sum { lobs: 1, size: 5 };
    let told = [
        Cleaned::Forgotten("lob serve".into()),
        Cleaned::Unknown(Unknown {
            place: "https://host/x".into(),
            why: "https://host/x is no remote here".into(),
            way: "make it known".into(),
        }),
        Cleaned::Returned(vec![LobInfo {
            id: LobId::of(b"hello"),
            size: 5,
        }]),
        Cleaned::Damaged {
            id: LobId::of(b"hello"),
            why: "its bytes are others".into(),
        },
        lob(None, b""),
        lob(Some(Stays::Needed), b"a.bin"),
        lob(Some(Stays::Young), b""),
        lob(Some(Stays::Left), b""),
        Cleaned::Planned(Planned {
            goes: sum,
            stays: vec![(Stays::Needed, sum)],
            freed: 100,
            moved: 0,
        }),
        Cleaned::Begins,
        Cleaned::Ended(End::Done(Freed::default())),
    ];
    let told = told.map(|told| serde_json::to_string(&told).unwrap() + "\n");
    shown("what gc tells", &told.concat());
    let examined = Examination::Examined(Examined::default());
    let told = [found, examined].map(|told| serde_json::to_string(&told).unwrap() + "\n");
    shown("what fsck tells", &told.concat());
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).map(|line| {
        let words = line
            .chunks(2)
            .map(|two| two.iter().map(|b| format!("{b:02x}")).collect());
        words.collect::<Vec<String>>().join(" ") + "\n"
    });
    lines.collect()
}

fn message(write: impl FnOnce(&mut FieldWriter<Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
    let mut to = FieldWriter::new(Vec::new());
    write(&mut to).unwrap();
    to.end().unwrap()
}

/// The bytes of a `put` as the client sends it.
fn put(store: StoreId, frame: Frame, manifest: &Manifest) -> Vec<u8> {
    #[derive(Debug)]
    struct Taker(StoreId, Mutex<Vec<u8>>);
    impl Exchange for Taker {
        fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
            let answer = match (verb, body) {
                (Verb::Put, Body::Stream(mut stream)) => {
                    stream.read_to_end(&mut self.1.lock().unwrap()).unwrap();
                    message(|_| Ok(()))
                }
                _ => message(|to| welcome(self.0).write(to)),
            };
            Ok(Box::new(io::Cursor::new(answer)))
        }

        fn describe(&self) -> String {
            "test://taker".into()
        }
    }
    let taker = Arc::new(Taker(store, Mutex::default()));
    let served = Served::connect(taker.clone(), Access::Write, None).unwrap();
    let mut upload = served.receive(Origin::Own).unwrap();
    upload.add_frame(frame).unwrap();
    upload.add_manifest(manifest).unwrap();
    upload.finish().unwrap();
    let bytes = taker.1.lock().unwrap();
    bytes.clone()
}

fn welcome(store: StoreId) -> Welcome {
    Welcome {
        version: VERSION,
        store,
        cursor: Cursor {
            seq: 7,
            hash: [8; 16],
        },
        epoch: Epoch::from_bytes([0; 32]),
        free: Some(1 << 30),
        verbs: vec!["hello".into(), "sizes".into()],
        program: "lob 0.1.0".into(),
        can: vec!["differences".into()],
    }
}

#[test]
fn messages_are_as_the_page_shows_them() {
    let store = StoreId::from_bytes([0x11; 32]);
    let (lob, base) = (LobId::of(b"hello"), ChunkId::of(b"base"));
    let asked = Asked {
        relied: vec![*base.as_bytes()],
        against: vec![[*lob.as_bytes(), *LobId::of(b"older").as_bytes()]],
        ..Asked::about(store, vec![*lob.as_bytes()])
    };
    let chunks = vec![(ChunkId::of(b"hello"), 5)];
    let frame = Frame::plain(chunks.clone(), b"hello");
    let manifest = Manifest {
        id: lob,
        size: 5,
        parts: Parts::Chunks(chunks),
    };
    let kin = Kin {
        depth: 1,
        bases: vec![base],
    };
    let info = LobInfo { id: lob, size: 5 };
    let refusal = Refusal::new(RefusalKind::MissingChunk(base), "it is not in this store");
    let mut refused = Vec::new();
    FieldWriter::new(&mut refused).refuse(&refusal).unwrap();
    for (name, bytes) in [
        (
            "hello",
            Hello {
                create: true,
                wants: Rights::Append,
            }
            .encode()
            .unwrap(),
        ),
        ("welcome", message(|to| welcome(store).write(to))),
        ("frames", asked.encode().unwrap()),
        (
            "answer of sizes",
            message(|to| write_sizes(to, &[Some(5), None])),
        ),
        (
            "answer of has",
            message(|to| write_flags(to, &[true, false])),
        ),
        (
            "answer of kin",
            message(|to| write_kins(to, &[Some(kin), Some(Kin::default()), None])),
        ),
        ("answer of lobs", message(|to| write_lobs(to, &[info]))),
        (
            "answer of frames",
            message(|to| to.frame(frame.clone(), |out, bytes| out.write_all(&bytes))),
        ),
        ("put", put(store, frame.clone(), &manifest)),
        ("a refusal behind what was said", refused),
    ] {
        shown(name, &hex(&bytes));
    }
}
