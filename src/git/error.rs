//! What can go wrong around git, with the way out.

use std::io;
use std::path::{Path, PathBuf};

use super::version::{Feature, Version};

/// The result of every fallible operation on git.
pub type Result<T, E = GitError> = std::result::Result<T, E>;

/// An error in or around git.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// No git was found.
    #[error("git is not installed: no program `git` in an absolute directory of PATH")]
    NoGit,
    /// The program could not be started or talked to.
    #[error("`{command}` could not be run")]
    Run {
        /// The words of the command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// Git ran and said no.
    #[error("`{command}` failed with {}{}", exit(*code), said(stderr))]
    Failed {
        /// The words of the command.
        command: String,
        /// Its exit code; `None` when a signal ended it.
        code: Option<i32>,
        /// What it wrote on stderr, cut to a few lines.
        stderr: String,
    },
    /// Git wrote something that is not in its documentation, or too much of it.
    #[error("`{command}` answered {what}")]
    Answer {
        /// The words of the command.
        command: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// A word that would be taken for an option.
    #[error("{0:?} begins with `-` and can't be given to git")]
    Dash(String),
    /// The directory is in no repository.
    #[error("{} is not in a git repository{}", dir.display(), said(stderr))]
    NoRepository {
        /// Where the search began.
        dir: PathBuf,
        /// What git said.
        stderr: String,
    },
    /// The command needs files, and there is no work tree.
    #[error("{} is a bare repository: it has no work tree", .0.display())]
    NoWorkTree(PathBuf),
    /// This git is too old.
    #[error("git {found} is too old: {} needs git {} or later", feature.what(), feature.since())]
    Old {
        /// The version that runs.
        found: Version,
        /// What was wanted of it.
        feature: Feature,
    },
    /// A configured value that means nothing.
    #[error("bad value {value:?} of {key}: {why}")]
    Value {
        /// The key.
        key: String,
        /// The value, lossy and cut.
        value: String,
        /// What is expected.
        why: String,
    },
    /// The prune window is shorter than the fetch window.
    #[error("{prune_key} is {prune} and {fetch_key} is {fetch}: what was fetched would be pruned")]
    Windows {
        /// The key of the prune window.
        prune_key: &'static str,
        /// Its days.
        prune: u32,
        /// The key of the fetch window.
        fetch_key: &'static str,
        /// Its days.
        fetch: u32,
    },
    /// A hook of somebody else is where lob's belongs.
    #[error("{} is a hook that is not lob's", path.display())]
    ForeignHook {
        /// The hook.
        path: PathBuf,
        /// The line that calls lob from it.
        line: String,
    },
    /// Git looks for hooks where lob must not write.
    #[error("git looks for hooks in {}, {why}", dir.display())]
    HooksElsewhere {
        /// The directory.
        dir: PathBuf,
        /// Why lob must not.
        why: &'static str,
        /// The names of the hooks and the lines that call lob from them.
        lines: Vec<(&'static str, String)>,
    },
    /// A hook can't be put aside, as one was before.
    #[error("{} exists: another hook was put aside before", .0.display())]
    Saved(PathBuf),
    /// A link, a directory or a device where a file is to be edited.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file system refused.
    #[error("{}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl GitError {
    /// A closure for `map_err` that adds the path.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> GitError + use<> {
        let path = path.to_path_buf();
        move |source| GitError::Io { path, source }
    }

    /// A value of `key` that is not what it must be.
    pub fn value(key: impl Into<String>, value: &[u8], why: impl Into<String>) -> GitError {
        let text = String::from_utf8_lossy(value);
        GitError::Value {
            key: key.into(),
            value: text.chars().take(80).collect(),
            why: why.into(),
        }
    }

    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            GitError::NoGit => Some("install git, or add its directory to PATH".into()),
            GitError::NoRepository { stderr, .. } if stderr.contains("dubious ownership") => Some(
                "the repository belongs to somebody else; git names the setting that trusts it"
                    .into(),
            ),
            GitError::NoRepository { .. } => {
                Some("change into a repository, or make one with `git init`".into())
            }
            GitError::NoWorkTree(_) => Some("run this in a clone that has a work tree".into()),
            GitError::Old { feature, .. } => {
                Some(format!("install git {} or later", feature.since()))
            }
            GitError::Value { key, .. } if key.contains('.') => Some(format!(
                "see where it is set with `git config --show-origin {key}`"
            )),
            GitError::Windows {
                prune_key, fetch, ..
            } => Some(format!("set it with `git config {prune_key} {fetch}`")),
            GitError::ForeignHook { path, line } => {
                // Only one of the two can read it.
                let stdin = match path.ends_with("pre-push") {
                    true => ", before anything that reads stdin,",
                    false => "",
                };
                Some(format!(
                    "add the line `{line}` to it{stdin} or replace it with --force: \
                     it is kept under a name that ends in .before-lob"
                ))
            }
            GitError::HooksElsewhere { lines, .. } => {
                let lines = lines
                    .iter()
                    .map(|(name, line)| format!("`{line}` to {name}"));
                let lines: Vec<_> = lines.collect();
                Some(format!(
                    "core.hooksPath says so; add {} there, \
                     or give this repository its own: `git config --local core.hooksPath .git/hooks`",
                    lines.join(", ")
                ))
            }
            GitError::Saved(path) => Some(format!("look at {} and remove it", path.display())),
            _ => None,
        }
    }
}

fn exit(code: Option<i32>) -> String {
    match code {
        Some(code) => format!("exit code {code}"),
        None => "a signal".into(),
    }
}

fn said(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
