//! Two sides in one process: what differs is found, in the bytes and rounds that were promised.

mod again;
mod bounded;
mod hostile;
mod parts;
mod vectors;

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::id::LobId;

/// Bytes of a list of so many lobs.
const fn list_len(lobs: usize) -> u64 {
    40 * lobs as u64
}

/// Lobs that look random, the same each time.
fn lobs(seed: &str, count: usize) -> Vec<LobInfo> {
    let mut random = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
    let lob = |_| {
        let (mut id, mut size) = ([0; 32], [0; 8]);
        random.fill(&mut id);
        random.fill(&mut size);
        LobInfo {
            id: LobId::from_bytes(id),
            size: u64::from_le_bytes(size) >> 24,
        }
    };
    (0..count).map(lob).collect()
}

/// What `one` has and `other` has not, sorted.
fn only(one: &[LobInfo], other: &[LobInfo]) -> Vec<LobInfo> {
    let key = |lob: &LobInfo| (lob.id, lob.size);
    let other: BTreeSet<_> = other.iter().map(key).collect();
    let mut only: Vec<_> = one
        .iter()
        .filter(|lob| !other.contains(&key(lob)))
        .copied()
        .collect();
    only.sort_unstable_by_key(|lob| lob.id);
    only
}

fn sorted(mut lobs: Vec<LobInfo>) -> Vec<LobInfo> {
    lobs.sort_unstable_by_key(|lob| lob.id);
    lobs
}

fn answer(set: &dyn LobSet, request: &[u8]) -> Result<Vec<u8>> {
    Question::decode(request)?.answer(set)
}

/// The other side, reached by calling it. What it answers can be changed on the way.
struct Direct<'a, F> {
    set: &'a dyn LobSet,
    change: F,
    asked: u64,
}

impl<F: FnMut(u64, &mut Vec<u8>)> Peer for Direct<'_, F> {
    type Error = Error;

    fn exchange(&mut self, request: &[u8], most: usize) -> Result<Vec<u8>> {
        let mut answer = answer(self.set, request)?;
        assert!(request.len() <= REQUEST_MAX && most <= ANSWER_MAX);
        assert!(answer.len() <= most, "{} over {most}", answer.len());
        (self.change)(self.asked, &mut answer);
        self.asked += 1;
        Ok(answer)
    }

    fn each_lob(&mut self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.set.each(each)
    }
}

fn compare(seed: u64, mine: &dyn LobSet, theirs: &dyn LobSet) -> Result<Difference> {
    with(seed, mine, theirs, |_, _| {})
}

fn with(
    seed: u64,
    mine: &dyn LobSet,
    theirs: &dyn LobSet,
    change: impl FnMut(u64, &mut Vec<u8>),
) -> Result<Difference> {
    let mut peer = Direct {
        set: theirs,
        change,
        asked: 0,
    };
    let seed = *blake3::hash(&seed.to_le_bytes()).as_bytes();
    Initiator::seeded(mine, seed).run(&mut peer)
}

/// Two sets with `both` in common and so many that only the one and only the other has.
fn pair(both: usize, here: usize, there: usize) -> (Vec<LobInfo>, Vec<LobInfo>) {
    let both = lobs("both", both);
    let mine = [both.clone(), lobs("here", here)].concat();
    let mut theirs = [both, lobs("there", there)].concat();
    // The order is of no account.
    theirs.reverse();
    (mine, theirs)
}

fn bytes(found: &Difference) -> u64 {
    found.spent.sent + found.spent.received
}

#[test]
fn a_thousand_of_a_million_are_found_in_four_rounds_and_120_kb() {
    for (here, there) in [(500, 500), (0, 1000)] {
        let (mine, theirs) = pair(1_000_000 - here.max(there), here, there);
        let found = compare(1, &mine, &theirs).unwrap();
        assert_eq!(found.here, sorted(lobs("here", here)));
        assert_eq!(found.there, sorted(lobs("there", there)));
        assert_eq!(found.how, How::Sketch);
        assert!(found.spent.rounds <= 4, "{:?}", found.spent);
        assert!(bytes(&found) <= 120_000, "{:?}", found.spent);
    }
}

#[test]
fn luck_does_not_change_that() {
    let mut worst = Spent::default();
    for seed in 0..150 {
        let (here, there) = [(500, 500), (0, 1000), (1000, 0), (900, 100)][seed as usize % 4];
        let (mine, theirs) = pair(3000, here, there);
        let found = compare(seed, &mine, &theirs).unwrap();
        assert_eq!((found.here.len(), found.there.len()), (here, there));
        assert_eq!(found.how, How::Sketch, "{seed}");
        worst.rounds = worst.rounds.max(found.spent.rounds);
        worst.received = worst.received.max(bytes(&found));
    }
    assert!(worst.rounds <= 4, "{worst:?}");
    assert!(worst.received <= 120_000, "{worst:?}");
}

