//! Git's credential helpers: who to be on a server, and whether that was right.

use std::fmt;

use super::command::Git;
use super::error::{GitError, Result};

/// What credentials are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// `http` or `https`.
    pub protocol: &'static str,
    /// The host, with its port where the URL has one.
    pub host: String,
    /// The path of the URL without its first slash. Git leaves it out unless `credential.useHttpPath`.
    pub path: String,
    /// The user, where the URL has one.
    pub username: Option<String>,
}

/// A user and his password, or a token in its place. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// What only he knows.
    pub password: String,
    /// All that the helpers said, which they get back.
    said: Vec<u8>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Asks the helpers, and where there is a terminal the user. `None` where nobody knows.
pub fn fill(git: &Git, about: &About) -> Result<Option<Login>> {
    let mut input = String::new();
    let fields = [
        ("protocol", Some(about.protocol)),
        ("host", Some(about.host.as_str())),
        ("path", Some(about.path.as_str())),
        ("username", about.username.as_deref()),
    ];
    for (name, value) in fields {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        if value.chars().any(char::is_control) {
            return Err(GitError::value(
                name,
                value.as_bytes(),
                "it has a control character",
            ));
        }
        input.push_str(&format!("{name}={value}\n"));
    }
    let answer = git.feed(["credential", "fill"], input.into_bytes());
    match answer {
        Ok(said) => Ok(parse(said)),
        // Nobody knows, and nobody can be asked: git says so by failing.
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells the helpers that a login was right, so that they keep it.
pub fn approve(git: &Git, login: &Login) -> Result<()> {
    git.feed(["credential", "approve"], login.said.clone())
        .map(drop)
}

/// Tells the helpers that a login was wrong, so that they forget it.
pub fn reject(git: &Git, login: &Login) -> Result<()> {
    git.feed(["credential", "reject"], login.said.clone())
        .map(drop)
}

fn parse(said: Vec<u8>) -> Option<Login> {
    let field = |name: &str| {
        let lines = said.split(|&byte| byte == b'\n');
        let mut values =
            lines.filter_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        let value = std::str::from_utf8(values.next()?).ok()?;
        let is_good = !value.chars().any(char::is_control);
        is_good.then(|| value.to_owned())
    };
    Some(Login {
        username: field("username")?,
        password: field("password")?,
        said,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn about(host: &str) -> About {
        About {
            protocol: "https",
            host: host.into(),
            path: "team/game".into(),
            username: None,
        }
    }

    #[test]
    fn helpers_are_asked_and_told() {
        let fixture = Fixture::new();
        let store = fixture.beside("credentials");
        let helper = format!("store --file={}", store.display());
        fixture.run(&["config", "credential.helper", &helper]);
        let git = fixture.git();
        assert_eq!(fill(git, &about("host")).unwrap(), None);
        std::fs::write(&store, "https://me:s3cret@host\n").unwrap();
        let login = fill(git, &about("host")).unwrap().unwrap();
        assert_eq!(
            (login.username.as_str(), login.password.as_str()),
            ("me", "s3cret")
        );
        assert!(!format!("{login:?}").contains("s3cret"));
        assert_eq!(
            fill(git, &about("host:8443")).unwrap(),
            None,
            "another port"
        );
        reject(git, &login).unwrap();
        assert_eq!(fill(git, &about("host")).unwrap(), None, "forgotten");
        approve(git, &login).unwrap();
        assert_eq!(fill(git, &about("host")).unwrap(), Some(login));
    }

    #[test]
    fn nothing_slips_a_second_line_into_a_question() {
        let fixture = Fixture::new();
        let mut bad = about("host\nhost=evil");
        assert!(fill(fixture.git(), &bad).is_err());
        bad = about("host");
        bad.path = "x\rpassword=y".into();
        assert!(fill(fixture.git(), &bad).is_err());
    }
}
