//! Untrusted text made fit for a terminal: paths, and what servers say.

use std::fmt::{self, Display, Write};

/// Text as it may be shown: control characters, invisible ones, those that change the direction of
/// writing and bytes that are not UTF-8 appear as `\xNN` or `\u{NNNN}`. Newlines too.
pub fn text<T: AsRef<[u8]> + ?Sized>(bytes: &T) -> impl Display + '_ {
    Text {
        bytes: bytes.as_ref(),
        newline: None,
    }
}

/// A whole message as it may be shown: like [`text`], but with its lines, of which all but the
/// first are indented, so that none can pass for a message of its own.
pub(super) fn talk(text: &str) -> impl Display + '_ {
    Text {
        bytes: text.as_bytes(),
        newline: Some("\n    "),
    }
}

/// A path as git shows it: as it is where that is safe and unambiguous, otherwise in double quotes
/// with the escapes of C (`\n`, `\"`, `\\`, `\303`), from which it can be told exactly.
pub fn path<T: AsRef<[u8]> + ?Sized>(bytes: &T) -> impl Display + '_ {
    Path(bytes.as_ref())
}

struct Text<'a> {
    bytes: &'a [u8],
    newline: Option<&'static str>,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.bytes.utf8_chunks() {
            for c in part.valid().chars() {
                match (c, self.newline) {
                    ('\n', Some(newline)) => f.write_str(newline)?,
                    _ if is_harmless(c) => f.write_char(c)?,
                    _ if c.is_ascii() => write!(f, "\\x{:02x}", u32::from(c))?,
                    _ => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                }
            }
            for byte in part.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

struct Path<'a>(&'a [u8]);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| is_harmless(c) && c != '"' && c != '\\';
        if let Ok(text) = std::str::from_utf8(self.0)
            && !text.is_empty()
            && text.chars().all(plain)
        {
            return f.write_str(text);
        }
        f.write_char('"')?;
        for part in self.0.utf8_chunks() {
            for c in part.valid().chars() {
                if plain(c) {
                    f.write_char(c)?;
                    continue;
                }
                let mut buffer = [0; 4];
                quote(f, c.encode_utf8(&mut buffer).as_bytes())?;
            }
            quote(f, part.invalid())?;
        }
        f.write_char('"')
    }
}

fn quote(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        match byte {
            0x07 => f.write_str("\\a")?,
            0x08 => f.write_str("\\b")?,
            b'\t' => f.write_str("\\t")?,
            b'\n' => f.write_str("\\n")?,
            0x0b => f.write_str("\\v")?,
            0x0c => f.write_str("\\f")?,
            b'\r' => f.write_str("\\r")?,
            b'"' => f.write_str("\\\"")?,
            b'\\' => f.write_str("\\\\")?,
            _ => write!(f, "\\{byte:03o}")?,
        }
    }
    Ok(())
}

/// Whether a character shows as itself and does nothing else.
fn is_harmless(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}'                     // soft hyphen
            | '\u{34f}'                  // grapheme joiner
            | '\u{61c}'                  // Arabic letter mark
            | '\u{115f}' | '\u{1160}'    // Hangul fillers
            | '\u{17b4}' | '\u{17b5}'    // Khmer inherent vowels
            | '\u{180b}'..='\u{180f}'    // Mongolian selectors and separator
            | '\u{200b}'..='\u{200f}'    // zero width, direction marks
            | '\u{2028}'..='\u{202e}'    // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}'    // joiners, isolates, deprecated controls
            | '\u{3164}' | '\u{ffa0}'    // Hangul fillers
            | '\u{fe00}'..='\u{fe0f}'    // variation selectors
            | '\u{feff}'                 // byte order mark
            | '\u{fff0}'..='\u{fffb}'    // specials
            | '\u{1d173}'..='\u{1d17a}'  // musical controls
            | '\u{e0000}'..='\u{e0fff}'  // tags, further selectors
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_letters_and_shows_the_rest() {
        let cases: [(&[u8], &str); 7] = [
            (b"plain \"quoted\" \\ text", "plain \"quoted\" \\ text"),
            ("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}"),
            (b"\x1b]0;title\x07\x7f", "\\x1b]0;title\\x07\\x7f"),
            ("\u{9b}2J".as_bytes(), "\\u{9b}2J"),
            (
                "a\u{202e}b\u{2066}c\u{200b}".as_bytes(),
                "a\\u{202e}b\\u{2066}c\\u{200b}",
            ),
            ("\u{e0041}".as_bytes(), "\\u{e0041}"),
            (b"a\xff\xfeb\nc", "a\\xff\\xfeb\\x0ac"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(text(bytes).to_string(), shown);
        }
    }

    #[test]
    fn paths_are_quoted_as_git_does() {
        let cases: [(&[u8], &str); 7] = [
            (b"dir/with space.bin", "dir/with space.bin"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            (b"a\nb\t", r#""a\nb\t""#),
            (br#"a"b\c"#, r#""a\"b\\c""#),
            (b"\xff\x1b", r#""\377\033""#),
            ("\u{200b}".as_bytes(), r#""\342\200\213""#),
            (b"", "\"\""),
        ];
        for (bytes, shown) in cases {
            assert_eq!(path(bytes).to_string(), shown);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_get_through_as_controls(bytes: Vec<u8>) {
            for shown in [text(&bytes).to_string(), path(&bytes).to_string()] {
                proptest::prop_assert!(shown.chars().all(is_harmless));
            }
        }
    }
}
