//! A service at a URL, reached as git would reach it: with its settings, its passwords and its ssh.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use super::budget::Patience;
use super::network::{Means, Network};
use super::own::{Identity, Own};
use super::place::{HttpPlace, SshPlace};
use super::proxy::chosen;
use super::ssh::{Program, Ssh};
use super::tls::Authorities;
use crate::git::path::path_buf;
use crate::git::{Config, Git};
use crate::wire::{Exchange, ExchangeError};

/// The place of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository of a server that speaks HTTP, with or without TLS.
    Http(HttpPlace),
    /// A store or a repository on a machine that ssh reaches and that has lob.
    Ssh(SshPlace),
}

impl Place {
    /// Parses `http://`, `https://`, `ssh://` and `host:path`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the URL.
    pub fn parse(text: &str) -> Result<Place, &'static str> {
        let scheme = text
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => HttpPlace::parse(text).map(Place::Http),
            _ => SshPlace::parse(text).map(Place::Ssh),
        }
    }

    /// Whether both are one path of one machine, whatever reaches it.
    pub fn is_same_repository(&self, other: &Place) -> bool {
        let (host, path) = self.host_and_path();
        let (other_host, other_path) = other.host_and_path();
        host.eq_ignore_ascii_case(other_host) && path == other_path
    }

    /// Whether it is, as far as its name tells, on this machine or in its own network.
    pub fn is_near(&self) -> bool {
        use std::net::IpAddr::{V4, V6};
        let (host, _) = self.host_and_path();
        match host.parse() {
            Ok(V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Ok(V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            Err(_) => host == "localhost" || host.ends_with(".local") || !host.contains('.'),
        }
    }

    fn host_and_path(&self) -> (&str, &str) {
        let (host, path) = match self {
            Place::Http(place) => (&place.host, &place.path),
            Place::Ssh(place) => (&place.host, &place.path),
        };
        let path = path.strip_prefix("~/").unwrap_or(path).trim_matches('/');
        (host, path.strip_suffix(".git").unwrap_or(path))
    }

    /// What carries requests there. Nothing connects before the first.
    ///
    /// # Errors
    /// Where certificates can't be read, or threads not be had.
    pub fn reach(&self, git: &Git, config: &Config) -> Result<Arc<dyn Exchange>, ExchangeError> {
        let means = Means::of(git, config, self);
        Ok(Arc::new(match self {
            Place::Http(place) => Network::over_http(place, means)?,
            Place::Ssh(place) => Network::over_ssh(place, means)?,
        }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Http(place) => place.fmt(f),
            Place::Ssh(place) => place.fmt(f),
        }
    }
}

impl Means {
    /// What git's configuration and the environment say about reaching `place`.
    pub fn of(git: &Git, config: &Config, place: &Place) -> Means {
        let is_off = git
            .env("GIT_TERMINAL_PROMPT")
            .is_some_and(|value| value == "0");
        // A hook's stdin is git's; a terminal shows on stderr.
        let may_ask = io::stderr().is_terminal() && !is_off;
        let asking = git.clone();
        Means {
            git: if may_ask {
                asking.with_prompt()
            } else {
                asking
            },
            patience: Patience::default(),
            roots: roots(git, place),
            own: own(git, config, place),
            proxy: matched(git, place, &["http.proxy"])
                .map(|url| String::from_utf8_lossy(&url).into_owned()),
            ssh: Ssh {
                program: program(git, config),
                may_ask,
            },
        }
    }
}

impl Means {
    /// The proxy through which a place is reached.
    pub(super) fn proxy_for(&self, place: &HttpPlace) -> Result<Option<HttpPlace>, &'static str> {
        let env = |name: &str| Some(self.git.env(name)?.to_string_lossy().into_owned());
        chosen(place, self.proxy.as_deref(), &env)
    }
}

/// As git looks for it.
fn program(git: &Git, config: &Config) -> Program {
    let set = |name: &str| git.env(name).filter(|value| !value.is_empty());
    let configured = || {
        let line = config
            .get("core.sshCommand")
            .filter(|line| !line.is_empty())?;
        Some(path_buf(line).into_os_string())
    };
    if let Some(line) = set("GIT_SSH_COMMAND").or_else(configured) {
        return Program::Shell(line);
    }
    Program::Ssh(set("GIT_SSH").unwrap_or_else(|| OsString::from("ssh")))
}

/// What git would send there of the user's own.
fn own(git: &Git, config: &Config, place: &Place) -> Own {
    let Place::Http(http) = place else {
        return Own::default();
    };
    let file = |env: &str, key: &str| {
        let set = git.env(env).filter(|file| !file.is_empty());
        let configured = || {
            let found = matched(git, place, &["--type=path", key])?;
            (!found.is_empty()).then(|| path_buf(&found))
        };
        set.map(PathBuf::from).or_else(configured)
    };
    let certificate = file("GIT_SSL_CERT", "http.sslCert").filter(|_| http.tls);
    let identity = certificate.map(|certificate| Identity {
        key: file("GIT_SSL_KEY", "http.sslKey").unwrap_or_else(|| certificate.clone()),
        certificate,
    });
    Own::of(git, config, http, identity)
}

/// The file of certificates that git would believe there.
fn roots(git: &Git, place: &Place) -> Option<Authorities> {
    if !matches!(place, Place::Http(_)) {
        return None;
    }
    if let Some(file) = git.env("GIT_SSL_CAINFO").filter(|file| !file.is_empty()) {
        return Some(Authorities {
            file: PathBuf::from(file),
            named_by: "GIT_SSL_CAINFO",
        });
    }
    let found = matched(git, place, &["--type=path", "http.sslCAInfo"])?;
    (!found.is_empty()).then(|| Authorities {
        file: path_buf(&found),
        named_by: "http.sslCAInfo",
    })
}

/// A setting of git for a URL, where it has one.
fn matched(git: &Git, place: &Place, key: &[&str]) -> Option<Vec<u8>> {
    let Place::Http(place) = place else {
        return None;
    };
    let url = place.for_git();
    let mut words = vec!["config", "--get-urlmatch"];
    words.extend(key);
    words.push(&url);
    // Nothing is set where git fails.
    git.line(words).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    fn at(url: &str) -> Place {
        Place::parse(url).unwrap()
    }

    #[test]
    fn ssh_is_the_one_that_git_would_run() {
        let fixture = Fixture::new();
        let program = |git: &Git| {
            let config = Config::load(git, None).unwrap();
            Means::of(git, &config, &at("host:x")).ssh.program
        };
        let git = fixture.git().clone();
        let git = git.without_env("GIT_SSH").without_env("GIT_SSH_COMMAND");
        assert_eq!(program(&git), Program::Ssh("ssh".into()));
        let named = git.clone().with_env("GIT_SSH", "/opt/my ssh");
        assert_eq!(program(&named), Program::Ssh("/opt/my ssh".into()));
        fixture.run(&["config", "core.sshCommand", "ssh -i 'my key'"]);
        assert_eq!(program(&named), Program::Shell("ssh -i 'my key'".into()));
        let both = named.with_env("GIT_SSH_COMMAND", "ssh -v");
        assert_eq!(program(&both), Program::Shell("ssh -v".into()));
    }

    #[test]
    fn certificates_are_those_that_git_would_believe() {
        let fixture = Fixture::new();
        let git = fixture.git().clone().without_env("GIT_SSL_CAINFO");
        let found = |git: &Git, url| {
            let found = roots(git, &at(url));
            // A hint names what is in effect, and no other way that would change nothing.
            let hint = Authorities::hint(found.as_ref());
            let (file, by) = found.map(|found| (found.file, found.named_by))?;
            assert!(hint.contains(by) && hint.contains(file.to_str().unwrap()));
            Some((file, by))
        };
        assert_eq!(found(&git, "https://host/x"), None);
        fixture.run(&["config", "http.https://host/.sslCAInfo", "/etc/ca.pem"]);
        assert_eq!(
            found(&git, "https://host/x"),
            Some(("/etc/ca.pem".into(), "http.sslCAInfo"))
        );
        assert_eq!(found(&git, "https://other/x"), None);
        assert_eq!(found(&git, "ssh://host/x"), None);
        let git = git.with_env("GIT_SSL_CAINFO", "/tmp/ca.pem");
        let hint = Authorities::hint(roots(&git, &at("https://host/x")).as_ref());
        assert!(!hint.contains("http.sslCAInfo"), "{hint}");
        assert_eq!(
            found(&git, "https://other/x"),
            Some(("/tmp/ca.pem".into(), "GIT_SSL_CAINFO"))
        );
    }

    #[test]
    fn a_certificate_of_ones_own_is_the_one_that_git_would_show() {
        let fixture = Fixture::new();
        let git = fixture.git().clone();
        let git = git.without_env("GIT_SSL_CERT").without_env("GIT_SSL_KEY");
        let found = |git: &Git, url| {
            let config = Config::load(git, None).unwrap();
            let own = own(git, &config, &at(url));
            own.identity.map(|found| (found.certificate, found.key))
        };
        assert_eq!(found(&git, "https://host/x"), None);
        fixture.run(&["config", "http.https://host/.sslCert", "/me.pem"]);
        let both = Some(("/me.pem".into(), "/me.pem".into()));
        assert_eq!(found(&git, "https://host/x"), both);
        fixture.run(&["config", "http.https://host/.sslKey", "/me.key"]);
        let pair = Some(("/me.pem".into(), "/me.key".into()));
        assert_eq!(found(&git, "https://host/x"), pair);
        assert_eq!(found(&git, "https://other/x"), None);
        assert_eq!(found(&git, "ssh://host/x"), None);
        let git = git.with_env("GIT_SSL_CERT", "/env.pem");
        let env = Some(("/env.pem".into(), "/me.key".into()));
        assert_eq!(found(&git, "https://host/x"), env);
    }

    #[test]
    fn one_repository_may_be_reached_in_several_ways() {
        for (one, other, is_same) in [
            (
                "https://host/team/game.git",
                "https://me@HOST:8443/team/game/",
                true,
            ),
            ("git@host:team/game.git", "https://host/team/game", true),
            ("ssh://host/~/game.git", "host:game", true),
            ("https://host/team/game", "https://host/game", false),
            ("https://host/game", "https://other/game", false),
        ] {
            assert_eq!(
                at(one).is_same_repository(&at(other)),
                is_same,
                "{one} {other}"
            );
            assert_eq!(
                at(other).is_same_repository(&at(one)),
                is_same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn urls_say_how_a_service_is_reached() {
        for (url, is_http) in [
            ("https://host/x", true),
            ("HTTP://host", true),
            ("ssh://host/x", false),
            ("git@host:x", false),
        ] {
            assert_eq!(matches!(at(url), Place::Http(_)), is_http, "{url}");
        }
        for url in ["/a/path", "file:///x", "git://host/x", "s3://x/y", "-x:y"] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}
