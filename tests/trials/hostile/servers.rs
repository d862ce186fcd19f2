//! Servers that are honest until they are asked one thing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lob::serve::service::Service;
use lob::wire::{Caller, FieldWriter, Rights, Serve, Standing, Tag, Verb, Welcome};

use super::messages::{bomb, chunk, field, long_manifest, record, whole};
use super::*;
use crate::support::Repo;
use crate::trials::Tier;

/// What a client is told in place of the answer to the first request of a verb.
struct Lie {
    name: &'static str,
    verb: Verb,
    begin: Vec<u8>,
    again: Vec<u8>,
    times: usize,
    /// Whether to such requests nothing else is ever said.
    is_stubborn: bool,
}

/// What a client was run for.
const PULL: &[&str] = &["sync", "--mode", "complete", "--pull"];
const PUSH: &[&str] = &["sync", "--mode", "complete", "--push"];
/// Mebibytes of what has no end.
const MUCH: usize = 320;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-lob\r\n";
const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n\r\n";

impl Lie {
    /// The same piece of an answer without end.
    fn endless(name: &'static str, verb: Verb, piece: &[u8], mebibytes: usize) -> Lie {
        let again = chunk(piece);
        Lie {
            name,
            verb,
            begin: [HEAD, CHUNKED].concat(),
            times: (mebibytes << 20) / again.len(),
            again,
            is_stubborn: false,
        }
    }

    /// One whole message, each time.
    fn always(name: &'static str, verb: Verb, message: &[u8]) -> Lie {
        let len = format!("content-length: {}\r\n\r\n", message.len());
        Lie {
            name,
            verb,
            begin: [HEAD, len.as_bytes(), message].concat(),
            again: Vec::new(),
            times: 0,
            is_stubborn: true,
        }
    }

    fn raw(name: &'static str, verb: Verb, begin: &[u8], again: &[u8], mebibytes: usize) -> Lie {
        Lie {
            name,
            verb,
            begin: begin.to_vec(),
            times: (mebibytes << 20) / again.len(),
            again: again.to_vec(),
            is_stubborn: false,
        }
    }
}

fn of(tag: Tag, bytes: &[u8]) -> Vec<u8> {
    field(tag.number(), bytes)
}

/// Each with what the client is run for.
fn lies() -> Vec<(&'static [&'static str], Lie)> {
    use Verb::{Differ, Digest, Frames, Has, Hello, Hold, Lobs, Manifests, Put, Recall};
    let optional = field(0x55, &[7; 1000]);
    let announced = [&[0x30, 0x80, 0xff, 0xff, 0xff, 0x7f][..], &[7; 60_000]].concat();
    let mut all: Vec<(&[&str], Lie)> = Vec::new();
    for verb in [Hello, Differ, Lobs, Recall, Manifests, Frames, Digest] {
        all.push((PULL, Lie::endless("optional fields", verb, &optional, 16)));
        all.push((
            PULL,
            Lie::endless("a field that is too long", verb, &announced, 16),
        ));
    }
    for verb in [Has, Hold, Put, Digest] {
        all.push((PUSH, Lie::endless("optional fields", verb, &optional, 16)));
        all.push((
            PUSH,
            Lie::endless("flags", verb, &of(Tag::Flags, &[1; 4096]), 16),
        ));
        all.push((
            PUSH,
            Lie::endless("sizes", verb, &of(Tag::Sizes, &[0; 4096 * 8]), 16),
        ));
    }
    all.extend(of_one_verb());
    all
}

/// Many lobs.
fn lobs() -> Vec<u8> {
    let lob = |n: u32| {
        let id = blake3::hash(&n.to_le_bytes());
        [id.as_bytes().as_slice(), &1u64.to_le_bytes()].concat()
    };
    of(Tag::Lobs, &(0..4096).map(lob).collect::<Vec<_>>().concat())
}

/// Who says that he holds as many lobs as he lists then, and of whose sketch nothing can be made but that.
fn long_list() -> Vec<Lie> {
    let count = ((MUCH << 20) / 40) as u64;
    let cells = 256u32;
    let sketched = [
        &[1, 0, 1, 0x80][..],
        &count.to_le_bytes(),
        &[9; 32],
        &cells.to_le_bytes(),
        &vec![0; 14 * cells as usize],
    ];
    let message = whole(&[of(Tag::Differ, &sketched.concat())]);
    let list = Lie::endless("a long list", Verb::Lobs, &lobs(), MUCH);
    vec![
        list,
        Lie::always("a long list, announced", Verb::Differ, &message),
    ]
}

