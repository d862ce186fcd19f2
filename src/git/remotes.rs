//! Git's remotes, and where the store of each is.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::operand;
use super::config::Config;
use super::error::{GitError, Result};
use super::oid::Oid;
use super::path::path_buf;
use super::refs::Head;
use super::repo::Repo;
use super::settings;

/// Which way content goes: git may push to another remote than it fetches from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the remote.
    Fetch,
    /// To the remote.
    Push,
}

/// Where the store of a remote is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `remote.<name>.lobUrl` or `lob.url`, as it is written. A relative path is meant from the top
    /// of the work tree.
    Configured(String),
    /// The remote is a repository in this file system; its store is this directory, which need not
    /// exist yet.
    Repository(PathBuf),
    /// The remote is a path in this file system where no repository is now.
    Absent(PathBuf),
    /// Nothing is configured, and git reaches the remote by this URL.
    Git(Vec<u8>),
}

/// The names of the remotes, in the order of the configuration.
pub fn names(repo: &Repo) -> Result<Vec<String>> {
    let names = repo.config()?.remotes().into_iter();
    // Lob's own ledgers and messages name remotes as text; git's are refs, and UTF-8 in practice.
    Ok(names
        .filter_map(|name| String::from_utf8(name.to_vec()).ok())
        .collect())
}

/// The remote that is meant where none is named: `lob.remote`, else what git would take for the
/// current branch, else `origin`, else the only one. `None` where that leaves none.
pub fn default_remote(repo: &Repo, direction: Direction) -> Result<Option<String>> {
    if let Some(name) = &repo.settings()?.remote {
        return Ok(Some(name.clone()));
    }
    let config = repo.config()?;
    let fallback = fallback(repo)?;
    if follows_none(config, fallback.as_deref()) {
        return Ok(fallback);
    }
    let head = Head::read(repo)?;
    let branch = head.branch().map(String::from_utf8_lossy);
    let of_branch = |variable: &str| match &branch {
        Some(branch) => config.text(format!("branch.{branch}.{variable}")),
        None => Ok(None),
    };
    let mut candidates = Vec::new();
    if direction == Direction::Push {
        candidates.push(of_branch("pushRemote")?);
        candidates.push(config.text("remote.pushDefault")?);
    }
    candidates.push(of_branch("remote")?);
    // A dot is this repository itself.
    let mut candidates = candidates.into_iter().flatten().filter(|&name| name != ".");
    if let Some(name) = candidates.next() {
        return Ok(Some(name.to_string()));
    }
    Ok(fallback)
}

/// `origin`, else the only remote.
fn fallback(repo: &Repo) -> Result<Option<String>> {
    let mut names = names(repo)?;
    if let Some(at) = names.iter().position(|name| name == "origin") {
        return Ok(Some(names.swap_remove(at)));
    }
    let only = names.pop().filter(|_| names.is_empty());
    Ok(only)
}

/// Whether no branch has another remote than the fallback: then it doesn't matter where HEAD is.
fn follows_none(config: &Config, fallback: Option<&str>) -> bool {
    config.keys().all(|key| {
        let of_branch = key.starts_with(b"branch.")
            && (key.ends_with(b".remote") || key.ends_with(b".pushremote"));
        if !of_branch && key != b"remote.pushdefault" {
            return true;
        }
        let value = config.get(key).unwrap_or_default();
        value == b"." || Some(value) == fallback.map(str::as_bytes)
    })
}

/// The URL of a remote as git uses it, `url.<base>.insteadOf` applied. What is no remote's name is
/// taken for a URL.
pub fn url(repo: &Repo, remote: &str, direction: Direction) -> Result<Vec<u8>> {
    let git = repo.git();
    let known = names(repo)?.iter().any(|name| name == remote);
    if let Some(plain) = plain_url(repo.config()?, remote).filter(|_| known) {
        return Ok(plain);
    }
    match direction {
        Direction::Push if known => {
            git.line(["remote", "get-url", "--push", "--", operand(remote)?])
        }
        // Contacts nobody: it only prints.
        _ => git.line(["ls-remote", "--get-url", "--", operand(remote)?]),
    }
}

/// What the refs of a remote name, as it says now.
pub fn tips(repo: &Repo, remote: &str) -> Result<Vec<Oid>> {
    let git = repo.git().clone().with_prompt();
    let answer = git.output(["ls-remote", "--", operand(remote)?])?;
    let lines = answer
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut tips = Vec::new();
    for line in lines {
        let hex = line.split(|&byte| byte == b'\t').next().unwrap_or_default();
        tips.push(Oid::from_hex(hex).ok_or_else(|| GitError::Answer {
            command: "git ls-remote".into(),
            what: format!("{:?}", String::from_utf8_lossy(line)),
        })?);
    }
    tips.sort_unstable();
    tips.dedup();
    Ok(tips)
}

