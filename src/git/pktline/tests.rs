use super::*;
use proptest::prelude::*;

/// A source that gives at most so many bytes at once, and interrupts now and then.
struct Dribble<'a> {
    bytes: &'a [u8],
    step: usize,
    calls: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = self.step.min(buf.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(n);
        buf[..n].copy_from_slice(now);
        self.bytes = later;
        Ok(n)
    }
}

fn dribble(bytes: &[u8], step: usize) -> Reader<Dribble<'_>> {
    Reader::new(Dribble {
        bytes,
        step,
        calls: 0,
    })
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn framed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    writer.write_all(content).unwrap();
    writer.flush_packet();
    writer.send().unwrap();
    out
}

#[test]
fn lines_lose_exactly_one_lf() {
    let mut reader = Reader::new(&b"0007a \n0007b\n\n0005c0006 \n00040000"[..]);
    let lines: [&[u8]; 5] = [b"a ", b"b\n", b"c", b" ", b""];
    for line in lines {
        assert_eq!(reader.line().unwrap(), Some(line));
    }
    assert_eq!(reader.line().unwrap(), None);
    assert_eq!(reader.packet().unwrap(), Packet::End);
}

#[test]
fn hex_of_either_case_is_read_and_lower_case_is_written() {
    let upper = [b"001A".to_vec(), vec![b'x'; 22]].concat();
    assert_eq!(
        Reader::new(&upper[..]).packet().unwrap(),
        Packet::Data(&[b'x'; 22])
    );
    assert!(framed(&[b'x'; 22]).starts_with(b"001axx"));
}

#[test]
fn impossible_heads_are_errors() {
    for bad in ["0001", "0002", "0003", "fff1", "ffff"] {
        let error = Reader::new(bad.as_bytes()).packet().unwrap_err();
        assert!(matches!(error, Error::Length(_)), "{bad}: {error}");
    }
    for bad in ["+001", "0x10", "GET ", "    ", "\u{ff}\u{ff}"] {
        let error = Reader::new(bad.as_bytes()).packet().unwrap_err();
        assert!(matches!(error, Error::Garbage(_)), "{bad}: {error}");
    }
    let longest = [b"fff0".to_vec(), pattern(PAYLOAD_MAX)].concat();
    assert_eq!(
        Reader::new(&longest[..]).packet().unwrap(),
        Packet::Data(&pattern(PAYLOAD_MAX))
    );
}

#[test]
fn a_cut_at_any_byte_is_an_error_and_never_a_short_content() {
    let whole = [&b"0009abcde0000"[..], &framed(b"0123456789")].concat();
    for cut in 0..whole.len() {
        let mut reader = dribble(&whole[..cut], 3);
        let result = (|| {
            while reader.line()?.is_some() {}
            let mut content = reader.content();
            let mut got = Vec::new();
            content.read_to_end(&mut got)?;
            content.drain()?;
            Ok::<_, Error>(got)
        })();
        assert!(result.is_err(), "cut at {cut} gave {result:?}");
    }
}

#[test]
fn after_a_broken_content_nothing_more_comes() {
    let mut reader = Reader::new(&b"0006abzzzz0006cd0000"[..]);
    let mut content = reader.content();
    let mut buf = [0; 16];
    assert_eq!(
        content.read(&mut buf).unwrap(),
        2,
        "what came whole is given"
    );
    assert!(content.read(&mut buf).is_err());
    assert!(content.read(&mut buf).is_err(), "an error stays one");
    assert!(content.drain().is_err());
}

#[test]
fn a_long_line_is_refused_before_it_is_sent() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    assert!(writer.line(&[b"pathname=", &[b'x'; PAYLOAD_MAX]]).is_err());
    writer.line(&[b"a=", &[b'x'; PAYLOAD_MAX - 3]]).unwrap();
    writer.send().unwrap();
    assert_eq!(out.len(), PACKET_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn content_survives_framing_however_it_is_cut(
        len in prop_oneof![0..200usize, (PAYLOAD_MAX - 3)..(PAYLOAD_MAX + 3), 0..1_500_000usize],
        piece in 1..200_000usize,
        step in 1..700_000usize,
        ask in 1..700_000usize,
        leave in any::<bool>(),
    ) {
        let content = pattern(len);
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for piece in content.chunks(piece) {
            writer.write_all(piece).unwrap();
        }
        writer.flush_packet();
        writer.line(&[b"next"]).unwrap();
        writer.send().unwrap();
        prop_assert!(bytes.len() <= len + 4 * (len / PAYLOAD_MAX + 1) + 4 + 9);

        // Tiny steps over a long content would only take time.
        let mut reader = dribble(&bytes, step.max(len / 1000));
        let mut stream = reader.content();
        let mut got = Vec::new();
        let mut buf = vec![0; ask.max(len / 1000)];
        loop {
            let n = stream.read(&mut buf).unwrap();
            got.extend_from_slice(&buf[..n]);
            if n == 0 || leave && got.len() > len / 2 {
                break;
            }
        }
        stream.drain().unwrap();
        prop_assert!(content.starts_with(&got));
        prop_assert!(leave || got.len() == len);
        prop_assert_eq!(reader.line().unwrap(), Some(&b"next"[..]));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), step in 1..9usize) {
        let mut reader = dribble(&bytes, step);
        while let Ok(Packet::Data(_) | Packet::Flush) = reader.packet() {}
        let mut reader = dribble(&bytes, step);
        let mut content = reader.content();
        let mut buf = [0; 7];
        while matches!(content.read(&mut buf), Ok(1..)) {}
        let _ = content.drain();
    }
}
