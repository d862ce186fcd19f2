//! The parts: which cells a symbol is in, how large a difference looks, and taking it apart.

use super::super::estimate;
use super::super::peel::{Peeled, peel};
use super::super::sketch::{Cell, Key, Mark, Places, Sketch, check};
use super::*;

const KEY: &Key = &[5; 32];

/// The sketch of the difference of two sets.
fn difference(mine: &Vec<LobInfo>, theirs: &Vec<LobInfo>, cells: usize) -> Vec<Cell> {
    let [mine, theirs] = [mine, theirs].map(|set| Sketch::of(set, KEY, 0..cells).unwrap());
    let cells = theirs.cells.iter().zip(&mine.cells);
    cells.map(|(a, b)| a.minus(*b)).collect()
}

fn symbols(lobs: &[LobInfo]) -> Vec<u64> {
    let mut symbols: Vec<_> = lobs.iter().map(|lob| Mark::of(KEY, lob).symbol()).collect();
    symbols.sort_unstable();
    symbols
}

#[test]
fn a_cell_holds_as_many_as_its_place_says() {
    const N: usize = 100_000;
    let mut counts = [0usize; 400];
    for lob in lobs("places", N) {
        let places = Places::of(lob.id.prefix()).before(counts.len());
        places.for_each(|place| counts[place] += 1);
    }
    for (place, count) in counts.iter().enumerate() {
        let expected = (2 * N) as f64 / (place as f64 + 2.0);
        let off = (*count as f64 - expected).abs();
        // The skips are off by a little in the first places, as the paper has them.
        let allowed = 5.0 * expected.sqrt() + expected * 0.06 / (place as f64 + 1.0);
        assert!(off <= allowed, "{place}: {count}, not {expected}");
    }
}

#[test]
fn places_ascend_and_end() {
    for symbol in [0, 1, u64::MAX, 1 << 63] {
        let places: Vec<_> = Places::of(symbol).take(200).collect();
        assert_eq!(places[0], 0);
        assert!(places.len() < 150, "it ends");
        assert!(places.is_sorted_by(|a, b| a < b));
    }
    assert!(Places::of(7).before(1 << 22).count() < 100);
}

#[test]
fn ranges_of_a_sketch_are_parts_of_the_whole() {
    let set = lobs("set", 40_000);
    let whole = Sketch::of(&set, KEY, 0..1000).unwrap();
    for range in [0..0, 0..10, 10..700, 999..1000, 1000..1000] {
        let part = Sketch::of(&set, KEY, range.clone()).unwrap();
        assert_eq!(part.head, whole.head);
        assert_eq!(part.cells, whole.cells[range]);
    }
    assert_eq!(whole.head.count, 40_000);
}

#[test]
fn a_difference_is_estimated_within_its_bounds() {
    let mut within = 0;
    let mut runs = 0;
    for differ in [200, 1000, 5000] {
        for here in [0, differ / 2, differ] {
            for seed in 0..20 {
                let name = format!("{differ} {here} {seed}");
                let mine = lobs(&format!("mine {name}"), here);
                let theirs = lobs(&format!("theirs {name}"), differ - here);
                let excess = theirs.len() as i64 - mine.len() as i64;
                let cells = difference(&mine, &theirs, 256);
                let found = estimate::difference(&cells, excess) as f64;
                assert!(found >= excess.unsigned_abs() as f64);
                let off = (found - differ as f64).abs() / differ as f64;
                assert!(off < 0.5, "{name}: {found}");
                within += usize::from(off < 2.0 * (2.0f64 / 255.0).sqrt());
                runs += 1;
            }
        }
    }
    assert!(within * 10 > runs * 9, "{within} of {runs}");
}

#[test]
fn what_is_asked_for_is_enough_nearly_always() {
    let mut enough = 0;
    for seed in 0..100 {
        let differ = 200 + 37 * seed;
        let mine = lobs(&format!("m{seed}"), differ / 3);
        let theirs = lobs(&format!("t{seed}"), differ - differ / 3);
        let excess = theirs.len() as i64 - mine.len() as i64;
        let found = estimate::difference(&difference(&mine, &theirs, 256), excess);
        let cells = difference(&mine, &theirs, estimate::cells(found, 256));
        match peel(&cells) {
            Peeled::Whole { there, here } => {
                assert_eq!(there, symbols(&theirs));
                assert_eq!(here, symbols(&mine));
                enough += 1;
            }
            Peeled::Short => {}
            Peeled::Nonsense => panic!("it is the sketch of a difference"),
        }
    }
    assert!(enough >= 90, "{enough}");
}

#[test]
fn too_few_cells_are_too_few() {
    let theirs = lobs("theirs", 1000);
    let cells = difference(&Vec::new(), &theirs, 1000);
    assert_eq!(peel(&cells), Peeled::Short);
    assert_eq!(peel(&cells[..1]), Peeled::Short);
    let nothing = Peeled::Whole {
        there: Vec::new(),
        here: Vec::new(),
    };
    assert_eq!(peel(&difference(&theirs, &theirs, 5)), nothing);
}

/// A cell with these symbols, each so many times.
fn cell(symbols: &[(u64, u16)]) -> Cell {
    let mut cell = Cell::default();
    for (symbol, count) in symbols {
        cell.add(*symbol, check(*symbol), *count);
    }
    cell
}

#[test]
fn a_symbol_that_comes_again_is_nonsense() {
    let symbol = (0..).find(|symbol| Places::of(*symbol).nth(1) == Some(1));
    let symbol = symbol.unwrap();
    // Once it is taken out it is still there: alone again.
    let twice = cell(&[(symbol, 1), (symbol, 1)]);
    assert_eq!(peel(&[cell(&[(symbol, 1)]), twice]), Peeled::Nonsense);
    // On both sides at once.
    let both = [cell(&[(symbol, 1)]), cell(&[(symbol, u16::MAX)])];
    assert!(!matches!(peel(&both), Peeled::Whole { .. }));
    // Cells in which everything cancels but the number.
    let cancelled = cell(&[(symbol, 1), (symbol, 1)]);
    assert_eq!(peel(&[cancelled, cancelled]), Peeled::Short);
}

#[test]
fn a_symbol_counts_in_its_own_cells_alone() {
    let stranger = (0..).find(|symbol| !Places::of(*symbol).before(6).any(|place| place == 5));
    let mut cells = vec![Cell::default(); 10];
    cells[5] = cell(&[(stranger.unwrap(), 1)]);
    assert_eq!(peel(&cells), Peeled::Short);
}

#[test]
fn cells_that_give_away_more_and_more_come_to_an_end() {
    // Each holds a symbol of its own, and taking it out fills others with what is left over.
    let mut next = 0u64;
    let mut of = |place: usize| {
        let is_its = |symbol: &u64| {
            let mut own = Places::of(*symbol).before(place + 1);
            own.any(|own| own == place)
        };
        let symbol = (next..).find(is_its).unwrap();
        next = symbol + 1;
        symbol
    };
    let cells: Vec<_> = (0..3000).map(|place| cell(&[(of(place), 1)])).collect();
    assert!(!matches!(peel(&cells), Peeled::Whole { .. }));
}
