//! What one remote does not have, or cannot give, comes from the next, in one run.

use super::*;

/// Two lobs, of which `origin` has the first and `backup` the second, and a clone that has none.
fn scene() -> (World, Repo, Repo, [LobInfo; 2]) {
    let (world, origin, work) = pair();
    let first = keep(&work, "a.bin", &noise(1, 900_000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let second = keep(&work, "b.bin", &noise(2, 900_000));
    work.commit("second");
    let backup = world.path().join("backup");
    let backup = backup.to_str().unwrap();
    // Only the commits go to origin.
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    work.lob(&["push", backup]);
    let dir = store(&world.path().join("backup"));
    let clone = clone(&world, &origin, "clone");
    clone.git(&["remote", "add", "backup", backup]);
    clone.git(&["config", "remote.backup.lobUrl", backup]);
    drop(dir);
    (world, origin, clone, [first, second])
}

fn own(clone: &Repo) -> Store {
    store(&clone.path().join(".git/lob"))
}

#[test]
fn one_fetch_brings_what_several_remotes_have() {
    let (_world, origin, clone, lobs) = scene();
    // The backup has all: without it there is something to be missed.
    fs::remove_dir_all(origin.path().join("lob")).unwrap();
    let said = clone.lob(&["--json", "fetch"]);
    let summaries = events(&said, "summary");
    assert_eq!(summaries.len(), 1, "{said}");
    assert_eq!(
        (&summaries[0]["lobs"], &summaries[0]["missing"]),
        (&2.into(), &0.into())
    );
    assert!(lobs.iter().all(|lob| holds(&own(&clone), *lob)));
}

#[test]
fn what_the_first_lacks_comes_from_the_second() {
    let (world, _origin, clone, lobs) = scene();
    let dry = clone.try_lob(&["fetch", "--dry-run"]).ok_stderr();
    assert!(dry.contains("would pull 2 lobs"), "{dry}");
    let said = clone.lob(&["--json", "fetch"]);
    let summaries = events(&said, "summary");
    assert_eq!(summaries.len(), 1, "{said}");
    assert_eq!(summaries[0]["lobs"], 2, "{said}");
    assert!(lobs.iter().all(|lob| holds(&own(&clone), *lob)));
    // One that is named is meant alone.
    fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
    let alone = clone.try_lob(&["fetch", "origin"]).fails(3);
    assert!(alone.contains("1 lob cannot be had"), "{alone}");
    drop(world);
}

#[test]
fn what_costs_less_is_asked_first() {
    let (_world, _origin, clone, _) = scene();
    for (cost, first) in [("50", "backup"), ("300", "origin")] {
        clone.git(&["config", "remote.backup.lobCost", cost]);
        let said = clone.lob(&["--json", "fetch"]);
        assert_eq!(events(&said, "summary")[0]["remote"], first, "{said}");
        let _ = fs::remove_dir_all(clone.path().join(".git/lob"));
    }
    clone.git(&["config", "remote.backup.lobCost", "cheap"]);
    let said = clone.try_lob(&["fetch"]).fails(1);
    assert!(said.contains("lobCost"), "{said}");
}

#[test]
fn p6_a_remote_that_cannot_be_asked_or_is_damaged_stops_no_fetch() {
    for harm in ["gone", "damaged"] {
        let (world, origin, clone, lobs) = scene();
        let packs = origin.path().join("lob/packs");
        match harm {
            "gone" => fs::rename(origin.path(), world.path().join("away")).unwrap(),
            _ => {
                for file in fs::read_dir(&packs).unwrap() {
                    let path = file.unwrap().path();
                    let mut bytes = fs::read(&path).unwrap();
                    bytes
                        .iter_mut()
                        .skip(500)
                        .step_by(500)
                        .for_each(|b| *b ^= 1);
                    fs::remove_file(&path).unwrap();
                    fs::write(&path, bytes).unwrap();
                }
            }
        }
        let run = clone.try_lob(&["fetch"]);
        let said = run.ok_stderr();
        assert!(
            lobs.iter().all(|lob| holds(&own(&clone), *lob)),
            "{harm}: {said}"
        );
    }
}

#[test]
fn sync_and_prefetch_go_through_all_remotes_too() {
    let commands: [&[&str]; 5] = [
        &["sync", "--pull"],
        &["sync", "--mode", "committed", "--pull"],
        &["sync", "--mode", "fixup"],
        &["sync", "--mode", "prefetch"],
        &["prefetch"],
    ];
    let (_world, _origin, clone, lobs) = scene();
    for command in commands {
        let said = clone.lob(&[&["--json"], command].concat());
        let summaries = events(&said, "summary");
        assert_eq!(summaries.len(), 1, "{command:?}: {said}");
        assert_eq!(summaries[0]["lobs"], 2, "{command:?}: {said}");
        assert!(lobs.iter().all(|lob| holds(&own(&clone), *lob)));
        fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
        // So that there are pointers to be expanded again.
        for path in ["a.bin", "b.bin"] {
            fs::remove_file(clone.path().join(path)).unwrap();
        }
        clone.git(&["-c", "lob.smudge=pointer", "checkout", "-q", "--", "."]);
    }
    // A complete run is about one of them, and so is one that names it.
    for command in [
        &["sync", "--mode", "complete", "--pull"][..],
        &["sync", "origin", "--pull"],
    ] {
        let run = clone.try_lob(command);
        assert!(run.code == Some(0) || run.code == Some(3), "{run:?}");
        assert!(
            holds(&own(&clone), lobs[0]) && !holds(&own(&clone), lobs[1]),
            "{command:?}"
        );
        fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
    }
}
