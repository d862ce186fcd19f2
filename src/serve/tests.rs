//! The server as those see it who speak to it byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fixture::{Running, everybody, hasty};
use super::*;

/// Long enough for every machine; only a server that hangs needs it.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `bytes` and reads until the server closes.
fn talk(server: &Running, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    // A server that closes early may reset.
    let _ = stream.write_all(bytes);
    read_all(&mut stream)
}

fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len) = stream.read(&mut buffer) {
        if len == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..len]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, more: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len}\r\n{more}\r\n{body}"
    )
}

#[test]
fn a_request_is_answered_and_a_refusal_is_a_status() {
    let server = Running::open(Limits::default());
    let answer = talk(&server, post("/a/lob/v1/has", "", "hello").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: application/x-lob\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    for (path, status, text) in [
        ("/a/lob/v1/hold", 507, "full: no room: here"),
        ("/none/lob/v1/has", 404, "not-found: "),
        ("/..%2fa/lob/v1/has", 404, "not-found: "),
        ("/a/lob/v1/nothing", 501, "unsupported: "),
        ("/a/lob/v1/digest", 500, "internal: "),
        ("/", 404, "not-found: "),
    ] {
        let answer = talk(&server, post(path, "", "").as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
        assert!(
            answer.contains(&format!("\r\n\r\n{text}")),
            "{path}: {answer}"
        );
    }
    let answer = talk(
        &server,
        b"GET /a/lob/v1/has HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn rights_are_looked_at_before_the_body() {
    let gate = Gate::let_in("reader".into(), "test".into(), Grant::Read);
    let server = Running::start(gate, Limits::default(), Log::none(), None);
    let answer = talk(&server, post("/a/lob/v1/put", "", "x").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(
        answer.contains("forbidden: reader may not write anything here"),
        "{answer}"
    );
    assert_eq!(
        server.echo.calls.load(std::sync::atomic::Ordering::SeqCst),
        0
    );
    let answer = talk(&server, post("/a/lob/v1/has", "", "x").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn who_says_nothing_wrong_about_himself_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::by_token(TokenFile::at(&dir.path().join("t")), None, Grant::Write);
    let server = Running::start(gate, Limits::default(), Log::none(), None);
    let answer = talk(&server, post("/a/lob/v1/has", "", "x").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(
        answer.contains("www-authenticate: Basic realm=\"lob\""),
        "{answer}"
    );
}

#[test]
fn limits_of_size_hold() {
    let limits = Limits {
        request_bytes: 1000,
        head_bytes: 8 << 10,
        ..Limits::default()
    };
    let server = Running::open(limits);
    let answer = talk(
        &server,
        post("/a/lob/v1/has", "", &"x".repeat(1001)).as_bytes(),
    );
    assert!(
        answer.starts_with("HTTP/1.1 413 "),
        "by its length: {answer}"
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let request = format!(
        "POST /a/lob/v1/has HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
    );
    let answer = talk(&server, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "as it comes: {answer}");
    let long = format!("x-long: {}\r\n", "y".repeat(64 << 10));
    let answer = talk(&server, post("/a/lob/v1/has", &long, "").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn no_peer_holds_a_connection_without_a_word() {
    let server = Running::open(hasty());
    // Nothing, half a head, half a body, and after an answer nothing more.
    for begin in [
        "",
        "PRI * HTTP/2.0\r\n",
        "POST /a/lob/v1/has HTTP/1.1\r\nhost",
        "POST /a/lob/v1/has HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345",
        "POST /a/lob/v1/has HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1",
    ] {
        let mut stream = connect(&server);
        stream.write_all(begin.as_bytes()).unwrap();
        // It ends, or the time limit of the test's own socket fails it.
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).unwrap() > 0 {}
    }
}

#[test]
fn who_does_not_read_his_answer_is_given_up() {
    let limits = Limits {
        requests: 1,
        ..hasty()
    };
    let server = Running::open(limits);
    let mut greedy = connect(&server);
    let asked = post("/a/lob/v1/sizes", "", "100000000");
    greedy.write_all(asked.as_bytes()).unwrap();
    let mut first = [0; 1];
    greedy.read_exact(&mut first).unwrap();
    // The one place is taken; it is free again once the greedy one was given up.
    let mut tries = 0;
    loop {
        let answer = talk(&server, post("/a/lob/v1/has", "", "x").as_bytes());
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        tries += 1;
        assert!(tries < 10_000, "he is never given up");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(tries > 0, "the place was taken");
}

#[test]
fn a_stop_lets_end_what_is_under_way() {
    let server = Running::open(Limits::default());
    let mut stream = connect(&server);
    stream
        .write_all(b"POST /a/lob/v1/has HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n12345")
        .unwrap();
    while server.echo.calls.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.stopper().stop();
    stream.write_all(b"67890").unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.ends_with("1234567890"), "{answer}");
}

/// A log in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn requests_are_logged_and_writes_audited() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    let log = Log::none().with_access(kept.clone());
    let log = log.with_audit(&dir.path().join("audit")).unwrap();
    let server = Running::start(everybody(), Limits::default(), log, None);
    for verb in ["has", "put", "hold"] {
        talk(
            &server,
            post(&format!("/a/lob/v1/{verb}"), "", "hello").as_bytes(),
        );
    }
    talk(
        &server,
        post("/nothing", "authorization: Bearer s3cret\r\n", "").as_bytes(),
    );
    let page = talk(
        &server,
        b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(
        page.contains("lob_requests_total{verb=\"put\"} 1\n"),
        "{page}"
    );
    let health = talk(
        &server,
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(health.ends_with("ok\n"));
    drop(server);
    let audit = std::fs::read_to_string(dir.path().join("audit")).unwrap();
    assert_eq!(audit.lines().count(), 1, "only what was done: {audit}");
    assert!(
        audit.contains("\"what\":\"put\"") && audit.contains("\"who\":\"tester\""),
        "{audit}"
    );
    let access = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let statuses: Vec<_> = access
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["status"].clone())
        .collect();
    assert_eq!(statuses, [200, 200, 507, 404]);
    assert!(!access.contains("s3cret"), "{access}");
}

#[test]
fn a_proxy_is_believed_only_where_there_is_one() {
    let kept = Kept::default();
    let server = Running::start(
        everybody(),
        Limits::default(),
        Log::none().with_access(kept.clone()),
        None,
    );
    let forged = "x-forwarded-for: 10.9.8.7\r\n";
    talk(&server, post("/nothing", forged, "").as_bytes());
    let request = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{forged}\r\n");
    let page = talk(&server, request.as_bytes());
    assert!(
        page.starts_with("HTTP/1.1 401 "),
        "who comes by a proxy is not here: {page}"
    );
    drop(server);
    let access = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(access.contains("\"from\":\"127.0.0.1\""), "{access}");
    assert!(!access.contains("10.9.8.7"), "{access}");
}
