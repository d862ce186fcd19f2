//! Where a repository is: its directories, found with one process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::command::Git;
use super::config::Config;
use super::error::{GitError, Result};
use super::path::path_buf;
use super::settings::Settings;

/// Printed by `git rev-parse` between two answers, as every option that it doesn't know, so that a
/// path may hold a newline.
const BETWEEN: &str = "--between--";

/// A git repository: the main one, a linked work tree, a submodule or a bare one.
#[derive(Debug)]
pub struct Repo {
    git: Git,
    git_dir: PathBuf,
    common_dir: PathBuf,
    index_file: PathBuf,
    work_tree: Option<PathBuf>,
    object_len: usize,
    config: OnceLock<Config>,
    settings: OnceLock<Settings>,
}

impl Repo {
    /// The repository around `dir`, or the one that git runs this process for.
    pub fn discover(dir: &Path) -> Result<Repo> {
        Repo::find(Git::new(dir)?)
    }

    /// The repository around `dir`, whatever repository git runs this process for.
    pub fn elsewhere(dir: &Path) -> Result<Repo> {
        Repo::find(Git::elsewhere(dir)?)
    }

    /// The repository that `git` finds.
    pub fn find(git: Git) -> Result<Repo> {
        let dir = std::path::absolute(git.dir()).map_err(GitError::at(git.dir()))?;
        let answer = ask(&git)?;
        let answers = split(&answer);
        let (Some([git_dir, common_dir, index_file, format]), rest) =
            (answers.first_chunk::<4>(), answers.get(4..))
        else {
            return Err(unreadable(&answer));
        };
        let object_len = match *format {
            b"sha1" => 20,
            b"sha256" => 32,
            _ => return Err(unreadable(&answer)),
        };
        let absolute = |path: &[u8]| dir.join(path_buf(path));
        let git_dir = absolute(git_dir);
        let common_dir = absolute(common_dir);
        let index_file = absolute(index_file);
        // In a hook of a server git takes its own directory for a work tree.
        let work_tree = rest
            .and_then(<[_]>::first)
            .map(|top| absolute(top))
            .filter(|top| !top.starts_with(&git_dir));
        let git = bind(
            git,
            &dir,
            &git_dir,
            &common_dir,
            &index_file,
            work_tree.as_deref(),
        );
        Ok(Repo {
            git,
            git_dir,
            common_dir,
            index_file,
            work_tree,
            object_len,
            config: OnceLock::new(),
            settings: OnceLock::new(),
        })
    }

    /// Git about this repository, at the top of its work tree or, without one, in its git directory.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// The git directory of this work tree: HEAD and the index are there.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The git directory that all work trees share: refs, objects and lob's store are there.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The git directories of all work trees, the main one's first: each has a HEAD and an index
    /// of its own, and all need the one store.
    pub fn git_dirs(&self) -> Result<Vec<PathBuf>> {
        let mut dirs = vec![self.common_dir.clone()];
        let linked = self.common_dir.join("worktrees");
        let entries = match std::fs::read_dir(&linked) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(dirs),
            entries => entries.map_err(GitError::at(&linked))?,
        };
        for entry in entries {
            let dir = entry.map_err(GitError::at(&linked))?.path();
            // Without this file git takes the directory for garbage.
            if dir.join("gitdir").is_file() {
                dirs.push(dir);
            }
        }
        dirs.get_mut(1..).unwrap_or_default().sort();
        Ok(dirs)
    }

    /// All work trees, by their git directories alone: each may be moved, or not mounted.
    pub fn work_trees(&self) -> Result<Vec<Repo>> {
        let dirs = self.git_dirs()?;
        Ok(dirs.iter().map(|dir| self.work_tree_of(dir)).collect())
    }

    fn work_tree_of(&self, git_dir: &Path) -> Repo {
        let index_file = git_dir.join("index");
        let git = self
            .git
            .clone()
            .in_dir(git_dir)
            .with_env("GIT_DIR", git_dir)
            .with_env("GIT_INDEX_FILE", &index_file)
            .without_env("GIT_WORK_TREE")
            .with_env("GIT_IMPLICIT_WORK_TREE", "0");
        Repo {
            git,
            git_dir: git_dir.to_path_buf(),
            common_dir: self.common_dir.clone(),
            index_file,
            work_tree: None,
            object_len: self.object_len,
            config: OnceLock::new(),
            settings: OnceLock::new(),
        }
    }

    /// Where lob keeps the local store.
    pub fn lob_dir(&self) -> PathBuf {
        self.common_dir.join("lob")
    }

    /// The index that git works on: another one than the work tree's own while a hook runs.
    pub fn index_file(&self) -> &Path {
        &self.index_file
    }

    /// The top of the work tree; `None` in a bare repository.
    pub fn work_tree(&self) -> Option<&Path> {
        self.work_tree.as_deref()
    }

    /// The top of the work tree, for commands that can't do without.
    pub fn need_work_tree(&self) -> Result<&Path> {
        self.work_tree()
            .ok_or_else(|| GitError::NoWorkTree(self.git_dir.clone()))
    }

    /// Bytes of an object id: 20 with SHA-1, 32 with SHA-256.
    pub fn object_len(&self) -> usize {
        self.object_len
    }

    /// The configuration, read at the first call.
    pub fn config(&self) -> Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load(&self.git, self.work_tree())?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The settings, read at the first call.
    pub fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::load(self.config()?)?;
        Ok(self.settings.get_or_init(|| settings))
    }
}

