//! The tokens of a server: hashed in a file, which is read again when it changes.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::wire::Rights;

/// What every token begins with, so that it is recognised where it should not be.
const PREFIX: &str = "lob_";
/// Most bytes of the file that are read.
const FILE_MAX: u64 = 4 << 20;

/// A token itself: 256 random bits. Shown once, when it is made.
pub struct Secret(String);

impl Secret {
    /// The token that `text` may be.
    pub fn parse(text: &str) -> Option<Secret> {
        let digits = text.strip_prefix(PREFIX)?;
        let good = digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_hexdigit());
        good.then(|| Secret(text.to_ascii_lowercase()))
    }

    fn random() -> io::Result<Secret> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        // As hexadecimal digits are printed everywhere here: by the hash that has as many bits.
        Ok(Secret(format!(
            "{PREFIX}{}",
            blake3::Hash::from_bytes(bytes)
        )))
    }

    /// The text to give to somebody.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it. The token is random: nothing slower is needed against guessing.
    fn hash(&self) -> blake3::Hash {
        blake3::hash(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a token grants, as it is written in files and on the command line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Read what is there
    Read,
    /// Read, and add to it
    Append,
    /// Read, add, and delete
    Write,
    /// And clean up and examine stores
    Admin,
}

impl From<Grant> for Rights {
    fn from(grant: Grant) -> Rights {
        match grant {
            Grant::Read => Rights::Read,
            Grant::Append => Rights::Append,
            Grant::Write => Rights::Write,
            Grant::Admin => Rights::Admin,
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Rights::from(*self).name())
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called in logs, and revoked by.
    pub name: String,
    /// The BLAKE3 of its text, in hexadecimal digits.
    pub hash: String,
    /// What may be done with it.
    pub rights: Grant,
    /// For which repositories: names, or `team/*` for all beneath. All where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}

impl Token {
    /// Whether it is for the repository `name`.
    pub fn covers(&self, name: &str) -> bool {
        let is_in = |pattern: &String| match pattern.strip_suffix("/*") {
            Some(above) => name
                .strip_prefix(above)
                .is_some_and(|rest| rest.starts_with('/')),
            None => pattern == name,
        };
        self.repositories.is_empty() || self.repositories.iter().any(is_in)
    }
}

/// What is to be made a token.
#[derive(Debug)]
pub struct NewToken {
    /// See [`Token::name`].
    pub name: String,
    /// See [`Token::rights`].
    pub rights: Grant,
    /// See [`Token::repositories`].
    pub repositories: Vec<String>,
}

/// All tokens of a server.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    #[serde(default, rename = "token")]
    all: Vec<Token>,
}

impl Tokens {
    /// The token that `secret` is.
    pub fn of(&self, secret: &Secret) -> Option<&Token> {
        let hash = secret.hash();
        // Compared in constant time, as hashes are.
        let is_it =
            |token: &&Token| blake3::Hash::from_hex(&token.hash).is_ok_and(|known| known == hash);
        self.all.iter().find(is_it)
    }

    /// All of them, in the order in which they were made.
    pub fn list(&self) -> &[Token] {
        &self.all
    }
}

/// The file that holds the tokens of a server.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
    loaded: Arc<Mutex<Option<Loaded>>>,
}

/// The tokens of one version of the file.
#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    tokens: Arc<Tokens>,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Option<Stamp>> {
        let meta = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            meta => meta?,
        };
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Some(Stamp {
            changed: meta.modified().ok(),
            len: meta.len(),
            inode,
        }))
    }
}

impl TokenFile {
    /// The tokens at `path`; a file that is not there has none.
    pub fn at(path: &Path) -> TokenFile {
        TokenFile {
            path: path.to_path_buf(),
            loaded: Arc::default(),
        }
    }

