//! The client against the real server, and against peers that break off, stall and lie.

mod hostile;
mod own;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::ssh::{Program, Ssh};
use super::*;
use crate::git::Git;
use crate::git::fixture::Fixture;
use crate::remote::{Access, Served};
use crate::serve::fixture::{Echo, Running, everybody};
use crate::serve::{Gate, Grant, Limits, Log, NewToken, TokenFile, acceptor};
use crate::wire::{Body, Exchange, ExchangeError, RefusalKind, Verb};

/// Short where a test waits for a limit to be over, and long where it must not be.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(20),
        first_byte: Duration::from_secs(20),
        stall: Duration::from_secs(20),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(5),
        budget: Duration::from_secs(20),
    }
}

fn means(git: &Git) -> Means {
    Means {
        git: git.clone(),
        patience: patience(),
        own: Default::default(),
        roots: None,
        proxy: None,
        ssh: Ssh {
            program: Program::Ssh("false".into()),
            may_ask: false,
        },
    }
}

fn over_http(url: &str, means: Means) -> Network {
    Network::over_http(&HttpPlace::parse(url).unwrap(), means).unwrap()
}

fn to(server: &Running, means: Means) -> Network {
    over_http(&format!("http://{}/team/game", server.address), means)
}

fn ask(network: &Network, verb: Verb, body: &str) -> Result<String, ExchangeError> {
    let mut answer = network.exchange(verb, Body::Bytes(body.into()))?;
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    Ok(text)
}

/// Any bytes, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(step).collect()
}

fn has_echo(network: &Network) {
    assert_eq!(ask(network, Verb::Has, "hello").unwrap(), "hello");
    assert_eq!(ask(network, Verb::Has, "").unwrap(), "");
    let sent = noise(5_000_000);
    let stream = Body::Stream(Box::new(std::io::Cursor::new(sent.clone())));
    let mut answer = network.exchange(Verb::Put, stream).unwrap();
    let mut got = Vec::new();
    answer.read_to_end(&mut got).unwrap();
    assert!(
        got == sent,
        "{} of {} bytes come back",
        got.len(),
        sent.len()
    );
    let refused = network.exchange(Verb::Hold, Body::Bytes(Vec::new()));
    let Err(ExchangeError::Refused(refusal)) = refused else {
        panic!("it is refused");
    };
    assert_eq!(
        (refusal.kind, refusal.message.as_str()),
        (RefusalKind::Full, "no room: here")
    );
}

#[test]
fn bytes_go_and_come_over_tcp_on_one_connection() {
    let git = Fixture::new();
    let server = Running::open(Limits::default());
    let network = to(&server, means(git.git()));
    has_echo(&network);
    for _ in 0..20 {
        // Who knows where an answer ends need not read its end.
        let mut answer = network
            .exchange(Verb::Has, Body::Bytes(b"hello".into()))
            .unwrap();
        let mut five = [0; 5];
        answer.read_exact(&mut five).unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn many_requests_go_at_once() {
    let git = Fixture::new();
    let server = Running::open(Limits::default());
    let network = to(&server, means(git.git()));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(ask(&network, Verb::Sizes, "100000").unwrap().len(), 100_000);
                }
            });
        }
    });
    assert!(
        server.connections() <= 8,
        "{} connections",
        server.connections()
    );
}

/// A server's certificate for `localhost`, with its key.
fn certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn believing(dir: &Path) -> Option<Authorities> {
    let (file, named_by) = (dir.join("cert.pem"), "GIT_SSL_CAINFO");
    Some(Authorities { file, named_by })
}

#[test]
fn tls_is_spoken_with_those_who_are_believed() {
    let git = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    let tls = acceptor(&cert, &key, drop).unwrap();
    let server = Running::start(everybody(), Limits::default(), Log::none(), Some(tls));
    let port = server.address.port();
    let mut known = means(git.git());
    known.roots = believing(dir.path());
    let network = over_http(&format!("https://localhost:{port}/x"), known.clone());
    has_echo(&network);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(ask(&network, Verb::Has, "x").unwrap(), "x"));
        }
    });
    assert_eq!(server.connections(), 1, "HTTP/2 carries all");
    // The certificate is for another name.
    let network = over_http(&format!("https://127.0.0.1:{port}/x"), known);
    let error = ask(&network, Verb::Has, "x").unwrap_err();
    assert!(
        !error.is_transient() && error.to_string().contains("TLS"),
        "{error}"
    );
    // Nobody vouches for it.
    let other = tempfile::tempdir().unwrap();
    certificate(other.path());
    let mut others = means(git.git());
    others.roots = believing(other.path());
    let network = over_http(&format!("https://localhost:{port}/x"), others);
    let error = ask(&network, Verb::Has, "x").unwrap_err();
    assert!(
        !error.is_transient() && error.to_string().contains("certificate"),
        "{error}"
    );
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let git = Fixture::new();
    let echo = Echo {
        busy: 3,
        ..Echo::default()
    };
    let server = Running::with(echo, everybody(), Limits::default(), Log::none(), None);
    let network = to(&server, means(git.git()));
    assert_eq!(ask(&network, Verb::Kin, "now").unwrap(), "now");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 4);
    ask(&network, Verb::Hold, "").unwrap_err();
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 5);
}

