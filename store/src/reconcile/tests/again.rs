//! How often sets are gone through: what was made for one request serves the next.

use std::cell::Cell;

use super::*;
use crate::limits::{SKETCH_AHEAD, SKETCHES_MAX};
use crate::roots::Cursor;

/// A set that counts how often somebody goes through it.
struct Counting {
    lobs: Vec<LobInfo>,
    walks: Cell<u32>,
    seq: Cell<u64>,
    made: Sketches,
}

impl Counting {
    fn new(lobs: Vec<LobInfo>) -> Counting {
        Counting {
            lobs,
            walks: Cell::new(0),
            seq: Cell::new(1),
            made: Sketches::default(),
        }
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let stands = || {
            Ok(Cursor {
                seq: self.seq.get(),
                ..Cursor::default()
            })
        };
        let question = Question::decode(request).expect("a request");
        let again = question.answer_again(self, &stands, &self.made);
        let again = again.expect("answers");
        assert_eq!(again, question.answer(&self.lobs).expect("answers"));
        again
    }
}

impl LobSet for Counting {
    fn each(&self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.walks.set(self.walks.get() + 1);
        self.lobs.each(each)
    }
}

impl Peer for &Counting {
    type Error = Error;

    fn exchange(&mut self, request: &[u8], _: usize) -> Result<Vec<u8>> {
        Ok(self.answer(request))
    }

    fn each_lob(&mut self, _: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        panic!("nobody needs the list")
    }
}

fn cells(key: u8, cells: std::ops::Range<usize>) -> Vec<u8> {
    let request = super::super::message::Request::Sketch {
        key: [key; 32],
        mine: Default::default(),
        cells,
    };
    request.encode()
}

#[test]
fn both_sides_go_through_their_sets_twice_where_a_thousand_differ() {
    let all = lobs("again", 21_000);
    let mine = Counting::new(all[..20_500].to_vec());
    let theirs = Counting::new(all[500..].to_vec());
    let found = Initiator::seeded(&mine, [1; 32]).run(&mut &theirs);
    let found = found.expect("compares");
    assert_eq!((found.here.len(), found.there.len()), (500, 500));
    assert!(found.spent.rounds >= 3);
    assert_eq!((mine.walks.get(), theirs.walks.get()), (2, 2));
}

#[test]
fn cells_are_remembered_of_a_set_as_it_stands_and_for_the_last_few_keys() {
    let set = Counting::new(lobs("remembered", 1000));
    let walks = |request: Vec<u8>| {
        let before = set.walks.get();
        let _ = set.answer(&request);
        set.walks.get() - before
    };
    assert_eq!(walks(cells(1, 0..256)), 1);
    assert_eq!(walks(cells(1, 256..SKETCH_AHEAD)), 0);
    assert_eq!(walks(cells(1, 256..SKETCH_AHEAD + 1)), 1, "further");
    assert_eq!(walks(cells(2, 0..1)), 1, "another key");
    assert_eq!(walks(cells(1, 0..1)), 0);
    set.seq.set(2);
    assert_eq!(walks(cells(1, 0..1)), 1, "the set has changed");
    for key in 0..SKETCHES_MAX as u8 {
        assert_eq!(walks(cells(key + 10, 0..1)), 1);
    }
    assert_eq!(walks(cells(1, 0..1)), 1, "forgotten");
    set.seq.set(3);
    let moving = || {
        set.seq.set(set.seq.get() + 1);
        Ok(Cursor {
            seq: set.seq.get(),
            ..Cursor::default()
        })
    };
    let question = Question::decode(&cells(3, 0..9)).expect("a request");
    let made = Sketches::default();
    for _ in 0..2 {
        let before = set.walks.get();
        let _ = question
            .answer_again(&set, &moving, &made)
            .expect("answers");
        assert_eq!(set.walks.get() - before, 1, "it changed meanwhile");
    }
}
