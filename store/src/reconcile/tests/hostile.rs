//! Peers that lie: what they answer ends in an error or in what they say that they hold, and never in
//! more work than the limits allow.

use super::super::message::{Request, decode_found, encode_found, encode_sketched};
use super::super::sketch::{Cell, Head, Mark, Sketch};
use super::*;
use crate::limits::{SKETCH_ANSWER_MAX, SKETCH_FOUND_MAX, SKETCH_LISTED_MAX, SKETCH_MAX};

fn is_refused(error: &Error) -> bool {
    use Error::{Damaged, Later, OverLimit};
    matches!(error, Damaged { .. } | Later { .. } | OverLimit { .. })
}

/// A peer that makes its own answers.
struct Scripted<'a, F> {
    sketch: F,
    found: &'a [LobInfo],
    list: &'a [LobInfo],
    bytes: usize,
}

impl<F: FnMut(Head, std::ops::Range<usize>) -> Sketch> Peer for Scripted<'_, F> {
    type Error = Error;

    fn exchange(&mut self, request: &[u8], most: usize) -> Result<Vec<u8>> {
        let answer = match Request::decode(request)? {
            Request::Sketch { mine, cells, .. } => encode_sketched(&(self.sketch)(mine, cells)),
            Request::Find { .. } => encode_found(self.found),
        };
        assert!(most <= ANSWER_MAX);
        self.bytes += answer.len();
        Ok(answer)
    }

    fn each_lob(&mut self, each: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
        self.list.iter().cycle().try_for_each(|lob| {
            self.bytes += 40;
            each(*lob)
        })
    }
}

fn lying(
    count: u64,
    cell: impl Fn(usize) -> Cell,
) -> impl FnMut(Head, std::ops::Range<usize>) -> Sketch {
    move |_, cells| Sketch {
        head: Head {
            count,
            digest: Mark([1; 4]),
        },
        cells: cells.map(&cell).collect(),
    }
}

fn run(mine: &Vec<LobInfo>, peer: &mut impl Peer<Error = Error>) -> Result<Difference> {
    Initiator::seeded(mine, [3; 32]).run(peer)
}

