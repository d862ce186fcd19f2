//! Content that can't be had, and input that makes no sense.

use std::fs;

use super::{FILES, two_versions, walk};
use crate::support::{World, noise, run};

/// P12: a checkout never fails for want of a lob, and says once what is missing.
#[test]
fn a_lob_that_is_nowhere_leaves_its_pointer() {
    for populate in ["false", "100000"] {
        let world = World::new();
        let repo = two_versions(&world);
        repo.git(&["config", "lob.populate", populate]);
        fs::remove_dir_all(repo.path().join(".git/lob")).unwrap();
        let checkout = repo.try_git(&["checkout", "first"]);
        assert!(checkout.success, "{checkout:?}");
        assert!(checkout.stderr.contains("6 files"), "{}", checkout.stderr);
        assert_eq!(
            checkout.stderr.matches("warning").count(),
            1,
            "{}",
            checkout.stderr
        );
        for (path, _) in FILES {
            assert_eq!(repo.read(path), repo.stored(&format!("first:{path}")));
        }
        repo.assert_clean();
    }
}

/// P12: damage of the local store is no reason either.
#[test]
fn a_damaged_lob_leaves_its_pointer() {
    let world = World::new();
    let repo = two_versions(&world);
    for path in walk(&repo.path().join(".git/lob/packs")) {
        if path.extension().is_some_and(|end| end == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            bytes
                .iter_mut()
                .skip(1000)
                .step_by(10_000)
                .for_each(|b| *b ^= 1);
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
    let checkout = repo.try_git(&["checkout", "first"]);
    assert!(checkout.success, "{checkout:?}");
    assert!(
        checkout.stderr.contains("no content for"),
        "{}",
        checkout.stderr
    );
    for (seed, (path, len)) in FILES.iter().enumerate() {
        let found = repo.read(path);
        let right = found == noise(seed as u64, *len);
        assert!(
            right || found == repo.stored(&format!("first:{path}")),
            "{path:?}"
        );
    }
}

#[test]
fn a_stranger_on_stdin_gets_one_clear_error() {
    let world = World::new();
    let repo = world.init("repo");
    let mut lob = repo.command("lob");
    let stderr = run(lob.arg("filter-process"), b"GET / HTTP/1.1\r\n\r\n").fails(1);
    assert!(stderr.contains("run by git"), "{stderr}");
    assert!(
        !repo.path().join(".git/lob").exists(),
        "nothing was made for it"
    );
}
