//! `.gitattributes`: which files are lobs.

mod check;
mod line;
mod listing;
mod quote;

use std::fs;
use std::path::{Path, PathBuf};

use ignore::gitignore::GitignoreBuilder;

pub use check::{Attribute, check, is_lob};
pub use listing::{Rule, list};

use super::error::{GitError, Result};
use super::rewrite;
use line::Line;

/// The name of the file, in any directory.
pub const FILE: &str = ".gitattributes";
/// Git ignores a longer line.
const LINE_MAX: usize = 2048;
/// What marks a file as a lob.
const MARKS: [&str; 4] = ["filter=lob", "diff=lob", "merge=lob", "-text"];
/// What is written for it. Pointers are mostly hash, and a delta between two of them is no shorter
/// than one alone: git would search in vain, which takes a quarter of its time in a push of thousands.
const OURS: [&str; 5] = ["filter=lob", "diff=lob", "merge=lob", "-text", "-delta"];
/// What makes it a file as any other again.
const CANCELLED: &str = "!filter !diff !merge !text !delta";
/// Files that git and lob read themselves, by a name that a pattern may catch and the pattern that
/// leaves them alone. Patterns without a slash match in every directory.
const GUARDS: [(&str, &str); 5] = [
    (".gitattributes", ".git*"),
    (".gitignore", ".git*"),
    (".gitmodules", ".git*"),
    (".lobconfig", ".lobconfig"),
    (".mailmap", ".mailmap"),
];

/// A `.gitattributes` file that is being edited. What lob didn't write stays as it is, to the byte.
#[derive(Debug, Clone)]
pub struct Attributes {
    path: PathBuf,
    text: Vec<u8>,
}

