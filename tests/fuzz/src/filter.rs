//! The filter protocol: a session gets the answers that git's manual asks for, and one that is no
//! session ends in an error.
//!
//! The input is a session in which some requests are odd; what git may expect is worked out beside it.
//! Then the whole stream is given once more with some bytes changed, and once as raw bytes.

use std::io::{Read, Write};

use lob::git::filter::{Failure, Handler, Reply, Smudge, serve};
use lob::git::pktline::Writer;

use super::dribble::Dribble;
use super::input::Input;
use super::pktline::{End, Item, items};

/// Plays a session.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let pieces = input.some(8);
    let changes = input.some(16);
    let mut play = Play::new(input.byte());
    play.greet(&mut input);
    while !input.is_empty() && play.expected.len() < 64 {
        play.request(&mut input);
    }
    let stream = play.stream();
    let mut scripted = Scripted::default();
    let mut output = Vec::new();
    serve(Dribble::new(&stream, pieces), &mut output, &mut scripted).expect("a session");
    assert_eq!(answers(&output), play.expected);
    assert_eq!(scripted.failed, play.failed);

    let mut changed = stream;
    for change in changes.chunks_exact(3) {
        let at = usize::from(change[0]) << 8 | usize::from(change[1]);
        let len = changed.len();
        changed[at % len] ^= change[2];
    }
    survives(&changed, pieces);
    survives(data, &[]);
}

/// Whatever comes, the answers are packets in good order.
fn survives(stream: &[u8], pieces: &[u8]) {
    let mut output = Vec::new();
    let _ = serve(
        Dribble::new(stream, pieces),
        &mut output,
        &mut Scripted::default(),
    );
    assert_eq!(items(&output).1, End::Good);
    // A reader of a long list must not be led to hold more than came.
    assert!(output.len() <= 200 + 40 * stream.len());
}

/// The lists and contents of an output, by the flushes that end them.
fn answers(output: &[u8]) -> Vec<Vec<u8>> {
    let (items, end) = items(output);
    assert_eq!(end, End::Good);
    let mut answers = vec![Vec::new()];
    for item in items {
        match item {
            Item::Data(payload) => answers.last_mut().expect("one").extend(payload),
            Item::Flush => answers.push(Vec::new()),
        }
    }
    assert_eq!(answers.pop(), Some(Vec::new()), "all ends with a flush");
    answers
}

/// What becomes of a file is in the first byte of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Whole,
    Stream,
    FailsAtOnce,
    FailsMidway,
    Delayed,
}

const FATES: [(u8, Fate); 5] = [
    (b'w', Fate::Whole),
    (b's', Fate::Stream),
    (b'f', Fate::FailsAtOnce),
    (b'm', Fate::FailsMidway),
    (b'd', Fate::Delayed),
];

fn fate(path: &[u8]) -> Fate {
    let found = FATES
        .iter()
        .find(|(letter, _)| path.first() == Some(letter));
    found.map_or(Fate::Whole, |(_, fate)| *fate)
}

/// What a content becomes.
fn converted(content: &[u8]) -> Vec<u8> {
    content.iter().rev().copied().collect()
}

/// A handler that does as the paths say.
#[derive(Debug, Default)]
struct Scripted {
    delayed: Vec<Vec<u8>>,
    failed: Vec<Vec<u8>>,
}

fn read(content: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Handler for Scripted {
    fn may_delay(&mut self) -> bool {
        true
    }

    fn clean(&mut self, path: &[u8], content: &mut (dyn Read + Send)) -> Result<Vec<u8>, Failure> {
        match fate(path) {
            Fate::FailsAtOnce => Err("at once".into()),
            Fate::FailsMidway => {
                let _ = content.read(&mut [0; 3])?;
                Err("midway".into())
            }
            _ => Ok(converted(&read(content)?)),
        }
    }

    fn smudge(
        &mut self,
        request: &Smudge,
        content: &mut (dyn Read + Send),
    ) -> Result<Reply<'_>, Failure> {
        match fate(&request.path) {
            Fate::FailsAtOnce => Err("at once".into()),
            Fate::Whole => Ok(Reply::Whole(converted(&read(content)?))),
            Fate::Stream => {
                let bytes = converted(&read(content)?);
                Ok(Reply::Stream(Box::new(move |out| {
                    let (one, two) = bytes.split_at(bytes.len() / 2);
                    Ok(out.write_all(one).and_then(|()| out.write_all(two))?)
                })))
            }
            Fate::FailsMidway => Ok(Reply::Stream(Box::new(|out: &mut dyn Write| {
                out.write_all(b"the beginning")?;
                Err("midway".into())
            }))),
            Fate::Delayed => {
                if request.can_delay {
                    self.delayed.push(request.path.clone());
                }
                Ok(Reply::Delayed)
            }
        }
    }

    fn available(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(std::mem::take(&mut self.delayed))
    }

    fn failed(&mut self, path: &[u8], _: &Failure) {
        self.failed.push(path.to_vec());
    }
}

