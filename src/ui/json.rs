//! Events for programs: with `--json` every line of stdout is one JSON object.
//!
//! Each has the field `event`, which names what it is; the other fields depend on it and are
//! listed in docs/cli.md. Fields are added over time and never change their meaning, so a reader
//! must ignore what it does not know. Sizes are numbers of bytes, times are seconds. A path is a
//! string; one that is not UTF-8 has `\u{FFFD}` in place of each wrong part there, and its exact
//! bytes as hexadecimal digits in a second field (`path_bytes` beside `path`).

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// One line: `{"event":name, ...}` with the fields of `body`, and a newline.
pub(super) fn line(name: &str, body: impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        event: &'a str,
        #[serde(flatten)]
        body: T,
    }
    let mut line = serde_json::to_vec(&Line { event: name, body })?;
    line.push(b'\n');
    Ok(line)
}

/// The body of an event that is only a message.
#[derive(Debug, Serialize)]
pub struct Message {
    message: String,
}

impl Message {
    /// A message.
    pub fn new(text: impl Display) -> Message {
        Message {
            message: text.to_string(),
        }
    }
}

/// A path in an event: flatten it into the body.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct File<'a> {
///     #[serde(flatten)]
///     path: lob::ui::json::Path<'a>,
///     size: u64,
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Path<'a>(pub &'a [u8]);

impl Serialize for Path<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bytes("path", self.0).serialize(serializer)
    }
}

/// A field of this name for bytes that are mostly text: flatten it into the body.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'static str, pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Bytes(name, bytes) = self;
        let mut map = serializer.serialize_map(None)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => map.serialize_entry(name, text)?,
            Err(_) => {
                map.serialize_entry(name, &String::from_utf8_lossy(bytes))?;
                map.serialize_entry(&format!("{name}_bytes"), &hex(bytes))?;
            }
        }
        map.end()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct File<'a> {
        #[serde(flatten)]
        path: Path<'a>,
        size: u64,
    }

    fn text(path: &[u8]) -> String {
        let body = File {
            path: Path(path),
            size: 3,
        };
        String::from_utf8(line("file", body).unwrap()).unwrap()
    }

    #[test]
    fn every_path_makes_one_line_of_json() {
        assert_eq!(
            text(b"a b\n\"\x1b"),
            "{\"event\":\"file\",\"path\":\"a b\\n\\\"\\u001b\",\"size\":3}\n"
        );
        assert_eq!(
            text(b"a\xffb"),
            "{\"event\":\"file\",\"path\":\"a\u{fffd}b\",\"path_bytes\":\"61ff62\",\"size\":3}\n"
        );
    }
}
