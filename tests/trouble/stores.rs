//! Stores that are damaged, of a later format, or not what they were.

use std::fs;
use std::path::PathBuf;

use super::{pair, says};
use crate::support::{Repo, World, noise, run};

fn content() -> Vec<u8> {
    noise(1, 300_000)
}

/// A repository whose one lob was pushed.
fn pushed(world: &World) -> (Repo, Repo) {
    let (origin, work) = pair(world);
    work.write("a.bin", content());
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    (origin, work)
}

/// The files of a kind in the packs of a store.
fn packs(store: PathBuf, kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join("packs")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let files: Vec<_> = files
        .filter(|file| file.extension().unwrap() == kind)
        .collect();
    assert!(!files.is_empty());
    files
}

/// Makes git ask for the content of the file again.
fn checkout(repo: &Repo) -> String {
    fs::remove_file(repo.path().join("a.bin")).unwrap();
    repo.try_git(&["checkout", "-q", "a.bin"]).ok_stderr()
}

/// P3: what the engine's own tests do to every byte, once through everything.
#[test]
fn p3_a_damaged_pack_is_named_and_mended_from_the_remote() {
    let world = World::new();
    let (_, work) = pushed(&world);
    let store = work.path().join(".git/lob");
    let pack = packs(store.clone(), "pack").remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[5000] ^= 0x10;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, &bytes).unwrap();
    let damage = format!("damaged: {}: chunk ", pack.display());
    let words = ["(a.bin): ", &damage, "hint: lob repair"];
    says(&checkout(&work), &words);
    let stored = work.stored("HEAD:a.bin");
    assert_eq!(work.read("a.bin"), stored);
    let one_shot = run(work.command("lob").args(["smudge", "--", "a.bin"]), &stored);
    assert_eq!(one_shot.stdout, stored);
    says(&one_shot.ok_stderr(), &words);
    says(&work.try_lob(&["checkout"]).fails(3), &["a.bin: ", &damage]);
    // The way out.
    work.lob(&["repair"]);
    work.lob(&["checkout"]);
    assert_eq!(work.read("a.bin"), content());
    work.assert_clean();
}

#[test]
fn p3_a_pack_that_was_cut_off_is_no_pack_and_comes_back_from_the_remote() {
    let world = World::new();
    let (_, work) = pushed(&world);
    for pack in packs(work.path().join(".git/lob"), "pack") {
        let bytes = fs::read(&pack).unwrap();
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, &bytes[..5000]).unwrap();
    }
    checkout(&work);
    assert_eq!(work.read("a.bin"), content());
}

/// P3, P12: one lob that the remote holds damaged keeps no other one from coming.
#[test]
fn p3_p12_damage_of_a_remote_is_named_and_stops_nothing_else() {
    let world = World::new();
    let (origin, work) = pair(&world);
    work.write("a.bin", content());
    for n in 0..50 {
        work.write(&format!("dir/{n}.bin"), noise(n, 20_000));
    }
    work.commit("First");
    work.git(&["push", "-q", "origin", "main"]);
    let store = origin.path().join("lob");
    let pack = packs(store.clone(), "pack").remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    let part = &content()[150_000..150_100];
    let at = bytes.windows(100).position(|bytes| bytes == part).unwrap();
    bytes[at] ^= 0x10;
    fs::write(&pack, bytes).unwrap();
    let damage = format!("damaged: {}", store.display());
    let mut git = world.command("git");
    let said = run(git.args(["clone", "-q", "origin.git", "clone"]), b"").ok_stderr();
    let from = "fetching from origin failed: ";
    let rest = "no content for 1 file (a.bin): it can't be had now";
    says(&said, &[from, &damage, rest, "hint: "]);
    let clone = world.repo("clone");
    for n in 0..50 {
        assert_eq!(clone.read(&format!("dir/{n}.bin")), noise(n, 20_000));
    }
    assert_eq!(clone.read("a.bin"), clone.stored("HEAD:a.bin"));
    clone.assert_clean();
    let said = clone.try_lob(&["pull"]).fails(3);
    says(&said, &["1 lob cannot be had:\n    a.bin: damaged: "]);
    // A push is whole or it is none: refs would follow it.
    let far = world.init_bare("far.git");
    let clone = world.clone_of(&origin, "another");
    let own = clone.path().join(".git/lob");
    fs::remove_dir_all(&own).unwrap();
    fs::create_dir(&own).unwrap();
    for name in ["state", "packs", "roots", "index", "stage"] {
        fs::create_dir(own.join(name)).unwrap();
        for entry in fs::read_dir(store.join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), own.join(name).join(entry.file_name())).unwrap();
        }
    }
    let said = clone
        .try_git(&["push", far.path().to_str().unwrap(), "main"])
        .fails(1);
    says(&said, &["was stopped", "damaged: ", "another/.git/lob"]);
    assert_eq!(far.git(&["for-each-ref"]), "");
    // The way out.
    for kind in ["pack", "idx"] {
        fs::remove_file(packs(store.clone(), kind).remove(0)).unwrap();
    }
    work.lob(&["sync", "--mode", "complete", "--push"]);
    world.repo("clone").lob(&["pull"]);
    assert_eq!(world.repo("clone").read("a.bin"), content());
}

