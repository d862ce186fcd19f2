//! Old versions become the difference from newer ones, here and in a remote.

use super::modes::wait_for;
use super::*;
use crate::store::deltas::{scattered, versions};

const LEN: usize = 1_500_000;

/// A remote to which versions of a file were pushed one by one; the oldest first.
fn pushed(count: u8) -> (World, Repo, Repo, Vec<Vec<u8>>) {
    let (world, origin, work) = pair();
    let contents = versions(count, LEN);
    for content in &contents {
        keep(&work, "dir/a file.bin", content);
        work.commit("one more");
        work.git(&["push", "-q", "origin", "main"]);
    }
    (world, origin, work, contents)
}

/// The greatest depth of the frames of a content.
fn deepest(store: &Store, content: &[u8]) -> u8 {
    let manifest = store.manifest(&LobId::of(content)).unwrap().unwrap();
    let ids: Vec<_> = manifest.named_chunks().iter().map(|c| c.0).collect();
    let kin = store.kin(&ids).unwrap().into_iter().flatten();
    kin.map(|kin| kin.depth).max().unwrap()
}

#[track_caller]
fn assert_holds(store: &Store, contents: &[Vec<u8>]) {
    for content in contents {
        let mut read = Vec::new();
        store.write_to(&LobId::of(content), &mut read, &()).unwrap();
        assert!(read == *content);
    }
}

#[test]
fn p2_a_remote_is_turned_round_and_serves_all_versions() {
    let (world, origin, work, contents) = pushed(6);
    let old = clone(&world, &origin, "old");
    old.lob(&["pull"]);
    assert_eq!(deepest(&remote_store(&origin), &contents[5]), 5);
    let before = census(&origin.path().join("lob"));
    let dry = work.lob(&["--json", "repack", "--dry-run", "--remote", "origin"]);
    let actions = events(&dry, "version");
    let actions: Vec<_> = actions.iter().map(|one| one["action"].as_str()).collect();
    assert_eq!(actions.len(), 6);
    assert_eq!(
        actions.iter().filter(|one| **one == Some("plain")).count(),
        1
    );
    assert_eq!(events(&dry, "version")[0]["path"], "dir/a file.bin");
    let after = census(&origin.path().join("lob"));
    let files = |census: &BTreeMap<PathBuf, _>| {
        let files = census.keys().filter(|path| !path.ends_with("prune.lock"));
        files.cloned().collect::<Vec<_>>()
    };
    assert_eq!(files(&before), files(&after), "a dry run writes nothing");

    for args in [
        &["--remote", "origin"][..],
        &["--remote", "origin", "--deep"],
    ] {
        let all = [&["--json", "repack"], args].concat();
        let summary = &events(&work.lob(&all), "summary")[0];
        assert_eq!(
            (&summary["versions"], &summary["left"]),
            (&6.into(), &0.into())
        );
        let store = remote_store(&origin);
        assert_eq!(deepest(&store, &contents[5]), 0);
        assert!(contents.iter().all(|one| deepest(&store, one) <= 2));
        assert_holds(&store, &contents);
        work.lob(&["fsck", "--deep", "--remote", "origin"]);
        let again = work.try_lob(&[&["repack"], args].concat()).ok_stderr();
        assert!(again.contains("nothing to repack"), "{again}");
    }
    let stored = remote_store(&origin).stored_bytes().unwrap();
    assert!(stored < LEN as u64 * 5 / 4, "{stored}");

    let new = clone(&world, &origin, "new");
    new.lob(&["sync", "--pull", "--mode", "complete"]);
    assert_holds(&store(&new.path().join(".git/lob")), &contents);
    let next = scattered(&contents[5], 99);
    keep(&work, "dir/a file.bin", &next);
    work.commit("one more");
    work.git(&["push", "-q", "origin", "main"]);
    for clone in [&old, &new] {
        clone.git(&["pull", "-q"]);
        clone.lob(&["pull"]);
        assert!(clone.read("dir/a file.bin") == next);
        clone.lob(&["fsck", "--deep"]);
    }
}

#[test]
fn the_store_of_a_repository_gives_most_of_its_old_versions_back() {
    let (_world, _origin, work, contents) = pushed(5);
    let local = || store(&work.path().join(".git/lob"));
    let before = local().stored_bytes().unwrap();
    assert!(before > 4 * LEN as u64);
    work.lob(&["repack"]);
    assert!(local().stored_bytes().unwrap() * 3 < before);
    assert_eq!(deepest(&local(), &contents[4]), 0);
    assert_holds(&local(), &contents);
    work.lob(&["fsck", "--deep"]);
    work.git(&["checkout", "-q", "HEAD~3"]);
    work.lob(&["checkout"]);
    assert!(work.read("dir/a file.bin") == contents[1]);
    // What is staged is newer than what was committed.
    work.git(&["checkout", "-q", "main"]);
    let staged = scattered(&contents[4], 77);
    keep(&work, "dir/a file.bin", &staged);
    work.git(&["add", "-A"]);
    work.lob(&["repack", "--deep"]);
    assert_eq!(deepest(&local(), &staged), 0);
    assert!((1..=2).contains(&deepest(&local(), &contents[4])));
}

