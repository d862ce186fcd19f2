//! Remotes that are damaged or lie.

use super::*;

pub fn packs(origin: &Repo) -> Vec<PathBuf> {
    let files = census(&origin.path().join("lob/packs"));
    let mut packs: Vec<PathBuf> = files.into_keys().collect();
    packs.retain(|path| path.extension().is_some_and(|end| end == "pack"));
    assert!(!packs.is_empty());
    packs
}

#[test]
fn p3_a_damaged_remote_never_gives_other_bytes() {
    let (world, origin, work) = pair();
    let content = noise(1, 300_000);
    let lob = keep(&work, "a.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let clone = clone(&world, &origin, "clone");
    let pack = packs(&origin).remove(0);
    let whole = fs::read(&pack).unwrap();
    let mut failed = 0;
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&pack, &damaged).unwrap();
        let run = clone.try_lob(&["pull"]);
        let local = store(&clone.path().join(".git/lob"));
        if run.success {
            assert_eq!(clone.read("a.bin"), content, "byte {at}");
        } else {
            assert!(matches!(run.code, Some(1 | 3)), "byte {at}: {run:?}");
            assert!(!holds(&local, lob), "byte {at}");
            assert!(clone.read("a.bin").starts_with(b"version git-lob/2\n"));
            failed += 1;
        }
        drop(local);
        fs::remove_dir_all(clone.path().join(".git/lob")).unwrap();
        clone.write("a.bin", pointer(lob));
    }
    assert!(failed > 30, "only {failed} of 40 were noticed");
    fs::write(&pack, &whole).unwrap();
    clone.lob(&["pull"]);
    assert_eq!(clone.read("a.bin"), content);
}

#[test]
fn a_remote_that_lost_a_pack_is_named_and_another_one_helps() {
    let (world, origin, work) = pair();
    let content = noise(2, 100_000);
    keep(&work, "a.bin", &content);
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let usb = world.path().join("usb");
    work.lob(&["push", usb.to_str().unwrap()]);
    for pack in packs(&origin) {
        fs::remove_file(pack).unwrap();
    }
    let clone = clone(&world, &origin, "clone");
    let run = clone.try_lob(&["pull"]);
    assert!(!run.success);
    assert!(clone.read("a.bin").starts_with(b"version git-lob/2\n"));
    clone.lob(&["pull", usb.to_str().unwrap()]);
    assert_eq!(clone.read("a.bin"), content);
}
