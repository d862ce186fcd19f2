//! Branches, tags and HEAD.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, Read};

use super::command::Git;
use super::error::{GitError, Result};
use super::oid::Oid;
use super::repo::Repo;

/// NUL keeps empty fields apart; names hold neither it nor a newline.
const FORMAT: &str = "--format=%(objecttype)%00%(objectname)%00%(committerdate:unix)%00\
    %(*objecttype)%00%(*objectname)%00%(*committerdate:unix)%00%(refname)";
/// Longest commit that is read whole.
const COMMIT_MAX: u64 = 16 << 20;

/// A branch, a tag, or any other name of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// The full name, such as `refs/heads/main`, in git's bytes.
    pub name: Vec<u8>,
    /// The object that it names: an annotated tag where it is one.
    pub oid: Oid,
    /// The commit behind it; `None` where it names a file or a tree.
    pub commit: Option<Commit>,
}

/// A commit and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub oid: Oid,
    /// The committer's date in seconds since 1970.
    pub time: i64,
}

impl Ref {
    /// The name of a branch without `refs/heads/`; `None` for every other ref.
    pub fn branch(&self) -> Option<&[u8]> {
        self.name.strip_prefix(b"refs/heads/")
    }

    /// The name of a tag without `refs/tags/`; `None` for every other ref.
    pub fn tag(&self) -> Option<&[u8]> {
        self.name.strip_prefix(b"refs/tags/")
    }

    /// Whether it says where a branch of a remote was at the last fetch.
    pub fn is_remote(&self) -> bool {
        self.name.starts_with(b"refs/remotes/")
    }
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A branch with commits; the full name.
    Branch {
        /// Such as `refs/heads/main`.
        name: Vec<u8>,
        /// Its last commit.
        oid: Oid,
    },
    /// A commit without a branch.
    Detached {
        /// The commit.
        oid: Oid,
    },
    /// A branch before its first commit; the full name.
    Unborn {
        /// Such as `refs/heads/main`.
        name: Vec<u8>,
    },
}

impl Head {
    /// Reads HEAD of this work tree, with two processes.
    pub fn read(repo: &Repo) -> Result<Head> {
        let git = repo.git();
        let name = answer(git.line(["symbolic-ref", "-q", "HEAD"]))?;
        let commit = answer(git.line(["rev-parse", "-q", "--verify", "HEAD^{commit}"]))?;
        let oid = commit.map(|hex| oid("git rev-parse", &hex)).transpose()?;
        match (name, oid) {
            (Some(name), Some(oid)) => Ok(Head::Branch { name, oid }),
            (None, Some(oid)) => Ok(Head::Detached { oid }),
            (Some(name), None) => Ok(Head::Unborn { name }),
            (None, None) => Err(GitError::Answer {
                command: "git rev-parse HEAD".into(),
                what: "that HEAD is neither a branch nor a commit".into(),
            }),
        }
    }

    /// The commit of HEAD where it is on no branch. Starts no process where HEAD's file says that
    /// it is on one.
    pub fn detached(repo: &Repo) -> Result<Option<Oid>> {
        let file = fs::read(repo.git_dir().join("HEAD")).unwrap_or_default();
        // Where refs are in tables, the file names a branch that can't be.
        let branch = file.strip_prefix(b"ref: refs/heads/");
        if branch.is_some_and(|name| !name.starts_with(b".")) {
            return Ok(None);
        }
        Ok(match Head::read(repo)? {
            Head::Detached { oid } => Some(oid),
            Head::Branch { .. } | Head::Unborn { .. } => None,
        })
    }

    /// The commit; `None` before the first.
    pub fn oid(&self) -> Option<Oid> {
        match *self {
            Head::Branch { oid, .. } | Head::Detached { oid } => Some(oid),
            Head::Unborn { .. } => None,
        }
    }

    /// The branch without `refs/heads/`; `None` when detached.
    pub fn branch(&self) -> Option<&[u8]> {
        match self {
            Head::Branch { name, .. } | Head::Unborn { name } => name.strip_prefix(b"refs/heads/"),
            Head::Detached { .. } => None,
        }
    }
}

/// All refs beneath some prefixes, such as `refs/heads`, in the order of their names; without a
/// prefix all there are. One process, and a second one for tags of tags in a git before 2.45.
pub fn list(repo: &Repo, prefixes: &[&str]) -> Result<Vec<Ref>> {
    let words = ["for-each-ref", FORMAT, "--"];
    let answer = repo.git().output(words.iter().chain(prefixes))?;
    let mut refs = Vec::new();
    for line in answer
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        refs.push(parse(line).ok_or_else(|| unreadable(line))?);
    }
    peel(repo.git(), &mut refs)?;
    Ok(refs)
}

