//! P1 to P6 against the loss of power: what every work may leave behind at every point, with any of
//! what was not synced gone, halved or garbage; and what is left when power is lost again while
//! somebody recovers from that.

mod canary;
pub mod explore;
mod works;

use std::collections::BTreeSet;
use std::sync::Mutex;

use explore::{Budget, Tally, each_of};

use super::{Tier, report};

/// States of each work, about: small works have fewer, and then all of them are judged; those that take
/// long get a part of it.
fn budget(tier: Tier) -> Budget {
    Budget {
        states: tier.pick(1200, 80_000),
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

/// Syncs that no promise needs, and why they are done nevertheless.
const SPARE: &[(&str, &str)] = &[
    (
        "directory index: *.run comes",
        "the index is made anew from the tables where it is lost, which takes time in a large store",
    ),
    (
        "directory index: *.run comes, of one who was killed",
        "likewise: the sync is there for a damaged run that somebody removed",
    ),
    (
        "directory packs: *.pack goes",
        "the roots still say that it was dropped, and a repair drops it again",
    ),
    (
        "directory state: epoch comes, of one who was killed",
        "he dropped nothing yet: the sync is there for the format of a store",
    ),
    (
        "directory state: repacked comes",
        "where the list of what was repacked is lost, all of it is tried once more",
    ),
    (
        "directory state: repacked comes, of one who was killed",
        "likewise: that sync too is there for the format",
    ),
    (
        "file state/aside.new",
        "where the list cannot be read, everything that was dropped counts as set aside",
    ),
    (
        "file state/repacked.new",
        "where this list cannot be read, all is tried once more as well",
    ),
];

#[test]
fn p1_p2_no_sync_can_be_left_out() {
    let budget = canary::Budget {
        points: Tier::asked().pick(16, 60),
        states: Tier::asked().pick(4, 12),
    };
    let canaries = canary::all(works::all());
    let kinds = canaries.len() as u64;
    let missed = Mutex::new(BTreeSet::new());
    each_of(canaries, |canary| {
        match canary.caught(budget) {
            None => drop(missed.lock().unwrap().insert(canary.kind)),
            Some(how) => println!("without {}: {}", canary.kind, first_line(&how)),
        }
        true
    });
    let missed = missed.into_inner().unwrap();
    report(
        "power canaries",
        &[
            ("kinds of syncs", kinds),
            ("caught", kinds - missed.len() as u64),
            ("needed by no promise", SPARE.len() as u64),
        ],
    );
    let spare = SPARE.iter().map(|(kind, _)| kind.to_string());
    assert_eq!(missed, spare.collect());
    assert!(kinds >= 28, "only {kinds} kinds");
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
