//! Packets: whatever the pieces in which a stream comes, it is read as the page of git says.

use std::io::{Read, Write};

use lob::git::pktline::{Error, PAYLOAD_MAX, Packet, Reader, Writer};

use super::dribble::Dribble;
use super::input::Input;

/// What a stream of packets is, read in the simplest way.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A payload.
    Data(Vec<u8>),
    /// A flush.
    Flush,
}

/// How a stream ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Between two packets.
    Good,
    /// Inside of one.
    Cut,
    /// At a head that is none.
    Bad,
}

/// All packets of a stream, and how it ends.
pub fn items(mut stream: &[u8]) -> (Vec<Item>, End) {
    let mut items = Vec::new();
    while !stream.is_empty() {
        let Some((head, rest)) = stream.split_at_checked(4) else {
            return (items, End::Cut);
        };
        if !head.iter().all(u8::is_ascii_hexdigit) {
            return (items, End::Bad);
        }
        let digits = std::str::from_utf8(head).expect("digits are ASCII");
        match usize::from_str_radix(digits, 16).expect("digits are a number") {
            0 => {
                items.push(Item::Flush);
                stream = rest;
            }
            len @ 4..=65520 => match rest.split_at_checked(len - 4) {
                Some((payload, rest)) => {
                    items.push(Item::Data(payload.to_vec()));
                    stream = rest;
                }
                None => return (items, End::Cut),
            },
            _ => return (items, End::Bad),
        }
    }
    (items, End::Good)
}

/// Reads the bytes as packets and as contents, then as what a writer makes of them.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let pieces = input.some(8);
    let raw = input.clone().rest();
    reads_like_the_reference(raw, pieces);
    contents_come_whole(raw, pieces);
    what_is_written_is_read(&mut input, pieces);
}

fn ends(error: &Error) -> End {
    match error {
        Error::Cut => End::Cut,
        Error::Garbage(_) | Error::Length(_) => End::Bad,
        Error::Io(error) => panic!("the stream does not fail: {error}"),
    }
}

fn reads_like_the_reference(stream: &[u8], pieces: &[u8]) {
    let mut reader = Reader::new(Dribble::new(stream, pieces));
    let mut found = Vec::new();
    let end = loop {
        match reader.packet() {
            Ok(Packet::Data(payload)) => found.push(Item::Data(payload.to_vec())),
            Ok(Packet::Flush) => found.push(Item::Flush),
            Ok(Packet::End) => break End::Good,
            Err(error) => break ends(&error),
        }
    };
    assert_eq!((found, end), items(stream));
}

/// The payloads up to each flush; a content that is cut off is never taken for a whole one.
fn contents_come_whole(stream: &[u8], pieces: &[u8]) {
    let (items, _) = items(stream);
    let is_flush = |item: &Item| *item == Item::Flush;
    let flushes = items.iter().filter(|item| is_flush(item)).count();
    let mut expected = items.split(is_flush).take(flushes).map(|items| {
        let payloads = items.iter().map(|item| match item {
            Item::Data(payload) => payload.as_slice(),
            Item::Flush => &[],
        });
        payloads.collect::<Vec<_>>().concat()
    });
    let mut reader = Reader::new(Dribble::new(stream, pieces));
    let mut drained = pieces.first().is_some_and(|byte| byte & 1 == 1);
    loop {
        let mut content = reader.content();
        let mut bytes = Vec::new();
        let whole = match drained {
            true => content.drain().is_ok(),
            false => content.read_to_end(&mut bytes).is_ok(),
        };
        match expected.next() {
            Some(content) => assert!(whole && (drained || bytes == content)),
            None => return assert!(!whole, "a content without an end was taken for a whole one"),
        }
        drained = !drained && pieces.len() > 3;
    }
}

fn what_is_written_is_read(input: &mut Input<'_>, pieces: &[u8]) {
    let mut sink = Vec::new();
    let mut writer = Writer::new(&mut sink);
    let mut expected: Vec<Item> = Vec::new();
    let mut content: Vec<u8> = Vec::new();
    while !input.is_empty() {
        match input.byte() % 4 {
            0 => {
                close(&mut content, &mut expected);
                let line = input.some(256);
                writer.line(&[line]).expect("a line is written");
                expected.push(Item::Data([line, b"\n"].concat()));
            }
            1 => {
                close(&mut content, &mut expected);
                writer.flush_packet();
                expected.push(Item::Flush);
            }
            2 => {
                // Longer than a packet, of few bytes of input.
                let bytes = input.some(64).repeat(input.below(2000));
                writer.write_all(&bytes).expect("content is written");
                content.extend_from_slice(&bytes);
            }
            _ => {
                close(&mut content, &mut expected);
                writer.send().expect("it is sent");
            }
        }
    }
    close(&mut content, &mut expected);
    writer.send().expect("it is sent");
    drop(writer);
    assert_eq!(items(&sink), (expected, End::Good));
    reads_like_the_reference(&sink, pieces);
}

/// Content is cut into packets that are as long as they may be.
fn close(content: &mut Vec<u8>, expected: &mut Vec<Item>) {
    let packets = content.chunks(PAYLOAD_MAX);
    expected.extend(packets.map(|packet| Item::Data(packet.to_vec())));
    content.clear();
}
