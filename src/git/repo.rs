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
                dir: git.dir().to_path_buf(),
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
mod tests {
    use std::fs;

    use super::super::fixture::{Fixture, isolate};
    use super::*;

    fn bound(git: Git) -> Repo {
        Repo::find(git).unwrap()
    }

    #[test]
    fn a_plain_repository_is_found_from_beneath() {
        let fixture = Fixture::new();
        fixture.write("a/b/file", "");
        let repo = Repo::discover(&fixture.path().join("a/b")).unwrap();
        let git_dir = fixture.path().join(".git");
        assert_eq!(repo.work_tree(), Some(fixture.path()));
        assert_eq!(repo.git_dir(), git_dir);
        assert_eq!(repo.common_dir(), git_dir);
        assert_eq!(repo.index_file(), git_dir.join("index"));
        assert_eq!(repo.lob_dir(), git_dir.join("lob"));
        assert_eq!(repo.object_len(), 20);
        assert_eq!(repo.git().dir(), fixture.path());
    }

    #[test]
    fn a_linked_work_tree_shares_the_store() {
        let fixture = Fixture::new();
        fixture.commit("first");
        let linked = fixture.beside("linked");
        fixture.run(&[
            "worktree",
            "add",
            "-q",
            "-b",
            "other",
            linked.to_str().unwrap(),
        ]);
        let repo = Repo::discover(&linked).unwrap();
        let git_dir = fixture.path().join(".git");
        assert_eq!(repo.work_tree(), Some(linked.as_path()));
        assert_eq!(repo.git_dir(), git_dir.join("worktrees/linked"));
        assert_eq!(repo.lob_dir(), git_dir.join("lob"));
        assert_eq!(repo.index_file(), repo.git_dir().join("index"));
        assert_eq!(
            repo.git().line(["branch", "--show-current"]).unwrap(),
            b"other"
        );
    }

    #[test]
    fn a_bare_repository_has_no_work_tree() {
        let fixture = Fixture::bare();
        let repo = fixture.repo();
        assert_eq!(repo.git_dir(), fixture.path());
        assert_eq!(repo.work_tree(), None);
        let error = repo.need_work_tree().unwrap_err();
        assert!(error.to_string().contains("it has no work tree"));
        let bare = repo
            .git()
            .line(["rev-parse", "--is-bare-repository"])
            .unwrap();
        assert_eq!(bare, b"true");
    }

    #[test]
    fn the_git_directory_is_no_work_tree() {
        let fixture = Fixture::new();
        let git_dir = fixture.path().join(".git");
        assert_eq!(Repo::discover(&git_dir).unwrap().work_tree(), None);
        let git = fixture
            .git()
            .clone()
            .in_dir(&git_dir)
            .with_env("GIT_DIR", ".");
        let repo = bound(git);
        assert_eq!(repo.git_dir(), git_dir);
        assert_eq!(repo.work_tree(), None);
    }

    #[test]
    fn sha256_repositories_have_longer_ids() {
        let fixture = Fixture::with(&["init", "-q", "--object-format=sha256", "."]);
        assert_eq!(fixture.repo().object_len(), 32);
    }

    #[test]
    fn what_git_tells_a_hook_is_kept() {
        let fixture = Fixture::new();
        fixture.write("dir/file", "");
        let git = fixture.git().clone().with_env("GIT_DIR", ".git");
        let repo = bound(git.with_env("GIT_INDEX_FILE", ".git/next-index-7.lock"));
        let index = fixture.path().join(".git/next-index-7.lock");
        assert_eq!(repo.index_file(), index);
        assert_eq!(
            repo.git().env("GIT_INDEX_FILE").as_deref(),
            Some(index.as_os_str())
        );
        let below = repo.git().clone().in_dir(&fixture.path().join("dir"));
        let top = below.line(["rev-parse", "--show-toplevel"]).unwrap();
        assert_eq!(path_buf(&top), fixture.path());
    }

    #[test]
    fn another_repository_is_found_in_spite_of_a_hook() {
        let (here, there) = (Fixture::new(), Fixture::new());
        let git = Git::elsewhere(there.path()).unwrap();
        let repo = bound(isolate(git));
        assert_eq!(repo.work_tree(), Some(there.path()));
        assert_ne!(here.path(), there.path());
        let hook = here.git().clone().in_dir(there.path());
        let hook = hook.with_env("GIT_DIR", here.path().join(".git"));
        let repo = Repo::find(hook.foreign()).unwrap();
        assert_eq!(repo.git_dir(), there.path().join(".git"));
    }

    #[test]
    fn a_work_tree_apart_from_its_git_directory_works_in_both() {
        let fixture = Fixture::new();
        let apart = fixture.beside("apart");
        fs::create_dir(&apart).unwrap();
        fixture.git().set_config("core.worktree", &apart).unwrap();
        let repo = bound(fixture.git().clone().in_dir(&fixture.path().join(".git")));
        assert_eq!(repo.work_tree(), Some(apart.as_path()));
        fs::write(apart.join("file"), "x").unwrap();
        repo.git().output(["add", "file"]).unwrap();
        assert_eq!(repo.git().line(["ls-files"]).unwrap(), b"file");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_may_hold_any_byte() {
        let fixture = Fixture::new();
        let odd = fixture.beside("").join(path_buf(b"a\n--between--x\n \xe9"));
        fs::create_dir_all(&odd).unwrap();
        let git = fixture.git().clone().in_dir(&odd);
        git.output(["init", "-q", "."]).unwrap();
        let repo = bound(git);
        assert_eq!(repo.work_tree(), Some(odd.as_path()));
        assert_eq!(repo.git_dir(), odd.join(".git"));
    }

    #[test]
    fn outside_of_a_repository_the_error_has_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let error = Repo::discover(dir.path()).unwrap_err();
        assert!(matches!(error, GitError::NoRepository { .. }), "{error}");
        assert!(error.hint().unwrap().contains("git init"));
    }

    #[test]
    fn an_answer_of_an_old_git_is_understood() {
        let answer = b"--path-format=absolute\n.git\n--between--\n.git\n--between--\n.git/index\n\
            --between--\nsha1\n--between--\n/top\n";
        let answers = split(answer);
        assert_eq!(
            answers,
            [&b".git"[..], b".git", b".git/index", b"sha1", b"/top"]
        );
    }

    #[test]
    fn settings_are_read_once() {
        let fixture = Fixture::new();
        fixture.git().set_config("lob.remote", "upstream").unwrap();
        let repo = fixture.repo();
        assert_eq!(repo.settings().unwrap().remote.as_deref(), Some("upstream"));
        fixture.git().set_config("lob.remote", "other").unwrap();
        assert_eq!(repo.settings().unwrap().remote.as_deref(), Some("upstream"));
    }
}
