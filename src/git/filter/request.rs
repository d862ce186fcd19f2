//! What git asks of a filter.

use std::io::Read;

use crate::git::filter::Error;
use crate::git::pktline::{self, Packet, Reader};

/// Most lines in one list of git's, which has six today.
const LINES_MAX: usize = 256;
/// Most bytes in one list: a path is not longer than a packet.
const BYTES_MAX: usize = 1 << 20;

/// One request. The content of a clean or a smudge follows in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Convert the file of this path to what git stores.
    Clean(Vec<u8>),
    /// Convert what git stores to the file.
    Smudge(Smudge),
    /// Name delayed contents that are ready.
    Available,
}

/// A request for the content of one file of the work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smudge {
    /// The path from the top of the work tree, in git's bytes.
    pub path: Vec<u8>,
    /// Whether the answer may be [`super::Reply::Delayed`]. Git says so exactly when it is
    /// populating a work tree.
    pub can_delay: bool,
    /// The full name of the ref that is being checked out; none on a detached HEAD.
    pub reference: Option<Vec<u8>>,
    /// The commit or tree that is being checked out, in hexadecimal.
    pub treeish: Option<Vec<u8>>,
    /// The blob that git stores, in hexadecimal.
    pub blob: Option<Vec<u8>>,
}

/// Reads the next request; `None` when git is done.
pub(super) fn read<R: Read>(input: &mut Reader<R>) -> Result<Option<Request>, Error> {
    let first = match input.packet()? {
        Packet::End => return Ok(None),
        Packet::Flush => return Err(Error::Request("an empty list".into())),
        Packet::Data(line) => pktline::text(line).to_vec(),
    };
    let mut command = None;
    let mut path = None;
    let mut smudge = Smudge::default();
    for line in std::iter::once(first).chain(list(input)?) {
        // A word that is no key=value, and a key of a later git, mean nothing here.
        let Some(at) = line.iter().position(|&byte| byte == b'=') else {
            continue;
        };
        let (key, value) = (&line[..at], line[at + 1..].to_vec());
        match key {
            b"command" => command = Some(value),
            b"pathname" => path = Some(value),
            b"ref" => smudge.reference = Some(value),
            b"treeish" => smudge.treeish = Some(value),
            b"blob" => smudge.blob = Some(value),
            b"can-delay" => smudge.can_delay = value == b"1",
            _ => {}
        }
    }
    let path = |command: &str| match path {
        Some(path) if !path.is_empty() => Ok(path),
        _ => Err(Error::Request(format!("{command} without a path"))),
    };
    match command.as_deref() {
        Some(b"clean") => Ok(Some(Request::Clean(path("clean")?))),
        Some(b"smudge") => {
            smudge.path = path("smudge")?;
            Ok(Some(Request::Smudge(smudge)))
        }
        Some(b"list_available_blobs") => Ok(Some(Request::Available)),
        // Whether content follows can't be known, so the stream is lost.
        Some(other) => Err(Error::Request(cut(other))),
        None => Err(Error::Request("no command".into())),
    }
}

/// Reads a list of lines up to its flush.
pub(super) fn list<R: Read>(input: &mut Reader<R>) -> Result<Vec<Vec<u8>>, Error> {
    let mut lines = Vec::new();
    let mut bytes = 0;
    while let Some(line) = input.line()? {
        bytes += line.len();
        if lines.len() == LINES_MAX || bytes > BYTES_MAX {
            return Err(Error::Request("a list without end".into()));
        }
        lines.push(line.to_vec());
    }
    Ok(lines)
}

fn cut(text: &[u8]) -> String {
    text.escape_ascii().take(80).map(char::from).collect()
}
