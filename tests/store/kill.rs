//! P2, P5, P6: the process is killed after any change. What `add` had returned for is kept, no lock
//! stays, and the same work done again succeeds.

use super::runs;
use super::witness::{Against, Witness, disk, last};

#[test]
fn p2_p5_p6_killed_after_every_change_of_every_run() {
    let mut kills = 0;
    for (name, run) in runs::ALL {
        let disk = disk();
        let start = disk.changes();
        let mut witness = Witness::new();
        run(&disk, &mut witness).expect("nothing fails");
        for at in start..=disk.changes() {
            let words = format!("{name}: killed after {at} changes ({})", last(&disk, at));
            let killed = disk.killed(at);
            let mut again = witness.after(at, Against::Kill);
            let survived = again.survive(&killed, run);
            survived.unwrap_or_else(|e| panic!("{words}: {e}"));
            kills += 1;
            // Every so often it is killed again, wherever it can.
            for second in (0..=killed.changes()).filter(|_| at % 25 == 0) {
                let done = last(&killed, second);
                let mut third = again.after(second, Against::Kill);
                let survived = third.survive(&killed.killed(second), run);
                survived.unwrap_or_else(|e| panic!("{words}, then after {second} ({done}): {e}"));
                kills += 1;
            }
        }
    }
    println!("{kills} kills");
    assert!(kills > 1000, "only {kills} kills");
}