/// A server of the test's own, which does with each connection what `each` says; gives its port and counts.
fn peer(each: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let (seen, each) = (count.clone(), Arc::new(each));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (number, each) = (seen.fetch_add(1, Ordering::SeqCst), each.clone());
            thread::spawn(move || each(number, stream.unwrap()));
        }
    });
    (port, count)
}

/// Reads the head of a request and its body, as far as it comes at once.
fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(len) if len > 0 => text.extend_from_slice(&buffer[..len]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

const GOOD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-lob\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn a_broken_connection_is_left_for_another() {
    let git = Fixture::new();
    let (port, count) = peer(|number, mut stream| {
        if number > 0 {
            request(&mut stream);
        }
        match number {
            // At once, after the request, within the head of the answer, and then not.
            0 | 1 => {}
            2 => stream.write_all(&GOOD[..20]).unwrap(),
            _ => stream.write_all(GOOD).unwrap(),
        }
    });
    let network = over_http(&format!("http://127.0.0.1:{port}"), means(git.git()));
    assert_eq!(ask(&network, Verb::Has, "x").unwrap(), "hello");
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[test]
fn a_cut_answer_is_an_error_and_never_the_end() {
    let git = Fixture::new();
    let (port, _) = peer(|_, mut stream| {
        request(&mut stream);
        stream.write_all(&GOOD[..GOOD.len() - 2]).unwrap();
    });
    let network = over_http(&format!("http://127.0.0.1:{port}"), means(git.git()));
    let mut answer = network
        .exchange(Verb::Has, Body::Bytes(Vec::new()))
        .unwrap();
    let mut text = Vec::new();
    answer.read_to_end(&mut text).unwrap_err();
    assert_eq!(text, b"hel");
    answer.read_to_end(&mut text).unwrap_err();
}

#[test]
fn who_stalls_is_given_up_within_the_limits() {
    let git = Fixture::new();
    let (port, count) = peer(|number, mut stream| {
        request(&mut stream);
        if number > 0 {
            stream.write_all(&GOOD[..GOOD.len() - 2]).unwrap();
        }
        // Holds the connection until the client leaves it.
        let _ = stream.read(&mut [0; 1]);
    });
    let mut hasty = means(git.git());
    hasty.patience.first_byte = Duration::from_millis(200);
    hasty.patience.stall = Duration::from_millis(200);
    let network = over_http(&format!("http://127.0.0.1:{port}"), hasty);
    let mut answer = network
        .exchange(Verb::Has, Body::Bytes(Vec::new()))
        .unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2, "the first gave no answer");
    let error = answer.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn the_budget_ends_in_one_error_that_says_what_to_do() {
    let git = Fixture::new();
    let (port, count) = peer(|_, _| {});
    let mut poor = means(git.git());
    poor.patience.budget = Duration::from_millis(100);
    let network = over_http(&format!("http://127.0.0.1:{port}/team"), poor);
    let error = ask(&network, Verb::Has, "").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("it cannot be reached after"), "{text}");
    let served = Served::connect(Arc::new(network), Access::Read, None).unwrap_err();
    let url = format!("http://127.0.0.1:{port}/team");
    assert_eq!(served.to_string().matches(&url).count(), 1, "{served}");
    assert!(text.contains("nothing had moved"), "{text}");
    let ExchangeError::Broken {
        hint, transient, ..
    } = error
    else {
        panic!("it is broken");
    };
    assert!(!transient && hint.unwrap().contains("run the same command again"));
    assert!(count.load(Ordering::SeqCst) > 1);
}

#[test]
fn no_lob_server_is_told_from_a_broken_one() {
    let git = Fixture::new();
    let (port, count) = peer(|_, mut stream| {
        request(&mut stream);
        let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
        stream.write_all(page.as_bytes()).unwrap();
    });
    let network = over_http(&format!("http://127.0.0.1:{port}"), means(git.git()));
    let error = ask(&network, Verb::Has, "x").unwrap_err();
    assert!(error.to_string().contains("is no lob server"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// A repository whose git knows the password `secret` for a server.
fn knowing(server: u16, secret: &str) -> Fixture {
    let fixture = Fixture::new();
    let store = fixture.beside("credentials");
    std::fs::write(&store, format!("http://me:{secret}@127.0.0.1%3a{server}\n")).unwrap();
    let helper = format!("store --file={}", store.display());
    fixture.run(&["config", "credential.helper", &helper]);
    fixture
}

#[test]
fn git_knows_the_password_and_forgets_one_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = TokenFile::at(&dir.path().join("tokens"));
    let token = NewToken {
        name: "ci".into(),
        rights: Grant::Append,
        repositories: vec!["team/*".into()],
    };
    let secret = file.add(token).unwrap();
    let gate = Gate::by_token(file, None, Grant::Write);
    let server = Running::start(gate, Limits::default(), Log::none(), None);
    let port = server.address.port();

    let git = knowing(port, secret.reveal());
    let network = to(&server, means(git.git()));
    assert_eq!(ask(&network, Verb::Hello, "").unwrap(), "ci Append");
    let elsewhere = over_http(&format!("http://127.0.0.1:{port}/other"), means(git.git()));
    let error = ask(&elsewhere, Verb::Hello, "").unwrap_err();
    assert!(
        matches!(&error, ExchangeError::Refused(refusal) if refusal.kind == RefusalKind::Forbidden)
    );

    let git = knowing(port, "wrong");
    let network = to(&server, means(git.git()));
    let error = ask(&network, Verb::Hello, "").unwrap_err();
    assert!(
        matches!(&error, ExchangeError::Refused(refusal) if refusal.kind == RefusalKind::Unauthorized)
    );
    assert!(!error.to_string().contains("wrong\""));
    let kept = std::fs::read_to_string(git.beside("credentials")).unwrap();
    assert_eq!(kept, "", "forgotten");

    // In the URL, as some have it; never shown.
    let url = format!("http://me:{}@127.0.0.1:{port}/team/game", secret.reveal());
    let network = over_http(&url, means(Fixture::new().git()));
    assert_eq!(ask(&network, Verb::Hello, "").unwrap(), "ci Append");
    assert!(!format!("{network:?} {}", network.describe()).contains(secret.reveal()));
}

#[test]
fn a_redirect_is_followed_without_the_credentials_of_another_server() {
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = heads.clone();
    let (last, _) = peer(move |_, mut stream| {
        seen.lock().unwrap().push(request(&mut stream));
        stream.write_all(GOOD).unwrap();
    });
    let (first, _) = peer(move |_, mut stream| {
        let head = request(&mut stream);
        let answer = match head.contains("authorization: ") {
            false => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned(),
            true => format!(
                "HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{last}/b/lob/v1/has\r\ncontent-length: 0\r\n\r\n"
            ),
        };
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let git = knowing(first, "s3cret");
    let network = over_http(&format!("http://127.0.0.1:{first}/a"), means(git.git()));
    assert_eq!(ask(&network, Verb::Has, "x").unwrap(), "hello");
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("POST /b/lob/v1/has "), "{heads:?}");
    assert!(
        !heads[0].to_ascii_lowercase().contains("authorization"),
        "{heads:?}"
    );
}

#[test]
fn an_endless_chain_of_redirects_ends() {
    let git = Fixture::new();
    let (port, count) = peer(|number, mut stream| {
        request(&mut stream);
        let head = format!(
            "HTTP/1.1 302 Found\r\nlocation: /{number}/lob/v1/has\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
    });
    let network = over_http(&format!("http://127.0.0.1:{port}"), means(git.git()));
    let error = ask(&network, Verb::Has, "x").unwrap_err();
    assert!(error.to_string().contains("again and again"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 6);
}

/// A service over a program of the test's that stands in the place of ssh.
fn over_program(fixture: &Fixture, script: &str) -> Network {
    let path = fixture.beside("ssh");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mut means = means(fixture.git());
    means.ssh.program = Program::Shell(format!("sh '{}'", path.display()).into());
    means.patience.budget = Duration::from_millis(200);
    let place = SshPlace::parse("me@host:team/game").unwrap();
    Network::over_ssh(&place, means).unwrap()
}

#[test]
fn what_ssh_says_is_said() {
    let fixture = Fixture::new();
    for (script, said) in [
        (
            "echo 'sh: lob: command not found' >&2; exit 127",
            "host has no lob that can be run",
        ),
        (
            "echo Welcome to host; cat",
            "host printed this before lob could speak there: \"Welcome to host\"",
        ),
        (
            "echo 'Permission denied (publickey).' >&2; exit 255",
            "ssh does not reach host: Permission denied",
        ),
        (
            "echo 'lob: error: no such place' >&2; exit 1",
            "lob on host says: lob: error: no such place",
        ),
        ("exit 0", "it cannot be reached after"),
        ("exit 255", "cannot be reached after"),
    ] {
        let network = over_program(&fixture, script);
        let error = ask(&network, Verb::Has, "x").unwrap_err();
        assert!(error.to_string().contains(said), "{script}: {error}");
        assert!(!error.is_transient(), "{script}");
    }
}

#[test]
fn a_proxy_lets_through_what_is_for_elsewhere() {
    let server = Arc::new(Running::open(Limits::default()));
    let heads = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, address) = (heads.clone(), server.address);
    let (port, _) = peer(move |_, mut client| {
        seen.lock().unwrap().push(request(&mut client));
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .unwrap();
        let mut server = TcpStream::connect(address).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    });
    let git = Fixture::new();
    let mut means = means(git.git());
    means.proxy = Some(format!("http://me:pw@127.0.0.1:{port}"));
    // Nobody knows this host but the proxy.
    let network = over_http("http://lob.invalid:8080/team/game", means);
    has_echo(&network);
    let heads = heads.lock().unwrap();
    assert!(
        heads[0].starts_with("CONNECT lob.invalid:8080 HTTP/1.1\r\n"),
        "{heads:?}"
    );
    assert!(
        heads[0].contains("Proxy-Authorization: Basic bWU6cHc=\r\n"),
        "{heads:?}"
    );
}