/// The URL of a remote that no other setting can change.
fn plain_url(config: &Config, remote: &str) -> Option<Vec<u8>> {
    if config.keys().any(|key| key.starts_with(b"url.")) {
        return None;
    }
    if config.get(format!("remote.{remote}.pushUrl")).is_some() {
        return None;
    }
    let key = format!("remote.{remote}.url");
    let mut urls = config.get_all(&key);
    let url = urls.next().filter(|url| !url.is_empty())?;
    urls.next().is_none().then(|| url.to_vec())
}

/// Where the store of a remote is, which is named or given as a URL.
pub fn location(repo: &Repo, remote: &str, direction: Direction) -> Result<Location> {
    if let Some(url) = settings::lob_url(repo.config()?, remote)? {
        return Ok(Location::Configured(url.to_string()));
    }
    let url = url(repo, remote, direction)?;
    Ok(behind(repo, url))
}

/// Where the store is that belongs to a repository with this URL, which git has rewritten already.
pub fn behind(repo: &Repo, url: Vec<u8>) -> Location {
    let Some(path) = local_path(&url) else {
        return Location::Git(url);
    };
    let path = repo.git().dir().join(path_buf(&path));
    match store_inside(&path) {
        Some(store) => Location::Repository(store),
        None => Location::Absent(path),
    }
}

/// Whether a directory is that of a git repository.
pub fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir()
}

/// Where the store is of the repository that git finds at a path of this file system.
pub fn store_inside(path: &Path) -> Option<PathBuf> {
    git_dir_at(path).map(|git_dir| common_dir_of(&git_dir).join("lob"))
}

/// The path that a URL of git means, where it is one of this file system: `file://` with its
/// escapes resolved, or what is no URL and has no `host:` before its first slash.
pub fn local_path(url: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = url.strip_prefix(b"file://") {
        let path = percent_decode(rest)?;
        return match path.first() {
            Some(b'/') => Some(path),
            // A host, as on Windows: git keeps both slashes.
            _ => Some([b"//", path.as_slice()].concat()),
        };
    }
    let colon = url.iter().position(|&byte| byte == b':');
    let slash = url.iter().position(|&byte| byte == b'/');
    let drive = cfg!(windows) && colon == Some(1);
    match (colon, slash) {
        _ if url.is_empty() => None,
        (Some(colon), Some(slash)) if colon < slash && !drive => None,
        (Some(_), None) if !drive => None,
        _ => Some(url.to_vec()),
    }
}

