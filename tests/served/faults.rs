//! A connection that breaks, stutters and lies at every place in what is said: the next try goes on, and
//! nothing wrong is ever stored.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use lob::wire::Stream;

/// What happens to one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The request ends here.
    Request(usize),
    /// The answer ends here.
    Answer(usize),
    /// A bit of the answer is another one.
    Flip(usize),
    /// A bit of the request is another one.
    FlipRequest(usize),
    /// The request comes twice.
    Twice,
}

/// Bytes of a request and its answer.
type Said = (Verb, Vec<u8>, Vec<u8>);

/// Does one harm, to one exchange.
#[derive(Debug)]
struct Faulty {
    inner: Direct,
    fault: Option<(usize, Fault)>,
    count: AtomicUsize,
    injected: AtomicUsize,
    said: Mutex<Vec<Said>>,
    /// The whole of what was cut.
    cut: Mutex<Vec<u8>>,
}

fn broken(message: &str) -> ExchangeError {
    ExchangeError::Broken {
        message: message.into(),
        hint: None,
        transient: true,
    }
}

/// What was sent, and then an error.
fn cut(bytes: Vec<u8>) -> Box<dyn Stream> {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    Box::new(io::Cursor::new(bytes).chain(Broken))
}

fn flip(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 1 << (at % 8);
    bytes
}

impl Exchange for Faulty {
    fn exchange(&self, verb: Verb, body: Body) -> Result<Box<dyn Read + Send>, ExchangeError> {
        let mut request = Vec::new();
        match body {
            Body::Bytes(bytes) => request = bytes,
            Body::Stream(mut stream) => {
                stream
                    .read_to_end(&mut request)
                    .map_err(|error| broken(&error.to_string()))?;
            }
        }
        let number = self.count.fetch_add(1, Relaxed);
        let fault = self
            .fault
            .filter(|(n, _)| *n == number)
            .map(|(_, fault)| fault);
        self.injected
            .fetch_add(usize::from(fault.is_some()), Relaxed);
        let ask = |body| {
            let mut answer = Vec::new();
            self.inner
                .exchange(verb, body)?
                .read_to_end(&mut answer)
                .unwrap();
            Ok(answer)
        };
        let whole = Body::Bytes(request.clone());
        match fault {
            None => {
                let answer = ask(whole)?;
                self.said
                    .lock()
                    .unwrap()
                    .push((verb, request, answer.clone()));
                Ok(Box::new(io::Cursor::new(answer)))
            }
            Some(Fault::Request(at)) => {
                self.cut.lock().unwrap().clone_from(&request);
                let _ = self
                    .inner
                    .exchange(verb, Body::Stream(cut(request[..at].to_vec())));
                Err(broken("reset"))
            }
            Some(Fault::FlipRequest(at)) => Ok(Box::new(io::Cursor::new(ask(Body::Bytes(flip(
                request, at,
            )))?))),
            Some(Fault::Answer(at)) => {
                let answer = ask(whole)?;
                self.cut.lock().unwrap().clone_from(&answer);
                Ok(cut(answer[..at].to_vec()))
            }
            Some(Fault::Flip(at)) => Ok(Box::new(io::Cursor::new(flip(ask(whole)?, at)))),
            Some(Fault::Twice) => {
                ask(Body::Bytes(request))?;
                Ok(Box::new(io::Cursor::new(ask(whole)?)))
            }
        }
    }

    fn describe(&self) -> String {
        "test://faulty".into()
    }
}

/// Where the fields of a message begin, and its end.
fn boundaries(message: &[u8]) -> Vec<usize> {
    let mut found = vec![0];
    let mut at = 0;
    while let Some(head) = message.get(at..at + 6) {
        let len = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        at += 6 + len as usize;
        found.push(at);
    }
    assert_eq!(at, message.len(), "a message is fields");
    found
}

/// A run in one direction between a store of some lobs and one that has nothing or a little.
struct Trial {
    dir: tempfile::TempDir,
    contents: Vec<Vec<u8>>,
    asking: Asking,
}

impl Trial {
    fn new(asking: Asking) -> Trial {
        let dir = tempfile::tempdir().unwrap();
        let middle = noise(2, 700_000);
        let shared = [middle.as_slice(), &noise(3, 90_000)].concat();
        let contents = vec![noise(1, 300), middle, shared];
        let (local, remote) = (dir.path().join("local"), dir.path().join("remote"));
        let full = match asking {
            Asking::ToPull => &remote,
            _ => &local,
        };
        let (full, empty) = (
            opened(full),
            opened(match asking {
                Asking::ToPull => &local,
                _ => &remote,
            }),
        );
        for content in &contents {
            add(&full, content);
        }
        drop(empty);
        Trial {
            dir,
            contents,
            asking,
        }
    }

