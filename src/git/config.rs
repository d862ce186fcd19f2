//! Git's configuration, read with one process, over what the repository itself may say.

use std::collections::HashMap;
use std::path::Path;

use super::command::Git;
use super::error::{GitError, Result};
use super::tracked::{Ignored, Tracked};

/// Configuration values by key. Sections and names are compared without case, subsections exactly,
/// as git does; of several values the last one wins.
#[derive(Debug, Clone, Default)]
pub struct Config {
    values: HashMap<Vec<u8>, Vec<Value>>,
    order: Vec<Vec<u8>>,
    ignored: Vec<Ignored>,
}

/// One value: `None` for a key that stands alone, which means true.
pub type Value = Option<Vec<u8>>;

impl Config {
    /// Everything that git knows, and under it what `.lobconfig` may set: two processes.
    pub fn load(git: &Git, work_tree: Option<&Path>) -> Result<Config> {
        let mut config = Config::parse(&git.output(["config", "--list", "-z"])?);
        let trusted = config.bool("lob.trustConfig", false)?;
        let tracked = Tracked::read(git, work_tree, trusted)?;
        for key in &tracked.config.order {
            if !config.values.contains_key(key) {
                config.order.push(key.clone());
                config
                    .values
                    .insert(key.clone(), tracked.config.values(key).to_vec());
            }
        }
        config.ignored = tracked.ignored;
        Ok(config)
    }

    /// Parses what `git config --list -z` prints: `key LF value NUL`, or `key NUL`.
    pub fn parse(list: &[u8]) -> Config {
        let mut config = Config::default();
        let list = list.strip_suffix(b"\0").unwrap_or(list);
        for entry in list
            .split(|&byte| byte == 0)
            .filter(|entry| !entry.is_empty())
        {
            let mut halves = entry.splitn(2, |&byte| byte == b'\n');
            let key = canonical(halves.next().unwrap_or_default());
            config.add(key, halves.next().map(<[u8]>::to_vec));
        }
        config
    }

    /// Adds a value behind those that the key has.
    pub(super) fn add(&mut self, key: Vec<u8>, value: Value) {
        if !self.values.contains_key(&key) {
            self.order.push(key.clone());
        }
        self.values.entry(key).or_default().push(value);
    }

    /// What `.lobconfig` says and may not, or says wrongly, with the reasons.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// All keys in canonical form, in the order of their first values.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.order.iter().map(Vec::as_slice)
    }

    /// All values of a key, first to last. A key that stands alone has an empty value.
    pub fn get_all(&self, key: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        let values = self.values(&canonical(key.as_ref())).iter();
        values.map(|value| value.as_deref().unwrap_or_default())
    }

    /// The value of a key. A key that stands alone has an empty value.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        let value = self.value(key.as_ref())?;
        Some(value.as_deref().unwrap_or_default())
    }

    /// The value of a key as text. An empty one is none; one that is not UTF-8 is an error.
    pub fn text(&self, key: impl AsRef<[u8]>) -> Result<Option<&str>> {
        let key = key.as_ref();
        let Some(value) = self.get(key).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value);
        text.map(Some)
            .map_err(|_| bad(key, value, "expected UTF-8"))
    }

    /// A yes or no: `true`, `yes`, `on`, a number other than 0 and a key that stands alone are yes.
    pub fn bool(&self, key: impl AsRef<[u8]>, default: bool) -> Result<bool> {
        let key = key.as_ref();
        match self.value(key) {
            None => Ok(default),
            Some(None) => Ok(true),
            Some(Some(value)) => {
                truth(value).ok_or_else(|| bad(key, value, "expected true or false"))
            }
        }
    }

    /// A number with git's suffixes `k`, `m` and `g`.
    pub fn int(&self, key: impl AsRef<[u8]>) -> Result<Option<i64>> {
        let key = key.as_ref();
        let number = |value| {
            let why = "expected a number, with k, m or g after it for powers of 1024";
            number(value).ok_or_else(|| bad(key, value, why))
        };
        self.get(key).map(number).transpose()
    }

    /// A number of days, 0 or more.
    pub fn days(&self, key: impl AsRef<[u8]>, default: u32) -> Result<u32> {
        let key = key.as_ref();
        let days = |value| {
            let days = number(value).and_then(|days| u32::try_from(days).ok());
            days.ok_or_else(|| bad(key, value, "expected a number of days"))
        };
        self.get(key).map_or(Ok(default), days)
    }

    /// The names of the remotes, in the order of the configuration.
    pub fn remotes(&self) -> Vec<&[u8]> {
        let mut names = Vec::new();
        for key in self.keys() {
            let Some(rest) = key.strip_prefix(b"remote.") else {
                continue;
            };
            let Some(dot) = rest.iter().rposition(|&byte| byte == b'.') else {
                continue;
            };
            let (name, variable) = rest.split_at(dot);
            // A remote without a URL is one of an option alone, such as `remote.all.prune`.
            if variable == b".url" && !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// All values of a key in canonical form.
    pub(super) fn values(&self, key: &[u8]) -> &[Value] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    fn value(&self, key: &[u8]) -> Option<&Value> {
        self.values(&canonical(key)).last()
    }
}

/// Section and name in lower case, the subsection between the first and the last dot as it is.
pub(super) fn canonical(key: &[u8]) -> Vec<u8> {
    let dot = |at: Option<usize>| at.unwrap_or(key.len());
    let first = dot(key.iter().position(|&byte| byte == b'.'));
    let last = dot(key.iter().rposition(|&byte| byte == b'.'));
    let lower = |(at, byte): (usize, &u8)| match at < first || at > last {
        true => byte.to_ascii_lowercase(),
        false => *byte,
    };
    key.iter().enumerate().map(lower).collect()
}

/// Git's words for yes and no.
pub(super) fn truth(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"yes" | b"on" => Some(true),
        b"false" | b"no" | b"off" | b"" => Some(false),
        _ => number(value).map(|number| number != 0),
    }
}

/// A decimal number with git's suffixes.
pub(super) fn number(value: &[u8]) -> Option<i64> {
    let (digits, unit) = match value.split_last()? {
        (b'k' | b'K', digits) => (digits, 1 << 10),
        (b'm' | b'M', digits) => (digits, 1 << 20),
        (b'g' | b'G', digits) => (digits, 1 << 30),
        _ => (value, 1),
    };
    let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    number.checked_mul(unit)
}

pub(super) fn bad(key: &[u8], value: &[u8], why: &str) -> GitError {
    GitError::value(String::from_utf8_lossy(key), value, why)
}

#[cfg(test)]
mod tests;
