//! Sparse checkouts: what is left out is not fetched.

use super::*;

#[test]
fn what_a_sparse_checkout_leaves_out_is_not_fetched() {
    let world = World::new();
    let (origin, _) = published(&world);
    let clone = clone_with(&world, &["--sparse"], "clone");
    let held = || {
        let listed = clone.lob(&["ls-files"]);
        let here: Vec<_> = listed.lines().map(|line| line.contains(" * ")).collect();
        (here[0], here[1])
    };
    assert_eq!(clone.read("a.bin"), noise(2, 100_000));
    assert!(!clone.path().join("dir").exists());
    assert_eq!(held(), (true, false));
    for verb in [
        &["fetch"][..],
        &["pull"],
        &["sync", "--mode", "fixup"],
        &["checkout"],
    ] {
        without(&[&origin], || clone.lob(verb));
    }
    assert!(clone.lob(&["status"]).ends_with(": all here and pushed\n"));
    clone.git(&["sparse-checkout", "add", "dir"]);
    assert_published(&clone);
    assert_eq!(held(), (true, true));
}