    /// The tokens as they are now.
    pub fn load(&self) -> io::Result<Arc<Tokens>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stamp) = Stamp::of(&self.path)? else {
            return Ok(Arc::default());
        };
        if let Some(known) = loaded.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(known.tokens.clone());
        }
        let tokens = Arc::new(self.read(stamp.len)?);
        *loaded = Some(Loaded {
            stamp,
            tokens: tokens.clone(),
        });
        Ok(tokens)
    }

    /// Adds a token and returns it. Fails where one of that name is there.
    pub fn add(&self, new: NewToken) -> io::Result<Secret> {
        let _lock = self.lock()?;
        let mut tokens = (*self.load()?).clone();
        if tokens.all.iter().any(|token| token.name == new.name) {
            let message = format!("there is a token {:?} already", new.name);
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let secret = Secret::random()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        tokens.all.push(Token {
            name: new.name,
            hash: secret.hash().to_string(),
            rights: new.rights,
            repositories: new.repositories,
            created: now.map_or(0, |now| now.as_secs()),
        });
        self.write(&tokens)?;
        Ok(secret)
    }

    /// Removes the token of this name; returns whether there was one.
    pub fn revoke(&self, name: &str) -> io::Result<bool> {
        let _lock = self.lock()?;
        let mut tokens = (*self.load()?).clone();
        let before = tokens.all.len();
        tokens.all.retain(|token| token.name != name);
        if tokens.all.len() == before {
            return Ok(false);
        }
        self.write(&tokens).map(|()| true)
    }

    /// Holds off others who change the file. The kernel's lock ends with the process.
    fn lock(&self) -> io::Result<fs::File> {
        make_private(self.dir())?;
        let mut options = fs::File::options();
        let lock = options
            .create(true)
            .append(true)
            .open(self.path.with_extension("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn read(&self, len: u64) -> io::Result<Tokens> {
        let bad = |message: String| {
            let message = format!("{}: {message}", self.path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        if len > FILE_MAX {
            return Err(bad("it is too long".into()));
        }
        let tokens: Tokens = toml::from_str(&fs::read_to_string(&self.path)?)
            .map_err(|error| bad(error.message().to_owned()))?;
        Ok(tokens)
    }

    /// Puts a new file in the place of the old one: a reader sees one or the other.
    fn write(&self, tokens: &Tokens) -> io::Result<()> {
        let dir = self.dir();
        let text = toml::to_string(tokens).map_err(io::Error::other)?;
        // Only its owner reads what tempfile makes.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        fs::File::open(dir)?.sync_all()
    }
}

/// Makes a directory that only its owner enters.
pub fn make_private(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewToken {
        NewToken {
            name: name.into(),
            rights: Grant::Append,
            repositories: vec!["team/*".into(), "one".into()],
        }
    }

    #[test]
    fn the_file_has_the_hash_and_not_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&dir.path().join("private/tokens"));
        let secret = file.add(new("ci")).unwrap();
        let text = fs::read_to_string(dir.path().join("private/tokens")).unwrap();
        let digits = secret.reveal().strip_prefix(PREFIX).unwrap();
        assert!(!text.contains(digits), "{text}");
        assert_eq!(format!("{secret:?}"), "Secret");
        let other = TokenFile::at(&dir.path().join("private/tokens"));
        let tokens = other.load().unwrap();
        let token = tokens.of(&secret).unwrap();
        assert_eq!((token.name.as_str(), token.rights), ("ci", Grant::Append));
        assert!(file.add(new("ci")).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&dir.path().join("private")), 0o700);
            assert_eq!(mode(&dir.path().join("private/tokens")), 0o600);
        }
    }

    #[test]
    fn patterns_cover_what_is_beneath_and_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&dir.path().join("tokens"));
        file.add(new("ci")).unwrap();
        let tokens = file.load().unwrap();
        let token = &tokens.list()[0];
        for (name, is_in) in [
            ("team/game", true),
            ("team/a/b", true),
            ("one", true),
            ("team", false),
            ("teams/x", false),
            ("one/more", false),
        ] {
            assert_eq!(token.covers(name), is_in, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_none_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        for text in [
            "nonsense",
            "[[token]]\nname = \"x\"",
            "[[token]]\nextra = 1",
        ] {
            fs::write(&path, text).unwrap();
            assert!(TokenFile::at(&path).load().is_err(), "{text}");
        }
        fs::write(&path, "").unwrap();
        assert!(TokenFile::at(&path).load().unwrap().list().is_empty());
    }
}
