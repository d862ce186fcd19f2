//! One line of a `.gitattributes` file, as git reads it.

use std::ops::Range;

use super::LINE_MAX;
use super::quote::unquote;

/// What stands between words to git, which knows fewer blanks than ASCII has.
const BLANKS: &[u8] = b" \t\r\n";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line with its ending, and the pattern where it has one.
#[derive(Debug)]
pub struct Line<'a> {
    raw: &'a [u8],
    pattern: Option<Vec<u8>>,
    /// Where the attributes are, without the blanks around them.
    attributes: Range<usize>,
}

impl<'a> Line<'a> {
    /// The lines of a file: joined they are the file.
    pub fn all(text: &'a [u8]) -> Vec<Line<'a>> {
        let lines = text.split_inclusive(|&byte| byte == b'\n').enumerate();
        let line = |(at, raw): (usize, &'a [u8])| {
            // Git skips a byte order mark.
            let has_mark = at == 0 && raw.starts_with(BYTE_ORDER_MARK);
            let begin = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
            let (pattern, attributes) = parse(raw, begin).unzip();
            Line {
                raw,
                pattern,
                attributes: attributes.unwrap_or_default(),
            }
        };
        lines.map(line).collect()
    }

    /// The line as it is in the file.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The pattern without its quotes; `None` for a comment, an empty line, a macro, and what git
    /// ignores.
    pub fn pattern(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    /// Whether this attribute is set, unset or cancelled here.
    pub fn names(&self, attribute: &str) -> bool {
        self.words().any(|word| name(word) == attribute.as_bytes())
    }

    /// Whether this word is what the line says of its attribute: the last one counts.
    pub fn has(&self, word: &str) -> bool {
        let name_of_word = name(word.as_bytes());
        let same = self.words().filter(|found| name(found) == name_of_word);
        same.last() == Some(word.as_bytes())
    }

    /// The line without some words; `None` where no attribute is left.
    pub fn without(&self, words: &[&str]) -> Option<Vec<u8>> {
        let gone = |word: &[u8]| words.iter().any(|gone| gone.as_bytes() == word);
        let kept: Vec<_> = self.words().filter(|word| !gone(word)).collect();
        if kept.is_empty() {
            return None;
        }
        let head = self.raw.get(..self.attributes.start)?;
        let ending = self.raw.get(self.attributes.end..)?;
        Some([head, &kept.join(&b' '), ending].concat())
    }

    fn words(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        words(self.raw.get(self.attributes.clone()).unwrap_or_default())
    }
}

fn is_blank(byte: &u8) -> bool {
    BLANKS.contains(byte)
}

fn words(attributes: &[u8]) -> impl Iterator<Item = &[u8]> {
    attributes.split(is_blank).filter(|word| !word.is_empty())
}

/// The attribute that a word is about.
fn name(word: &[u8]) -> &[u8] {
    let unset = word.strip_prefix(b"-").or(word.strip_prefix(b"!"));
    let named = unset.unwrap_or(word).split(|&byte| byte == b'=').next();
    named.unwrap_or_default()
}

/// Whether git takes this for the name of an attribute.
fn is_name(name: &[u8]) -> bool {
    let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    !name.is_empty() && !name.starts_with(b"-") && name.iter().all(is_known)
}

/// The pattern of a line that begins there, and where its attributes are.
fn parse(raw: &[u8], begin: usize) -> Option<(Vec<u8>, Range<usize>)> {
    let whole = raw.get(begin..)?;
    let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
    let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
    // To git it is a text of C.
    let text = whole.split(|&byte| byte == 0).next()?;
    let blanks = text.iter().take_while(|byte| is_blank(byte)).count();
    let line = text.get(blanks..)?;
    if line.is_empty() || line.starts_with(b"#") || text.len() >= LINE_MAX {
        return None;
    }
    let (mut pattern, rest) = unquote(line).unwrap_or_else(|| {
        let end = line.iter().position(is_blank);
        let (pattern, rest) = line.split_at(end.unwrap_or(line.len()));
        (pattern.to_vec(), rest)
    });
    let is_macro = pattern.starts_with(b"[attr]") && pattern.len() > b"[attr]".len();
    // One bad name spoils the whole line.
    if is_macro || pattern.starts_with(b"!") || !words(rest).all(|word| is_name(name(word))) {
        return None;
    }
    if let Some(end) = pattern.iter().position(|&byte| byte == 0) {
        pattern.truncate(end);
    }
    let before = rest.iter().take_while(|byte| is_blank(byte)).count();
    let after = rest.iter().rev().take_while(|byte| is_blank(byte)).count();
    let end = begin + text.len();
    let start = end - rest.len() + before;
    Some((pattern, start..(end - after).max(start)))
}