#[test]
fn a_store_of_a_later_lob_is_read_by_none_and_changed_by_none() {
    let world = World::new();
    let (origin, work) = pushed(&world);
    let later = "lob store\nformat 2\nwhatever\n";
    let words = [" is a store of format 2; this lob knows 1: install a newer lob"];
    work.write("b.bin", noise(2, 1000));

    let here = work.path().join(".git/lob/state/format");
    let before = fs::read(&here).unwrap();
    fs::write(&here, later).unwrap();
    says(&checkout(&work), &words);
    assert_eq!(work.read("a.bin"), work.stored("HEAD:a.bin"));
    says(&work.try_git(&["add", "b.bin"]).fails(128), &words);
    for verb in ["fetch", "pull", "checkout", "status"] {
        says(&work.try_lob(&[verb]).fails(1), &words);
    }
    let doctor = work.try_lob(&["doctor"]);
    says(&String::from_utf8_lossy(&doctor.stdout), &words);
    assert_eq!(fs::read_to_string(&here).unwrap(), later);
    fs::write(&here, before).unwrap();
    work.git(&["checkout", "-q", "a.bin"]);
    work.lob(&["checkout"]);
    assert_eq!(work.read("a.bin"), content());

    work.commit("Second");
    let there = origin.path().join("lob/state/format");
    let before = fs::read(&there).unwrap();
    fs::write(&there, later).unwrap();
    let said = work.try_git(&["push", "-q", "origin", "main"]).fails(1);
    says(&said, &["the push to origin was stopped", words[0]]);
    let mut git = world.command("git");
    let said = run(git.args(["clone", "-q", "origin.git", "clone"]), b"").ok_stderr();
    says(&said, &["fetching from origin failed: ", words[0]]);
    assert_eq!(fs::read_to_string(&there).unwrap(), later);
    fs::write(&there, before).unwrap();
    work.git(&["push", "-q", "origin", "main"]);
}

#[test]
fn a_remote_that_is_no_store_or_another_one_is_left_alone() {
    let world = World::new();
    let (origin, work) = pushed(&world);
    let far = origin.path().join("lob");
    work.write("b.bin", noise(2, 1000));
    work.commit("Second");
    let refs = origin.git(&["for-each-ref"]);
    let refused = |words: &[&str]| {
        let said = work.try_git(&["push", "-q", "origin", "main"]).fails(1);
        says(&said, &["the push to origin was stopped"]);
        says(&said, words);
        says(&work.try_lob(&["push"]).fails(1), words);
        assert_eq!(origin.git(&["for-each-ref"]), refs, "no ref moved");
    };

    // Another store than the one that was met.
    let format = far.join("state/format");
    let before = fs::read_to_string(&format).unwrap();
    let other = "0".repeat(64);
    let (first, id) = before.trim_end().rsplit_once(' ').unwrap();
    fs::write(&format, format!("{first} {other}\n")).unwrap();
    let accept = format!("git config remote.NAME.lobStoreId {other}");
    refused(&[
        id,
        &other,
        "hint: is the right share or disk mounted?",
        &accept,
    ]);

    // A store that has lost what makes it one.
    fs::write(&format, "garbage").unwrap();
    let lost = "is not a lob store: it has no readable state/format";
    refused(&[
        far.to_str().unwrap(),
        lost,
        "hint: is this the right place?",
    ]);
    assert_eq!(fs::read(&format).unwrap(), b"garbage");
    fs::write(&format, &before).unwrap();

    // Somebody else's directory, and no directory.
    let aside = origin.path().join("aside");
    fs::rename(&far, &aside).unwrap();
    fs::create_dir(&far).unwrap();
    fs::write(far.join("holiday.jpg"), "x").unwrap();
    refused(&[far.to_str().unwrap(), "is not empty and is not a lob store"]);
    assert_eq!(fs::read_dir(&far).unwrap().count(), 1);
    fs::remove_dir_all(&far).unwrap();
    fs::write(&far, "file").unwrap();
    refused(&[far.to_str().unwrap(), "Not a directory"]);
    assert_eq!(fs::read(&far).unwrap(), b"file");
    fs::remove_file(&far).unwrap();

    // Nothing at all, where something was.
    refused(&[
        "was at ",
        far.to_str().unwrap(),
        "hint: is the share or disk mounted?",
    ]);
    assert!(!far.exists());
    fs::rename(&aside, &far).unwrap();
    work.git(&["push", "-q", "origin", "main"]);
}

/// The way out that the message names.
#[test]
fn a_local_store_that_lost_its_format_is_made_a_store_again() {
    let world = World::new();
    let (_, work) = pushed(&world);
    let format = work.path().join(".git/lob/state/format");
    fs::write(&format, "garbage").unwrap();
    let lost = "is not a lob store: it has no readable state/format";
    says(
        &checkout(&work),
        &["(a.bin): ", lost, "hint: is this the right place?"],
    );
    fs::remove_file(&format).unwrap();
    work.git(&["config", "remote.origin.lobUrl", "/no/such/place"]);
    checkout(&work);
    assert_eq!(work.read("a.bin"), content());
}

#[test]
fn a_clone_that_has_no_store_yet_can_do_everything_at_once() {
    let world = World::new();
    let (_, _) = pushed(&world);
    for mode in ["complete", "committed"] {
        let mut git = world.command("git");
        git.env("LOB_SKIP_SMUDGE", "1");
        world.ok(git.args(["clone", "-q", "-n", "origin.git", mode]));
        let clone = world.repo(mode);
        assert!(!clone.path().join(".git/lob").exists());
        clone.lob(&["sync", "--mode", mode]);
        fs::rename(world.path().join("origin.git"), world.path().join("aside")).unwrap();
        clone.git(&["checkout", "-q", "main"]);
        fs::rename(world.path().join("aside"), world.path().join("origin.git")).unwrap();
        assert_eq!(clone.read("a.bin"), content());
    }
}
