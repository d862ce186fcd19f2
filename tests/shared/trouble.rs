//! Shared stores that are not there, or not what they were.

use std::fs;

use super::{content, holds, sharing, store, two};
use crate::support::{World, pointer};

#[test]
fn p12_a_store_that_is_not_there_is_not_begun_anew() {
    let (world, _origin, a, _b) = two();
    let away = world.path().join("away");
    fs::rename(store(&world), &away).unwrap();
    a.write("b.bin", content("second"));
    let said = a.try_git(&["add", "-A"]).fails(128);
    assert!(
        said.contains("now nothing is there"),
        "git says why: {said}"
    );
    for verb in [
        &["fsck"][..],
        &["prune", "--shared"],
        &["repair"],
        &["init"],
    ] {
        let said = a.try_lob(verb).fails(1);
        assert!(said.contains("is its disk mounted?"), "{verb:?}: {said}");
    }
    // Not even an empty directory, as a mount point is, is taken for it.
    fs::create_dir(store(&world)).unwrap();
    a.try_git(&["add", "-A"]).fails(128);
    fs::remove_file(a.path().join("a.bin")).unwrap();
    a.git(&["checkout", "-q", "--", "a.bin"]);
    assert_eq!(a.read("a.bin"), pointer(&content("first")).as_bytes());
    let env = a.lob(&["env"]);
    assert!(env.contains("store id: cannot be read"), "{env}");
    fs::remove_dir(store(&world)).unwrap();
    // It was moved.
    a.lob(&["init", "--store", away.to_str().unwrap()]);
    a.git(&["add", "-A"]);
    a.lob(&["checkout"]);
    assert_eq!(a.read("a.bin"), content("first"));
    // It is gone for good.
    fs::rename(&away, world.path().join("gone")).unwrap();
    a.git(&["config", "--unset", "lob.store"]);
    a.lob(&["init", "--force"]);
    fs::remove_file(a.path().join("a.bin")).unwrap();
    a.git(&["checkout", "-q", "--", "a.bin"]);
    assert_eq!(a.read("a.bin"), content("first"), "the remote has it");
    assert!(holds(&world, "first"), "in a new store");
}

#[test]
fn another_store_in_its_place_is_not_taken_for_it() {
    let (world, _origin, a, _b) = two();
    fs::rename(store(&world), world.path().join("away")).unwrap();
    let other = World::new().init("other");
    other.lob(&["init"]);
    let mut cp = world.command("cp");
    cp.arg("-a").arg(other.path().join(".git/lob"));
    world.ok(cp.arg(store(&world)));
    let said = a.try_lob(&["fetch"]).fails(1);
    assert!(said.contains("was there before"), "{said}");
}

#[test]
fn a_place_that_cannot_be_is_refused_with_the_way_out() {
    let world = sharing();
    let work = world.init("work");
    let refused = |value: &str| {
        work.git(&["config", "lob.store", value]);
        let said = work.try_lob(&["init"]).fails(1);
        assert!(!work.path().join(".git/lob/packs").exists());
        said
    };
    assert!(refused("lobs").contains("expected an absolute path"));
    let other = world.init("other").path().join(".git/lob");
    let said = refused(other.to_str().unwrap());
    assert!(said.contains("inside the git directory"), "{said}");
    let said = refused(world.path().join("no/such/lobs").to_str().unwrap());
    assert!(
        said.contains("nor the directory above it") && said.contains("mkdir -p"),
        "{said}"
    );
    let file = world.path().join("file");
    fs::write(&file, "x").unwrap();
    refused(file.to_str().unwrap());
    let full = world.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("x"), "x").unwrap();
    refused(full.to_str().unwrap());
    // One that is asked for by the option is not kept.
    work.git(&["config", "--unset", "lob.store"]);
    work.try_lob(&["init", "--store", other.to_str().unwrap()])
        .fails(1);
    assert_eq!(work.git(&["config", "lob.store"]), "~/lobs\n");
}

#[cfg(unix)]
#[test]
fn a_store_of_another_user_is_refused() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let (world, _origin, a, _b) = two();
    let users = store(&world).join("state/users");
    let me = users.metadata().unwrap().uid();
    if me != 0 {
        // Only root can give a directory away; who may not write is told all the same.
        fs::remove_file(a.path().join(".git/lob/state/home")).unwrap();
        for file in fs::read_dir(&users).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        fs::set_permissions(&users, fs::Permissions::from_mode(0o500)).unwrap();
        let said = a.try_lob(&["init"]).fails(1);
        assert!(said.contains("state/users"), "{said}");
        fs::set_permissions(&users, fs::Permissions::from_mode(0o700)).unwrap();
        return;
    }
    chown(store(&world), Some(12_345), None).unwrap();
    for verb in ["fetch", "fsck", "init"] {
        let said = a.try_lob(&[verb]).fails(1);
        assert!(said.contains("belongs to another user"), "{said}");
    }
    // A clone of another user's is one that git does not trust.
    chown(store(&world), Some(0), None).unwrap();
    chown(world.path().join("b/.git"), Some(12_345), None).unwrap();
    let said = a.try_lob(&["prune", "--shared"]).fails(1);
    assert!(said.contains("safe.directory"), "{said}");
}
