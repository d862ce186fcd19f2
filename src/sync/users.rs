//! Who uses a store: git repositories whose commits need what was pushed there, and clones that have
//! it in common. Each is a file beneath `state/users/` of the store, written by itself, so that whoever
//! cleans up knows whom to ask.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lob_store::disk::{Disk, OsDisk};

use super::state::State;
use crate::git::Repo;
use crate::git::path::path_buf;
use crate::git::remotes;

const HEADING: &str = "lob user 1";

/// How a store is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// By a repository that pushes to it: its refs and indexes count.
    Clone,
    /// By all who push to a git remote: the refs there count.
    Remote,
    /// By a repository that has it for its own store, as others have: what a prune there keeps counts.
    Share,
    /// By those who push through a service, who cannot be asked.
    Served,
}

impl Use {
    fn name(self) -> &'static str {
        match self {
            Use::Clone => "clone",
            Use::Remote => "remote",
            Use::Share => "share",
            Use::Served => "served",
        }
    }
}

/// One who uses a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User {
    /// How.
    pub by: Use,
    /// The machine on which the place means something; empty for a URL.
    pub host: String,
    /// The path of a git directory, or the URL of a remote.
    pub place: String,
}

impl User {
    /// The repository itself.
    pub fn clone_of(repo: &Repo) -> User {
        User {
            by: Use::Clone,
            host: host(),
            place: real(repo.common_dir()).to_string_lossy().into_owned(),
        }
    }

    /// The repository as one of those that have the store in common.
    ///
    /// # Errors
    /// Where its path is no UTF-8, by which nobody would find it.
    pub fn sharing(repo: &Repo) -> io::Result<User> {
        let place = real(repo.common_dir()).into_os_string();
        let place = place.into_string().map_err(|place| {
            let why = format!("the path of a clone that shares a store must be UTF-8: {place:?}");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        Ok(User {
            by: Use::Share,
            host: host(),
            place,
        })
    }

    /// All who push through a service of this machine.
    pub fn served() -> User {
        User {
            by: Use::Served,
            host: host(),
            place: "lob serve".into(),
        }
    }

    /// A git remote by the URL that git uses.
    pub fn remote(repo: &Repo, url: &[u8]) -> User {
        let path = remotes::local_path(url).map(|path| repo.git().dir().join(path_buf(&path)));
        User {
            by: Use::Remote,
            host: path.as_ref().map(|_| host()).unwrap_or_default(),
            place: match path {
                Some(path) => real(&path).to_string_lossy().into_owned(),
                None => String::from_utf8_lossy(url).into_owned(),
            },
        }
    }

    /// Where it is in this file system, unless it is a URL.
    pub fn path(&self) -> Option<PathBuf> {
        (!self.host.is_empty()).then(|| PathBuf::from(&self.place))
    }

    /// The git repository at its place.
    ///
    /// # Errors
    /// Why it cannot be asked, and what can be done where that is known.
    pub fn repository(&self) -> Result<Repo, (String, Option<String>)> {
        if !self.is_here() {
            let hint = format!("run this on {}", self.host);
            return Err(("it is on another machine".into(), Some(hint)));
        }
        let place = Path::new(&self.place);
        let repo = Repo::elsewhere(place).map_err(|error| (error.to_string(), error.hint()))?;
        // From a broken repository git goes on to one around it, which knows nothing of its lobs.
        let is_it = match self.by {
            Use::Remote => {
                real(repo.common_dir()).starts_with(place)
                    || repo.work_tree().is_some_and(|top| real(top) == place)
            }
            Use::Clone | Use::Share => real(repo.common_dir()) == place,
            Use::Served => false,
        };
        match is_it {
            true => Ok(repo),
            false => Err(("there is no git repository any more".into(), None)),
        }
    }

    /// Whether its place is of this machine.
    pub fn is_here(&self) -> bool {
        self.host == host()
    }

    /// The place for messages.
    pub fn describe(&self) -> String {
        match self.host.is_empty() || self.is_here() {
            true => self.place.clone(),
            false => format!("{} on {}", self.place, self.host),
        }
    }

    fn file_name(&self) -> String {
        let words = [self.by.name(), &self.host, &self.place].join("\n");
        let hash = blake3::hash(words.as_bytes()).to_hex();
        hash.chars().take(32).collect()
    }

    fn text(&self, away: Option<u64>) -> String {
        let place = serde_json::json!([self.by.name(), self.host, self.place]);
        let away = away.map(|since| format!("away {since}\n"));
        format!("{HEADING}\n{place}\n{}", away.unwrap_or_default())
    }
}

/// What is known of one who uses a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The user.
    pub user: User,
    /// Since when it could not be found, in seconds since 1970.
    pub away: Option<u64>,
}

/// What came of forgetting some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgotten {
    /// These are not known any more.
    Users(Vec<User>),
    /// Nobody is at this place, and nobody was forgotten.
    Nobody(String),
}