/// What fits one of them.
fn of_one_verb() -> Vec<(&'static [&'static str], Lie)> {
    use Verb::{Differ, Frames, Hello, Lobs, Manifests, Recall};
    let frame = of(Tag::Frame, &record(&bomb()));
    let manifest = of(Tag::Manifest, &long_manifest(5).encode());
    let lines = b"x-more: of it\r\n";
    vec![
        (PULL, Lie::endless("bombs", Frames, &frame, 32)),
        (PULL, Lie::endless("manifests", Manifests, &manifest, MUCH)),
        (
            PULL,
            Lie::endless("sizes", Recall, &of(Tag::Sizes, &[0; 4096 * 8]), MUCH),
        ),
        (
            PULL,
            Lie::endless("what differs", Differ, &of(Tag::Differ, &[7; 60_000]), 64),
        ),
        (PULL, Lie::endless("lobs", Lobs, &lobs(), MUCH)),
        (PULL, Lie::endless("bytes one by one", Lobs, &[7], 2)),
        (PULL, Lie::raw("a head", Hello, HEAD, lines, 64)),
        (
            PULL,
            Lie::raw(
                "what is to come",
                Hello,
                b"",
                b"HTTP/1.1 100 Continue\r\n\r\n",
                64,
            ),
        ),
        (
            PULL,
            Lie::raw("a line", Hello, b"HTTP/1.1 200 ", &[b'a'; 4096], 64),
        ),
        (
            PULL,
            Lie::raw(
                "a refusal",
                Lobs,
                b"HTTP/1.1 500 Oh\r\n\r\n",
                &[b'\x1b'; 4096],
                64,
            ),
        ),
        (
            PULL,
            Lie::raw(
                "pieces' extensions",
                Lobs,
                &[HEAD, CHUNKED, b"5;"].concat(),
                b"aaaa",
                64,
            ),
        ),
        (
            PULL,
            Lie::raw(
                "trailers",
                Lobs,
                &[HEAD, CHUNKED, b"0\r\n"].concat(),
                lines,
                64,
            ),
        ),
    ]
}

/// A server that lies once.
struct Liar {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// What a server says: as its service does, but for its lies.
struct Saying {
    service: Service,
    lies: Vec<Lie>,
    has_lied: AtomicBool,
}

impl Liar {
    fn start(saying: Arc<Saying>) -> Liar {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::<AtomicBool>::default();
        let over = is_over.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let saying = saying.clone();
                // How a client leaves is its own affair.
                thread::spawn(move || saying.talk(stream.unwrap()).unwrap_or_default());
            }
        });
        Liar {
            address,
            is_over,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes up who accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}

impl Saying {
    /// Answers one request after the other.
    fn talk(&self, stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = stream;
        while let Some((verb, body)) = request(&mut reader)? {
            let mut lies = self.lies.iter();
            let lie = lies.find(|lie| {
                let is_due = lie.is_stubborn || !self.has_lied.load(Ordering::SeqCst);
                lie.verb == verb && is_due
            });
            let Some(lie) = lie else {
                self.answer(verb, &body, &mut out)?;
                continue;
            };
            if !lie.is_stubborn {
                self.has_lied.store(true, Ordering::SeqCst);
            }
            out.write_all(&lie.begin)?;
            for _ in 0..lie.times {
                out.write_all(&lie.again)?;
            }
            if lie.is_stubborn {
                continue;
            }
            return Ok(());
        }
        Ok(())
    }

    fn answer(&self, verb: Verb, body: &[u8], out: &mut TcpStream) -> io::Result<()> {
        let caller = Caller {
            name: "tester".into(),
            from: "here".into(),
            rights: Rights::Write,
            standing: Standing::default(),
        };
        let mut answer = Vec::new();
        let served = self.service.serve(&caller, verb, &mut &*body, &mut answer);
        if let Err(refusal) = served {
            let text = refusal.to_text();
            let status = refusal.kind.status();
            let len = text.len();
            return write!(
                out,
                "HTTP/1.1 {status} No\r\ncontent-length: {len}\r\n\r\n{text}"
            );
        }
        if verb == Verb::Hello && self.lies.iter().all(|lie| lie.verb == Verb::Lobs) {
            answer = without_comparing(&answer);
        }
        out.write_all(HEAD)?;
        write!(out, "content-length: {}\r\n\r\n", answer.len())?;
        out.write_all(&answer)
    }
}

