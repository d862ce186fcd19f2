//! P1 to P6 against the loss of power: what every work may leave behind at every point, with any of
//! what was not synced gone, halved or garbage; and what is left when power is lost again while
//! somebody recovers from that.

pub mod explore;
mod works;

use explore::{Budget, Tally, each_of};

use super::{Tier, report};

/// States of each work, about: small works have fewer, and then all of them are judged.
fn budget(tier: Tier) -> Budget {
    Budget {
        states: tier.pick(1100, 80_000),
        deep: tier.pick(200, 400),
    }
}

#[test]
fn p1_p2_p3_p4_p6_nothing_is_lost_with_the_power() {
    let tally = Tally::default();
    let mut trials = Vec::new();
    for work in works::all() {
        trials.extend(explore::from_nothing(work, budget(Tier::asked())));
    }
    each_of(trials, |trial| trial.judge(&tally));
    let (states, second) = (tally.states(), tally.second());
    report(
        "power",
        &[
            ("states", states),
            ("states after a second crash", second),
            ("violations", tally.violations().len() as u64),
        ],
    );
    tally.assert_none();
    let least = Tier::asked().pick(20_000, 1_000_000);
    assert!(states >= least, "only {states} states");
}

/// A work that was killed is done by somebody else, who finds some of it done, and power is lost
/// when that was acknowledged.
#[test]
fn p2_what_a_killed_process_left_is_durable_once_another_relies_on_it() {
    let tally = Tally::default();
    let mut trials = Vec::new();
    for work in works::all() {
        trials.extend(explore::after_kills(work, Tier::asked().pick(4, 40)));
    }
    each_of(trials, |trial| trial.judge(&tally));
    report(
        "power after a kill",
        &[
            ("states", tally.states()),
            ("violations", tally.violations().len() as u64),
        ],
    );
    tally.assert_none();
    let least = Tier::asked().pick(3000, 30_000);
    assert!(tally.states() >= least, "only {} states", tally.states());
}
