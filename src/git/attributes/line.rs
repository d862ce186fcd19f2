//! One line of a `.gitattributes` file, as git reads it.

use super::quote::unquote;

/// A line with its ending, and the pattern where it has one.
#[derive(Debug)]
pub struct Line<'a> {
    raw: &'a [u8],
    pattern: Option<Vec<u8>>,
    attributes: &'a [u8],
}

impl<'a> Line<'a> {
    /// The lines of a file: joined they are the file.
    pub fn all(text: &'a [u8]) -> Vec<Line<'a>> {
        let mut lines: Vec<_> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(Line::of)
            .collect();
        // Git skips a byte order mark.
        if let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf") {
            let first = rest.split_inclusive(|&byte| byte == b'\n').next();
            if let (Some(line), Some(first)) = (lines.first_mut(), first) {
                let raw = line.raw;
                *line = Line {
                    raw,
                    ..Line::of(first)
                };
            }
        }
        lines
    }

    fn of(raw: &'a [u8]) -> Line<'a> {
        let (pattern, attributes) = split(raw).unzip();
        Line {
            raw,
            pattern,
            attributes: attributes.unwrap_or_default(),
        }
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
        self.words().any(|word| {
            let word = word
                .strip_prefix(b"-")
                .or(word.strip_prefix(b"!"))
                .unwrap_or(word);
            word.split(|&byte| byte == b'=').next() == Some(attribute.as_bytes())
        })
    }

    /// Whether exactly this word is among the attributes.
    pub fn has(&self, word: &str) -> bool {
        self.words().any(|found| found == word.as_bytes())
    }

    /// The line without some words; `None` where no attribute is left.
    pub fn without(&self, words: &[&str]) -> Option<Vec<u8>> {
        let gone = |word: &[u8]| words.iter().any(|gone| gone.as_bytes() == word);
        let kept: Vec<_> = self.words().filter(|word| !gone(word)).collect();
        if kept.is_empty() {
            return None;
        }
        let body = self.raw.trim_ascii_end();
        let head = body.len().checked_sub(self.attributes.len())?;
        let (head, _) = self.raw.split_at_checked(head)?;
        let (_, ending) = self.raw.split_at_checked(body.len())?;
        let mut line = head.to_vec();
        line.extend_from_slice(&kept.join(&b' '));
        line.extend_from_slice(ending);
        Some(line)
    }

    fn words(&self) -> impl Iterator<Item = &'a [u8]> {
        let words = self.attributes.split(u8::is_ascii_whitespace);
        words.filter(|word| !word.is_empty())
    }
}

/// The pattern and the rest of the line without the blanks around it.
fn split(raw: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let line = raw.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let (pattern, rest) = unquote(line).unwrap_or_else(|| {
        let end = line.iter().position(u8::is_ascii_whitespace);
        let (pattern, rest) = line.split_at(end.unwrap_or(line.len()));
        (pattern.to_vec(), rest)
    });
    let is_macro = pattern.starts_with(b"[attr]") && pattern.len() > b"[attr]".len();
    if is_macro || pattern.starts_with(b"!") {
        return None;
    }
    Some((pattern, rest.trim_ascii_start()))
}
