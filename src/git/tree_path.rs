//! Paths beneath the top of a work tree that may be followed.

use std::fmt;

/// A path relative to the top of a work tree, as git writes it: `/` between its components, none of
/// which leaves the tree or can mean the git directory on any file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

/// The path may not be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is no path that lob may write to: {why}")]
pub struct BadPath {
    /// The path, lossy and cut.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl TreePath {
    /// The path that these bytes are.
    pub fn parse(path: &[u8]) -> Result<TreePath, BadPath> {
        match path.split(|&byte| byte == b'/').find_map(fault) {
            None => Ok(TreePath(path.to_vec())),
            Some(why) => Err(BadPath {
                path: String::from_utf8_lossy(path).chars().take(200).collect(),
                why,
            }),
        }
    }

    /// The bytes, as git writes them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directory, which is empty for the top, and the name in it.
    pub fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (&[], &self.0),
        }
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreePath({:?})", String::from_utf8_lossy(&self.0))
    }
}

/// What is wrong with one component.
fn fault(component: &[u8]) -> Option<&'static str> {
    if component.is_empty() {
        return Some("it is empty, absolute or has an empty component");
    }
    if component == b"." || component == b".." {
        return Some("it has a component . or ..");
    }
    if component.contains(&0) {
        return Some("it has a zero byte");
    }
    if cfg!(windows) && component.iter().any(|byte| b"\\:<>\"|?*".contains(byte)) {
        return Some("it has a character that means something else on this system");
    }
    is_git_dir(component).then_some("it leads into the git directory")
}

/// Whether a component means `.git` on some file system: in other letters, with characters that are
/// ignored, as a short name, or as a stream of it.
fn is_git_dir(component: &[u8]) -> bool {
    let text = String::from_utf8_lossy(component);
    let text: String = text.chars().filter(|c| !is_ignored(*c)).collect();
    let name = text.split(':').next().unwrap_or_default();
    let name = name.trim_end_matches([' ', '.']).to_ascii_lowercase();
    name == ".git" || name == "git~1"
}

/// What HFS+ leaves out when it compares names.
fn is_ignored(c: char) -> bool {
    matches!(
        c,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_followed() {
        let odd = b"a\nb/caf\xe9/\xff \t";
        for path in [
            &b"a"[..],
            b"a/b/c.bin",
            b"..a/b../...",
            b".gitattributes",
            b".github/x",
            b"git",
            b".gi",
            b"x.git",
            odd,
        ] {
            assert!(TreePath::parse(path).is_ok(), "{}", path.escape_ascii());
        }
        let path = TreePath::parse(b"a/b/c.bin").unwrap();
        assert_eq!(path.split(), (&b"a/b"[..], &b"c.bin"[..]));
        let path = TreePath::parse(b"c.bin").unwrap();
        assert_eq!(path.split(), (&b""[..], &b"c.bin"[..]));
    }

    /// P10: nothing that leaves the work tree or reaches the git directory.
    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        for path in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a/..",
            "a\0b",
            ".git",
            ".git/hooks/pre-push",
            "sub/.git/config",
            ".GIT/x",
            ".Git",
            ".git.",
            ".git ",
            ".git . .",
            "git~1/x",
            "GIT~1",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it/x",
            "\u{feff}.git",
        ] {
            assert!(TreePath::parse(path.as_bytes()).is_err(), "{path:?}");
        }
    }
}
