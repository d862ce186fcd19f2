use super::*;
use proptest::prelude::*;

/// Turns content round, and does what the path says.
#[derive(Default)]
struct Mirror {
    delayed: Vec<Vec<u8>>,
    failures: Vec<String>,
    requests: Vec<Smudge>,
    no_delay: bool,
}

fn turned(content: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    bytes.reverse();
    Ok(bytes)
}

impl Handler for Mirror {
    fn may_delay(&mut self) -> bool {
        !self.no_delay
    }

    fn clean(&mut self, path: &[u8], content: &mut (dyn Read + Send)) -> Result<Vec<u8>, Failure> {
        match path {
            b"panic" => panic!("clean of {}", path.escape_ascii()),
            b"unread" => Err("not read".into()),
            _ => turned(content),
        }
    }

    fn smudge(
        &mut self,
        request: &Smudge,
        content: &mut (dyn Read + Send),
    ) -> Result<Reply<'_>, Failure> {
        self.requests.push(request.clone());
        match &request.path[..] {
            b"later" if self.delayed.is_empty() => {
                self.delayed.push(request.path.clone());
                Ok(Reply::Delayed)
            }
            b"long" => Ok(Reply::Stream(Box::new(|out| {
                (0..100).try_for_each(|_| Ok(out.write_all(&[b'l'; 2000])?))
            }))),
            b"midway" => Ok(Reply::Stream(Box::new(|out| {
                out.write_all(b"half of")?;
                Err("the disk is gone".into())
            }))),
            b"panic" => Ok(Reply::Stream(Box::new(|out| {
                out.write_all(b"half of")?;
                panic!("smudge")
            }))),
            _ => Ok(Reply::Whole(turned(content)?)),
        }
    }

    fn available(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(std::mem::take(&mut self.delayed))
    }

    fn failed(&mut self, path: &[u8], failure: &Failure) {
        self.failures
            .push(format!("{}: {failure}", path.escape_ascii()));
    }
}

/// Frames a transcript: one packet a line (an LF is added, as git does), `--` for a flush.
fn packets(transcript: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in transcript.lines().map(str::trim_start) {
        match line {
            "--" => out.extend_from_slice(b"0000"),
            "" => {}
            _ => out.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes()),
        }
    }
    out
}

const HELLO: &str = "git-filter-client
    version=2
    --
    capability=clean
    capability=smudge
    capability=delay
    --
    ";
const HELLO_BACK: &str = "git-filter-server
    version=2
    --
    capability=clean
    capability=smudge
    capability=delay
    --
    ";

fn run(input: &[u8], mirror: &mut Mirror) -> (Result<(), Error>, Vec<u8>) {
    let mut output = Vec::new();
    (serve(input, &mut output, mirror), output)
}

/// What comes back after the handshake.
fn replies(requests: &[u8], mirror: &mut Mirror) -> Vec<u8> {
    let (result, output) = run(&[&packets(HELLO), requests].concat(), mirror);
    result.unwrap();
    output
        .strip_prefix(&packets(HELLO_BACK)[..])
        .expect("the handshake is as git wants it")
        .to_vec()
}

