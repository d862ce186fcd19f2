//! Servers that follow a script to harm a client.

use super::*;
use crate::wire::Stream;

/// What a server says whatever it is asked.
fn scripts() -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let lob = "HTTP/1.1 200 OK\r\ncontent-type: application/x-lob\r\n";
    let mut scripts: Vec<Vec<u8>> = [
        "content-length: 5\r\n\r\nhel",
        "content-length: -5\r\n\r\nhello",
        "content-length: 5\r\ncontent-length: 4\r\n\r\nhello",
        "content-length: 99999999999999999999\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhel",
        "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
        "content-length: 18446744073709551615\r\n\r\nhello",
        "content-encoding: gzip\r\ncontent-length: 7\r\n\r\nhel",
    ]
    .map(|rest| text(&format!("{lob}{rest}")))
    .into();
    scripts.extend(
        [
            "",
            "\r\n\r\n",
            "nonsense\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 999 \r\n\r\n",
            "HTTP/1.1 -1 OK\r\n\r\n",
            "HTTP/9.9 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 301 Moved\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 301 Moved\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 301 Moved\r\nlocation: http://[::1/lob/v1/has\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 301 Moved\r\nlocation: http://a b/x/lob/v1/has\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 500 Oh\r\ncontent-length: 20\r\n\r\nmissing-chunk zz: no",
            "HTTP/1.1 503 Busy\r\nretry-after: 99999999999\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 503 Busy\r\nretry-after: -1\r\ncontent-length: 0\r\n\r\n",
        ]
        .map(text),
    );
    scripts.push([lob.as_bytes(), &b"x: y\r\n".repeat(100_000)].concat());
    scripts.push([b"HTTP/1.1 200 ".as_slice(), &[b'a'; 1 << 20]].concat());
    scripts.push(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000));
    scripts.push([b"HTTP/1.1 500 Oh\r\n\r\n".as_slice(), &[b'\x1b'; 1 << 20]].concat());
    scripts.push(vec![0; 1 << 20]);
    scripts
}

#[test]
fn p9_no_script_of_a_server_is_taken_for_an_answer() {
    let git = Fixture::new();
    let scripts = Arc::new(scripts());
    for at in 0..scripts.len() {
        let known = scripts.clone();
        let (port, _) = peer(move |_, mut stream| {
            request(&mut stream);
            // A client may leave before the end.
            let _ = stream.write_all(&known[at]);
        });
        let mut hasty = means(git.git());
        hasty.patience.budget = Duration::from_millis(50);
        let network = over_http(&format!("http://127.0.0.1:{port}"), hasty);
        let answer = network.exchange(Verb::Has, Body::Bytes(b"x".into()));
        let whole = answer.map(|mut answer| answer.read_to_end(&mut Vec::new()));
        match whole {
            Ok(Err(_)) => {}
            Ok(Ok(_)) => panic!("{at} is taken for an answer"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.len() < 2000, "{at}: {text}");
                assert!(!text.contains('\x1b'), "{at}: {text}");
            }
        }
    }
}

/// A body without end, and word of when nobody makes it any more.
struct Endless {
    _making: std::sync::mpsc::Sender<()>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(7);
        Ok(buffer.len())
    }
}

impl Stream for Endless {}

#[test]
fn a_body_that_nobody_takes_is_not_made_for_ever() {
    let git = Fixture::new();
    // It says that it has no more to say, or that all is well, and reads nothing more.
    for answer in [
        b"".as_slice(),
        GOOD,
        b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (port, _) = peer(move |_, mut stream| {
            request(&mut stream);
            stream.write_all(answer).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Until the test is over.
            thread::park();
        });
        let network = over_http(&format!("http://127.0.0.1:{port}"), means(git.git()));
        let (making, ended) = std::sync::mpsc::channel();
        let body = Body::Stream(Box::new(Endless { _making: making }));
        drop(network.exchange(Verb::Put, body));
        let over = ended.recv_timeout(Duration::from_secs(60));
        assert_eq!(over, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}
