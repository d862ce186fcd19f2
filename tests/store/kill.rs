//! P2, P5, P6: the process is killed after any change. What `add` had returned for is kept, no lock
//! stays, and the same work done again succeeds.

use super::runs;
use super::witness::{Witness, disk};

#[test]
fn p2_p5_p6_killed_after_every_change_of_every_run() {
    let mut states = 0;
    for (name, run) in runs::ALL {
        let disk = disk();
        let start = disk.changes();
        let mut witness = Witness::new();
        run(&disk, &mut witness).expect("nothing fails");
        states += witness
            .judge_kill(&disk, start..=disk.changes(), 25)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", disk.log().join("\n")));
    }
    println!("{states} kills");
    assert!(states > 1000, "only {states} kills");
}

#[test]
fn p2_killed_then_done_by_another_then_power_is_lost() {
    let mut states = 0;
    for (name, run) in runs::ALL {
        let disk = disk();
        let start = disk.changes();
        let mut witness = Witness::new();
        run(&disk, &mut witness).expect("nothing fails");
        states += witness
            .judge_kill_then_power_loss(&disk, start..=disk.changes(), 4)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", disk.log().join("\n")));
    }
    println!("{states} states");
    assert!(states > 1000, "only {states} states");
}
