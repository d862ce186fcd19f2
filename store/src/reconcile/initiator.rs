//! The side that asks, and finds out what differs.

use super::LobSet;
use super::estimate;
use super::message::{
    CELL_LEN, LOB_LEN, Request, decode_found, decode_sketched, found_len, sketched_len,
};
use super::peel::{Peeled, peel};
use super::sketch::{Head, Key, Mark, Sketch, find};
use crate::error::{Error, Result};
use crate::limits::{
    PART_LOBS, SKETCH_ANSWER_MAX, SKETCH_FIRST, SKETCH_FOUND_MAX, SKETCH_LISTED_MAX, SKETCH_MAX,
    SKETCH_TURNS,
};
use crate::store::LobInfo;

/// The other side, as an initiator reaches it.
pub trait Peer {
    /// What goes wrong on the way.
    type Error: From<Error>;

    /// Sends a request, which [`super::Question`] answers there, and returns the answer. One that is longer
    /// than `most` bytes need not be read to its end: it is wrong.
    fn exchange(&mut self, request: &[u8], most: usize) -> Result<Vec<u8>, Self::Error>;

    /// Calls `each` for every lob that the other side holds, in any order, each once. Stops at the first
    /// error of `each`.
    fn each_lob(&mut self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<(), Self::Error>;

    /// What an answer is that cannot be one to what was asked.
    fn wrong(&self, error: Error) -> Self::Error {
        error.into()
    }
}

/// What differs. A lob that both sides hold with different lengths is in both lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Lobs that only the initiator holds, sorted by id.
    pub here: Vec<LobInfo>,
    /// Lobs that only the other side holds, sorted by id.
    pub there: Vec<LobInfo>,
    /// Whether there are more of these than memory is taken for: then any of them are told.
    pub is_part: bool,
    /// How it was found out.
    pub how: How,
    /// What that took.
    pub spent: Spent,
}

/// How a difference was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// There is none: the digests are the same.
    Same,
    /// From sketches.
    Sketch,
    /// From the list of all lobs of the other side.
    List,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Requests, and lists that were read.
    pub rounds: u64,
    /// Bytes of requests.
    pub sent: u64,
    /// Bytes of answers, and 40 for each lob of a list.
    pub received: u64,
}

/// One run. See the module.
pub struct Initiator<'a> {
    mine: &'a dyn LobSet,
    seed: Key,
    most: usize,
    spent: Spent,
}

/// What came of asking for cells.
enum Sketched {
    /// The symbols of what differs, sorted.
    Apart { there: Vec<u64>, here: Vec<u64> },
    /// The list is shorter, or the cells were no use.
    List,
    /// One of the two sets is not what it was any more.
    Changed,
}

impl<'a> Initiator<'a> {
    /// Of who holds `mine`.
    pub fn new(mine: &'a dyn LobSet) -> Result<Initiator<'a>> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(std::io::Error::other)
            .map_err(Error::at("random numbers of the system".as_ref()))?;
        Ok(Initiator::seeded(mine, seed))
    }

    /// One that asks the same each time. `seed` must be random, and drawn when both sets are there: who
    /// knows it before can store lobs that make the run as dear as a list.
    pub fn seeded(mine: &'a dyn LobSet, seed: [u8; 32]) -> Initiator<'a> {
        Initiator {
            mine,
            seed,
            most: PART_LOBS,
            spent: Spent::default(),
        }
    }

    /// Tells no more than `most` lobs that only the other side holds, instead of [`PART_LOBS`].
    pub fn at_most(self, most: usize) -> Initiator<'a> {
        Initiator { most, ..self }
    }

    /// Finds out what differs. Goes through the own set twice, and more often only where much differs.
    ///
    /// # Errors
    /// Those of the peer and of the set; [`Error::Damaged`] where an answer cannot be one to what was
    /// asked; [`Error::OverLimit`] where the other side lists too many lobs; [`Error::Busy`] where one of
    /// the sets changes all the time, or the other side holds other lobs than its digest says.
    pub fn run<P: Peer>(mut self, peer: &mut P) -> Result<Difference, P::Error> {
        for turn in 0..SKETCH_TURNS {
            // Another key each time: bad luck does not come again.
            let mut key = blake3::Hasher::new_keyed(&self.seed);
            key.update(&[turn]);
            if let Some(found) = self.turn(key.finalize().as_bytes(), peer)? {
                return Ok(found);
            }
        }
        Err(Error::Busy.into())
    }

