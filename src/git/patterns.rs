//! Which paths are meant: include and exclude patterns in the syntax of gitignore.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::error::{GitError, Result};
use super::path::path_buf;
use super::settings::Settings;

/// Which paths are wanted. A pattern that matches a directory matches all that is in it.
#[derive(Debug, Clone)]
pub struct Patterns {
    include: Gitignore,
    exclude: Gitignore,
}

impl Patterns {
    /// All paths that an include pattern matches, or all where there is none, without those that an
    /// exclude pattern matches.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Patterns> {
        Ok(Patterns {
            include: compile("include", include)?,
            exclude: compile("exclude", exclude)?,
        })
    }

    /// What `lob.fetchInclude` and `lob.fetchExclude` say.
    pub fn of(settings: &Settings) -> Result<Patterns> {
        Ok(Patterns {
            include: compile("lob.fetchInclude", &settings.fetch_include)?,
            exclude: compile("lob.fetchExclude", &settings.fetch_exclude)?,
        })
    }

    /// Whether every path is wanted.
    pub fn wants_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether the file at this path, relative to the top of the work tree, is wanted.
    pub fn wants(&self, path: &[u8]) -> bool {
        if self.wants_all() {
            return true;
        }
        let path = path_buf(path);
        (self.include.is_empty() || matches(&self.include, &path)) && !matches(&self.exclude, &path)
    }
}

fn matches(patterns: &Gitignore, path: &Path) -> bool {
    // Git has no such paths, and the matcher would panic.
    if path.has_root() {
        return false;
    }
    patterns
        .matched_path_or_any_parents(path, false)
        .is_ignore()
}

/// Compiles patterns, which `key` gave.
pub(super) fn compile(key: &str, patterns: &[String]) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    // To git such a pattern matches nothing, which nobody means.
    builder.allow_unclosed_class(false);
    for pattern in patterns {
        let bad = |why: ignore::Error| GitError::value(key, pattern.as_bytes(), why.to_string());
        builder.add_line(None, pattern).map_err(bad)?;
    }
    let bad = |why: ignore::Error| GitError::value(key, b"", why.to_string());
    builder.build().map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(include: &[&str], exclude: &[&str]) -> Patterns {
        let own = |list: &[&str]| list.iter().map(|p| p.to_string()).collect::<Vec<_>>();
        Patterns::new(&own(include), &own(exclude)).unwrap()
    }

    #[test]
    fn nothing_given_means_everything() {
        assert!(patterns(&[], &[]).wants_all());
        assert!(patterns(&[], &[]).wants(b"any/thing"));
    }

    #[test]
    fn patterns_mean_what_they_mean_in_gitignore() {
        for (pattern, path, matches) in [
            ("*.psd", "a/b.psd", true),
            ("*.psd", "a/b.psd.txt", false),
            ("/a.bin", "a.bin", true),
            ("/a.bin", "b/a.bin", false),
            ("assets", "assets/x/y.bin", true),
            ("assets/", "x/assets/y.bin", true),
            ("assets/", "assets", false),
            ("/assets", "x/assets/y.bin", false),
            ("a/**/z", "a/b/c/z", true),
            ("a/*", "a/b/c", true),
            ("a?c", "abc", true),
            ("[ab].bin", "b.bin", true),
            ("\\#x", "#x", true),
        ] {
            let include = patterns(&[pattern], &[]).wants(path.as_bytes());
            assert_eq!(include, matches, "{pattern} {path}");
            let exclude = patterns(&[], &[pattern]).wants(path.as_bytes());
            assert_eq!(exclude, !matches, "{pattern} {path}");
        }
    }

    #[test]
    fn exclude_wins_and_a_negated_pattern_takes_back() {
        let both = patterns(&["art"], &["*.raw"]);
        assert!(both.wants(b"art/a.psd"));
        assert!(!both.wants(b"art/a.raw"));
        assert!(!both.wants(b"code/a.psd"));
        let back = patterns(&["art/", "!art/raw/"], &["*.tmp", "!keep.tmp"]);
        assert!(!back.wants(b"art/raw/x"));
        assert!(back.wants(b"art/x/keep.tmp"));
        assert!(!back.wants(b"art/x/lose.tmp"));
    }

    #[test]
    fn any_path_is_safe_to_ask_for() {
        let some = patterns(&["a"], &["b"]);
        for path in [&b"/a"[..], b"", b"//", b"a\xff/\x00\n", b"../a", b"./b"] {
            some.wants(path);
        }
        assert!(!some.wants(b"/a"));
        #[cfg(unix)]
        assert!(patterns(&["*.bin"], &[]).wants(b"caf\xe9.bin"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Patterns::new(&["a[".to_string()], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"a[\"") && error.contains("include"),
            "{error}"
        );
    }
}