/// What HEAD was last, by its reflog, and then the parents of these commits; nothing where there is no
/// reflog. One process.
pub fn last_heads(repo: &Repo) -> Result<Vec<Oid>> {
    let words = ["log", "-g", "-n", "3", "--format=%H %P", "HEAD", "--"];
    let answer = repo.git().output(words)?;
    let lines = answer.split(|&byte| byte == b'\n');
    let (mut heads, mut parents) = (Vec::new(), Vec::new());
    for line in lines {
        let mut oids = line.split(|&byte| byte == b' ').filter_map(Oid::from_hex);
        heads.extend(oids.next());
        parents.extend(oids);
    }
    for parent in parents {
        if !heads.contains(&parent) {
            heads.push(parent);
        }
    }
    heads.dedup();
    Ok(heads)
}

fn parse(line: &[u8]) -> Option<Ref> {
    let mut fields = line.splitn(7, |&byte| byte == 0);
    let mut field = || fields.next();
    let own = (field()?, field()?, field()?);
    let peeled = (field()?, field()?, field()?);
    let commit = |(kind, oid, time): (&[u8], &[u8], &[u8])| {
        (kind == b"commit").then_some(())?;
        Some(Commit {
            oid: Oid::from_hex(oid)?,
            time: std::str::from_utf8(time).ok()?.parse().ok()?,
        })
    };
    Some(Ref {
        name: field()?.to_vec(),
        oid: Oid::from_hex(own.1)?,
        // A tag of a tag stays without a commit until `peel`.
        commit: commit(own).or_else(|| commit(peeled)),
    })
}

/// Finds the commits behind tags of tags, which an older git peels once only.
fn peel(git: &Git, refs: &mut [Ref]) -> Result<()> {
    let mut asked = Vec::new();
    for tag in refs
        .iter()
        .filter(|r| r.commit.is_none() && r.tag().is_some())
    {
        asked.push(tag.oid);
    }
    if asked.is_empty() {
        return Ok(());
    }
    let found = commits(git, &asked)?;
    for one in refs.iter_mut().filter(|r| r.commit.is_none()) {
        one.commit = found.get(&one.oid).copied();
    }
    Ok(())
}

/// The commits that objects are or lead to, those that lead to none left out. One process.
pub fn commits(git: &Git, oids: &[Oid]) -> Result<HashMap<Oid, Commit>> {
    let mut input = String::new();
    for oid in oids {
        input.push_str(&format!("{oid}^{{commit}}\n"));
    }
    let answer = git.feed(["cat-file", "--batch"], input.into_bytes())?;
    let mut rest = answer.as_slice();
    let mut found = HashMap::new();
    for oid in oids {
        if let Some(commit) = next(&mut rest).map_err(|_| unreadable(b"git cat-file"))? {
            found.insert(*oid, commit);
        }
    }
    Ok(found)
}

/// The next answer of `git cat-file --batch`: a line, and unless it is an apology a commit.
fn next(rest: &mut &[u8]) -> io::Result<Option<Commit>> {
    let mut line = Vec::new();
    rest.read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    let words: Vec<_> = text.split_whitespace().collect();
    let [hex, "commit", size] = *words else {
        return Ok(None);
    };
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let size: u64 = size.parse().map_err(|_| bad())?;
    let mut body = Vec::new();
    rest.take(size.min(COMMIT_MAX)).read_to_end(&mut body)?;
    rest.read_until(b'\n', &mut Vec::new())?;
    let oid = Oid::from_hex(hex.as_bytes()).ok_or_else(bad)?;
    let time = committed(&body).ok_or_else(bad)?;
    Ok(Some(Commit { oid, time }))
}

