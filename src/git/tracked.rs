//! `.lobconfig`: what a repository may say about itself to everybody who clones it.
//!
//! It comes from others, so only harmless keys are taken from it, values that mean nothing are left
//! out instead of stopping a checkout, and git's own configuration always wins.

use std::path::Path;

use super::command::Git;
use super::config::{Config, canonical};
use super::error::{GitError, Result};
use super::settings::{KEYS, Kind};

/// The name of the file, at the top of the work tree.
pub const FILE: &str = ".lobconfig";
/// Most bytes that are read of it.
const MAX: usize = 1 << 20;

/// Something in `.lobconfig` that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The key in canonical form; empty when the whole file is meant.
    pub key: String,
    /// Why.
    pub why: String,
}

/// What `.lobconfig` may set, and what else it tried.
#[derive(Debug, Default)]
pub struct Tracked {
    /// The keys that are taken from it.
    pub config: Config,
    /// Everything else.
    pub ignored: Vec<Ignored>,
}

impl Tracked {
    /// Reads the file of the work tree, or where there is none the one of HEAD's commit: in a clone
    /// the filter runs before the file is there. `trusted` lets it name stores, to which git's
    /// credentials may be sent.
    pub fn read(git: &Git, work_tree: Option<&Path>, trusted: bool) -> Result<Tracked> {
        let mut tracked = Tracked::default();
        if let Some(list) = tracked.list(git, work_tree)? {
            tracked.take(&list, trusted);
        }
        Ok(tracked)
    }

    fn list(&mut self, git: &Git, work_tree: Option<&Path>) -> Result<Option<Vec<u8>>> {
        let file = work_tree.map(|dir| dir.join(FILE));
        let meta = file.as_ref().and_then(|file| file.symlink_metadata().ok());
        let words = ["config", "--list", "-z", "--no-includes"].map(std::ffi::OsStr::new);
        let answer = match (&file, meta) {
            (Some(_), Some(meta)) if !meta.is_file() => {
                self.ignore("", "it is not a regular file");
                return Ok(None);
            }
            (Some(file), Some(_)) => {
                let args = words
                    .into_iter()
                    .chain(["--file".as_ref(), file.as_os_str()]);
                git.output_limited(args, MAX)
            }
            _ => {
                // A partial clone may lack it until a checkout has brought it.
                let git = git.clone().with_env("GIT_NO_LAZY_FETCH", "1");
                let blob = ["--blob", "HEAD:.lobconfig"].map(std::ffi::OsStr::new);
                git.output_limited(words.into_iter().chain(blob), MAX)
            }
        };
        match answer {
            Ok(list) => Ok(Some(list)),
            Err(GitError::Failed { stderr, .. }) => {
                // No commit yet, or no such file in it.
                if !stderr.contains("unable to resolve config blob") {
                    self.ignore("", &stderr);
                }
                Ok(None)
            }
            Err(GitError::Answer { what, .. }) => {
                self.ignore("", &format!("it has {what}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes what is harmless from what `git config --list -z` prints of the file.
    pub fn take(&mut self, list: &[u8], trusted: bool) {
        let found = Config::parse(list);
        for key in found.keys() {
            let name = String::from_utf8_lossy(key).into_owned();
            let Some(kind) = allowed(key, trusted) else {
                let why = match is_url(key) {
                    true => "it names a store, which needs your consent: lob.trustConfig=true",
                    false => "a repository can't set it",
                };
                self.ignore(&name, why);
                continue;
            };
            let values = found.values(key);
            let mut checks = values
                .iter()
                .map(|value| kind.check(&name, value.as_deref()));
            if let Some(error) = checks.find_map(Result::err) {
                self.ignore(&name, &error.to_string());
                continue;
            }
            for value in values {
                self.config.add(key.to_vec(), value.clone());
            }
        }
    }

    fn ignore(&mut self, key: &str, why: &str) {
        self.ignored.push(Ignored {
            key: key.into(),
            why: why.into(),
        });
    }
}

fn allowed(key: &[u8], trusted: bool) -> Option<Kind> {
    if is_url(key) {
        return trusted.then_some(Kind::Text);
    }
    let known = KEYS
        .iter()
        .find(|known| canonical(known.name.as_bytes()) == key);
    known.filter(|known| known.tracked).map(|known| known.kind)
}

fn is_url(key: &[u8]) -> bool {
    key == b"lob.url" || (key.starts_with(b"remote.") && key.ends_with(b".loburl"))
}

#[cfg(test)]
mod tests;