impl Attributes {
    /// Reads the file of a directory, which need not exist.
    pub fn open(dir: &Path) -> Result<Attributes> {
        let path = dir.join(FILE);
        let text = rewrite::read(&path)?;
        Ok(Attributes { path, text })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the files that `pattern` matches lobs; says whether that changed anything. A pattern
    /// that would catch git's own files is followed by lines that let go of them.
    pub fn track(&mut self, pattern: &[u8]) -> Result<bool> {
        let quoted = check_pattern(pattern)?;
        let before = self.text.len();
        let lines = Line::all(&self.text);
        let mut same = lines
            .iter()
            .rev()
            .filter(|line| line.pattern() == Some(pattern));
        let last = same.find(|line| line.names("filter"));
        if !last.is_some_and(|line| MARKS.iter().all(|ours| line.has(ours))) {
            self.append(&[quoted.as_slice(), b" ", OURS.join(" ").as_bytes()].concat());
        }
        self.guard();
        Ok(self.text.len() != before)
    }

    /// Makes the files that `pattern` matches no lobs: takes away what marks them and leaves other
    /// attributes of the pattern. Says whether that changed anything.
    pub fn untrack(&mut self, pattern: &[u8]) -> bool {
        let mut kept = Vec::with_capacity(self.text.len());
        for line in Line::all(&self.text) {
            if line.pattern() == Some(pattern) && line.has("filter=lob") {
                kept.extend(line.without(&OURS).unwrap_or_default());
            } else {
                kept.extend_from_slice(line.raw());
            }
        }
        let changed = kept.len() != self.text.len();
        self.text = kept;
        self.unguard();
        changed
    }

    /// The patterns of lobs, in order.
    pub fn patterns(&self) -> Vec<Vec<u8>> {
        let lines = Line::all(&self.text);
        let lobs = lines.iter().filter(|line| line.has("filter=lob"));
        lobs.filter_map(|line| line.pattern().map(<[u8]>::to_vec))
            .collect()
    }

    /// Writes the file at once; one that became empty is removed.
    pub fn save(&self) -> Result<()> {
        if !self.text.is_empty() {
            return self.save_empty();
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(GitError::at(&self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes the file at once, also an empty one: where a file that git has is gone, the patterns
    /// that git has of it still hold.
    pub fn save_empty(&self) -> Result<()> {
        rewrite::write(&self.path, &self.text, false)
    }

    /// Adds a line at the end, with the file's own line ending.
    fn append(&mut self, line: &[u8]) {
        let newline: &[u8] = match self.text.windows(2).any(|pair| pair == b"\r\n") {
            true => b"\r\n",
            false => b"\n",
        };
        if self.text.last().is_some_and(|&byte| byte != b'\n') {
            self.text.extend_from_slice(newline);
        }
        self.text.extend_from_slice(line);
        self.text.extend_from_slice(newline);
    }

    /// Adds the guards that are missing behind the last pattern that needs them.
    fn guard(&mut self) {
        let mut missing: Vec<&str> = Vec::new();
        for line in Line::all(&self.text) {
            let Some(pattern) = line.pattern() else {
                continue;
            };
            if line.has("filter=lob") {
                missing.extend(guards_of(pattern));
            } else if line.names("filter") {
                missing.retain(|guard| guard.as_bytes() != pattern);
            }
        }
        let mut added: Vec<&str> = Vec::new();
        for guard in missing {
            if !added.contains(&guard) {
                added.push(guard);
                self.append(format!("{guard} {CANCELLED}").as_bytes());
            }
        }
    }

    /// Removes the guards that no pattern needs any more.
    fn unguard(&mut self) {
        let patterns = self.patterns();
        let needed: Vec<_> = patterns
            .iter()
            .flat_map(|pattern| guards_of(pattern))
            .collect();
        let mut kept = Vec::with_capacity(self.text.len());
        for line in Line::all(&self.text) {
            let ours =
                |guard: &str| line.raw().trim_ascii() == format!("{guard} {CANCELLED}").as_bytes();
            let idle = |&(_, guard): &(&str, &str)| ours(guard) && !needed.contains(&guard);
            if !GUARDS.iter().any(idle) {
                kept.extend_from_slice(line.raw());
            }
        }
        self.text = kept;
    }
}

/// The pattern that matches exactly one file beneath the directory of the attributes, whatever
/// characters its path holds.
pub fn literal(path: &[u8]) -> Vec<u8> {
    let mut pattern = vec![b'/'];
    for &byte in path {
        if b"*?[\\".contains(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern
}

/// The pattern as it stands in a line.
fn check_pattern(pattern: &[u8]) -> Result<Vec<u8>> {
    let bad = |why| Err(GitError::value("a pattern", pattern, why));
    if pattern.is_empty() || pattern.contains(&0) {
        return bad("expected one without NUL that is not empty");
    }
    if pattern.starts_with(b"!") {
        return bad("attributes have no patterns that negate; write `\\!` for the character");
    }
    if pattern.ends_with(b"/") {
        return bad("it names a directory, and attributes belong to files: add `**`");
    }
    if pattern.starts_with(b"[attr]") {
        return bad("git would take it for the definition of a macro");
    }
    let quoted = quote::quote(pattern);
    if quoted.len() + 64 > LINE_MAX {
        return bad("it is too long for git");
    }
    Ok(quoted)
}

/// The guards that a pattern needs: its last part says whether it catches files of these names.
fn guards_of(pattern: &[u8]) -> Vec<&'static str> {
    let last = pattern
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or_default();
    let mut builder = GitignoreBuilder::new("");
    let text = String::from_utf8_lossy(last);
    // What does not parse matches nothing.
    let matcher = builder
        .add_line(None, &text)
        .and_then(|builder| builder.build());
    let Ok(matcher) = matcher else {
        return Vec::new();
    };
    let caught = GUARDS
        .iter()
        .filter(|(name, _)| matcher.matched(name, false).is_ignore());
    let mut guards: Vec<_> = caught.map(|&(_, guard)| guard).collect();
    guards.dedup();
    guards
}

#[cfg(test)]
mod tests;