/// The time in the line `committer NAME <MAIL> TIME ZONE` of a commit's head.
fn committed(body: &[u8]) -> Option<i64> {
    let mut head = body
        .split(|&byte| byte == b'\n')
        .take_while(|line| !line.is_empty());
    let line = head.find_map(|line| line.strip_prefix(b"committer "))?;
    let end = line.iter().rposition(|&byte| byte == b'>')?;
    let text = std::str::from_utf8(line.get(end + 1..)?).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// `None` where git says no with exit code 1, as its quiet questions do.
fn answer(line: Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match line {
        Ok(line) => Ok(Some(line)),
        Err(GitError::Failed { code: Some(1), .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn oid(command: &str, hex: &[u8]) -> Result<Oid> {
    Oid::from_hex(hex).ok_or_else(|| GitError::Answer {
        command: command.into(),
        what: format!("{:?}", String::from_utf8_lossy(hex)),
    })
}

fn unreadable(line: &[u8]) -> GitError {
    GitError::Answer {
        command: "git for-each-ref".into(),
        what: format!("{:?}", String::from_utf8_lossy(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn id(fixture: &Fixture, name: &str) -> Oid {
        let hex = fixture.run(&["rev-parse", name]);
        Oid::from_hex(hex.trim_end().as_bytes()).unwrap()
    }

    #[test]
    fn head_is_unborn_then_a_branch_then_detached() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let name = b"refs/heads/main".to_vec();
        let head = Head::read(&repo).unwrap();
        assert_eq!(head, Head::Unborn { name: name.clone() });
        assert_eq!((head.branch(), head.oid()), (Some(&b"main"[..]), None));
        fixture.commit("first");
        let oid = id(&fixture, "HEAD");
        assert_eq!(Head::read(&repo).unwrap(), Head::Branch { name, oid });
        assert_eq!(Head::detached(&repo).unwrap(), None);
        fixture.run(&["checkout", "-q", "--detach"]);
        let head = Head::read(&repo).unwrap();
        assert_eq!(head, Head::Detached { oid });
        assert_eq!(Head::detached(&repo).unwrap(), Some(oid));
        assert_eq!((head.branch(), head.oid()), (None, Some(oid)));
    }

    #[test]
    fn refs_of_all_kinds_are_listed_with_their_commits() {
        let fixture = Fixture::new();
        fixture.write("file", "content");
        fixture.commit("first");
        let commit = id(&fixture, "HEAD");
        fixture.run(&["tag", "light"]);
        fixture.run(&["tag", "-a", "-m", "x", "heavy"]);
        fixture.run(&["tag", "-a", "-m", "x", "nested", "heavy"]);
        fixture.run(&["tag", "blob", "HEAD:file"]);
        fixture.run(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        let refs = list(&fixture.repo(), &[]).unwrap();
        let names: Vec<_> = refs
            .iter()
            .map(|r| String::from_utf8_lossy(&r.name))
            .collect();
        assert_eq!(
            names,
            [
                "refs/heads/main",
                "refs/remotes/origin/main",
                "refs/tags/blob",
                "refs/tags/heavy",
                "refs/tags/light",
                "refs/tags/nested",
            ]
        );
        let time = fixture
            .run(&["log", "-1", "--format=%ct"])
            .trim_end()
            .parse()
            .unwrap();
        for one in &refs {
            let expected = (one.tag() != Some(b"blob")).then_some(Commit { oid: commit, time });
            assert_eq!(one.commit, expected, "{one:?}");
        }
        assert_eq!(refs[0].branch(), Some(&b"main"[..]));
        assert!(refs[1].is_remote());
        assert_eq!(refs[3].oid, id(&fixture, "heavy"));
        let heads = list(&fixture.repo(), &["refs/heads", "refs/remotes"]).unwrap();
        assert_eq!(heads, refs[..2]);
    }

    #[test]
    fn tags_of_tags_are_followed_where_git_does_not() {
        let fixture = Fixture::new();
        fixture.commit("first");
        fixture.run(&["tag", "-a", "-m", "x", "inner"]);
        fixture.run(&["tag", "-a", "-m", "x", "outer", "inner"]);
        let mut refs = list(&fixture.repo(), &["refs/tags"]).unwrap();
        let whole = refs.clone();
        for one in &mut refs {
            one.commit = None;
        }
        peel(fixture.git(), &mut refs).unwrap();
        assert_eq!(refs, whole);
    }

    #[test]
    fn objects_without_a_commit_are_left_out() {
        let fixture = Fixture::new();
        fixture.write("file", "content");
        fixture.commit("first");
        let (head, blob) = (id(&fixture, "HEAD"), id(&fixture, "HEAD:file"));
        let missing = Oid::from_bytes(&[7; 20]).unwrap();
        let found = commits(fixture.git(), &[blob, missing, head]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[&head].oid, head);
    }

    #[test]
    fn an_empty_repository_has_no_refs() {
        assert_eq!(list(&Fixture::new().repo(), &[]).unwrap(), []);
    }
}