/// A greeting of a server that cannot say what differs.
fn without_comparing(answer: &[u8]) -> Vec<u8> {
    let mut welcome = Welcome::read(&mut &*answer).unwrap();
    welcome.verbs.retain(|verb| verb != Verb::Differ.name());
    let mut to = FieldWriter::new(Vec::new());
    welcome.write(&mut to).unwrap();
    to.end().unwrap()
}

/// The next request of a connection; `None` at its end.
fn request(from: &mut impl BufRead) -> io::Result<Option<(Verb, Vec<u8>)>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let path = head[0].split(' ').nth(1).unwrap();
    let verb = Verb::named(path.rsplit('/').next().unwrap()).unwrap();
    let field = |name: &str| {
        let of = head.iter().filter_map(|line| line.split_once(": "));
        let mut of = of.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        of.next().map(|(_, value)| value.to_owned())
    };
    let mut body = Vec::new();
    if let Some(len) = field("content-length") {
        from.take(len.parse().unwrap()).read_to_end(&mut body)?;
        return Ok(Some((verb, body)));
    }
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let len = u64::from_str_radix(line.trim_end(), 16).unwrap_or(0);
        from.take(len).read_to_end(&mut body)?;
        from.read_line(&mut String::new())?;
        if len == 0 {
            return Ok(Some((verb, body)));
        }
    }
}

/// How a client ended, and the most memory that it took, in KiB.
struct Ended {
    code: Option<i32>,
    said: String,
    peak: u64,
}

/// Runs lob until its end, with an eye on its memory.
fn watched(repo: &Repo, args: &[&str]) -> Ended {
    let mut command = repo.command("lob");
    command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let said = thread::spawn(move || {
        let mut said = String::new();
        errors.read_to_string(&mut said).map(|_| said)
    });
    let (mut peak, began) = (0, Instant::now());
    let status = loop {
        // What it took at most is known as long as it runs.
        peak = crate::network::peak(child.id()).unwrap_or(0).max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > 3 * LONGEST {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    };
    Ended {
        code: status.code(),
        said: said.join().unwrap().unwrap(),
        peak,
    }
}

/// A repository with lobs of its own, and a store with others.
fn scene() -> (World, Repo) {
    let world = World::in_memory();
    let work = world.init("work");
    work.lob(&["init"]);
    work.track(&["*.bin"]);
    work.write("a.bin", noise(1, 300_000));
    work.commit("first");
    let store = opened(&world.path().join("store"));
    for seed in 2..20 {
        add(&store, &noise(seed, 100_000));
    }
    (world, work)
}

/// Runs lob against such a server; also returns whether that had to lie.
fn lied_to(args: &[&str], saying: Saying, work: &Repo) -> (Ended, bool) {
    let saying = Arc::new(saying);
    let liar = Liar::start(saying.clone());
    let url = format!("http://{}/store", liar.address);
    let ended = watched(work, &[args, &[&url]].concat());
    (ended, saying.has_lied.load(Ordering::SeqCst))
}

#[test]
fn p9_no_lie_of_a_server_costs_a_client_its_memory() {
    let tier = Tier::asked();
    let (mut peak, mut count, mut told) = (0, 0, 0);
    let mut wrong = Vec::new();
    let lies = lies().into_iter().map(|(args, lie)| (args, vec![lie]));
    let lies = lies.chain([(PULL, long_list())]);
    for (n, (args, lies)) in lies.enumerate() {
        let lie = &lies[0];
        // The quick tier takes some of those that are alike, and all that are long.
        if tier == Tier::Quick && n % 3 != 0 && lie.again.len() * lie.times < MUCH << 18 {
            continue;
        }
        let (world, work) = scene();
        let name = format!("{} for {:?}", lie.name, lie.verb);
        let service = Service::of_dir(world.path().join("store"));
        let saying = Saying {
            service,
            lies,
            has_lied: AtomicBool::new(false),
        };
        let (ended, has_lied) = lied_to(args, saying, &work);
        assert!(has_lied, "{name}: nobody asked: {}", ended.said);
        count += 1;
        told += u64::from(ended.code == Some(1));
        peak = peak.max(ended.peak);
        if ended.peak > MEMORY || !matches!(ended.code, Some(0 | 1 | 3)) {
            let Ended { code, said, peak } = ended;
            wrong.push(format!("{name}: {peak} KiB, {code:?}: {said}"));
        }
    }
    report(
        "hostile servers",
        &[
            ("scripts", count),
            ("runs that ended with an error", told),
            ("peak KiB of the client", peak),
        ],
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= tier.pick(12, 30), "{count}");
    assert!(told > 0);
}
