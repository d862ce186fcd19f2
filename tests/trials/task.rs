//! The commands that trials are made with, and what is to be true after each of them.

use super::version::Version::{self, Edited, Gone, New, Next, Old, Side};

/// A command of git or of lob.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// What a report calls it.
    pub name: &'static str,
    /// The repository it runs in.
    pub repo: &'static str,
    /// The program and its arguments.
    pub words: &'static [&'static str],
    /// What stores hold after it, beside what they held before.
    pub adds: &'static [(&'static str, Version)],
    /// What stores have let go of.
    pub drops: &'static [(&'static str, Version)],
    /// The version whose pointers are in `staged_in` then: the index, or a commit.
    pub staged: Option<Version>,
    /// The index, or a commit.
    pub staged_in: &'static str,
    /// The version that the work tree then has, with nothing to report for `git status`.
    pub checked_out: Option<Version>,
    /// Whether the remote's branch is then where it is here.
    pub is_push: bool,
    /// Whether it says no when it is made again after it was done.
    pub is_once: bool,
    /// Whether it may wait for the end of a second.
    pub is_slow: bool,
    /// Whether the store is damaged before it, and whole after it.
    pub is_hurt: bool,
    /// Whether older versions are differences from newer ones after it, and the newest is none.
    pub is_repack: bool,
    /// Files that are there after it, and may not be before.
    pub makes: &'static [&'static str],
}

const PLAIN: Task = Task {
    name: "",
    repo: "",
    words: &[],
    adds: &[],
    drops: &[],
    staged: None,
    staged_in: "",
    checked_out: None,
    is_push: false,
    is_once: false,
    is_slow: false,
    is_hurt: false,
    is_repack: false,
    makes: &[],
};

impl Task {
    /// The repositories that it may change, or be in the way of.
    pub fn uses(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.repo, "origin.git"].into_iter()
    }
}

/// All of them.
pub const TASKS: &[Task] = &[
    Task {
        name: "git add",
        repo: "work",
        words: &["git", "add", "-A"],
        adds: &[("work", Edited)],
        staged: Some(Edited),
        ..PLAIN
    },
    Task {
        name: "git commit",
        repo: "work",
        words: &["git", "commit", "-q", "-a", "-m", "Edited"],
        adds: &[("work", Edited)],
        staged: Some(Edited),
        staged_in: "HEAD",
        is_once: true,
        ..PLAIN
    },
    Task {
        name: "git push",
        repo: "work",
        words: &["git", "push", "-q", "origin", "main"],
        adds: &[("origin.git", New)],
        is_push: true,
        ..PLAIN
    },
    Task {
        name: "git checkout",
        repo: "clone",
        words: &["git", "checkout", "-q", "-f", "origin/main"],
        adds: &[("clone", Next)],
        checked_out: Some(Next),
        ..PLAIN
    },
    Task {
        name: "git checkout, populating",
        repo: "clone",
        words: &[
            "git",
            "-c",
            "lob.populate=1",
            "checkout",
            "-q",
            "-f",
            "origin/main",
        ],
        adds: &[("clone", Next)],
        checked_out: Some(Next),
        ..PLAIN
    },
    Task {
        name: "lob push",
        repo: "work",
        words: &["lob", "push"],
        adds: &[("origin.git", New)],
        ..PLAIN
    },
    Task {
        name: "lob sync",
        is_slow: true,
        repo: "thin",
        words: &["lob", "sync"],
        adds: &[("thin", Next)],
        checked_out: Some(Next),
        ..PLAIN
    },
    Task {
        name: "lob sync, everything",
        repo: "work",
        words: &["lob", "sync", "--mode", "complete"],
        adds: &[("origin.git", New)],
        ..PLAIN
    },
    Task {
        name: "lob fetch",
        repo: "clone",
        words: &["lob", "fetch", "origin", "origin/main"],
        adds: &[("clone", Next)],
        ..PLAIN
    },
    Task {
        name: "lob prefetch",
        repo: "clone",
        words: &["lob", "prefetch"],
        adds: &[("clone", Next), ("clone", Side)],
        ..PLAIN
    },
    Task {
        name: "lob pull",
        is_slow: true,
        repo: "thin",
        words: &["lob", "pull"],
        adds: &[("thin", Next)],
        checked_out: Some(Next),
        ..PLAIN
    },
    Task {
        name: "lob checkout",
        is_slow: true,
        repo: "full",
        words: &["lob", "checkout"],
        checked_out: Some(Next),
        ..PLAIN
    },
    Task {
        name: "lob fsck",
        repo: "work",
        words: &["lob", "fsck", "--deep", "--remote", "origin"],
        ..PLAIN
    },
    Task {
        name: "lob init",
        repo: "new",
        words: &["lob", "init"],
        makes: &[
            ".git/lob/state/format",
            ".git/hooks/pre-push",
            ".git/hooks/post-checkout",
            ".git/hooks/post-merge",
        ],
        ..PLAIN
    },
    Task {
        name: "lob repair",
        repo: "hurt",
        words: &["lob", "repair"],
        is_hurt: true,
        ..PLAIN
    },
    Task {
        name: "lob repack",
        repo: "work",
        words: &["lob", "repack"],
        is_repack: true,
        ..PLAIN
    },
    Task {
        name: "lob gc",
        repo: "work",
        words: &["lob", "gc", "--remote", "origin", "--grace", "0"],
        drops: &[("origin.git", Gone)],
        ..PLAIN
    },
    Task {
        name: "lob prune",
        repo: "work",
        words: &["lob", "prune", "--grace", "0"],
        drops: &[("work", Old), ("work", Gone)],
        ..PLAIN
    },
];
