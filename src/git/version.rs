//! Which git runs, and what it must know.

use std::fmt;

use super::command::Git;
use super::error::{GitError, Result};

/// The version of a git: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Parses what `git --version` prints: `git version 2.39.3 (Apple Git-145)`,
    /// `git version 2.47.0.windows.1`, `git version 2.48.0-rc1`.
    pub fn parse(text: &str) -> Option<Version> {
        let word = text
            .strip_prefix("git version ")?
            .split_whitespace()
            .next()?;
        let mut numbers = word.split(['.', '-']);
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Some(Version(major, minor, patch))
    }

    /// Asks git, with one process.
    pub fn of(git: &Git) -> Result<Version> {
        let answer = git.output(["--version"])?;
        let text = String::from_utf8_lossy(&answer);
        Version::parse(&text).ok_or_else(|| GitError::Answer {
            command: "git --version".into(),
            what: format!("{:?}", text.trim_end()),
        })
    }

    /// Refuses a git that is too old for a feature, and says which one would do.
    pub fn require(self, feature: Feature) -> Result<()> {
        if self >= feature.since() {
            return Ok(());
        }
        Err(GitError::Old {
            found: self,
            feature,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What lob asks of git, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Everything that every command needs, `--end-of-options` in `git rev-parse` the latest of it.
    Base,
    /// Delayed smudges: before 2.30.2 a delayed checkout could write through a symlink
    /// (CVE-2021-21300).
    Delay,
}

impl Feature {
    /// The first git that has it.
    pub const fn since(self) -> Version {
        match self {
            Feature::Base => Version(2, 30, 0),
            Feature::Delay => Version(2, 30, 2),
        }
    }

    /// Its name in a sentence.
    pub const fn what(self) -> &'static str {
        match self {
            Feature::Base => "lob",
            Feature::Delay => "checking out many files at once",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_vendors_parse() {
        for (text, version) in [
            ("git version 2.47.3\n", Version(2, 47, 3)),
            ("git version 2.39.3 (Apple Git-145)\n", Version(2, 39, 3)),
            ("git version 2.47.0.windows.1\n", Version(2, 47, 0)),
            ("git version 2.48.0-rc1\n", Version(2, 48, 0)),
            ("git version 2.48-rc1\n", Version(2, 48, 0)),
            ("git version 3.0\n", Version(3, 0, 0)),
            ("git version 2.51.0.363.g2e419b3e52\n", Version(2, 51, 0)),
        ] {
            assert_eq!(Version::parse(text), Some(version), "{text:?}");
        }
        for text in ["", "git version", "git version x.y", "hub version 2.1"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_old_git_is_refused_by_name() {
        assert!(Version(2, 30, 2).require(Feature::Delay).is_ok());
        assert!(Version(3, 0, 0).require(Feature::Delay).is_ok());
        let error = Version(2, 30, 1).require(Feature::Delay).unwrap_err();
        assert_eq!(
            error.to_string(),
            "git 2.30.1 is too old: checking out many files at once needs git 2.30.2 or later"
        );
    }

    #[test]
    fn this_git_is_new_enough() {
        let git = Git::elsewhere(&std::env::temp_dir()).unwrap();
        Version::of(&git).unwrap().require(Feature::Delay).unwrap();
    }
}