/// Resolves `%` and two hexadecimal digits; anything else after a `%` stands for itself, as with
/// git. `None` where a NUL comes out.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, next)) = rest.split_first() {
        rest = next;
        let escape = next.first_chunk::<2>().filter(|_| byte == b'%');
        let value = escape.and_then(|digits| super::oid::hex::<1>(&digits.to_ascii_lowercase()));
        match value {
            Some([0]) => return None,
            Some([value]) => {
                out.push(value);
                rest = next.get(2..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    Some(out)
}

/// The git directory of the repository that git finds at a path, tried in git's order.
fn git_dir_at(path: &Path) -> Option<PathBuf> {
    let with = |suffix: &str| {
        let mut path = path.as_os_str().to_os_string();
        path.push(suffix);
        PathBuf::from(path)
    };
    let places = [
        path.join(".git"),
        path.to_path_buf(),
        with(".git/.git"),
        with(".git"),
    ];
    places.iter().find_map(|place| {
        let git_dir = match place.is_file() {
            true => linked(place, "gitdir: ")?,
            false => place.clone(),
        };
        // HEAD may be a dangling link.
        git_dir
            .join("HEAD")
            .symlink_metadata()
            .ok()
            .map(|_| git_dir)
    })
}

/// The directory that all work trees of a repository share.
fn common_dir_of(git_dir: &Path) -> PathBuf {
    linked(&git_dir.join("commondir"), "").unwrap_or_else(|| git_dir.to_path_buf())
}

/// The directory that a one-line file names.
fn linked(file: &Path, prefix: &str) -> Option<PathBuf> {
    let content = fs::read(file)
        .ok()
        .filter(|content| content.len() <= 8192)?;
    let line = content.strip_prefix(prefix.as_bytes())?;
    let line = line.trim_ascii_end();
    let path = file.parent()?.join(path_buf(line));
    // Without its `..`, so that it reads well in messages.
    Some(path.canonicalize().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn default(fixture: &Fixture, direction: Direction) -> Option<String> {
        default_remote(&fixture.repo(), direction).unwrap()
    }

    fn at(fixture: &Fixture, remote: &str) -> Location {
        location(&fixture.repo(), remote, Direction::Fetch).unwrap()
    }

    #[test]
    fn the_default_remote_is_the_one_git_would_take() {
        use Direction::{Fetch, Push};
        let fixture = Fixture::new();
        assert_eq!(default(&fixture, Fetch), None);
        fixture.run(&["remote", "add", "one", "/one"]);
        assert_eq!(default(&fixture, Fetch).as_deref(), Some("one"));
        fixture.run(&["remote", "add", "two", "/two"]);
        assert_eq!(default(&fixture, Fetch), None, "neither of two");
        fixture.run(&["remote", "add", "origin", "/origin"]);
        assert_eq!(default(&fixture, Fetch).as_deref(), Some("origin"));
        fixture.run(&["config", "branch.main.remote", "."]);
        assert_eq!(default(&fixture, Fetch).as_deref(), Some("origin"));
        fixture.run(&["config", "branch.main.remote", "two"]);
        assert_eq!(default(&fixture, Fetch).as_deref(), Some("two"));
        assert_eq!(default(&fixture, Push).as_deref(), Some("two"));
        fixture.run(&["config", "remote.pushDefault", "one"]);
        assert_eq!(default(&fixture, Push).as_deref(), Some("one"));
        fixture.run(&["config", "branch.main.pushRemote", "fork"]);
        assert_eq!(default(&fixture, Push).as_deref(), Some("fork"));
        assert_eq!(default(&fixture, Fetch).as_deref(), Some("two"));
        fixture.run(&["config", "lob.remote", "mine"]);
        assert_eq!(default(&fixture, Push).as_deref(), Some("mine"));
    }

    #[test]
    fn urls_are_those_that_git_uses() {
        let fixture = Fixture::new();
        fixture.run(&["remote", "add", "origin", "gh:team/repo"]);
        fixture.run(&["config", "url.https://example.com/.insteadOf", "gh:"]);
        fixture.run(&["config", "url.ssh://example.com/.pushInsteadOf", "gh:"]);
        let repo = fixture.repo();
        let fetch = url(&repo, "origin", Direction::Fetch).unwrap();
        assert_eq!(fetch, b"https://example.com/team/repo");
        let push = url(&repo, "origin", Direction::Push).unwrap();
        assert_eq!(push, b"ssh://example.com/team/repo");
        let direct = url(&repo, "gh:other", Direction::Push).unwrap();
        assert_eq!(direct, b"https://example.com/other");
        assert!(url(&repo, "--upload-pack=evil", Direction::Fetch).is_err());
        let git = Location::Git(b"https://example.com/team/repo".to_vec());
        assert_eq!(at(&fixture, "origin"), git);
    }

    #[test]
    fn a_configured_store_wins() {
        let fixture = Fixture::new();
        fixture.run(&["remote", "add", "origin", "/nowhere"]);
        fixture.run(&["config", "lob.url", "https://all.example/"]);
        let all = Location::Configured("https://all.example/".into());
        assert_eq!(at(&fixture, "origin"), all);
        fixture.run(&["config", "remote.origin.lobUrl", "../store"]);
        let own = Location::Configured("../store".into());
        assert_eq!(at(&fixture, "origin"), own);
        assert_eq!(at(&fixture, "elsewhere"), all);
    }

    #[test]
    fn the_store_of_a_repository_in_the_file_system_is_found() {
        let fixture = Fixture::new();
        fixture.commit("first");
        let root = fixture.beside("");
        let git = |words: &[&str]| fixture.git().clone().in_dir(&root).output(words).unwrap();
        git(&["clone", "-q", "--bare", "repo", "bare.git"]);
        git(&["clone", "-q", "repo", "sp ace"]);
        git(&["-C", "repo", "worktree", "add", "-q", "../linked"]);
        git(&[
            "clone",
            "-q",
            "--separate-git-dir=apart",
            "repo",
            "pointing",
        ]);
        for (url, store) in [
            ("../bare.git", "bare.git/lob"),
            ("../bare", "bare.git/lob"),
            ("../sp ace", "sp ace/.git/lob"),
            ("../sp ace/.git", "sp ace/.git/lob"),
            ("../linked", "repo/.git/lob"),
            ("../pointing", "apart/lob"),
        ] {
            let Location::Repository(found) = at(&fixture, url) else {
                panic!("{url} is a repository");
            };
            let parent = found.parent().unwrap().canonicalize().unwrap();
            assert_eq!(parent.join("lob"), root.join(store), "{url}");
        }
        let url = format!(
            "file://{}/sp%20ace",
            root.to_str().unwrap().trim_end_matches('/')
        );
        fixture.run(&["remote", "add", "origin", &url]);
        let store = root.join("sp ace/.git/lob");
        assert_eq!(at(&fixture, "origin"), Location::Repository(store));
        let gone = fixture.path().join("../gone");
        assert_eq!(at(&fixture, "../gone"), Location::Absent(gone));
    }

    #[test]
    fn paths_are_told_from_urls_as_git_does() {
        for (url, path) in [
            ("/a/b", Some("/a/b")),
            ("../a", Some("../a")),
            ("./a:b", Some("./a:b")),
            ("a/b:c", Some("a/b:c")),
            ("host:a", None),
            ("user@host:a/b", None),
            ("https://host/a", None),
            ("ext::sh", None),
            ("", None),
            ("file:///a%20b%2Fc", Some("/a b/c")),
            ("file:///100%", Some("/100%")),
            ("file:///%zz%4", Some("/%zz%4")),
            ("file://host/a", Some("//host/a")),
            ("file:///a%00b", None),
            ("file:///caf%C3%A9", Some("/caf\u{e9}")),
        ] {
            let found = local_path(url.as_bytes());
            assert_eq!(found.as_deref(), path.map(str::as_bytes), "{url}");
        }
    }
}
