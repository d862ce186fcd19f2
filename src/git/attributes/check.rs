//! What git makes of the attributes of a path.

use crate::git::command::{Git, operand};
use crate::git::error::{GitError, Result};

/// Paths that one process is asked about: its answer is held in memory.
const BATCH: usize = 1 << 16;

/// The state of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// Nothing says anything about it.
    Unspecified,
    /// It is set, as by `text`.
    Set,
    /// It is unset, as by `-text`.
    Unset,
    /// It has a value, as by `filter=lob`.
    Is(Vec<u8>),
}

/// The state of one attribute of many paths, in their order. Paths are relative to the directory
/// that `git` runs in.
pub fn check<'a>(
    git: &Git,
    attribute: &str,
    paths: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Attribute>> {
    let mut paths = paths.into_iter().peekable();
    let mut states = Vec::new();
    while paths.peek().is_some() {
        let mut input = Vec::new();
        let mut count = 0;
        for path in paths.by_ref().take(BATCH) {
            input.extend_from_slice(path);
            input.push(0);
            count += 1;
        }
        let words = ["check-attr", "--stdin", "-z", operand(attribute)?];
        let answer = git.feed(words, input)?;
        let before = states.len();
        read(&answer, &mut states);
        if states.len() - before != count {
            return Err(GitError::Answer {
                command: "git check-attr".into(),
                what: format!("for {} paths of {count}", states.len() - before),
            });
        }
    }
    Ok(states)
}

/// Whether each of many paths is a lob by its attributes.
pub fn is_lob<'a>(git: &Git, paths: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<bool>> {
    let states = check(git, "filter", paths)?;
    let is_lob = |state| matches!(state, Attribute::Is(value) if value == b"lob");
    Ok(states.into_iter().map(is_lob).collect())
}

/// Answers are path NUL attribute NUL state NUL.
fn read(answer: &[u8], states: &mut Vec<Attribute>) {
    let mut fields = answer.split(|&byte| byte == 0);
    while let (Some(_), Some(_), Some(state)) = (fields.next(), fields.next(), fields.next()) {
        states.push(match state {
            b"unspecified" => Attribute::Unspecified,
            b"set" => Attribute::Set,
            b"unset" => Attribute::Unset,
            value => Attribute::Is(value.to_vec()),
        });
    }
}
