//! P9: a prune of a large store of which half is dead stays small, and writes little more than what
//! is left.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lob_store::disk::OsDisk;
use lob_store::{LobId, Store};

use super::{Tier, report};
use crate::support::noise;

/// Says in which directory a child works; set in children only.
const DIRECTORY: &str = "LOB_TRIAL_PRUNE";
/// Says how many lobs of one chunk are in it.
const CHUNKS: &str = "LOB_TRIAL_PRUNE_CHUNKS";
/// Kibibytes that the prune may take at most.
const PEAK_MAX: u64 = 128 << 10;

/// Runs a test of this file in a process of its own, and returns what it printed.
fn child(name: &str, dir: &Path, chunks: u64) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("trials::prune::{name}"), "--nocapture"]);
    command.env(DIRECTORY, dir).env(CHUNKS, chunks.to_string());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    said
}

/// The number behind a word in a text.
fn figure(text: &str, word: &str) -> u64 {
    let rest = text.split(word).nth(1);
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{word} in {text}"))
}

#[test]
fn p9_half_of_a_large_store_goes() {
    let chunks = Tier::asked().pick(40_000, 1_000_000);
    let dir = tempfile::tempdir().unwrap();
    child("child_that_fills", dir.path(), chunks);
    let before = open(dir.path()).stored_bytes().unwrap();
    let said = child("child_that_prunes", dir.path(), chunks);
    let (peak, written) = (figure(&said, "peak:"), figure(&said, "written:"));
    let store = open(dir.path());
    let live = store.stored_bytes().unwrap();
    let mut left = 0;
    let each = store.each_lob(&mut |_| {
        left += 1;
        Ok(())
    });
    each.unwrap();
    report(
        "prune",
        &[
            ("chunks", chunks),
            ("peak KiB", peak),
            ("bytes before", before),
            ("bytes written", written),
            ("live bytes", live),
        ],
    );
    assert_eq!(left, chunks / 2);
    assert!(live < before * 11 / 20, "{before} became {live}");
    assert!(written <= live + live / 2, "{written} written for {live}");
    assert!(peak < PEAK_MAX, "{peak} KiB");
}

fn open(dir: &Path) -> Store {
    Store::open_or_create(Arc::new(OsDisk), dir).unwrap()
}

/// The store of a child and how many chunks are in it; `None` where nobody is its parent.
fn told() -> Option<(Store, u64)> {
    let dir = std::env::var_os(DIRECTORY)?;
    let chunks = std::env::var(CHUNKS).unwrap();
    Some((open(Path::new(&dir)), chunks.parse().unwrap()))
}

fn content(n: u64) -> Vec<u8> {
    noise(n, 500 + (n % 200) as usize)
}

#[test]
fn child_that_fills() {
    let Some((store, chunks)) = told() else {
        return;
    };
    let mut writer = store.writer().unwrap();
    for n in 0..chunks {
        writer.add(&mut &content(n)[..], &()).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn child_that_prunes() {
    let Some((store, chunks)) = told() else {
        return;
    };
    let before = proc("io", "wchar:");
    let young = SystemTime::now() + Duration::from_secs(1000);
    let mut prune = store.prune(young).unwrap().unwrap();
    for n in (0..chunks).step_by(2) {
        assert!(prune.keep(&LobId::of(&content(n))).unwrap());
    }
    prune.plan().unwrap().run(&()).unwrap();
    let written = proc("io", "wchar:") - before;
    println!("peak: {} written: {written} ", proc("status", "VmHWM:"));
}

fn proc(file: &str, line: &str) -> u64 {
    figure(
        &std::fs::read_to_string(format!("/proc/self/{file}")).unwrap(),
        line,
    )
}
