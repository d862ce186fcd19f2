//! Replication with directories, by the real programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::SystemTime;

use lob_store::disk::OsDisk;
use lob_store::{LobId, LobInfo, Store};
use serde_json::Value;

use crate::support::{Repo, World, noise, run};

mod checkout;
mod cut;
mod deltas;
#[cfg(unix)]
mod far;
mod hostile;
mod ledger;
mod long;
mod modes;
mod nearby;
mod places;
mod pruned;
mod repack;
mod several;

/// The text that git stores for a lob.
fn pointer(lob: LobInfo) -> String {
    format!(
        "version git-lob/2\noid blake3:{}\nsize {}\n",
        lob.id, lob.size
    )
}

fn store(dir: &Path) -> Store {
    Store::open_or_create(Arc::new(OsDisk), dir).unwrap()
}

/// Adds content to the store of a repository.
fn add(repo: &Repo, content: &[u8]) -> LobInfo {
    let store = store(&repo.path().join(".git/lob"));
    let mut writer = store.writer().unwrap();
    let added = writer.add(&mut &content[..], &()).unwrap();
    writer.finish().unwrap();
    LobInfo {
        id: added.id,
        size: added.size,
    }
}

/// Adds content to the store and its pointer to the work tree, as the filter would.
fn keep(repo: &Repo, path: &str, content: &[u8]) -> LobInfo {
    let lob = add(repo, content);
    repo.write(path, pointer(lob));
    lob
}

/// A world with a bare repository `origin.git` and a repository `work` that has it as its remote.
fn pair() -> (World, Repo, Repo) {
    let world = World::without_filter();
    let (origin, work) = world.pair();
    (world, origin, work)
}

/// A clone in which no hook has run and nothing was fetched.
fn clone(world: &World, origin: &Repo, name: &str) -> Repo {
    let clone = world.clone_of(origin, name);
    clone.lob(&["init"]);
    clone
}

fn remote_store(origin: &Repo) -> Store {
    store(&origin.path().join("lob"))
}

fn holds(store: &Store, lob: LobInfo) -> bool {
    store.lob(&lob.id).unwrap().is_some()
}

/// The events of one name that a run printed.
fn events(stdout: &str, name: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == name)
        .collect()
}

/// Every file beneath a directory, with its length and the time of its last change.
fn census(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        files.insert(entry.path(), (meta.len(), meta.modified().unwrap()));
        if meta.is_dir() {
            files.extend(census(&entry.path()));
        }
    }
    files
}

#[test]
fn what_is_pushed_through_git_is_pulled_in_a_clone() {
    let (world, origin, work) = pair();
    let (a, b) = (noise(1, 300_000), noise(2, 10));
    keep(&work, "a.bin", &a);
    keep(&work, "dir/with space/b.bin", &b);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    let said = clone.try_lob(&["pull"]).ok_stderr();
    assert!(said.contains("fetched 2 lobs"), "{said}");
    assert!(said.contains("in sync with origin"), "{said}");
    assert!(said.contains("filled 2 files"), "{said}");
    assert_eq!(clone.read("a.bin"), a);
    assert_eq!(clone.read("dir/with space/b.bin"), b);
    let again = clone.try_lob(&["pull"]).ok_stderr();
    assert_eq!(again, "nothing to fetch from origin\n");
}

#[test]
fn an_edit_moves_little_and_goes_back_and_forth() {
    let (world, origin, work) = pair();
    let old = noise(3, 4 << 20);
    keep(&work, "big.bin", &old);
    work.commit("old");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.lob(&["pull"]);
    let mut new = old.clone();
    new.splice(2 << 20..2 << 20, noise(4, 4096));
    keep(&clone, "big.bin", &new);
    clone.commit("new");
    let pushed = clone.lob(&["--json", "push"]);
    let summary = &events(&pushed, "summary")[0];
    assert_eq!(summary["lobs"], 1);
    let moved = summary["bytes"].as_u64().unwrap();
    assert!(moved > 4096 && moved < 1 << 20, "{summary}");
    assert_eq!(summary["saved"].as_u64().unwrap(), new.len() as u64 - moved);
    clone.git(&["push", "-q", "origin", "main"]);
    work.git(&["checkout", "-q", "--detach"]);
    work.git(&["fetch", "-q", "origin"]);
    work.git(&["checkout", "-q", "origin/main"]);
    work.lob(&["pull"]);
    assert_eq!(work.read("big.bin"), new);
}

#[test]
fn a_dry_run_prints_what_the_run_then_does_and_changes_nothing() {
    let (_world, origin, work) = pair();
    let lobs = [
        keep(&work, "a.bin", &noise(5, 500_000)),
        keep(&work, "b\t.bin", &noise(6, 3)),
    ];
    work.commit("first");
    let before = census(origin.path());
    let dry = work.lob(&["--json", "push", "--dry-run"]);
    assert_eq!(census(origin.path()), before);
    let plan = events(&dry, "plan").remove(0);
    let mut listed: Vec<String> = events(&dry, "lob")
        .iter()
        .map(|lob| lob["id"].as_str().unwrap().to_string())
        .collect();
    listed.sort();
    let mut expected: Vec<String> = lobs.iter().map(|lob| lob.id.to_string()).collect();
    expected.sort();
    assert_eq!(listed, expected);
    let text = work.lob(&["push", "--dry-run"]);
    assert!(text.contains("push  500.0 kB a.bin\n"), "{text}");
    assert!(text.contains(r#"push       3 B "b\t.bin""#), "{text}");
    let done = work.lob(&["--json", "push"]);
    let summary = events(&done, "summary").remove(0);
    for field in ["direction", "remote", "place", "lobs", "size", "chunks"] {
        assert_eq!(plan[field], summary[field], "{field}");
    }
    assert!(lobs.iter().all(|lob| holds(&remote_store(&origin), *lob)));
    let nothing = work.try_lob(&["push", "--dry-run"]);
    assert_eq!(nothing.stderr, "nothing to push to origin\n");
}

#[test]
fn several_clones_push_at_once() {
    let (world, origin, work) = pair();
    work.write("readme", "x");
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let mut lobs = Vec::new();
    let shared = noise(50, 400_000);
    let clones: Vec<Repo> = (0..4_u64)
        .map(|n| {
            let clone = clone(&world, &origin, &format!("clone{n}"));
            let content = [&shared[..], &noise(60 + n, 200_000)].concat();
            lobs.push(keep(&clone, "own.bin", &content));
            lobs.push(keep(&clone, "shared.bin", &shared));
            clone.commit("mine");
            clone
        })
        .collect();
    let mut running: Vec<_> = clones
        .iter()
        .map(|clone| {
            let mut command = clone.command("lob");
            command
                .args(["push"])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    for child in &mut running {
        assert!(child.wait().unwrap().success());
    }
    let far = remote_store(&origin);
    for lob in lobs {
        let mut content = Vec::new();
        far.write_to(&lob.id, &mut content, &()).unwrap();
        assert_eq!(LobId::of(&content), lob.id);
    }
    let stages = fs::read_dir(origin.path().join("lob/stage")).unwrap();
    assert_eq!(stages.count(), 0, "no stage stays behind");
}