/// The answers of git, the top of the work tree last: where there is none git fails after the rest.
fn ask(git: &Git) -> Result<Vec<u8>> {
    let mut words = vec!["rev-parse", "--path-format=absolute"];
    for question in ["--git-dir", "--git-common-dir", "--git-path index"] {
        words.extend(question.split(' '));
        words.push(BETWEEN);
    }
    words.extend(["--show-object-format", BETWEEN, "--show-toplevel"]);
    let mut pipe = git.stream(words)?;
    let answer = pipe.collect(1 << 20)?;
    match pipe.finish() {
        Err(GitError::Failed { stderr, .. }) if split(&answer).len() < 4 => {
            Err(GitError::NoRepository {
                dir: std::path::absolute(git.dir()).unwrap_or_else(|_| git.dir().to_path_buf()),
                stderr: stderr.trim_start_matches("fatal: ").to_string(),
            })
        }
        Ok(()) | Err(GitError::Failed { .. }) => Ok(answer),
        Err(error) => Err(error),
    }
}

fn split(answer: &[u8]) -> Vec<&[u8]> {
    // A git before 2.31 prints back the option that it doesn't know; its paths are relative.
    let answer = answer
        .strip_prefix(b"--path-format=absolute\n")
        .unwrap_or(answer);
    let between = format!("{BETWEEN}\n").into_bytes();
    let mut answers = Vec::new();
    let mut rest = answer;
    loop {
        let at = rest
            .windows(between.len())
            .position(|window| window == between);
        let (first, next) = rest.split_at(at.unwrap_or(rest.len()));
        if let Some(first) = first.strip_suffix(b"\n") {
            answers.push(first);
        }
        match next.strip_prefix(between.as_slice()) {
            Some(next) => rest = next,
            None => return answers,
        }
    }
}

fn unreadable(answer: &[u8]) -> GitError {
    GitError::Answer {
        command: "git rev-parse".into(),
        what: format!("{:?}", String::from_utf8_lossy(answer)),
    }
}

/// Makes everything that names the repository absolute, so that it means the same in any directory.
fn bind(
    git: Git,
    dir: &Path,
    git_dir: &Path,
    common_dir: &Path,
    index_file: &Path,
    work_tree: Option<&Path>,
) -> Git {
    let mut git = git
        .in_dir(work_tree.unwrap_or(git_dir))
        .with_env("GIT_DIR", git_dir);
    git = match work_tree {
        Some(top) => git.with_env("GIT_WORK_TREE", top),
        None => git
            .without_env("GIT_WORK_TREE")
            .with_env("GIT_IMPLICIT_WORK_TREE", "0"),
    };
    if git.env("GIT_COMMON_DIR").is_some() {
        git = git.with_env("GIT_COMMON_DIR", common_dir);
    }
    if git.env("GIT_INDEX_FILE").is_some() {
        git = git.with_env("GIT_INDEX_FILE", index_file);
    }
    // The quarantine of a push that is being received.
    if let Some(objects) = git.env("GIT_OBJECT_DIRECTORY") {
        git = git.with_env("GIT_OBJECT_DIRECTORY", dir.join(objects));
    }
    git
}

#[cfg(test)]
mod tests;
