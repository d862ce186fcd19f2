//! Where stores are, and what is no store.

use super::*;

#[test]
fn a_store_is_made_where_it_is_configured_but_not_on_an_unmounted_disk() {
    let (world, _, work) = pair();
    let lob = keep(&work, "a.bin", b"content");
    work.commit("first");
    let disk = world.path().join("disk");
    let place = disk.join("lob");
    let url = format!("file://{}", place.display());
    work.git(&["config", "remote.origin.lobUrl", &url]);
    let said = work.try_lob(&["push"]).fails(1);
    assert!(said.contains("nor the directory above it"), "{said}");
    assert!(
        said.contains("hint: is the share or disk mounted?"),
        "{said}"
    );
    assert!(!disk.exists());
    fs::create_dir(&disk).unwrap();
    work.lob(&["push"]);
    assert!(holds(&store(&place), lob));
    // The disk is taken out: its mount point is empty.
    fs::rename(&place, disk.join("gone")).unwrap();
    keep(&work, "b.bin", b"more");
    work.commit("second");
    let said = work.try_lob(&["push"]).fails(1);
    assert!(said.contains("was at"), "{said}");
    assert!(!place.exists());
    // Another disk is put in.
    let other = store(&place).id().to_string();
    let said = work.try_lob(&["push"]).fails(1);
    assert!(said.contains(&other), "{said}");
    let accept = format!("git config remote.NAME.lobStoreId {other}");
    assert!(said.contains(&accept), "{said}");
    work.git(&["config", "remote.origin.lobStoreId", &other]);
    work.lob(&["push"]);
    assert!(holds(&store(&place), lob), "all of it goes to the new one");
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let (world, _, work) = pair();
    keep(&work, "a.bin", b"content");
    work.commit("first");
    let photos = world.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("holiday.jpg"), "x").unwrap();
    let before = census(&photos);
    let place = photos.to_str().unwrap();
    for (verb, what) in [("push", "is not empty"), ("fetch", "is not a lob store")] {
        work.git(&["config", "remote.origin.lobUrl", place]);
        fs::remove_dir_all(work.path().join(".git/lob/packs")).ok();
        let said = match verb {
            "push" => work.try_lob(&["push"]).fails(1),
            _ => work
                .try_lob(&["sync", "--mode", "complete", "--pull"])
                .fails(1),
        };
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(census(&photos), before);
}

#[test]
fn fetching_from_where_nothing_was_pushed_says_so_and_makes_nothing() {
    let (world, origin, work) = pair();
    keep(&work, "a.bin", b"content");
    work.commit("first");
    work.git(&["push", "-q", "--no-verify", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    let said = clone.try_lob(&["fetch"]).fails(1);
    assert!(said.contains("there is no lob store at"), "{said}");
    assert!(said.contains("hint: push first"), "{said}");
    assert!(!origin.path().join("lob").exists());
}

#[test]
fn reading_a_remote_leaves_no_trace_in_it() {
    let (world, origin, work) = pair();
    keep(&work, "a.bin", &noise(1, 200_000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    let before = census(&origin.path().join("lob"));
    clone.lob(&["pull"]);
    clone.lob(&["sync", "--mode", "complete", "--pull"]);
    assert_eq!(census(&origin.path().join("lob")), before);
}

#[test]
fn other_transports_are_named_as_not_yet_supported() {
    let (_world, _, work) = pair();
    work.write("readme", "x");
    work.commit("no lobs");
    work.git(&[
        "config",
        "remote.origin.lobUrl",
        "s3://me:secret@example.com/x",
    ]);
    let said = work.try_lob(&["push"]).fails(1);
    assert!(said.contains("s3 remotes are not supported yet"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(said.contains("hint: keep its lobs elsewhere"), "{said}");
    // What needs no store is pushed all the same.
    work.git(&["push", "-q", "origin", "main"]);
    keep(&work, "a.bin", b"content");
    work.commit("a lob");
    let said = work.try_git(&["push", "-q", "origin", "main"]).fails(1);
    assert!(said.contains("s3 remotes are not supported yet"), "{said}");
}

#[test]
fn a_store_can_be_named_by_its_path() {
    let (world, _, work) = pair();
    let lob = keep(&work, "a.bin", b"content");
    work.commit("first");
    let usb = world.path().join("usb disk");
    work.lob(&["push", usb.to_str().unwrap()]);
    assert!(holds(&store(&usb), lob));
    let said = work.try_lob(&["push", "--", "--upload-pack=x"]).fails(1);
    assert!(said.contains("there is no remote"), "{said}");
    let said = work.try_lob(&["push", "nowhere"]).fails(1);
    assert!(said.contains("there is no remote \"nowhere\""), "{said}");
}

/// Whoever pushes first must not keep the others out, whatever the umask.
#[cfg(unix)]
#[test]
fn a_remote_of_a_group_is_for_all_of_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_world, origin, work) = pair();
    fs::remove_dir_all(origin.path()).unwrap();
    work.git(&[
        "init",
        "-q",
        "--bare",
        "--shared",
        origin.path().to_str().unwrap(),
    ]);
    for content in ["one", "another"] {
        keep(&work, "a.bin", content.as_bytes());
        work.commit(content);
        let mut shell = work.command("sh");
        run(
            shell.args([
                "-c",
                "umask 077 && git push -q origin main && lob gc --remote origin",
            ]),
            b"",
        )
        .ok();
    }
    let mut dirs = vec![origin.path().join("lob")];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&dir) & 0o2777, 0o2770, "{}", dir.display());
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            assert_eq!(mode(&path) & 0o777, 0o660, "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 5, "{files}");
}