#[test]
fn equal_sets_take_one_round_and_next_to_nothing() {
    for count in [0, 1, 100_000] {
        let (mine, theirs) = pair(count, 0, 0);
        let found = compare(2, &mine, &theirs).unwrap();
        assert!(found.here.is_empty() && found.there.is_empty());
        assert_eq!(found.how, How::Same);
        let expected = Spent {
            rounds: 1,
            sent: 84,
            received: 48,
        };
        assert_eq!(found.spent, expected);
    }
}

#[test]
fn where_little_is_common_it_takes_no_more_than_the_list() {
    const N: usize = 20_000;
    for (both, here, there) in [
        (0, N, N),
        (0, 0, N),
        (0, N, 0),
        (N / 4, N, N),
        (10, 3, N),
        (0, 1, 1),
    ] {
        let (mine, theirs) = pair(both, here, there);
        let found = compare(3, &mine, &theirs).unwrap();
        assert_eq!(found.here, only(&mine, &theirs));
        assert_eq!(found.there, only(&theirs, &mine));
        let list = list_len(theirs.len());
        assert!(bytes(&found) <= list + 4000, "{both} {here} {there}");
        assert!(found.spent.rounds <= 3, "{:?}", found.spent);
    }
}

#[test]
fn small_differences_need_the_first_cells_alone() {
    for differ in [1, 2, 10, 100] {
        let (mine, theirs) = pair(10_000, differ / 2, differ - differ / 2);
        let found = compare(4, &mine, &theirs).unwrap();
        assert_eq!(found.here.len() + found.there.len(), differ);
        assert_eq!(found.spent.rounds, 2);
        assert!(bytes(&found) <= 4000 + 48 * differ as u64);
    }
}

#[test]
fn many_more_than_one_answer_holds_are_found() {
    // More cells than one answer may have, and more lobs.
    let (mine, theirs) = pair(500_000, 100_000, 100_000);
    let found = compare(5, &mine, &theirs).unwrap();
    assert_eq!(found.how, How::Sketch);
    assert_eq!(found.here, sorted(lobs("here", 100_000)));
    assert_eq!(found.there, sorted(lobs("there", 100_000)));
    assert!(found.spent.rounds <= 12, "{:?}", found.spent);
    assert!(bytes(&found) < list_len(theirs.len()) / 2);
}

#[test]
fn lobs_of_two_lengths_are_on_both_lists() {
    let (mine, mut theirs) = pair(100, 0, 0);
    theirs[7].size += 1;
    let found = compare(6, &mine, &theirs).unwrap();
    assert_eq!(found.there, [theirs[7]]);
    assert_eq!(found.here[0].id, theirs[7].id);
    assert_eq!(found.here.len(), 1);
}

/// A set that is another one each time that somebody goes through it; the last one stays.
struct Changing(RefCell<Vec<Vec<LobInfo>>>);

impl LobSet for Changing {
    fn each(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        let mut sets = self.0.borrow_mut();
        let now = match sets.len() {
            1 => sets[0].clone(),
            _ => sets.remove(0),
        };
        now.each(each)
    }
}

#[test]
fn a_set_that_changes_meanwhile_is_compared_anew() {
    let (mine, theirs) = pair(5000, 700, 700);
    let grown = [theirs.clone(), lobs("new", 1)].concat();
    for at in 1..4 {
        let sets = [vec![theirs.clone(); at], vec![grown.clone()]].concat();
        let found = compare(7, &mine, &Changing(sets.clone().into())).unwrap();
        // Once it was proven, what comes later is of no account.
        let then = match found.there.len() {
            700 => &theirs,
            _ => &grown,
        };
        assert_eq!(found.there, only(then, &mine), "{at}");
        assert_eq!(found.here, only(&mine, then), "{at}");
        let found = compare(8, &Changing(sets.into()), &mine).unwrap();
        let then = match found.here.len() {
            700 => &theirs,
            _ => &grown,
        };
        assert_eq!(found.here, only(then, &mine), "{at}");
        assert_eq!(found.there, only(&mine, then), "{at}");
    }
    // One that never stands still.
    let sets = (0..20).map(|n| [theirs.clone(), lobs("new", n)].concat());
    let changing = Changing(sets.collect::<Vec<_>>().into());
    assert!(matches!(compare(9, &mine, &changing), Err(Error::Busy)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_differs_is_found(
        seed: u64, both in 0usize..2000, here in 0usize..300, there in 0usize..300, longer in 0usize..5,
    ) {
        let (mine, mut theirs) = pair(both, here, there);
        for lob in theirs.iter_mut().take(longer) {
            lob.size += 1;
        }
        let found = compare(seed, &mine, &theirs).unwrap();
        prop_assert_eq!(&found.here, &only(&mine, &theirs));
        prop_assert_eq!(&found.there, &only(&theirs, &mine));
        let none = found.here.is_empty() && found.there.is_empty();
        prop_assert_eq!(found.how == How::Same, none);
        // Sketches may turn out in vain, and then the list comes too; but never more of them than it is long.
        prop_assert!(bytes(&found) <= 2 * list_len(theirs.len()) + 8000);
    }
}