/// What a file was before it was renamed is an older version of it; what is checked out never is.
#[test]
fn a_renamed_file_is_one_with_what_it_was() {
    let (_world, _origin, work, mut contents) = pushed(3);
    work.git(&["mv", "dir/a file.bin", "moved.bin"]);
    for seed in [88, 89] {
        let next = scattered(contents.last().unwrap(), seed);
        keep(&work, "moved.bin", &next);
        contents.push(next);
        work.commit("under another name");
    }
    // Two of the same kind that are both needed.
    let fork = scattered(&contents[4], 90);
    keep(&work, "moved-2.bin", &fork);
    work.commit("one like it");
    work.lob(&["repack"]);
    let local = store(&work.path().join(".git/lob"));
    for newest in [&contents[4], &fork] {
        assert_eq!(deepest(&local, newest), 0);
    }
    for older in &contents[..4] {
        assert!((1..=2).contains(&deepest(&local, older)));
    }
    assert_holds(&local, &contents);
    work.lob(&["fsck", "--deep"]);
}

#[test]
fn a_budget_ends_a_run_and_the_next_one_goes_on() {
    let (_world, origin, work, contents) = pushed(3);
    let nothing = work.try_lob(&["repack", "--remote", "origin", "--budget", "0"]);
    let said = nothing.ok_stderr();
    assert!(said.contains("stopped at the budget"), "{said}");
    assert!(deepest(&remote_store(&origin), &contents[2]) > 0);
    let bad = work.try_lob(&["repack", "--budget", "much"]).fails(2);
    assert!(bad.contains("30min"), "{bad}");
    work.lob(&["repack", "--remote", "origin", "--budget", "1h"]);
    assert_eq!(deepest(&remote_store(&origin), &contents[2]), 0);
}

#[test]
fn a_repack_in_the_background_comes_to_its_end() {
    let (_world, origin, work, contents) = pushed(3);
    work.lob(&["repack", "--remote", "origin", "--background"]);
    let last = wait_for(|| {
        let status = work.lob(&["--json", "status"]);
        let last = events(&status, "repack").pop()?;
        (last["phase"] == "done").then_some(last)
    });
    assert_eq!(last["remote"], "origin");
    assert_eq!(last["bytes"], last["total_bytes"]);
    let summary = last["summary"].as_str().unwrap();
    assert!(summary.starts_with("repacked 3 versions"), "{summary}");
    assert_eq!(deepest(&remote_store(&origin), &contents[2]), 0);
    assert_holds(&remote_store(&origin), &contents);
    // A file that says that it runs, and no run that holds the lock.
    let state = work.path().join(".git/lob/state/repack");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text.replace("\"done\"", "\"running\"")).unwrap();
    let status = work.lob(&["status"]);
    let hint = "cut off at 4.5 MB of 4.5 MB  -> lob repack --remote origin";
    assert!(status.contains(hint), "{status}");
}

#[test]
fn only_one_is_at_work_in_a_store() {
    let (_world, origin, work, contents) = pushed(2);
    let lock = origin.path().join("lob/state/prune.lock");
    let file = fs::File::create(&lock).unwrap();
    file.lock().unwrap();
    let said = work.try_lob(&["repack", "--remote", "origin"]).ok_stderr();
    assert!(said.contains("at work"), "{said}");
    assert!(deepest(&remote_store(&origin), &contents[1]) > 0);
}

/// From two clones: one is at work at a time, and the other says so or finds it done.
#[test]
fn two_repacks_at_once_lose_nothing() {
    let (world, origin, work, contents) = pushed(4);
    let other = clone(&world, &origin, "other");
    let args = ["repack", "--remote", "origin"];
    std::thread::scope(|scope| {
        let both = [&work, &other].map(|repo| scope.spawn(move || repo.try_lob(&args).ok_stderr()));
        let both = both.map(|one| one.join().unwrap());
        let is_done = |said: &String| said.contains("repacked 4 versions");
        assert_eq!(
            both.iter().filter(|said| is_done(said)).count(),
            1,
            "{both:?}"
        );
        let known = ["repacked", "at work", "nothing to repack"];
        let is_known = |said: &String| known.iter().any(|words| said.contains(words));
        assert!(both.iter().all(is_known), "{both:?}");
    });
    let store = remote_store(&origin);
    assert_eq!(deepest(&store, &contents[3]), 0);
    assert_holds(&store, &contents);
    work.lob(&["fsck", "--deep", "--remote", "origin"]);
}

/// What cannot be read stays as it is, and whoever asks is told what to do.
#[test]
fn damage_is_told_with_the_way_out_and_nothing_more_is_lost() {
    let (_world, origin, work, contents) = pushed(3);
    let first = LobId::of(&contents[0]);
    let store = remote_store(&origin);
    let reads = |store: &Store, content: &[u8]| {
        let mut out = Vec::new();
        store.write_to(&LobId::of(content), &mut out, &()).is_ok()
    };
    for pack in super::hostile::packs(&origin) {
        let mut bytes = fs::read(&pack).unwrap();
        if bytes.len() > LEN / 2 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&pack, bytes).unwrap();
        }
    }
    drop(store);
    assert!(!reads(&remote_store(&origin), &contents[0]), "{first}");
    let said = work.try_lob(&["repack", "--remote", "origin"]).fails(3);
    assert!(said.contains("lob repair"), "{said}");
    let before = work
        .try_lob(&["fsck", "--deep", "--remote", "origin"])
        .fails(3);
    assert!(before.contains("damaged"), "{before}");
    // What is whole here is sent again, and then it works.
    let usb = origin.path().parent().unwrap().join("usb");
    work.lob(&["sync", usb.to_str().unwrap(), "--mode", "complete"]);
    work.lob(&["repack", "--remote", usb.to_str().unwrap()]);
    assert_holds(&super::store(&usb), &contents);
}