#[test]
fn cells_that_never_come_apart_end_in_the_list() {
    let mine = lobs("mine", 100);
    let listed = lobs("listed", 10);
    let random = |place: usize| Cell {
        symbols: (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        checks: place as u32,
        count: 1,
    };
    for count in [1, 5000, 1 << 20] {
        let mut peer = Scripted {
            sketch: lying(count, random),
            found: &[],
            list: &listed,
            bytes: 0,
        };
        // It lists for ever too, and is stopped.
        let error = run(&mine, &mut peer).unwrap_err();
        assert!(is_refused(&error), "{error}");
        assert!(error.to_string().contains("list"), "{error}");
        // The list that it says that it has, twice at the most, and what is always allowed.
        let most = 2 * list_len(count as usize + count as usize / 8) + 40_000;
        assert!(peer.bytes as u64 <= most, "{count}: {}", peer.bytes);
    }
}

#[test]
fn more_lobs_than_are_allowed_are_not_even_listed() {
    let mine = lobs("mine", 100);
    let mut peer = Scripted {
        sketch: lying(SKETCH_LISTED_MAX + 1, |_| Cell {
            symbols: 3,
            checks: 3,
            count: 30_000,
        }),
        found: &[],
        list: &[],
        bytes: 0,
    };
    let error = run(&mine, &mut peer).unwrap_err();
    assert!(matches!(error, Error::OverLimit { .. }), "{error}");
    let cells = SKETCH_MAX * 14 + 100_000;
    assert!(peer.bytes < cells, "{}", peer.bytes);
}

#[test]
fn a_digest_that_is_never_met_is_an_error() {
    // The sketch and the list agree, the digest is of something else.
    let (mine, theirs) = pair(1000, 0, 20);
    let lie = |_: u64, answer: &mut Vec<u8>| {
        if answer[2..4] == [1, 0x80] {
            answer[12] ^= 1;
        }
    };
    let error = with(1, &mine, &theirs, lie).unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    // Nor is a number of lobs.
    let lie = |_: u64, answer: &mut Vec<u8>| {
        if answer[2..4] == [1, 0x80] {
            answer[4] ^= 1;
        }
    };
    assert!(matches!(with(1, &mine, &theirs, lie), Err(Error::Busy)));
}

#[test]
fn lobs_that_were_not_asked_for_end_in_the_list() {
    let (mine, theirs) = pair(1000, 30, 20);
    let others = lobs("others", 20);
    let change = |_: u64, answer: &mut Vec<u8>| {
        if answer[2..4] == [2, 0x80] {
            let mut lobs = decode_found(answer, 20).unwrap();
            lobs[3] = others[3];
            lobs.sort_unstable_by_key(|lob| lob.id);
            *answer = encode_found(&lobs);
        }
    };
    let found = with(1, &mine, &theirs, change).unwrap();
    assert_eq!(found.how, How::List);
    assert_eq!(found.there, only(&theirs, &mine));
    // Fewer, the same twice, none.
    let all = only(&theirs, &mine);
    for lie in [&all[1..], &[], &[all[0]; 2]] {
        let change = |_: u64, answer: &mut Vec<u8>| {
            if answer[2..4] == [2, 0x80] {
                *answer = encode_found(lie);
            }
        };
        match with(1, &mine, &theirs, change) {
            Ok(found) => assert_eq!((found.how, found.there), (How::List, all.clone())),
            Err(error) => assert!(is_refused(&error) && lie.len() == 2, "{error}"),
        }
    }
}

#[test]
fn answers_that_are_not_to_what_was_asked_are_refused() {
    let (mine, theirs) = pair(1000, 30, 20);
    type Change = fn(&mut Vec<u8>);
    let changes: &[(&str, Change)] = &[
        ("nothing", |answer| answer.clear()),
        ("cut", |answer| answer.truncate(answer.len() - 1)),
        ("longer", |answer| answer.push(0)),
        ("later", |answer| answer[0] = 2),
        ("kind", |answer| answer[2] ^= 3),
        ("count", |answer| answer[44] ^= 1),
        ("great count", |answer| answer[47] = 0xff),
        ("no cells", |answer| {
            answer.truncate(48);
            answer[44..48].fill(0);
        }),
    ];
    for (name, change) in changes {
        let changed = with(1, &mine, &theirs, |_, answer| change(answer));
        let error = changed.expect_err(name);
        assert!(is_refused(&error), "{name}: {error}");
    }
}

#[test]
fn a_list_with_one_lob_twice_is_not_believed() {
    let mine = lobs("mine", 0);
    let mut theirs = lobs("theirs", 10);
    theirs.push(theirs[0]);
    assert!(matches!(compare(1, &mine, &theirs), Err(Error::Busy)));
}

#[test]
fn requests_over_a_limit_are_refused_before_any_work() {
    struct Untouched;
    impl LobSet for Untouched {
        fn each(&self, _: &mut dyn FnMut(LobInfo) -> Result<()>) -> Result<()> {
            panic!("nobody may go through it")
        }
    }
    let sketch = |cells| Request::Sketch {
        key: [0; 32],
        mine: Head::default(),
        cells,
    };
    let find = |symbols| Request::Find {
        key: [0; 32],
        symbols,
    };
    for request in [
        sketch(0..SKETCH_ANSWER_MAX + 1),
        sketch(SKETCH_MAX..SKETCH_MAX + 1),
        sketch(0..u32::MAX as usize),
        find((0..=SKETCH_FOUND_MAX as u64).collect()),
        find(vec![2, 1]),
        find(vec![1, 1]),
        #[allow(clippy::reversed_empty_ranges)]
        sketch(2..1),
    ] {
        let error = answer(&Untouched, &request.encode()).unwrap_err();
        assert!(is_refused(&error), "{error}");
    }
    let good = sketch(0..3).encode();
    for len in 0..good.len() {
        assert!(is_refused(&answer(&Untouched, &good[..len]).unwrap_err()));
    }
    assert!(is_refused(
        &answer(&Untouched, &[good, vec![0]].concat()).unwrap_err()
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// But for who it is: a peer that says throughout that it holds something else is one that does.
    #[test]
    fn whatever_is_changed_on_the_way_nothing_wrong_comes_out(
        seed: u64, here in 0usize..250, there in 0usize..250,
        changes in proptest::collection::vec((0u64..4, any::<u16>(), any::<u8>(), 0u8..4), 1..6),
    ) {
        let (mine, theirs) = pair(600, here, there);
        let result = with(seed, &mine, &theirs, |asked, answer| {
            for (when, at, value, kind) in &changes {
                let at = usize::from(*at) % answer.len().max(1);
                match kind {
                    _ if *when != asked || answer.is_empty() => {}
                    0 => answer.truncate(at),
                    1 => answer.insert(at, *value),
                    _ => answer[at] ^= *value,
                }
            }
        });
        match result {
            Ok(found) => {
                prop_assert_eq!(&found.here, &only(&mine, &theirs));
                prop_assert_eq!(&found.there, &only(&theirs, &mine));
            }
            Err(error) => prop_assert!(is_refused(&error) || matches!(error, Error::Busy), "{}", error),
        }
    }

    #[test]
    fn any_bytes_are_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..3) {
        let set = lobs("set", 20);
        let bytes = [&[1, 0, kind, 0], bytes.as_slice()].concat();
        if let Err(error) = answer(&set, &bytes) {
            prop_assert!(is_refused(&error), "{}", error);
        }
    }
}