    fn exchange(&self, fault: Option<(usize, Fault)>) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner: Direct {
                service: Arc::new(Service::of_dir(self.dir.path().join("remote"))),
                rights: Rights::Write,
            },
            fault,
            count: AtomicUsize::new(0),
            injected: AtomicUsize::new(0),
            said: Mutex::default(),
            cut: Mutex::default(),
        })
    }

    fn receiver(&self) -> Store {
        opened(&self.dir.path().join(match self.asking {
            Asking::ToPull => "local",
            _ => "remote",
        }))
    }

    fn run(&self, exchange: &Arc<Faulty>) -> Result<u64, String> {
        let local = opened(&self.dir.path().join("local"));
        let remote = Served::connect(exchange.clone(), Access::Write, None);
        let remote = remote.map_err(|error| error.to_string())?;
        replicate(self.asking, &local, &remote)
    }

    /// Every lob that the receiver shows is what its id says, and what of them it shows.
    fn check(&self) -> usize {
        let receiver = self.receiver();
        let held = self.contents.iter().filter(|content| {
            let id = LobId::of(content);
            match receiver.lob(&id).unwrap() {
                Some(_) => {
                    assert!(read(&receiver, &id).unwrap() == **content);
                    true
                }
                None => false,
            }
        });
        held.count()
    }
}

/// All harms to be done to what was said.
fn faults(said: &[Said]) -> Vec<(usize, Fault)> {
    let mut all = Vec::new();
    for (n, (_, request, answer)) in said.iter().enumerate() {
        let places = |message: &[u8]| {
            let edges = boundaries(message);
            let inside = edges.windows(2).flat_map(|pair| {
                let [from, to] = *pair else { unreachable!() };
                [from + 3, (from + 6 + to) / 2]
            });
            let mut places: Vec<usize> = edges.iter().copied().chain(inside).collect();
            places.retain(|place| *place < message.len());
            places
        };
        for at in places(request) {
            all.extend([(n, Fault::Request(at)), (n, Fault::FlipRequest(at))]);
        }
        for at in places(answer) {
            all.extend([(n, Fault::Answer(at)), (n, Fault::Flip(at))]);
        }
        all.push((n, Fault::Twice));
    }
    all
}

fn every_fault(asking: Asking) -> usize {
    let clean = Trial::new(asking);
    let exchange = clean.exchange(None);
    assert_eq!(clean.run(&exchange), Ok(3));
    let said = exchange.said.lock().unwrap();
    let (mut injected, mut at_once) = (0, 0);
    for fault in faults(&said) {
        let trial = Trial::new(asking);
        let exchange = trial.exchange(Some(fault));
        let first = trial.run(&exchange);
        assert_eq!(exchange.injected.load(Relaxed), 1, "{fault:?}: {first:?}");
        injected += 1;
        let held = trial.check();
        match first {
            Ok(_) => {
                at_once += 1;
                assert_eq!(held, 3, "{fault:?}");
            }
            Err(_) => {
                trial.run(&trial.exchange(None)).unwrap();
            }
        }
        assert_eq!(trial.check(), 3, "{fault:?}");
    }
    // Most of them need nobody to run anything again.
    assert!(at_once * 2 > injected, "{at_once} of {injected}");
    injected
}

#[test]
fn a_push_survives_every_fault() {
    let injected = every_fault(Asking::ToPush);
    assert!(injected > 100, "{injected}");
}

#[test]
fn a_fetch_survives_every_fault() {
    let injected = every_fault(Asking::ToPull);
    assert!(injected > 100, "{injected}");
}

/// What came whole before a cut is not sent again.
fn what_came_whole_stays(asking: Asking, verb: Verb) {
    let trial = Trial::new(asking);
    let exchange = trial.exchange(None);
    trial.run(&exchange).unwrap();
    let said = exchange.said.lock().unwrap();
    let long = |(_, request, answer): &Said| match asking {
        Asking::ToPull => answer.clone(),
        _ => request.clone(),
    };
    let sent = |said: &[Said]| -> usize {
        let of = said.iter().filter(|(of, ..)| *of == verb);
        of.map(|said| long(said).len()).sum()
    };
    let number = said.iter().position(|(of, ..)| *of == verb).unwrap();
    let edges = boundaries(&long(&said[number]));
    let at = edges[edges.len() / 2];
    assert!(at > 100_000, "{edges:?}");

    let trial = Trial::new(asking);
    let fault = match asking {
        Asking::ToPull => Fault::Answer(at + 100),
        _ => Fault::Request(at + 100),
    };
    let exchange = trial.exchange(Some((number, fault)));
    trial.run(&exchange).unwrap();
    // Frames come in the order of packs, which is another one in each store.
    let edges = boundaries(&exchange.cut.lock().unwrap());
    let whole = edges.iter().filter(|edge| **edge <= at + 100).max();
    let most = edges.last().unwrap() - whole.unwrap() + 1000;
    let again = sent(&exchange.said.lock().unwrap());
    assert!(
        again < most,
        "{again} bytes again, cut at {at} of {edges:?}"
    );
    assert_eq!(trial.check(), 3);
}

#[test]
fn what_was_pushed_before_a_cut_stays() {
    what_came_whole_stays(Asking::ToPush, Verb::Put);
}

#[test]
fn what_was_fetched_before_a_cut_stays() {
    what_came_whole_stays(Asking::ToPull, Verb::Frames);
}