#[test]
fn a_session_as_git_holds_it() {
    let requests = [
        &packets("command=clean\n pathname=a b \n --\n")[..],
        b"0007abc00060\n0000",
        &packets(
            "command=smudge\n pathname=dir/x=y\n ref=refs/heads/main\n treeish=0123\n blob=4567
             can-delay=1\n --\n",
        ),
        b"0007xyz0000",
        &packets("command=clean\n pathname=empty\n --\n --\n"),
    ]
    .concat();
    let mut mirror = Mirror::default();
    let expected = [
        &packets("status=success\n --\n")[..],
        b"0009\n0cba0000",
        b"0000",
        &packets("status=success\n --\n"),
        b"0007zyx0000",
        b"0000",
        &packets("status=success\n --\n --\n --\n"),
    ]
    .concat();
    assert_eq!(
        replies(&requests, &mut mirror).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    assert_eq!(
        mirror.requests,
        [Smudge {
            path: b"dir/x=y".to_vec(),
            can_delay: true,
            reference: Some(b"refs/heads/main".to_vec()),
            treeish: Some(b"0123".to_vec()),
            blob: Some(b"4567".to_vec()),
        }]
    );
}

#[test]
fn what_is_delayed_is_named_and_asked_for_again() {
    let requests = [
        packets("command=smudge\n pathname=later\n can-delay=1\n --\n"),
        b"0005p0000".to_vec(),
        packets("command=list_available_blobs\n --\n"),
        packets("command=smudge\n pathname=now\n --\n --\n"),
        packets("command=list_available_blobs\n --\n"),
    ]
    .concat();
    let expected = packets(
        "status=delayed\n --
         pathname=later\n --\n status=success\n --
         status=success\n --\n --\n --
         --\n status=success\n --\n",
    );
    assert_eq!(
        replies(&requests, &mut Mirror::default())
            .escape_ascii()
            .to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn an_error_or_a_panic_is_about_one_file_and_the_session_goes_on() {
    let smudge = |path: &str| {
        let head = packets(&format!("command=smudge\n pathname={path}\n --\n"));
        [&head[..], b"0007abc0000"].concat()
    };
    let requests = [
        packets("command=clean\n pathname=panic\n --\n"),
        b"0007abc0000".to_vec(),
        packets("command=clean\n pathname=unread\n --\n"),
        b"0007abc0007def0000".to_vec(),
        smudge("midway"),
        smudge("panic"),
        // May not be delayed, as git did not say so.
        smudge("later"),
        smudge("fine"),
    ]
    .concat();
    let error = packets("status=error\n --\n");
    let taken_back = [&packets("status=success\n --\n")[..], b"000bhalf of0000"].concat();
    let expected = [
        &error[..],
        &error,
        &taken_back,
        &error,
        &taken_back,
        &error,
        &error,
        &packets("status=success\n --\n"),
        b"0007cba0000",
        b"0000",
    ]
    .concat();
    let mut mirror = Mirror::default();
    assert_eq!(
        replies(&requests, &mut mirror).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    assert_eq!(
        mirror.failures,
        [
            "panic: a defect of lob: clean of panic",
            "unread: not read",
            "midway: the disk is gone",
            "panic: a defect of lob: smudge",
            "later: a delay that git does not allow here",
        ]
    );
}

#[test]
fn only_what_git_offers_and_the_handler_has_is_taken() {
    let hello = "git-filter-client\n version=2\n version=3\n --\n capability=delay
        capability=smudge\n capability=telepathy\n --\n";
    let (result, output) = run(&packets(hello), &mut Mirror::default());
    result.unwrap();
    let answer = "git-filter-server\n version=2\n --\n capability=smudge\n capability=delay\n --\n";
    assert_eq!(output, packets(answer));
    let (_, output) = run(
        &packets(hello),
        &mut Mirror {
            no_delay: true,
            ..Mirror::default()
        },
    );
    let answer = "git-filter-server\n version=2\n --\n capability=smudge\n --\n";
    assert_eq!(output, packets(answer));
}

#[test]
fn strangers_and_broken_requests_end_the_session_with_an_error() {
    for stranger in [
        &b""[..],
        b"0000",
        b"GET / HTTP/1.1\r\n\r\n",
        &packets("git-filter-server\n version=2\n --\n"),
        &packets("git-filter-client\n version=1\n --\n"),
    ] {
        let (result, output) = run(stranger, &mut Mirror::default());
        assert!(matches!(result, Err(Error::NotGit(_))), "{result:?}");
        assert!(output.is_empty());
    }
    for broken in [
        "--\n",
        "command=clean\n --\n",
        "pathname=x\n --\n",
        "command=smudge\n pathname=\n --\n",
        "command=explode\n pathname=x\n --\n",
    ] {
        let (result, _) = run(&packets(&[HELLO, broken].concat()), &mut Mirror::default());
        assert!(
            matches!(result, Err(Error::Request(_))),
            "{broken}: {result:?}"
        );
    }
    let endless = "x=y\n".repeat(300);
    let (result, _) = run(
        &packets(&[HELLO, "command=clean\n", &endless].concat()),
        &mut Mirror::default(),
    );
    assert!(matches!(result, Err(Error::Request(_))), "{result:?}");
}

/// A session with everything in it.
fn everything() -> Vec<u8> {
    [
        packets(HELLO),
        packets("command=clean\n pathname=a\n --\n"),
        b"0007abc0000".to_vec(),
        packets("command=smudge\n pathname=later\n can-delay=1\n --\n"),
        b"0005p0000".to_vec(),
        packets("command=smudge\n pathname=long\n can-delay=1\n --\n"),
        b"0005p0000".to_vec(),
        packets("command=list_available_blobs\n --\n"),
    ]
    .concat()
}

#[test]
fn only_a_cut_between_two_requests_is_an_orderly_end() {
    let whole = everything();
    let orderly: Vec<usize> = (0..=whole.len())
        .filter(|&cut| run(&whole[..cut], &mut Mirror::default()).0.is_ok())
        .collect();
    let requests = [
        &b"0012command=clean\n"[..],
        b"0013command=smudge\n",
        b"0021command=list",
    ];
    let starts = (0..whole.len())
        .filter(|&at| {
            requests
                .iter()
                .any(|request| whole[at..].starts_with(request))
        })
        .chain([whole.len()]);
    assert_eq!(orderly, starts.collect::<Vec<_>>());
    assert_eq!(orderly.len(), 5);
}

#[test]
fn a_dead_reader_ends_the_session() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            let n = buf.len().min(self.0);
            self.0 -= n;
            Ok(n)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (result, output) = run(&everything(), &mut Mirror::default());
    result.unwrap();
    for room in (0..output.len()).step_by(97) {
        let result = serve(&everything()[..], Full(room), &mut Mirror::default());
        assert!(matches!(result, Err(Error::Stream(_))), "room {room}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn changed_bytes_never_panic_or_hang(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = everything();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = run(&bytes, &mut Mirror::default());
    }
}
