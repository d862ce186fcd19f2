//! `.lobconfig`: what a repository may say about itself to everybody who clones it.
//!
//! It comes from others, so only harmless keys are taken from it, values that mean nothing are left
//! out instead of stopping a checkout, and git's own configuration always wins.

use std::path::Path;

use super::command::Git;
use super::config::{Config, canonical};
use super::error::{GitError, Result};
use super::settings::{KEYS, Kind};

/// The name of the file, at the top of the work tree.
pub const FILE: &str = ".lobconfig";
/// Most bytes that are read of it.
const MAX: usize = 1 << 20;

/// Something in `.lobconfig` that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The key in canonical form; empty when the whole file is meant.
    pub key: String,
    /// Why.
    pub why: String,
}

/// What `.lobconfig` may set, and what else it tried.
#[derive(Debug, Default)]
pub struct Tracked {
    /// The keys that are taken from it.
    pub config: Config,
    /// Everything else.
    pub ignored: Vec<Ignored>,
}

impl Tracked {
    /// Reads the file of the work tree, or where there is none the one of HEAD's commit: in a clone
    /// the filter runs before the file is there. `trusted` lets it name stores, to which git's
    /// credentials may be sent.
    pub fn read(git: &Git, work_tree: Option<&Path>, trusted: bool) -> Result<Tracked> {
        let mut tracked = Tracked::default();
        match tracked.list(git, work_tree)? {
            Some(list) => tracked.take(&Config::parse(&list), trusted),
            None => return Ok(tracked),
        }
        Ok(tracked)
    }

