//! Git's C style of quoting, for patterns that hold what would end or disguise them.

/// The letters that stand for control bytes behind a backslash.
const LETTERS: [(u8, u8); 9] = [
    (b'a', 7),
    (b'b', 8),
    (b't', b'\t'),
    (b'n', b'\n'),
    (b'v', 11),
    (b'f', 12),
    (b'r', b'\r'),
    (b'"', b'"'),
    (b'\\', b'\\'),
];

/// A pattern as it stands in a line: itself where that is clear, else in quotes.
pub fn quote(pattern: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| !byte.is_ascii_whitespace() && !byte.is_ascii_control();
    let disguised = pattern.starts_with(b"\"") || pattern.starts_with(b"#");
    if !disguised && pattern.iter().all(plain) {
        return pattern.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in pattern {
        if let Some((letter, _)) = LETTERS.iter().find(|(_, meant)| *meant == byte) {
            quoted.extend([b'\\', *letter]);
        } else if byte.is_ascii_control() {
            quoted.extend(format!("\\{byte:03o}").into_bytes());
        } else {
            quoted.push(byte);
        }
    }
    quoted.push(b'"');
    quoted
}

/// What quotes at the beginning of a line enclose, and the rest behind them; `None` where the line
/// doesn't begin with well-formed quotes.
pub fn unquote(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = line.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    loop {
        let (&byte, next) = rest.split_first()?;
        rest = next;
        match byte {
            b'"' => return Some((text, rest)),
            b'\\' => {
                let (byte, next) = escape(rest)?;
                text.push(byte);
                rest = next;
            }
            _ => text.push(byte),
        }
    }
}

fn escape(rest: &[u8]) -> Option<(u8, &[u8])> {
    if let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', next @ ..] = rest {
        return Some(((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), next));
    }
    let (letter, next) = rest.split_first()?;
    let (_, meant) = LETTERS.iter().find(|(known, _)| known == letter)?;
    Some((*meant, next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        for (pattern, quoted) in [
            (&b"*.psd"[..], &b"*.psd"[..]),
            (b"a\\*b", b"a\\*b"),
            (b"a\"b", b"a\"b"),
            (b"caf\xc3\xa9", b"caf\xc3\xa9"),
            (b"a b", b"\"a b\""),
            (b"\"x", b"\"\\\"x\""),
            (b"#x", b"\"#x\""),
            (b"a\nb\x01\x7f", b"\"a\\nb\\001\\177\""),
            (b"a\\ b", b"\"a\\\\ b\""),
        ] {
            assert_eq!(quote(pattern), quoted, "{}", pattern.escape_ascii());
        }
        for bad in [
            &b"x"[..],
            b"\"x",
            b"\"\\x\"",
            b"\"\\40\"",
            b"\"\\777\"",
            b"\"\\",
        ] {
            assert_eq!(unquote(bad), None, "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_unquoted(pattern in prop::collection::vec(1..=255u8, 1..40)) {
            let mut line = quote(&pattern);
            if line != pattern {
                line.extend(b" rest");
                prop_assert_eq!(unquote(&line), Some((pattern, &b" rest"[..])));
            }
        }
    }
}
