//! Configuration: git's list is read as the page of git says, and what a repository says about itself
//! can neither stop lob nor set more than it may.

use std::collections::BTreeMap;

use lob::git::config::Config;
use lob::git::patterns::Patterns;
use lob::git::settings::{KEYS, Kind, Settings};
use lob::git::tracked::Tracked;

use super::input::Input;

/// Reads the bytes as `git config --list -z` prints them, then such a list that is made of them.
pub fn run(data: &[u8]) {
    check(data);
    let mut input = Input::new(data);
    let mut list = Vec::new();
    while !input.is_empty() && list.len() < 4096 {
        let key = KEYS[input.below(KEYS.len())].name;
        let key = key.replace("<name>", &String::from_utf8_lossy(input.some(4)));
        list.extend(key.bytes().filter(|byte| *byte != 0 && *byte != b'\n'));
        if input.bool() {
            list.push(b'\n');
            let value: &[u8] = match input.byte() % 8 {
                0 => b"true",
                1 => b"12k",
                2 => b"99999999999",
                3 => b"cached",
                4 => b"*.psd, [a",
                _ => input.some(16),
            };
            list.extend(value.iter().filter(|byte| **byte != 0));
        }
        list.push(0);
    }
    check(&list);
}

fn check(list: &[u8]) {
    let config = Config::parse(list);
    agrees_with_the_reference(list, &config);
    for key in config.keys() {
        let _ = (config.bool(key, true), config.int(key), config.days(key, 1));
        let _ = config.text(key);
    }
    let _ = Settings::load(&config);
    for trusted in [false, true] {
        let mut tracked = Tracked::default();
        tracked.take(list, trusted);
        harmless(&tracked, &config, trusted);
    }
}

/// Section and name in lower case, the subsection as it is.
fn canonical(key: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = key.split(|byte| *byte == b'.').collect();
    let last = parts.len() - 1;
    let parts = parts.iter().enumerate().map(|(at, part)| match at {
        _ if at == 0 || at == last => part.to_ascii_lowercase(),
        _ => part.to_vec(),
    });
    parts.collect::<Vec<_>>().join(&b'.')
}

fn agrees_with_the_reference(list: &[u8], config: &Config) {
    let mut expected: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for entry in list
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty())
    {
        let line = entry.iter().position(|byte| *byte == b'\n');
        let (key, value) = entry.split_at(line.unwrap_or(entry.len()));
        let value = value.get(1..).unwrap_or_default().to_vec();
        expected.entry(canonical(key)).or_default().push(value);
    }
    assert_eq!(config.keys().count(), expected.len());
    for (key, values) in &expected {
        let found: Vec<_> = config.get_all(key).collect();
        assert_eq!(found, *values);
        assert_eq!(config.get(key), values.last().map(Vec::as_slice));
    }
}

/// All that is taken of a list is allowed and means something, so that settings load of it alone; and
/// what is not taken is told.
fn harmless(tracked: &Tracked, all: &Config, trusted: bool) {
    for key in tracked.config.keys() {
        let name = String::from_utf8_lossy(key).into_owned();
        let is_store =
            name == "lob.url" || name.starts_with("remote.") && name.ends_with(".loburl");
        let known = KEYS
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(&name));
        let kind = match known {
            Some(known) if known.tracked => known.kind,
            _ => {
                assert!(trusted && is_store, "{name} was taken");
                Kind::Text
            }
        };
        for value in tracked.config.get_all(key) {
            let alone = value.is_empty() && matches!(kind, Kind::Bool | Kind::Threshold);
            let means = alone || kind.check(&name, Some(value)).is_ok();
            assert!(means, "{name} is {}", value.escape_ascii());
        }
    }
    let settings = Settings::load(&tracked.config).expect("what was left out stops nobody");
    Patterns::of(&settings).expect("patterns that were taken compile");
    let ignored = tracked
        .ignored
        .iter()
        .filter(|ignored| !ignored.key.is_empty());
    let empty = all.keys().filter(|key| key.is_empty()).count();
    assert_eq!(
        tracked.config.keys().count() + ignored.count() + empty,
        all.keys().count()
    );
}
