//! What is no HTTP, or too much of it, byte by byte.

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = len[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// What a client of HTTP/2 begins with, and more.
pub fn h2(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frames.concat());
    bytes
}

/// The fields `:method POST, :scheme http, :path /`, indexed, and an authority.
const HEAD: &[u8] = &[0x83, 0x86, 0x84, 0x41, 0x01, b'x'];

pub fn of_http2() -> Vec<Vec<u8>> {
    let begun = |stream| frame(1, 4, stream, HEAD);
    let mut scripts = vec![
        h2(&[]),
        h2(&[frame(0, 0, 1, b"data of no stream")]),
        h2(&[frame(0, 0, 0, b"data of the connection")]),
        h2(&[begun(2)]),
        h2(&[begun(0)]),
        h2(&[begun(5), begun(3)]),
        h2(&[begun(1), begun(1)]),
        h2(&[frame(1, 4, 1, &[0xff; 50])]),
        h2(&[frame(1, 4, 1, &[0x80])]),
        h2(&[frame(1, 0, 1, HEAD), frame(0, 0, 1, b"within a head")]),
        h2(&[frame(9, 4, 1, HEAD)]),
        h2(&[frame(8, 0, 0, &[0; 4])]),
        h2(&[frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])]),
        h2(&[frame(8, 0, 1, &[0, 0, 0, 1])]),
        h2(&[frame(4, 0, 0, &[0; 5])]),
        h2(&[frame(4, 0, 1, &[])]),
        h2(&[frame(4, 1, 0, &[0; 6])]),
        h2(&[frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])]),
        h2(&[frame(4, 0, 0, &[0, 5, 0, 0, 0, 1])]),
        h2(&[frame(6, 0, 0, &[0; 7])]),
        h2(&[frame(3, 0, 1, &[0; 4])]),
        h2(&[frame(2, 0, 1, &[0, 0, 0, 1, 0])]),
        h2(&[frame(5, 4, 1, &[0, 0, 0, 2])]),
        h2(&[frame(7, 0, 0, &[0; 8])]),
        h2(&[frame(200, 0xff, 77, b"nobody knows this")]),
        h2(&[vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]]),
        h2(&[frame(0, 8, 1, &[0xff])]),
    ];
    // Many of what costs little to send.
    let resets = (0..2000).flat_map(|n| [begun(2 * n + 1), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])]);
    scripts.push(h2(&resets.collect::<Vec<_>>()));
    scripts.push(h2(&(0..5000)
        .map(|_| frame(6, 0, 0, &[0; 8]))
        .collect::<Vec<_>>()));
    scripts.push(h2(&(0..5000)
        .map(|_| frame(4, 0, 0, &[]))
        .collect::<Vec<_>>()));
    scripts.push(h2(&(0..1000).map(|n| begun(2 * n + 1)).collect::<Vec<_>>()));
    let endless = (0..5000).map(|_| frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b']));
    let head = std::iter::once(frame(1, 0, 1, HEAD));
    scripts.push(h2(&head.chain(endless).collect::<Vec<_>>()));
    scripts
}

pub fn of_http1() -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let post = "POST /store/lob/v1/has HTTP/1.1\r\nhost: x\r\n";
    let mut scripts: Vec<Vec<u8>> = [
        "content-length: -1\r\n\r\n",
        "content-length: 99999999999999999999999\r\n\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: gzip, chunked\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "transfer-encoding: chunked\r\n\r\n-5\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5;ext=\x00\r\nhello\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
        "content-length: 18446744073709551615\r\n\r\nx",
        "content-length: 10\r\nexpect: 200-surprise\r\n\r\n",
        "authorization: Basic \r\ncontent-length: 0\r\n\r\n",
        "authorization: Basic ////\r\ncontent-length: 0\r\n\r\n",
        "x: a\r\n b: folded\r\n\r\n",
        "upgrade: h2c\r\nconnection: upgrade\r\nhttp2-settings: AAMAAABk\r\n\r\n",
        "a b: c\r\n\r\n",
        ": no name\r\n\r\n",
    ]
    .map(|rest| text(&format!("{post}{rest}")))
    .into();
    scripts.extend(
        [
            "\r\n\r\n\r\n\r\n",
            "HELLO\r\n\r\n",
            "POST\r\n\r\n",
            "POST  HTTP/1.1\r\n\r\n",
            "POST /a HTTP/9.9\r\n\r\n",
            "POST /%00/lob/v1/has HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
            "POST //../..//lob/v1/has HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
            "POST http://other/store/lob/v1/has HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
            "CONNECT other:22 HTTP/1.1\r\nhost: other:22\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
            "TRACE / HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET /healthz HTTP/1.0\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\x00\x01\x00",
            "SSH-2.0-OpenSSH_9.2\r\n",
        ]
        .map(text),
    );
    scripts.push(vec![b'A'; 1 << 20]);
    scripts.push([post.as_bytes(), &b"x: y\r\n".repeat(100_000)].concat());
    scripts.push([b"POST /".as_slice(), &b"a/".repeat(200_000)].concat());
    scripts.push(text(
        &"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500),
    ));
    scripts
}