/// All who use one store.
#[derive(Debug, Clone)]
pub struct Users {
    dir: PathBuf,
    state: State,
}

impl Users {
    /// Those of the store in `root`.
    pub fn of(root: &Path) -> Users {
        let state = State::of(root).beneath("users");
        Users {
            dir: root.join("state/users"),
            state,
        }
    }

    /// Writes one down, unless that is done.
    pub fn add(&self, user: &User) -> io::Result<()> {
        let (name, text) = (user.file_name(), user.text(None));
        if self.state.read(&name).is_some_and(|found| found == text) {
            return Ok(());
        }
        // The first one must find the directory again after a loss of power, too.
        OsDisk.create_dir(&self.dir)?;
        self.dir
            .parent()
            .map_or(Ok(()), |dir| OsDisk.sync_dir(dir))?;
        self.state.write(&name, &text)
    }

    /// Writes down since when one is away; `None` when it is back.
    pub fn mark_away(&self, user: &User, away: Option<u64>) -> io::Result<()> {
        self.state.write(&user.file_name(), &user.text(away))
    }

    /// Forgets those at these places, unless nobody is at one of them, or it is a dry run.
    pub fn forget_at(&self, places: &[String], is_dry: bool) -> io::Result<Forgotten> {
        let known = self.list()?;
        let is_there = |place: &&String| known.iter().any(|known| known.user.place == **place);
        if let Some(place) = places.iter().find(|place| !is_there(place)) {
            return Ok(Forgotten::Nobody(place.clone()));
        }
        let users = known.into_iter().map(|known| known.user);
        let users = users.filter(|user| !is_dry && places.contains(&user.place));
        let users: Vec<User> = users.collect();
        users.iter().try_for_each(|user| self.forget(user))?;
        Ok(Forgotten::Users(users))
    }

    /// Forgets one.
    pub fn forget(&self, user: &User) -> io::Result<()> {
        self.state.remove(&user.file_name())
    }

    /// All of them.
    ///
    /// # Errors
    /// Also where one of the files is damaged: then nobody knows who it was.
    pub fn list(&self) -> io::Result<Vec<Known>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut list = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            // Drafts have a longer name.
            let Some(name) = name.to_str().filter(|name| name.len() == 32) else {
                continue;
            };
            match self.state.read(name).as_deref().and_then(parse) {
                Some(known) => list.push(known),
                // Forgotten meanwhile.
                None if !self.dir.join(name).exists() => {}
                None => {
                    let path = self.dir.join(name);
                    let why = format!(
                        "{}: it is damaged; whoever wrote it writes it anew when he uses the store again",
                        path.display()
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
        list.sort_by(|a, b| a.user.cmp(&b.user));
        Ok(list)
    }
}

fn parse(text: &str) -> Option<Known> {
    let mut lines = text.lines();
    (lines.next()? == HEADING).then_some(())?;
    let (by, host, place): (String, String, String) = serde_json::from_str(lines.next()?).ok()?;
    let by = [Use::Clone, Use::Remote, Use::Share, Use::Served]
        .into_iter()
        .find(|known| known.name() == by)?;
    let away = match lines.next() {
        Some(line) => Some(line.strip_prefix("away ")?.parse().ok()?),
        None => None,
    };
    let user = User { by, host, place };
    lines.next().is_none().then_some(Known { user, away })
}

/// The name of this machine.
fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    match name.is_empty() {
        true => "localhost".into(),
        false => name,
    }
}

/// The path without links, where it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn users_come_back_as_they_were_written_until_they_are_forgotten() {
        let (dir, fixture) = (tempfile::tempdir().unwrap(), Fixture::new());
        let users = Users::of(dir.path());
        assert_eq!(users.list().unwrap(), []);
        fs::create_dir(dir.path().join("state")).unwrap();
        let repo = fixture.repo();
        let far = User::remote(&repo, b"https://example.com/a \"b\".git");
        let near = User::remote(&repo, fixture.path().to_str().unwrap().as_bytes());
        let own = User::clone_of(&repo);
        assert_eq!((far.path(), far.is_here()), (None, false));
        assert_eq!(near.path(), Some(real(fixture.path())));
        for user in [&far, &near, &own, &own] {
            users.add(user).unwrap();
        }
        users.mark_away(&own, Some(7)).unwrap();
        let found = users.list().unwrap();
        let away: Vec<_> = found.iter().map(|known| known.away).collect();
        assert_eq!(away, [Some(7), None, None]);
        let found: Vec<_> = found.into_iter().map(|known| known.user).collect();
        assert_eq!(found, [own.clone(), far.clone(), near.clone()]);
        users.add(&own).unwrap();
        assert_eq!(users.list().unwrap()[0].away, None, "it is back");
        users.forget(&near).unwrap();
        users.forget(&near).unwrap();
        assert_eq!(users.list().unwrap().len(), 2);
        let file = dir.path().join("state/users").join(far.file_name());
        fs::write(file, "x").unwrap();
        let error = users.list().unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
    }
}
