//! Where in what goes over a connection something begins: the frames and messages of all that carries
//! requests, and the fields of the requests themselves.

use std::collections::BTreeMap;

use super::far::Carrier;
use crate::support::proxy::{Recorded, Way};

/// What a client of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a message, and where in a connection each piece of them is.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    pieces: Vec<(usize, usize)>,
}

impl Body {
    fn push(&mut self, at: usize, bytes: &[u8]) {
        self.pieces.push((self.bytes.len(), at));
        self.bytes.extend_from_slice(bytes);
    }

    /// Where its fields begin.
    fn fields(&self) -> Vec<usize> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(head) = self.bytes.get(at..at + 6) {
            let piece = self.pieces.partition_point(|(from, _)| *from <= at) - 1;
            let (from, place) = self.pieces[piece];
            found.push(place + at - from);
            at += 6 + u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
        }
        found
    }
}

/// Where something begins that went one way, and the end.
pub fn edges(carrier: Carrier, way: Way, recorded: &Recorded) -> Vec<u64> {
    let bytes = &recorded.bytes[way as usize];
    let mut found = match carrier {
        Carrier::Http => of_http1(bytes),
        Carrier::Tls => of_tls(bytes),
        Carrier::Pipe => of_http2(bytes),
        // All of it but the greeting is encrypted: as it was sent.
        Carrier::Ssh => {
            let pieces = &recorded.pieces[way as usize];
            pieces.iter().map(|at| *at as usize).collect()
        }
    };
    found.extend([0, bytes.len()]);
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|at| at as u64).collect()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(what.len()).position(|some| some == what)?;
    Some(from + at)
}

/// Heads, bodies, their pieces, and the fields in them.
fn of_http1(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(end) = find(bytes, at, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[at..end]).to_lowercase();
        found.push(at);
        at = end + 4;
        found.push(at);
        let mut body = Body::default();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        match length {
            Some(length) => {
                let end = bytes.len().min(at + length.parse::<usize>().unwrap());
                body.push(at, &bytes[at..end]);
                at = end;
            }
            None if head.contains("transfer-encoding: chunked") => {
                while let Some(line) = find(bytes, at, b"\r\n") {
                    let text = std::str::from_utf8(&bytes[at..line]).unwrap();
                    let len = usize::from_str_radix(text, 16).unwrap();
                    found.extend([at, line + 2]);
                    let end = bytes.len().min(line + 2 + len);
                    body.push(line + 2, &bytes[line + 2..end]);
                    at = end + 2;
                    if len == 0 {
                        break;
                    }
                }
            }
            None => {}
        }
        found.extend(body.fields());
    }
    found
}

/// Frames with their payloads, and the fields in what is data.
fn of_http2(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = match bytes.starts_with(PREFACE) {
        true => PREFACE.len(),
        false => 0,
    };
    let mut bodies: BTreeMap<[u8; 4], Body> = BTreeMap::new();
    while let Some(head) = bytes.get(at..at + 9) {
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = [head[5], head[6], head[7], head[8]];
        found.extend([at, at + 9]);
        let end = bytes.len().min(at + 9 + len);
        if head[3] == 0 {
            let body = bodies.entry(stream).or_default();
            body.push(at + 9, &bytes[at + 9..end]);
        }
        at = end;
    }
    found.extend(bodies.values().flat_map(Body::fields));
    found
}

/// Records with what is in them.
fn of_tls(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 5) {
        found.extend([at, at + 5]);
        at += 5 + usize::from(u16::from_be_bytes([head[3], head[4]]));
    }
    found
}

/// Each edge, the byte behind it, the one before the next, and one between.
pub fn around(edges: &[u64]) -> Vec<u64> {
    let pairs = edges.windows(2);
    let mut places: Vec<u64> = pairs
        .flat_map(|pair| {
            [
                pair[0],
                pair[0] + 1,
                u64::midpoint(pair[0], pair[1]),
                pair[1] - 1,
            ]
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn edges_are_where_something_begins() {
    let field = |len: u8| [&[0x15, 0, len, 0, 0, 0][..], &vec![7; usize::from(len)]].concat();
    let message = [field(2), field(0)].concat();
    let recorded = |bytes: Vec<u8>| Recorded {
        bytes: [bytes, Vec::new()],
        pieces: [vec![3, 9], Vec::new()],
    };
    let of = |carrier, bytes: &[u8]| edges(carrier, Way::Up, &recorded(bytes.to_vec()));
    let whole = [
        b"POST / HTTP/1.1\r\nContent-Length: 14\r\n\r\n",
        &message[..],
    ]
    .concat();
    assert_eq!(of(Carrier::Http, &whole), [0, 39, 47, 53]);
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (one, two) = message.split_at(9);
    let chunks = [b"9\r\n", one, b"\r\n5\r\n", two, b"\r\n0\r\n\r\n"].concat();
    let found = of(Carrier::Http, &[&head[..], &chunks].concat());
    let expected = [0, 0, 3, 11, 14, 17, 24, 27, 29].map(|at| at + 47);
    let mut expected: Vec<u64> = [&[0][..], &expected].concat();
    expected.dedup();
    assert_eq!(found, expected);
    let frame = |kind: u8, bytes: &[u8]| {
        [&[0, 0, bytes.len() as u8, kind, 0, 0, 0, 0, 1][..], bytes].concat()
    };
    let frames = [PREFACE, &frame(1, b"h"), &frame(0, one), &frame(0, two)].concat();
    let expected = [0, 24, 33, 34, 43, 51, 52, 61, 66];
    assert_eq!(of(Carrier::Pipe, &frames), expected);
    let records = [&[22, 3, 3, 0, 2, 0, 0][..], &[23, 3, 3, 0, 1, 0]].concat();
    assert_eq!(of(Carrier::Tls, &records), [0, 5, 7, 12, 13]);
    assert_eq!(of(Carrier::Ssh, &records), [0, 3, 9, 13]);
    assert_eq!(around(&[0, 5, 7, 8]), [0, 1, 2, 4, 5, 6, 7, 8]);
}
