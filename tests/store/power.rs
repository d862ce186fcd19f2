//! P1, P2, P3, P6: power is lost after any change, and anything that was not synced may be gone.

use super::runs::{self, Run};
use super::witness::{Witness, disk};

/// Judges up to `most` states of every point of a run, and fails unless it comes to at least
/// `least` states. Every `deep`th state crashes again during its recovery.
#[track_caller]
fn survives(run: Run, most: usize, deep: usize, least: usize) {
    let disk = disk();
    let start = disk.changes();
    let mut witness = Witness::new();
    run(&disk, &mut witness).expect("nothing fails");
    let states = witness.judge_power_loss(&disk, start..=disk.changes(), most, deep);
    let states = states.unwrap_or_else(|e| panic!("{e}\n{}", disk.log().join("\n")));
    println!(
        "{states} states, {} changes, {} contents",
        disk.changes(),
        witness.count()
    );
    assert!(states >= least, "only {states} states");
}

#[test]
fn p1_a_store_that_is_being_made() {
    survives(runs::create, 1000, 1, 500);
}

#[test]
fn p2_add_and_finish() {
    survives(runs::add_and_finish, 60, 150, 2000);
}

#[test]
fn p2_sync_publish_and_go_on() {
    survives(runs::sync_publish_and_go_on, 8, 150, 500);
}

#[test]
fn p2_many_packs() {
    survives(runs::many_packs, 5, 700, 1000);
}

#[test]
fn p2_two_writers() {
    survives(runs::two_writers, 20, 300, 1000);
}

#[test]
fn p2_merges_of_the_index() {
    survives(runs::merge_index, 5, 700, 1000);
}

#[test]
fn p7_pruning() {
    survives(runs::prune, 4, 1000, 500);
}

#[test]
fn p7_pruning_under_a_writer() {
    survives(runs::prune_under_a_writer, 4, 1000, 500);
}

#[test]
fn p1_receiving() {
    survives(runs::receive, 30, 300, 500);
}