    fn list(&mut self, git: &Git, work_tree: Option<&Path>) -> Result<Option<Vec<u8>>> {
        let file = work_tree.map(|dir| dir.join(FILE));
        let meta = file.as_ref().and_then(|file| file.symlink_metadata().ok());
        let words = ["config", "--list", "-z", "--no-includes"].map(std::ffi::OsStr::new);
        let answer = match (&file, meta) {
            (Some(_), Some(meta)) if !meta.is_file() => {
                self.ignore("", "it is not a regular file");
                return Ok(None);
            }
            (Some(file), Some(_)) => {
                let args = words
                    .into_iter()
                    .chain(["--file".as_ref(), file.as_os_str()]);
                git.output_limited(args, MAX)
            }
            _ => {
                let blob = ["--blob", "HEAD:.lobconfig"].map(std::ffi::OsStr::new);
                git.output_limited(words.into_iter().chain(blob), MAX)
            }
        };
        match answer {
            Ok(list) => Ok(Some(list)),
            Err(GitError::Failed { stderr, .. }) => {
                // No commit yet, or no such file in it.
                if !stderr.contains("unable to resolve config blob") {
                    self.ignore("", &stderr);
                }
                Ok(None)
            }
            Err(GitError::Answer { what, .. }) => {
                self.ignore("", &format!("it has {what}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, found: &Config, trusted: bool) {
        for key in found.keys() {
            let name = String::from_utf8_lossy(key).into_owned();
            let Some(kind) = allowed(key, trusted) else {
                let why = match is_url(key) {
                    true => "it names a store, which needs your consent: lob.trustConfig=true",
                    false => "a repository can't set it",
                };
                self.ignore(&name, why);
                continue;
            };
            let values = found.values(key);
            let mut checks = values
                .iter()
                .map(|value| kind.check(&name, value.as_deref()));
            if let Some(error) = checks.find_map(Result::err) {
                self.ignore(&name, &error.to_string());
                continue;
            }
            for value in values {
                self.config.add(key.to_vec(), value.clone());
            }
        }
    }

    fn ignore(&mut self, key: &str, why: &str) {
        self.ignored.push(Ignored {
            key: key.into(),
            why: why.into(),
        });
    }
}

fn allowed(key: &[u8], trusted: bool) -> Option<Kind> {
    if is_url(key) {
        return trusted.then_some(Kind::Text);
    }
    let known = KEYS
        .iter()
        .find(|known| canonical(known.name.as_bytes()) == key);
    known.filter(|known| known.tracked).map(|known| known.kind)
}

fn is_url(key: &[u8]) -> bool {
    key == b"lob.url" || (key.starts_with(b"remote.") && key.ends_with(b".loburl"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    const HOSTILE: &str = "[lob]\n\tfetchInclude = art\n\tfetchInclude = \"maps,sound\"\n\
        \tfetchRefsDays = 3\n\tpruneRefsDays = 0\n\turl = https://evil.example/\n\
        \ttrustConfig = true\n\tfetchCommitsHeadDays = soon\n\
        [remote \"origin\"]\n\tlobUrl = https://evil.example/\n\turl = ext::sh -c evil\n\
        [include]\n\tpath = secret\n[core]\n\tsshCommand = evil\n[filter \"lob\"]\n\tclean = evil\n";

    fn load(fixture: &Fixture) -> Config {
        Config::load(fixture.git(), Some(fixture.path())).unwrap()
    }

    #[test]
    fn only_harmless_keys_are_taken_and_the_rest_is_reported() {
        let fixture = Fixture::new();
        fixture.write("secret", "[lob]\n\tsmudge = pointer\n");
        fixture.write(FILE, HOSTILE);
        let config = load(&fixture);
        let include: Vec<_> = config.get_all("lob.fetchInclude").collect();
        assert_eq!(include, [&b"art"[..], b"maps,sound"]);
        assert_eq!(config.days("lob.fetchRefsDays", 30).unwrap(), 3);
        let ignored: Vec<_> = config.ignored().iter().map(|i| i.key.as_str()).collect();
        assert_eq!(
            ignored,
            [
                "lob.prunerefsdays",
                "lob.url",
                "lob.trustconfig",
                "lob.fetchcommitsheaddays",
                "remote.origin.loburl",
                "remote.origin.url",
                "include.path",
                "core.sshcommand",
                "filter.lob.clean",
            ]
        );
        for key in ignored {
            assert_eq!(config.get(key), None, "{key}");
        }
        assert_eq!(config.get("lob.smudge"), None, "includes are not followed");
    }

    #[test]
    fn stores_are_taken_with_consent_only() {
        let fixture = Fixture::new();
        fixture.write(FILE, HOSTILE);
        fixture.git().set_config("lob.trustConfig", "true").unwrap();
        let config = load(&fixture);
        assert_eq!(config.get("lob.url"), Some(&b"https://evil.example/"[..]));
        assert_eq!(
            config.get("remote.origin.lobUrl"),
            Some(&b"https://evil.example/"[..])
        );
        assert_eq!(config.get("core.sshCommand"), None);
        assert_eq!(config.get("remote.origin.url"), None);
    }

    #[test]
    fn gits_own_configuration_wins() {
        let fixture = Fixture::new();
        fixture.write(FILE, HOSTILE);
        fixture
            .git()
            .set_config("lob.fetchInclude", "mine")
            .unwrap();
        let config = load(&fixture);
        assert_eq!(
            config.get_all("lob.fetchinclude").collect::<Vec<_>>(),
            [b"mine"]
        );
    }

    #[test]
    fn the_commit_speaks_where_the_file_is_not_there_yet() {
        let fixture = Fixture::new();
        assert_eq!(load(&fixture).ignored(), [], "before the first commit");
        fixture.commit("nothing");
        assert_eq!(load(&fixture).ignored(), [], "without the file");
        fixture.write(FILE, "[lob]\n\tsmudge = cached\n");
        fixture.commit("one setting");
        std::fs::remove_file(fixture.path().join(FILE)).unwrap();
        assert_eq!(load(&fixture).get("lob.smudge"), Some(&b"cached"[..]));
        let bare = Config::load(fixture.git(), None).unwrap();
        assert_eq!(bare.get("lob.smudge"), Some(&b"cached"[..]));
    }

    #[test]
    fn a_broken_file_stops_nothing() {
        let fixture = Fixture::new();
        fixture.write(FILE, "[lob\nsmudge =");
        assert!(
            load(&fixture).ignored()[0]
                .why
                .contains("bad config line 1")
        );
        fixture.write(
            FILE,
            format!("[lob]\n\tfetchInclude = {}\n", "x".repeat(MAX)),
        );
        assert!(load(&fixture).ignored()[0].why.contains("more than"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let fixture = Fixture::new();
        fixture.write("elsewhere", "[lob]\n\tsmudge = pointer\n");
        std::os::unix::fs::symlink("elsewhere", fixture.path().join(FILE)).unwrap();
        let config = load(&fixture);
        assert_eq!(config.get("lob.smudge"), None);
        assert_eq!(config.ignored()[0].why, "it is not a regular file");
    }
}