    /// `None` where a set has changed meanwhile.
    fn turn<P: Peer>(&mut self, key: &Key, peer: &mut P) -> Result<Option<Difference>, P::Error> {
        let mine = Sketch::ahead(self.mine, key)?;
        // Who has nothing needs the whole list.
        let cells = if mine.head.count == 0 {
            0
        } else {
            SKETCH_FIRST
        };
        let theirs = self.sketch(key, &mine.head, 0..cells, peer)?;
        if theirs.head == mine.head {
            return Ok(Some(self.found(Vec::new(), Vec::new(), How::Same)));
        }
        if cells == 0 {
            return self.list(key, &theirs.head, peer);
        }
        match self.take_apart(key, &mine, &theirs, peer)? {
            Sketched::Changed => Ok(None),
            Sketched::List => self.list(key, &theirs.head, peer),
            Sketched::Apart { there, here } => {
                match self.look_up(key, &mine.head, &theirs.head, &there, &here, peer)? {
                    None => self.list(key, &theirs.head, peer),
                    found => Ok(found),
                }
            }
        }
    }

    fn found(&self, here: Vec<LobInfo>, mut there: Vec<LobInfo>, how: How) -> Difference {
        let is_part = there.len() > self.most;
        there.truncate(self.most);
        Difference {
            here,
            there,
            is_part,
            how,
            spent: self.spent,
        }
    }

    fn ask<P: Peer>(
        &mut self,
        request: &Request,
        most: usize,
        peer: &mut P,
    ) -> Result<Vec<u8>, P::Error> {
        let request = request.encode();
        let answer = peer.exchange(&request, most)?;
        self.spent.rounds += 1;
        self.spent.sent += request.len() as u64;
        self.spent.received += answer.len() as u64;
        if answer.len() > most {
            let why = format!("{} bytes, not {most}", answer.len());
            return Err(peer.wrong(Error::damaged("the answer to what differs", why)));
        }
        Ok(answer)
    }

    fn sketch<P: Peer>(
        &mut self,
        key: &Key,
        mine: &Head,
        cells: std::ops::Range<usize>,
        peer: &mut P,
    ) -> Result<Sketch, P::Error> {
        let count = cells.len();
        let request = Request::Sketch {
            key: *key,
            mine: *mine,
            cells,
        };
        let answer = self.ask(&request, sketched_len(count), peer)?;
        decode_sketched(&answer, mine, count).map_err(|error| peer.wrong(error))
    }

    /// Asks for more cells until they can be taken apart.
    fn take_apart<P: Peer>(
        &mut self,
        key: &Key,
        mine: &Sketch,
        theirs: &Sketch,
        peer: &mut P,
    ) -> Result<Sketched, P::Error> {
        let minus = |theirs: &Sketch, mine: &Sketch| {
            let cells = theirs.cells.iter().zip(&mine.cells);
            cells.map(|(a, b)| a.minus(*b)).collect::<Vec<_>>()
        };
        let mut cells = minus(theirs, mine);
        let excess = theirs.head.count.wrapping_sub(mine.head.count) as i64;
        loop {
            match peel(&cells) {
                Peeled::Whole { there, here } => return Ok(Sketched::Apart { there, here }),
                Peeled::Nonsense => return Ok(Sketched::List),
                Peeled::Short => {}
            }
            let difference = estimate::difference(&cells, excess);
            let end = estimate::cells(difference, cells.len());
            if !is_worth(end, difference, excess, theirs.head.count) {
                return Ok(Sketched::List);
            }
            while cells.len() < end {
                let range = cells.len()..end.min(cells.len() + SKETCH_ANSWER_MAX);
                let own = match mine.part(&range) {
                    Some(own) => own,
                    None => Sketch::of(self.mine, key, range.clone())?,
                };
                let more = self.sketch(key, &mine.head, range, peer)?;
                if own.head != mine.head || more.head != theirs.head {
                    return Ok(Sketched::Changed);
                }
                cells.extend(minus(&more, &own));
            }
        }
    }

