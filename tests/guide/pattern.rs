//! Compares what a command printed with the text below it; tests/guide.rs says what stands for what.

/// A stretch of a line.
enum Part<'a> {
    Text(&'a str),
    Any,
    /// So many hexadecimal digits.
    Hex(usize),
    /// A number and one of these units.
    Number(&'static [&'static str]),
}

const TIMES: &[&str] = &[" s", " ms"];
const RATES: &[&str] = &[" B/s", " kB/s", " MB/s", " GB/s"];

/// Whether a line that was printed is one that the page shows.
pub fn is_like(shown: &str, printed: &str) -> bool {
    fits(&parts(shown), printed)
}

/// The lines of a diff, or none where the page shows what was printed.
pub fn diff(shown: &[String], printed: &[String]) -> Vec<String> {
    let cost = costs(shown, printed);
    if cost[0][0] == 0 {
        return Vec::new();
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < shown.len() || j < printed.len() {
        let is_any = shown.get(i).is_some_and(|line| line == "...");
        let (skip, take) = (
            i < shown.len() && cost[i][j] == cost[i + 1][j] + usize::from(!is_any),
            j < printed.len() && cost[i][j] == cost[i][j + 1] + usize::from(!is_any),
        );
        if is_any && take {
            lines.push(format!("  {}", printed[j]));
            j += 1;
        } else if is_any {
            i += 1;
        } else if skip {
            lines.push(format!("- {}", shown[i]));
            i += 1;
        } else if take {
            lines.push(format!("+ {}", printed[j]));
            j += 1;
        } else {
            lines.push(format!("  {}", printed[j]));
            (i, j) = (i + 1, j + 1);
        }
    }
    lines
}

/// For all i and j, how many lines of `shown[i..]` and `printed[j..]` have no partner at least.
fn costs(shown: &[String], printed: &[String]) -> Vec<Vec<usize>> {
    let mut cost = vec![vec![0; printed.len() + 1]; shown.len() + 1];
    for i in (0..=shown.len()).rev() {
        for j in (0..=printed.len()).rev() {
            let is_any = shown.get(i).is_some_and(|line| line == "...");
            let step = usize::from(!is_any);
            let skip = cost.get(i + 1).map(|below| below[j] + step);
            let take = cost[i].get(j + 1).map(|right| right + step);
            let pair = (i < shown.len() && j < printed.len() && is_like(&shown[i], &printed[j]))
                .then(|| cost[i + 1][j + 1]);
            let least = [skip, take, pair].into_iter().flatten().min();
            cost[i][j] = least.unwrap_or(0);
        }
    }
    cost
}

fn parts(shown: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut text, mut at) = (0, 0);
    let mut follows_word = false;
    while at < shown.len() {
        let rest = &shown[at..];
        match special(rest).filter(|(part, _)| !follows_word || matches!(part, Part::Any)) {
            Some((part, len)) => {
                parts.push(Part::Text(&shown[text..at]));
                parts.push(part);
                at += len;
                text = at;
                follows_word = true;
            }
            None => {
                let c = rest.chars().next().unwrap();
                follows_word = c.is_ascii_alphanumeric();
                at += c.len_utf8();
            }
        }
    }
    parts.push(Part::Text(&shown[text..]));
    parts
}

/// What the text begins with, and its length, where that stands for something.
fn special(text: &str) -> Option<(Part<'_>, usize)> {
    if text.starts_with("...") {
        return Some((Part::Any, 3));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let hex = len(text, |c| matches!(c, '0'..='9' | 'a'..='f'));
    let has_letter = text[..hex].contains(|c: char| c.is_ascii_alphabetic());
    if hex >= 7 && has_letter && !text[hex..].starts_with(is_word) {
        return Some((Part::Hex(hex), hex));
    }
    let number = len(text, |c| c.is_ascii_digit() || c == '.');
    for units in [RATES, TIMES] {
        for unit in units {
            let Some(rest) = text[number..].strip_prefix(unit) else {
                continue;
            };
            if number > 0 && !rest.starts_with(is_word) {
                return Some((Part::Number(units), number + unit.len()));
            }
        }
    }
    None
}

fn fits(parts: &[Part<'_>], text: &str) -> bool {
    let Some((part, more)) = parts.split_first() else {
        return text.is_empty();
    };
    match part {
        Part::Text(start) => text
            .strip_prefix(start)
            .is_some_and(|rest| fits(more, rest)),
        Part::Any => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| fits(more, &text[at..]))
        }
        Part::Hex(digits) => {
            len(text, |c| matches!(c, '0'..='9' | 'a'..='f')) == *digits
                && fits(more, &text[*digits..])
        }
        Part::Number(units) => {
            let number = len(text, |c| c.is_ascii_digit() || c == '.' || c == '-');
            let after = |unit: &&str| text[number..].strip_prefix(*unit);
            number > 0 && units.iter().filter_map(after).any(|rest| fits(more, rest))
        }
    }
}

fn len(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_like_itself_and_what_it_stands_for() {
        for (shown, printed) in [
            ("", ""),
            ("a b", "a b"),
            ("a ... c", "a b b c"),
            ("...", ""),
            ("[main 1a2b3c4] First", "[main 0000000] First"),
            ("1a2b3c4..5d6e7f8", "89abcde..0123456"),
            ("3 lobs in 0.84 s", "3 lobs in 12.3 s"),
            ("(10.0 MB/s)", "(- MB/s)"),
        ] {
            assert!(is_like(shown, printed), "{shown} | {printed}");
        }
        for (shown, printed) in [
            ("", "a"),
            ("a b", "a"),
            ("a ... c", "a b"),
            ("1a2b3c4", "1a2b3c"),
            ("1234567", "1234568"),
            ("10.0 MB", "10.1 MB"),
            ("0.84 s", "soon"),
        ] {
            assert!(!is_like(shown, printed), "{shown} | {printed}");
        }
    }

    fn told(shown: &str, printed: &str) -> Vec<String> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        diff(&lines(shown), &lines(printed))
    }

    #[test]
    fn a_diff_shows_what_is_missing_and_what_is_new() {
        assert_eq!(told("a\n...\nb", "a\nb"), [""; 0]);
        assert_eq!(told("a\n...\nb", "a\nx\nb\ny\nb"), [""; 0]);
        assert_eq!(told("a\nb\nc", "a\nx\nc"), ["  a", "- b", "+ x", "  c"]);
        assert_eq!(told("a", ""), ["- a"]);
        assert_eq!(told("", "a"), ["+ a"]);
        assert_eq!(told("...\nb", "a"), ["  a", "- b"]);
    }
}
