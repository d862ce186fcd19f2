//! What each mode moves.

use super::*;

#[test]
fn committed_leaves_at_home_what_no_commit_references_and_complete_takes_it() {
    let (_world, origin, work) = pair();
    let kept = keep(&work, "a.bin", b"content");
    work.commit("first");
    let loose = add(&work, b"added and then reset");
    work.lob(&["sync"]);
    assert!(holds(&remote_store(&origin), kept));
    assert!(!holds(&remote_store(&origin), loose));
    let said = work.try_lob(&["sync", "--mode", "complete"]).ok_stderr();
    assert!(
        said.contains("to send: 1 lob, 20 B, of which 20 B are new there"),
        "{said}"
    );
    assert!(holds(&remote_store(&origin), loose));
}

#[test]
fn a_mirror_is_complete_and_gives_everything_back() {
    let (world, _, work) = pair();
    let lobs: Vec<LobInfo> = (0..20).map(|n| add(&work, &noise(n, 70_000))).collect();
    let usb = world.path().join("usb");
    let place = usb.to_str().unwrap();
    work.lob(&["sync", place, "--mode", "complete", "--push"]);
    fs::remove_dir_all(work.path().join(".git/lob")).unwrap();
    let done = work.lob(&["--json", "sync", place, "--mode", "complete", "--pull"]);
    let summary = events(&done, "summary").remove(0);
    assert_eq!(summary["lobs"], 20);
    assert!(summary["digest"].as_str().unwrap().len() == 64);
    let local = store(&work.path().join(".git/lob"));
    assert!(lobs.iter().all(|lob| holds(&local, *lob)));
}

#[test]
fn fixup_brings_back_what_pointers_stand_for_and_nothing_else() {
    let (world, origin, work) = pair();
    let (a, b) = (noise(1, 100_000), noise(2, 100_000));
    keep(&work, "a.bin", &a);
    let other = keep(&work, "b.bin", &b);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.write("b.bin", "edited by hand");
    clone.lob(&["sync", "--mode", "fixup"]);
    assert_eq!(clone.read("a.bin"), a);
    assert_eq!(clone.read("b.bin"), b"edited by hand");
    assert!(!holds(&store(&clone.path().join(".git/lob")), other));
}

#[test]
fn a_checkout_fetches_the_current_versions_and_prefetch_the_likely_ones() {
    let (world, origin, work) = pair();
    let old = keep(&work, "a.bin", &noise(1, 50_000));
    work.commit("old");
    let new = keep(&work, "a.bin", &noise(2, 50_000));
    work.commit("new");
    work.git(&["branch", "side", "HEAD~1"]);
    work.git(&["push", "-q", "origin", "main", "side"]);
    let clone = clone(&world, &origin, "clone");
    clone.lob(&["fetch"]);
    let local = || store(&clone.path().join(".git/lob"));
    assert!(holds(&local(), new) && !holds(&local(), old));
    clone.lob(&["fetch", "origin", "side"]);
    assert!(
        holds(&local(), old),
        "a branch that is only there can be named"
    );
    fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
    clone.lob(&["prefetch"]);
    assert!(holds(&local(), new) && holds(&local(), old));
}

#[test]
fn prefetch_in_the_background_says_how_it_went() {
    let (world, origin, work) = pair();
    let lob = keep(&work, "a.bin", &noise(1, 50_000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.lob(&["prefetch", "--background"]);
    let file = clone.path().join(".git/lob/state/prefetch");
    let status = wait_for(|| {
        let status: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        (status["phase"] != "running").then_some(status)
    });
    assert_eq!(status["phase"], "done", "{status}");
    assert_eq!(status["lobs"], 1);
    assert!(
        status["summary"]
            .as_str()
            .unwrap()
            .starts_with("fetched 1 lob")
    );
    assert!(holds(&store(&clone.path().join(".git/lob")), lob));
}

#[test]
fn one_prefetch_runs_at_a_time() {
    let (_world, _, work) = pair();
    keep(&work, "a.bin", b"content");
    let lock = work.path().join(".git/lob/state/prefetch.lock");
    let file = fs::File::create(&lock).unwrap();
    file.lock().unwrap();
    for verb in [&["prefetch"][..], &["prefetch", "--background"]] {
        let said = work.try_lob(verb).ok_stderr();
        assert!(said.contains("a prefetch is already running"), "{said}");
    }
}

#[test]
fn include_and_exclude_patterns_bound_what_comes() {
    let (world, origin, work) = pair();
    let art = keep(&work, "art/a.bin", b"art");
    let raw = keep(&work, "art/raw/a.bin", b"raw");
    let code = keep(&work, "code/a.bin", b"code");
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    clone.git(&["config", "lob.fetchInclude", "art"]);
    clone.git(&["config", "lob.fetchExclude", "raw/"]);
    clone.lob(&["pull"]);
    let local = store(&clone.path().join(".git/lob"));
    assert!(holds(&local, art) && !holds(&local, raw) && !holds(&local, code));
}

#[test]
fn modes_that_only_get_refuse_to_send() {
    let (_world, _, work) = pair();
    for mode in ["checkout", "prefetch", "fixup"] {
        let said = work.try_lob(&["sync", "--mode", mode, "--push"]).fails(2);
        assert!(said.contains("this mode only gets lobs"), "{said}");
    }
}

/// Asks until there is an answer; fails after a minute.
pub(super) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed().as_secs() < 60, "nothing came in a minute");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
