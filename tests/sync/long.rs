//! Versions of a file of which even the list is long.

use super::*;
use crate::store::long::{BLOCK, content, grouped};

#[test]
fn an_edit_of_a_very_long_file_costs_what_one_of_a_short_file_does() {
    let (world, origin, work) = pair();
    let mut versions = vec![content(300)];
    let push = |content: &[u8]| {
        keep(&work, "disk.img", content);
        work.commit("one more");
        work.git(&["push", "-q", "origin", "main"]);
        remote_store(&origin).stored_bytes().unwrap()
    };
    let mut sizes = vec![push(&versions[0])];
    for at in [10 * BLOCK, 300 * 32 * BLOCK] {
        let mut next = versions.last().unwrap().clone();
        next[at] ^= 1;
        sizes.push(push(&next));
        versions.push(next);
    }
    let grown: Vec<u64> = sizes.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(grown.iter().all(|grown| *grown < 4000), "{grown:?}");
    let other = clone(&world, &origin, "other");
    other.lob(&["sync", "--pull", "--mode", "complete"]);
    for store in [remote_store(&origin), store(&other.path().join(".git/lob"))] {
        for content in &versions {
            let id = LobId::of(content);
            let _ = grouped(&store, &id);
            let mut read = Vec::new();
            store.write_to(&id, &mut read, &()).unwrap();
            assert!(read == *content);
        }
    }
    work.lob(&["repack", "--deep", "--remote", "origin"]);
    work.lob(&["fsck", "--remote", "origin"]);
    let after = remote_store(&origin).stored_bytes().unwrap();
    assert!(after <= sizes[2] + 4000, "{after} of {sizes:?}");
}