/// A session as git may hold it, and the answers that it must get.
#[derive(Debug)]
struct Play {
    sent: Vec<u8>,
    expected: Vec<Vec<u8>>,
    failed: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    odd: u8,
}

const ERROR: &[u8] = b"status=error\n";
const SUCCESS: &[u8] = b"status=success\n";

impl Play {
    fn new(odd: u8) -> Self {
        Play {
            sent: Vec::new(),
            expected: Vec::new(),
            failed: Vec::new(),
            waiting: Vec::new(),
            odd,
        }
    }

    fn stream(&self) -> Vec<u8> {
        self.sent.clone()
    }

    fn list(&mut self, lines: &[&[u8]]) {
        let mut writer = Writer::new(&mut self.sent);
        for line in lines {
            writer.line(&[line]).expect("a short line");
        }
        writer.flush_packet();
        writer.send().expect("memory takes all");
    }

    fn content(&mut self, bytes: &[u8]) {
        let mut writer = Writer::new(&mut self.sent);
        writer.write_all(bytes).expect("memory takes all");
        writer.flush_packet();
        writer.send().expect("memory takes all");
    }

    fn greet(&mut self, input: &mut Input<'_>) {
        match self.odd & 1 {
            0 => self.list(&[b"git-filter-client", b"version=2"]),
            _ => self.list(&[b"git-filter-client", b"version=3", b"x", b"version=2"]),
        }
        self.expected
            .push(b"git-filter-server\nversion=2\n".to_vec());
        let all: [&[u8]; 3] = [
            b"capability=clean",
            b"capability=smudge",
            b"capability=delay",
        ];
        let mask = input.byte();
        let offered = (0..3).filter(|n| mask >> n & 1 == 0).map(|n| all[n]);
        let offered: Vec<_> = offered.collect();
        let mut sent: Vec<_> = offered.iter().rev().copied().collect();
        if self.odd & 2 == 2 {
            sent.push(b"capability=of-a-later-git");
        }
        self.list(&sent);
        let taken: Vec<u8> = offered
            .iter()
            .flat_map(|line| [line, b"\n".as_slice()].concat())
            .collect();
        self.expected.push(taken);
    }

    fn request(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        if kind.is_multiple_of(5) {
            self.list(&[b"command=list_available_blobs"]);
            let paths = std::mem::take(&mut self.waiting);
            let lines = paths
                .iter()
                .map(|path| [b"pathname=", path.as_slice(), b"\n"].concat());
            self.expected.push(lines.collect::<Vec<_>>().concat());
            self.expected.push(SUCCESS.to_vec());
            return;
        }
        let letter = FATES[input.below(FATES.len())].0;
        let path = [&[letter], input.some(20)].concat();
        let content = input
            .some(100)
            .repeat(1 + input.below(40) * input.below(40));
        let name = [b"pathname=", path.as_slice()].concat();
        let is_clean = kind & 8 == 8;
        let can_delay = kind & 16 == 16;
        let mut lines: Vec<&[u8]> = vec![if is_clean {
            b"command=clean"
        } else {
            b"command=smudge"
        }];
        lines.push(&name);
        if can_delay {
            lines.push(b"can-delay=1");
        }
        if kind & 32 == 32 {
            lines.insert(1, b"no key and no value");
            lines.push(b"treeish=0123");
        }
        self.list(&lines);
        self.content(&content);
        self.expect(&path, &content, is_clean, can_delay);
    }

    fn expect(&mut self, path: &[u8], content: &[u8], is_clean: bool, can_delay: bool) {
        let fate = fate(path);
        let fails = match fate {
            Fate::FailsAtOnce => true,
            Fate::FailsMidway => is_clean,
            Fate::Delayed => !is_clean && !can_delay,
            _ => false,
        };
        if fails {
            self.expected.push(ERROR.to_vec());
            self.failed.push(path.to_vec());
        } else if fate == Fate::FailsMidway {
            let answers = [SUCCESS, b"the beginning", ERROR].map(<[u8]>::to_vec);
            self.expected.extend(answers);
            self.failed.push(path.to_vec());
        } else if fate == Fate::Delayed && !is_clean {
            self.expected.push(b"status=delayed\n".to_vec());
            self.waiting.push(path.to_vec());
        } else {
            let answers = [SUCCESS.to_vec(), converted(content), Vec::new()];
            self.expected.extend(answers);
        }
    }
}
