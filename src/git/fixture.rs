//! A repository in a temporary directory, for the tests of everything that talks to git.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::command::Git;
use super::repo::Repo;

/// A fresh repository with real git, deleted with the value.
pub struct Fixture {
    dir: TempDir,
    git: Git,
}

impl Fixture {
    /// An empty repository whose branch is `main`.
    pub fn new() -> Fixture {
        Fixture::with(&["init", "-q", "-b", "main", "."])
    }

    /// An empty bare repository.
    pub fn bare() -> Fixture {
        Fixture::with(&["init", "-q", "-b", "main", "--bare", "."])
    }

    /// The result of any first command, in a directory named `repo`.
    pub fn with(first: &[&str]) -> Fixture {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let root = dir.path().canonicalize().expect("it exists").join("repo");
        fs::create_dir(&root).expect("it is empty");
        let git = Git::new(&root).expect("git is installed");
        let fixture = Fixture { dir, git };
        fixture.run(first);
        fixture
    }

    /// The directory of the repository.
    pub fn path(&self) -> &Path {
        self.git.dir()
    }

    /// A place for other things beside the repository.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir
            .path()
            .canonicalize()
            .expect("it exists")
            .join(name)
    }

    /// Git in the repository, apart from the machine's configuration.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// The repository as the program finds it.
    pub fn repo(&self) -> Repo {
        Repo::discover(self.path()).expect("it is a repository")
    }

    /// Runs git, which must succeed, and gives what it prints.
    pub fn run(&self, args: &[&str]) -> String {
        let answer = self.git.output(args).expect("git succeeds");
        String::from_utf8(answer).expect("tests print text")
    }

    /// Writes a file of the work tree, with its directories.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it is beneath the root")).expect("can be made");
        fs::write(path, content).expect("it can be written");
    }

    /// Commits everything in the work tree and gives the commit's id.
    pub fn commit(&self, message: &str) -> String {
        self.run(&["add", "-A"]);
        self.run(&["commit", "-q", "--allow-empty", "-m", message]);
        self.run(&["rev-parse", "HEAD"]).trim_end().to_string()
    }
}

/// Keeps tests apart from the configuration of the machine and from a git that runs the tests.
pub fn isolate(git: Git) -> Git {
    let mut git = git;
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_PREFIX",
        "GIT_CONFIG_COUNT",
    ] {
        git = git.without_env(name);
    }
    git.with_env("GIT_CONFIG_GLOBAL", "/dev/null")
        .with_env("GIT_CONFIG_NOSYSTEM", "1")
        .with_env("HOME", "/nonexistent")
        .with_env("GIT_AUTHOR_NAME", "A U Thor")
        .with_env("GIT_AUTHOR_EMAIL", "author@example.com")
        .with_env("GIT_COMMITTER_NAME", "C O Mitter")
        .with_env("GIT_COMMITTER_EMAIL", "committer@example.com")
}
