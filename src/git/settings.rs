//! The settings of lob: every key, what it means, and what holds where it is not set.

use std::env;
use std::ffi::OsStr;
use std::path::Path;

use super::config::{Config, bad, canonical, number, truth};
use super::error::{GitError, Result};
use super::patterns::compile;

/// A key of git's configuration that lob reads.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the documentation's spelling; `<name>` stands for the name of a remote.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What holds where it is not set, as text; empty for nothing.
    pub default: &'static str,
    /// Whether a committed `.lobconfig` may set it.
    pub tracked: bool,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A number of days.
    Days,
    /// A number of bytes, with suffixes.
    Size,
    /// `true`, `false`, or a number of bytes.
    Threshold,
    /// `fetch`, `cached` or `pointer`.
    Smudge,
    /// Patterns in the syntax of gitignore, several values or separated by commas.
    Patterns,
    /// An absolute path, or one that begins with `~` as git knows it.
    Path,
    /// A whole number.
    Number,
    /// Any text.
    Text,
}

impl Kind {
    /// Whether `value` means something; `None` is a key that stands alone, which means true.
    pub fn check(self, key: &str, value: Option<&[u8]>) -> Result<()> {
        let Some(value) = value else {
            return match self {
                Kind::Bool | Kind::Threshold => Ok(()),
                _ => Err(bad(key.as_bytes(), b"", "expected a value")),
            };
        };
        let days = || number(value).and_then(|days| u32::try_from(days).ok());
        let (good, why) = match self {
            Kind::Bool => (truth(value).is_some(), "expected true or false"),
            Kind::Days => (days().is_some(), "expected a number of days"),
            Kind::Size => (size(value).is_some(), "expected a number of bytes"),
            Kind::Threshold => (
                Populate::parse(value).is_some(),
                "expected true, false or a number of bytes",
            ),
            Kind::Smudge => (
                Smudge::parse(value).is_some(),
                "expected fetch, cached or pointer",
            ),
            Kind::Patterns => return compile(key, &split(value)).map(drop),
            Kind::Path => (
                is_path(value),
                "expected an absolute path, or one that begins with ~/",
            ),
            Kind::Number => (number(value).is_some(), "expected a whole number"),
            Kind::Text => (std::str::from_utf8(value).is_ok(), "expected UTF-8"),
        };
        good.then_some(())
            .ok_or_else(|| bad(key.as_bytes(), value, why))
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    tracked: bool,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        tracked,
        doc,
    }
}

/// The key that names a shared store.
pub const STORE: &str = "lob.store";

