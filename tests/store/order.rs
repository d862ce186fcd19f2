//! P4: in which order things become durable, and what becomes of those that were cut off in between.

use std::path::Path;
use std::sync::Arc;

use lob_store::Store;
use lob_store::disk::SimDisk;
use lob_store::fsck::{Depth, Gravity, examine};

use super::witness::{ROOT, disk};
use super::{noise, runs, witness::Witness};

/// What was done to store one lob in several packs: its log.
fn several_packs(disk: &SimDisk) -> Vec<String> {
    let store = Store::create(Arc::new(disk.clone()), Path::new(ROOT)).expect("a store");
    let mut content = vec![0; 1_500_000];
    for at in [0, 600_000, 1_200_000] {
        content[at..at + 20_000].copy_from_slice(&noise(at as u64, 20_000));
    }
    let mut writer = store.writer().expect("a writer");
    writer.set_pack_soft(10_000);
    let added = writer.add(&mut content.as_slice(), &());
    added.expect("adds");
    writer.finish().expect("publishes");
    disk.log()
}

fn is_move(change: &str) -> bool {
    change.starts_with("rename") && change.contains(" -> /repo/lob/packs/")
}

/// Or a power loss could leave the pack with the name of a lob and not those with its chunks.
#[test]
fn p4_a_pack_is_durable_before_the_next_one_comes() {
    let log = several_packs(&disk());
    let moves = |change: &&String| is_move(change) && change.ends_with(".pack");
    let packs = log.iter().filter(moves).count();
    assert!(packs > 2, "{packs} packs");
    let mut syncs = 0;
    let mut moved = 0;
    for change in &log {
        if is_move(change) && change.ends_with(".pack") {
            assert_eq!(syncs, moved, "{change}");
            moved += 1;
        } else if moved > syncs && change == "sync directory /repo/lob/packs" {
            syncs += 1;
        }
    }
}

/// Or a power loss before the first root would look as if all roots were lost.
#[test]
fn p4_the_stage_of_the_first_packs_is_durable_before_they_are_moved() {
    let log = several_packs(&disk());
    let first = log.iter().position(|change| is_move(change));
    let before = &log[..first.expect("a pack comes")];
    assert_eq!(
        before.last().expect("something"),
        "sync directory /repo/lob/stage"
    );
}

/// Its writer was killed before he could put the table beside it.
#[test]
fn p4_a_pack_that_is_taken_in_gets_its_table() {
    let disk = disk();
    runs::add_and_finish(&disk, &mut Witness::new()).expect("works");
    let log = disk.log();
    let at = log.iter().position(|change| is_move(change));
    let killed = disk.killed(at.expect("a pack comes") + 1);
    drop(Store::open(Arc::new(killed.clone()), Path::new(ROOT)).expect("opens"));
    let mut found = Vec::new();
    let each = &mut |finding| found.push(finding);
    let examined = examine(Arc::new(killed), Path::new(ROOT), Depth::Deep, &(), each);
    assert_eq!(examined.expect("examines").lobs, 2);
    assert!(
        found
            .iter()
            .all(|finding| finding.gravity > Gravity::Damage),
        "{found:?}"
    );
}