    /// Finds the lobs of these symbols on both sides. `None` where they are not what differs.
    fn look_up<P: Peer>(
        &mut self,
        key: &Key,
        mine: &Head,
        theirs: &Head,
        there: &[u64],
        here: &[u64],
        peer: &mut P,
    ) -> Result<Option<Difference>, P::Error> {
        let own = find(self.mine, key, here)?;
        let mut others = Vec::new();
        for symbols in there.chunks(SKETCH_FOUND_MAX) {
            let request = Request::Find {
                key: *key,
                symbols: symbols.to_vec(),
            };
            let answer = self.ask(&request, found_len(symbols.len()), peer)?;
            let found = decode_found(&answer, symbols.len());
            others.extend(found.map_err(|error| peer.wrong(error))?);
        }
        others.sort_unstable_by_key(|lob| lob.id);
        let marks = own.iter().map(|(_, mark)| *mark);
        let marks = marks.chain(others.iter().map(|lob| Mark::of(key, lob)));
        let proven = Head {
            count: (mine.count + others.len() as u64).wrapping_sub(own.len() as u64),
            digest: marks.fold(mine.digest, |sum, mark| sum ^ mark),
        };
        if proven != *theirs || !others.is_sorted_by(|a, b| a.id < b.id) {
            return Ok(None);
        }
        let own = own.into_iter().map(|(lob, _)| lob).collect();
        Ok(Some(self.found(own, others, How::Sketch)))
    }

    /// Reads all that the other side holds, and keeps what memory is taken for. `None` where that is not
    /// what its digest says.
    fn list<P: Peer>(
        &mut self,
        key: &Key,
        theirs: &Head,
        peer: &mut P,
    ) -> Result<Option<Difference>, P::Error> {
        if theirs.count > SKETCH_LISTED_MAX {
            let what = "the number of lobs of the other side".into();
            let limit = SKETCH_LISTED_MAX;
            return Err(peer.wrong(Error::OverLimit { what, limit }));
        }
        // A little more than it said may have come meanwhile.
        let most = theirs.count + theirs.count / 8 + SKETCH_FIRST as u64;
        let mut mine: Vec<(LobInfo, bool)> = Vec::new();
        self.mine.each(&mut |lob| {
            mine.push((lob, false));
            Ok(())
        })?;
        mine.sort_unstable_by_key(|(lob, _)| lob.id);
        let mut there: Vec<LobInfo> = Vec::new();
        let mut came_twice = false;
        let mut head = Head::default();
        if theirs.count > 0 {
            self.spent.rounds += 1;
            peer.each_lob(&mut |lob| {
                if head.count >= most {
                    let why = format!("more than {most}, where {} were said", theirs.count);
                    return Err(Error::damaged("the list of the other side", why));
                }
                head.count += 1;
                head.digest = head.digest ^ Mark::of(key, &lob);
                match mine.binary_search_by_key(&lob.id, |(lob, _)| lob.id) {
                    Ok(at) if mine[at].0.size == lob.size => {
                        came_twice |= std::mem::replace(&mut mine[at].1, true);
                    }
                    // One more tells that there are more.
                    _ if there.len() <= self.most => there.push(lob),
                    _ => {}
                }
                Ok(())
            })?;
        }
        self.spent.received += head.count * LOB_LEN as u64;
        there.sort_unstable_by_key(|lob| lob.id);
        if head != *theirs || came_twice || !there.is_sorted_by(|a, b| a.id < b.id) {
            return Ok(None);
        }
        let here = mine.into_iter().filter(|(_, is_there)| !is_there);
        let here = here.map(|(lob, _)| lob).collect();
        Ok(Some(self.found(here, there, How::List)))
    }
}

/// Whether to ask for cells up to `end` and then for the lobs in them takes fewer bytes than the list.
fn is_worth(end: usize, difference: u64, excess: i64, theirs: u64) -> bool {
    let there = difference.saturating_add_signed(excess) / 2;
    let cells = (end as u64).saturating_mul(CELL_LEN as u64);
    let found = there.saturating_mul(8 + LOB_LEN as u64);
    end <= SKETCH_MAX && cells.saturating_add(found) < theirs.saturating_mul(LOB_LEN as u64)
}