/// Every key that lob reads.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("lob.smudge", Kind::Smudge, "fetch", true,
        "what a checkout does with a lob: `fetch` it where it is missing, use only what is `cached`, or leave the `pointer`"),
    key("lob.populate", Kind::Threshold, "32m", true,
        "files from this size on are written by lob itself when a checkout ends; `false` for none"),
    key("lob.fetchInclude", Kind::Patterns, "", true,
        "paths whose lobs are fetched, as patterns of gitignore; all where empty"),
    key("lob.fetchExclude", Kind::Patterns, "", true,
        "paths whose lobs are not fetched; wins over lob.fetchInclude"),
    key("lob.fetchRefsDays", Kind::Days, "30", true,
        "other branches and tags are fetched too when their last commit is this recent; 0 for none"),
    key("lob.fetchCommitsHeadDays", Kind::Days, "7", true,
        "the versions that a checkout of HEAD's history needed within so many days are fetched too"),
    key("lob.fetchCommitsOtherDays", Kind::Days, "0", true,
        "the same for the history of the other recent branches"),
    key("lob.pruneRefsDays", Kind::Days, "the fetch window", false,
        "as lob.fetchRefsDays, for what prune keeps; at least as much"),
    key("lob.pruneCommitsHeadDays", Kind::Days, "the fetch window", false,
        "as lob.fetchCommitsHeadDays, for what prune keeps; at least as much"),
    key("lob.pruneCommitsOtherDays", Kind::Days, "the fetch window", false,
        "as lob.fetchCommitsOtherDays, for what prune keeps; at least as much"),
    key("lob.pruneClonesDays", Kind::Days, "14", false,
        "days for which `lob prune --shared` waits for a clone that is not there any more before it does without it"),
    key("lob.prefetch", Kind::Bool, "false", false,
        "after a checkout or a merge, get in the background what is likely to be needed next"),
    key("lob.remote", Kind::Text, "", false,
        "the remote that is meant where none is named; else the branch's, else origin"),
    key("lob.url", Kind::Text, "", false,
        "the store of every remote that has no lobUrl of its own"),
    key(STORE, Kind::Path, "", false,
        "the directory of the store that this clone shares with others on this machine; `lob init` moves a clone there that has lobs already. Not for bare repositories"),
    key("lob.bwlimit", Kind::Size, "", false,
        "most bytes that transfers move in a second; 0 for no limit"),
    key("lob.reserve", Kind::Size, "64m", false,
        "bytes that transfers leave free on the disk of the store that receives: a full disk stops more than lob"),
    key("lob.trustConfig", Kind::Bool, "false", false,
        "lets a committed .lobconfig name the stores of remotes, which may get your credentials"),
    key("remote.<name>.lobUrl", Kind::Text, "", false,
        "the store of this remote; where not set, derived from the remote's URL"),
    key("remote.<name>.lobCost", Kind::Number, "", false,
        "what fetching from this remote costs: those that cost less are asked first; without it 100 for what this file system has, 150 for what this machine or its network serves, 200 for others"),
    key("remote.<name>.lobStoreId", Kind::Text, "", false,
        "the id of the store that this remote must be, or `none` for any; otherwise the one that was found there first"),
];

/// What a checkout does with a lob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smudge {
    /// Fetches it where it is missing.
    Fetch,
    /// Uses what is in the local store.
    Cached,
    /// Leaves the pointer.
    Pointer,
}

impl Smudge {
    fn parse(value: &[u8]) -> Option<Smudge> {
        match value.to_ascii_lowercase().as_slice() {
            b"fetch" => Some(Smudge::Fetch),
            b"cached" => Some(Smudge::Cached),
            b"pointer" => Some(Smudge::Pointer),
            _ => None,
        }
    }
}

/// Which files lob writes itself when a checkout ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Populate {
    /// None: git writes all.
    Never,
    /// Those of at least so many bytes.
    AtLeast(u64),
}

impl Populate {
    /// What `true` means: git would hold a file of this size in memory.
    pub const DEFAULT: Populate = Populate::AtLeast(32 << 20);

    fn parse(value: &[u8]) -> Option<Populate> {
        // A number is a size, also where git would take it for a yes or no.
        if number(value).is_some() {
            return size(value).map(Populate::AtLeast);
        }
        truth(value).map(|yes| match yes {
            true => Populate::DEFAULT,
            false => Populate::Never,
        })
    }
}

/// Which versions are wanted: all that any checkout within so many days needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Other refs count when their last commit is at most this old.
    pub refs_days: u32,
    /// Days of HEAD's history.
    pub head_days: u32,
    /// Days of the other refs' history.
    pub other_days: u32,
}

/// Where `lob.reserve` is not set.
const RESERVE: u64 = 64 << 20;

/// The settings of lob in one repository.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `lob.smudge`, or `Pointer` where LOB_SKIP_SMUDGE is set.
    pub smudge: Smudge,
    /// `lob.populate`.
    pub populate: Populate,
    /// `lob.fetchInclude`, one pattern each.
    pub fetch_include: Vec<String>,
    /// `lob.fetchExclude`, one pattern each.
    pub fetch_exclude: Vec<String>,
    /// `lob.fetch...Days`.
    pub fetch: Window,
    /// `lob.prune...Days`: at least the fetch window in each of the three.
    pub prune: Window,
    /// `lob.pruneClonesDays`.
    pub prune_clones_days: u32,
    /// `lob.prefetch`.
    pub prefetch: bool,
    /// `lob.remote`.
    pub remote: Option<String>,
    /// `lob.url`.
    pub url: Option<String>,
    /// `lob.bwlimit` in bytes per second.
    pub bwlimit: Option<u64>,
    /// `lob.reserve` in bytes.
    pub reserve: u64,
}

