//! The names of the repositories below a served directory.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Most parts of a name, and most bytes of one.
const PARTS_MAX: usize = 16;
const PART_MAX: usize = 200;

/// A relative path of plain parts: nothing in it leads up, hides, or means something to a system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName(String);

impl RepoName {
    /// The repository that a path of a URL names: parts with slashes between them, escapes not yet
    /// resolved. `None` where that is no name.
    pub fn from_url_path(path: &str) -> Option<RepoName> {
        RepoName::new(&unescaped(path.trim_matches('/'))?)
    }

    /// The repository of this name; `None` where that is no name.
    pub fn new(name: &str) -> Option<RepoName> {
        let parts = name.split('/');
        let good = parts.clone().count() <= PARTS_MAX && parts.clone().all(is_plain);
        good.then(|| RepoName(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its place below `root`, which may not exist yet. Fails where something on the way is a symbolic
    /// link or no directory: what is served stays below the root.
    pub fn beneath(&self, root: &Path) -> io::Result<PathBuf> {
        let mut place = root.to_path_buf();
        for part in self.0.split('/') {
            place.push(part);
            match place.symlink_metadata() {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
                // What follows can't be there either.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(place)
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(part: &str) -> bool {
    let is_good = |c: char| !c.is_control() && !matches!(c, '\\' | ':');
    // Dots in front hide what is git's and the server's own; at the end some systems drop them.
    !part.is_empty()
        && part.len() <= PART_MAX
        && !part.starts_with(['.', '-', '~'])
        && !part.ends_with(['.', ' '])
        && part.chars().all(is_good)
}

/// The text of a path of a URL, which has to be UTF-8.
fn unescaped(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_parts() {
        for (path, name) in [
            ("/team/game", "team/game"),
            ("/game.git/", "game.git"),
            ("/a%20b", "a b"),
            ("/caf%C3%A9", "caf\u{e9}"),
        ] {
            let found = RepoName::from_url_path(path).unwrap();
            assert_eq!(found.as_str(), name);
        }
        for path in [
            "",
            "/",
            "//",
            "/a//b",
            "/..",
            "/a/../b",
            "/a/..%2fb",
            "/%2e%2e/b",
            "/.git",
            "/a/.lob-serve",
            "/a%00b",
            "/a\\b",
            "/a%5cb",
            "/c:",
            "/-x",
            "/~root",
            "/a.",
            "/a%20",
            "/%zz",
            "/%f",
            "/%ff",
            "/a%0ab",
        ] {
            assert_eq!(RepoName::from_url_path(path), None, "{path}");
        }
        let deep = "/a".repeat(PARTS_MAX + 1);
        assert_eq!(RepoName::from_url_path(&deep), None);
        let long = "a".repeat(PART_MAX + 1);
        assert_eq!(RepoName::from_url_path(&long), None);
    }

    #[cfg(unix)]
    #[test]
    fn p10_no_link_leads_out_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("team/game")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("team/out")).unwrap();
        std::fs::write(root.path().join("file"), "x").unwrap();
        let place = |name| RepoName::new(name).unwrap().beneath(root.path());
        assert_eq!(place("team/game").unwrap(), root.path().join("team/game"));
        assert_eq!(place("new/one").unwrap(), root.path().join("new/one"));
        for name in ["team/out", "team/out/x", "file", "file/x"] {
            assert!(place(name).is_err(), "{name}");
        }
    }
}
