//! What differs between two sets: whatever comes from the other side, what is found is right, or there is
//! an error; and whatever is asked, there is an answer or an error.

use std::collections::HashSet;

use lob_store::reconcile::{Difference, Initiator, LobSet, Peer, Question};
use lob_store::{Error, LobId, LobInfo, Result};

use super::input::Input;

/// Compares two sets, whose answers are changed on the way, and answers any bytes.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.number();
    let [both, here, there] = [2000, 300, 300].map(|end| input.below(end));
    let mut mine = lobs(0, both + here);
    let mut theirs = [lobs(0, both), lobs(1, there)].concat();
    for _ in 0..input.below(4) {
        // One of another length.
        let at = input.below(65_536) % mine.len().max(1);
        if let Some(lob) = mine.get_mut(at) {
            lob.size += 1;
        }
    }
    theirs.rotate_left(both / 2);
    let mut peer = Lying {
        set: &theirs,
        input,
    };
    let seed = *blake3::hash(&seed.to_le_bytes()).as_bytes();
    match Initiator::seeded(&mine, seed).run(&mut peer) {
        Ok(found) => check(&found, &mine, &theirs),
        Err(error) => refused(&error, true),
    }
    let asked = [&[1, 0], peer.input.rest()].concat();
    for request in [data, &asked] {
        match Question::decode(request) {
            Ok(question) => drop(question.answer(&theirs).expect("the set is whole")),
            Err(error) => refused(&error, false),
        }
    }
}

fn lobs(seed: u8, count: usize) -> Vec<LobInfo> {
    let lob = |n: usize| LobInfo {
        id: LobId::of(&[&[seed], n.to_le_bytes().as_slice()].concat()),
        size: n as u64,
    };
    (0..count).map(lob).collect()
}

fn check(found: &Difference, mine: &[LobInfo], theirs: &[LobInfo]) {
    let [mine, theirs] = [mine, theirs].map(|set| set.iter().copied().collect::<HashSet<_>>());
    for (found, one, other) in [
        (&found.here, &mine, &theirs),
        (&found.there, &theirs, &mine),
    ] {
        assert!(found.is_sorted_by(|a, b| a.id < b.id), "sorted, each once");
        let expected: HashSet<_> = one.difference(other).copied().collect();
        assert_eq!(found.iter().copied().collect::<HashSet<_>>(), expected);
    }
}

fn refused(error: &Error, changes: bool) {
    use Error::{Busy, Damaged, Later, OverLimit};
    match error {
        Damaged { .. } | Later { .. } | OverLimit { .. } => {}
        Busy if changes => {}
        error => panic!("nothing failed: {error}"),
    }
}

/// The other side, some of whose answers are changed on the way. It does not say throughout that it holds
/// something else: then it would be one that does.
struct Lying<'a, 'i> {
    set: &'a Vec<LobInfo>,
    input: Input<'i>,
}

impl Peer for Lying<'_, '_> {
    type Error = Error;

    fn exchange(&mut self, request: &[u8], most: usize) -> Result<Vec<u8>> {
        let mut bytes = Question::decode(request)
            .and_then(|question| question.answer(self.set))
            .expect("an initiator asks what is allowed");
        assert!(bytes.len() <= most, "{} over {most}", bytes.len());
        for _ in 0..self.input.below(3) {
            let at = self.input.below(65_536) % bytes.len().max(1);
            match self.input.byte() % 4 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.input.byte()),
                2 => bytes.extend(self.input.some(20)),
                _ if at < bytes.len() => bytes[at] ^= self.input.byte().max(1),
                _ => {}
            }
        }
        Ok(bytes)
    }

    fn each_lob(&mut self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.set.each(each)
    }
}