impl Settings {
    /// The settings that `config` and the environment of this process make.
    ///
    /// Fails on a value that means nothing, and when the prune window is shorter than the fetch
    /// window.
    pub fn load(config: &Config) -> Result<Settings> {
        Settings::with(config, env::var_os("LOB_SKIP_SMUDGE").as_deref())
    }

    fn with(config: &Config, skip_smudge: Option<&OsStr>) -> Result<Settings> {
        for known in KEYS.iter().filter(|known| !known.name.contains('<')) {
            for value in config.values(&canonical(known.name.as_bytes())) {
                known.kind.check(known.name, value.as_deref())?;
            }
        }
        let skip = skip_smudge.is_some_and(|value| truth(value.as_encoded_bytes()).unwrap_or(true));
        let smudge = config.get("lob.smudge").and_then(Smudge::parse);
        let fetch = Window {
            refs_days: config.days("lob.fetchRefsDays", 30)?,
            head_days: config.days("lob.fetchCommitsHeadDays", 7)?,
            other_days: config.days("lob.fetchCommitsOtherDays", 0)?,
        };
        let bwlimit = config.get("lob.bwlimit").and_then(size);
        Ok(Settings {
            smudge: match skip {
                true => Smudge::Pointer,
                false => smudge.unwrap_or(Smudge::Fetch),
            },
            populate: config
                .get("lob.populate")
                .filter(|value| !value.is_empty())
                .and_then(Populate::parse)
                .unwrap_or(Populate::DEFAULT),
            fetch_include: patterns(config, "lob.fetchInclude"),
            fetch_exclude: patterns(config, "lob.fetchExclude"),
            fetch,
            prune: prune_window(config, fetch)?,
            prune_clones_days: config.days("lob.pruneClonesDays", 14)?,
            prefetch: config.bool("lob.prefetch", false)?,
            remote: config.text("lob.remote")?.map(str::to_string),
            url: config.text("lob.url")?.map(str::to_string),
            bwlimit: bwlimit.filter(|&limit| limit > 0),
            reserve: config.get("lob.reserve").and_then(size).unwrap_or(RESERVE),
        })
    }
}

/// The store that is configured for a remote: its own `lobUrl`, else `lob.url`.
pub fn lob_url<'a>(config: &'a Config, remote: &str) -> Result<Option<&'a str>> {
    match config.text(format!("remote.{remote}.lobUrl"))? {
        Some(url) => Ok(Some(url)),
        None => config.text("lob.url"),
    }
}

fn prune_window(config: &Config, fetch: Window) -> Result<Window> {
    let days = |prune_key, default: u32, fetch_key, fetch: u32| {
        let prune = config.days(prune_key, default.max(fetch))?;
        if prune >= fetch {
            return Ok(prune);
        }
        Err(GitError::Windows {
            prune_key,
            prune,
            fetch_key,
            fetch,
        })
    };
    let head = "lob.fetchCommitsHeadDays";
    let other = "lob.fetchCommitsOtherDays";
    Ok(Window {
        refs_days: days(
            "lob.pruneRefsDays",
            30,
            "lob.fetchRefsDays",
            fetch.refs_days,
        )?,
        head_days: days("lob.pruneCommitsHeadDays", 7, head, fetch.head_days)?,
        other_days: days("lob.pruneCommitsOtherDays", 0, other, fetch.other_days)?,
    })
}

fn patterns(config: &Config, key: &str) -> Vec<String> {
    config.get_all(key).flat_map(split).collect()
}

/// The patterns of one value, which commas divide.
fn split(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(str::to_string).collect()
}

/// Whether git expands it, or it needs no expansion.
fn is_path(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value);
    let is_known = |text: &str| text.starts_with('~') || text.starts_with("%(prefix)/");
    // An empty one takes back what another file says.
    text.is_ok_and(|text| text.is_empty() || is_known(text) || Path::new(text).is_absolute())
}

fn size(value: &[u8]) -> Option<u64> {
    u64::try_from(number(value)?).ok()
}

#[cfg(test)]
mod tests;
